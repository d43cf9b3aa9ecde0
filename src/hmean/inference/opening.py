"""Opening a trained model: a checkpoint, which needs torch, or an exported model, which does not."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hmean.errors import InputError
from hmean.inference.bundled import model_path
from hmean.inference.exported import ExportedModel
from hmean.inference.metadata import SUFFIXES
from hmean.inference.trained import TrainedModel

if TYPE_CHECKING:
    from hmean.inference.checkpoints import Checkpoint


def open_model(source: str | Path, trusted_targets: Sequence[str] = ()) -> TrainedModel:
    """Open a checkpoint, an exported model, or a bundled model by its name.

    Args:
        source: path, or name of a bundled model.
        trusted_targets: packages whose classes and functions a checkpoint may name, beside hmean's own.

    Raises:
        InputError: if it cannot be read, names code that is not trusted, or is a checkpoint and torch is missing.
    """
    path = model_path(source)
    if path.suffix in SUFFIXES:
        return ExportedModel(path)
    if path.suffix == ".json":
        raise InputError(
            f"{path}: is an ensemble, which predicts and is evaluated; everything else is done with its members, or "
            "with a student of theirs (docs/concepts/ensembles.md)"
        )
    return open_checkpoint(path, trusted_targets)


def open_checkpoint(path: Path, trusted_targets: Sequence[str] = ()) -> Checkpoint:
    """Open a checkpoint, whose network can be built.

    Raises:
        InputError: as ``open_model``, or if the file is an exported model.
    """
    if path.suffix in SUFFIXES:
        raise InputError(f"{path}: is an exported model; give the checkpoint that it was made of")
    _require_torch(path)
    from hmean.inference.checkpoints import load_checkpoint  # noqa: PLC0415 - torch

    model = load_checkpoint(path, trusted_targets)
    model.components()  # refuses what is not trusted
    return model


def _require_torch(path: Path) -> None:
    missing = [name for name in ("torch", "timm", "lightning") if find_spec(name) is None]
    if missing and path.is_file():
        raise InputError(
            f"{path}: a checkpoint needs {', '.join(missing)} (pip install 'hmean[train]'). An exported model does "
            "not: run hmean export checkpoint_path=... where it was trained"
        )
