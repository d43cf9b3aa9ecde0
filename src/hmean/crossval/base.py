"""The base that an ensemble of folds has to beat: one model of the pages of all folds, for the same budget.

k folds are trained for e epochs on (k - 1) / k of the pages each: together they see every page (k - 1) e times. So does
one model that is trained on all pages for (k - 1) e epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

BASE = "all"  # the run folder of that model
# Arguments of torch's schedulers that count epochs. Schedules over the whole training need no change.
IN_EPOCHS = ("T_max", "T_0", "step_size")


def base_epochs(k: int, epochs: int) -> int:
    """Epochs of the base.

    Args:
        k: number of folds.
        epochs: of each fold.
    """
    return (k - 1) * epochs


def base_batches(k: int, batches: int | None) -> int | None:
    """Batches of an epoch of the base at most; None for all.

    Args:
        k: number of folds.
        batches: of an epoch of a fold at most.
    """
    if batches is None:
        return None
    return math.ceil(batches * k / (k - 1))


def base_schedule(k: int, scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """The scheduler's arguments, in which epochs are those of the base.

    Args:
        k: number of folds.
        scheduler: arguments of the folds' scheduler.
    """
    scaled = dict(scheduler)
    for name in IN_EPOCHS:
        if name in scaled:
            scaled[name] = (k - 1) * scaled[name]
    if "milestones" in scaled:
        scaled["milestones"] = [(k - 1) * epoch for epoch in scaled["milestones"]]
    return scaled
