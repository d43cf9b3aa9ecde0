"""Checkpoint files: weights, and what they carry. Nothing in a file is run: tensors and plain values only.

A file is what Lightning writes (``state_dict``, and the states of optimizer and schedule), with one key more:
``hmean``, a ``Carried`` whose page keys are tensors.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmean.errors import InputError
from hmean.files import write_with
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import CHECKPOINT_FORMAT, Carried, PostprocessChange, parse_carried

_PREFIX = "detector."  # of the network's names among those of the Lightning module


@dataclass(frozen=True, eq=False)
class CheckpointContent:
    """What a checkpoint says, and the network's tensors by name (the moving average, where the run kept one)."""

    carried: Carried
    weights: Mapping[str, Tensor]


def read_checkpoint(path: Path) -> CheckpointContent:
    """Read a checkpoint.

    Raises:
        InputError: if it is missing, damaged, holds code, or is not a checkpoint of hmean.
    """
    content = _load(path)
    carried = parse_carried(content, path)
    try:
        state: Mapping[str, Tensor] = content["state_dict"]
        weights = {}
        for name, tensor in state.items():
            if name.startswith(_PREFIX):
                weights[name.removeprefix(_PREFIX)] = tensor
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a checkpoint of hmean (it has no {error})") from error
    return CheckpointContent(carried, weights)


def write_checkpoint(path: Path, carried: Carried, weights: Mapping[str, Tensor]) -> None:
    """Write a model that no training made."""
    state = {_PREFIX + name: tensor for name, tensor in weights.items()}
    save_content(path, {"state_dict": state, "hmean": to_content(carried)})


def replace_postprocess(path: Path, change: PostprocessChange, params: PostprocessParams) -> None:
    """Put post-processing values into a checkpoint, whose history keeps the earlier ones."""
    content = _load(path)
    carried = parse_carried(content, path).with_postprocess(change, params)
    save_content(path, {**content, "hmean": {**content["hmean"], **to_content(carried)}})


def to_content(carried: Carried) -> dict[str, Any]:
    """The value of the key ``hmean``: plain values, and tensors for page keys."""
    history = []
    for change in carried.history:
        values = change.model_dump(mode="json", exclude={"pages"})
        history.append({**values, "pages": torch.from_numpy(change.pages)})
    pages = {"train": torch.from_numpy(carried.pages.train), "val": torch.from_numpy(carried.pages.val)}
    values = carried.model_dump(mode="json", exclude={"history", "pages"})
    return {"format": CHECKPOINT_FORMAT, **values, "history": history, "pages": pages}


def save_content(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file of ``torch.save`` atomically; torch's own writer would hide that the disk is full.

    Raises:
        InputError: if it cannot be written.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_with(path, lambda file: file.write(buffer.getbuffer()))


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: checkpoint not found")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe file
        reason = str(error).split("\n", 1)[0].split(". ", 1)[0][:200]  # what follows is advice to trust the file
        raise InputError(
            f"{path}: is damaged, not a checkpoint, or holds code, which is never run "
            f"({type(error).__name__}: {reason})"
        ) from error
