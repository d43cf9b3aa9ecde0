"""One model from several: the mean of weights that were trained from one initialisation (Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from hmean.errors import InputError
from hmean.inference.checkpoints import Checkpoint
from hmean.runs.carried import PagesSeen


def average(members: Sequence[Checkpoint], path: Path) -> Checkpoint:
    """Mean of all weights, BatchNorm statistics too, as a checkpoint that has seen what any member has seen.

    The mean of the members' statistics is not what the averaged network would measure: it is exact only where they
    were frozen at one value.

    Raises:
        InputError: listing members of another architecture or initialisation (other ``models`` values, seed or start).
    """
    first, *others = members
    faults = [fault for other in others for fault in _differences(first, other)]
    if faults:
        raise InputError.listing("Only weights of one architecture and initialisation have a mean of use:", faults)
    weights = {
        name: torch.stack([m.weights[name].double() for m in members]).mean(dim=0).to(tensor.dtype)
        if tensor.is_floating_point() else tensor
        for name, tensor in first.weights.items()
    }  # fmt: skip
    pages = PagesSeen(
        train=np.unique(np.concatenate([m.pages.train for m in members])),
        val=np.unique(np.concatenate([m.pages.val for m in members])),
    )
    carried = first.carried.model_copy(
        update={
            "epoch": max(m.epoch for m in members),
            "history": tuple(change for m in members for change in m.history),
            "pages": pages,
            "members": tuple(m.weights_hash() for m in members),
        }
    )
    return Checkpoint(path, carried, weights)


def _differences(a: Checkpoint, b: Checkpoint) -> list[str]:
    if {k: v.shape for k, v in a.weights.items()} != {k: v.shape for k, v in b.weights.items()}:
        return [f"{b.path}: has another architecture than {a.path}"]
    parts = ("encoder", "decoder", "head")
    made = [
        {p: {**c.training["models"][p], "postprocess": None} for p in parts}
        | {"": [c.training.get(k) for k in ("seed", "checkpoint_path")]}
        for c in (a, b)
    ]
    return [] if made[0] == made[1] else [f"{b.path}: was initialised otherwise (models, seed or start) than {a.path}"]
