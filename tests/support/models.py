"""What checkpoints and exported models carry, for tests that write some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hmean.ensemble.members import MemberView, member_records
from hmean.ensemble.records import EnsembleRecord
from hmean.inference.metadata import ExportedMetadata, ExportedProvenance, ExportProvenance, Preprocess
from hmean.inference.opening import open_model
from hmean.runs.carried import Carried, PagesSeen
from hmean.settings.all import AllSettings


def carried_of(config: AllSettings, *, train: Any = (), val: Any = (), epoch: int = 0) -> Carried:
    """What a training with this config on the pages with these keys carries."""
    return Carried(
        epoch=epoch,
        config=config.to_dict(),
        postprocess=config.models.head.postprocess.params(),
        history=(),
        pages=PagesSeen(train=train, val=val),
    )


def write_ensemble(folder: Path, model: Path, sizes: Sequence[int]) -> Path:
    """An ``ensemble.json`` that takes the mean of the maps of one model at several sizes of the page."""
    view = MemberView.of(open_model(model))
    record = EnsembleRecord(
        members=member_records([view.at(size) for size in sizes], folder),
        postprocess=view.model.postprocess,
        tuned_on=np.zeros(0, dtype=np.int64),
    )
    record.write(folder / "ensemble.json")
    return folder / "ensemble.json"


def exported_metadata(config: AllSettings, network_hash: str) -> ExportedMetadata:
    """The metadata of a network that no training made."""
    carried = carried_of(config)
    view = config.transforms
    return ExportedMetadata(
        epoch=0,
        config=carried.config,
        postprocess=carried.postprocess,
        history=(),
        pages=carried.pages,
        preprocess=Preprocess(long_side=view.long_side, pad=view.pad, stride=32, fill=(128, 128, 128)),
        precision="fp32",
        weights_hash="0" * 64,
        network_hash=network_hash,
        provenance=ExportedProvenance(
            export=ExportProvenance(hmean="", git=None, versions={}, date=""), checkpoint_hash=""
        ),
    )
