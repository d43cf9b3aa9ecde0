"""What a strategy costs: training, time of a page, size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.data.views import samples_of_epoch
from hmean.ensemble.members import Ensemble
from hmean.ensemble.scoring import Chosen
from hmean.inference.trained import Accelerator, TrainedModel, page_files
from hmean.network.catalogue import by_name
from hmean.runs.folder import RunFolder
from hmean.runs.metrics import read_epochs

TIMED_PAGES = 6


class PageTime(NamedTuple):
    """Time of a page from file to text polygons: in milliseconds, and over that of the best single member; medians."""

    ms_a_page: float
    times_single: float


def measure_time(
    chosen: Chosen, single: Chosen, pages: LabelledImages, accelerator: Accelerator, workers: int
) -> PageTime:
    """Time a few pages, of which the first is left out.

    Both ensembles take each page in turn, so that whatever else the machine does slows down both.
    """
    files = page_files(pages)[: TIMED_PAGES + 1]
    streams = []
    for one in (chosen, single):
        ensemble = Ensemble(Path(), one.option.members, one.params, np.zeros(0, dtype=np.int64))
        streams.append(ensemble.find(files, accelerator=accelerator, workers=workers))
    seconds = []
    for _ in files:
        ticks = [time.perf_counter()]
        for stream in streams:
            next(stream)
            ticks.append(time.perf_counter())
        seconds.append(np.diff(ticks))
    ours, alone = np.array(seconds[1:] or seconds).T
    ratio = 1.0
    if chosen is not single:
        ratio = float(np.median(ours / alone))
    return PageTime(1000 * float(np.median(ours)), ratio)


def megabytes(chosen: Chosen) -> float:
    """Size of all networks; one that is there at several sizes of the page counts once."""
    sizes = {member.record.weights_hash: member.model.size for member in chosen.option.members}
    return sum(sizes.values()) / 1e6


def training_minutes(models: Sequence[TrainedModel]) -> float | None:
    """Duration of the epochs of all these trainings, validation included; None if one is not known."""
    total = 0.0
    for model in models:
        rows = read_epochs(RunFolder(model.path.parent.parent).metrics)
        minutes: float | None = None
        if rows:
            minutes = sum(row.seconds for row in rows) / 60
        elif model.carried.provenance.training is not None:
            minutes = model.carried.provenance.training.minutes
        if minutes is None:
            return None
        total += minutes
    return total


def page_views(model: TrainedModel) -> int | None:
    """Samples of pages that a training sees in all its epochs.

    None if they are not known: of averaged weights, and of a training that started from another one's weights.
    """
    training = model.training
    start = training["models"].get("pretrained") or training.get("checkpoint_path")
    is_published = start is not None and by_name(start) is not None
    if model.carried.members or (start is not None and not is_published):
        return None
    trainer = training["trainer"]
    views = training["transforms"]["train"]
    pages = len(model.pages.train)
    samples = samples_of_epoch(pages, int(views["views_per_page"]), int(views.get("min_samples", 0)))
    limit = trainer.get("limit_train_batches")
    if limit is not None:
        samples = min(samples, limit * training["dataloaders"]["train_dataloader"]["batch_size"])
    return int(trainer["max_epochs"]) * samples
