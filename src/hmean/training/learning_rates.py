"""What a range test of learning rates found, and the range that it suggests (Smith 2017, arXiv 1506.01186)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from hmean.records import Record


class LearningRates(Record):
    """What a range test found: the content of ``lr_find.json``."""

    lr: tuple[float, ...] = Field(description="learning rate of each step")
    loss: tuple[float, ...] = Field(description="training loss of each step")
    smooth: tuple[float, ...] = Field(description="the loss as a moving average over 9 steps")
    steepest: float = Field(description="learning rate at which the smoothed loss falls fastest")
    range: tuple[float, float] = Field(description="lowest and highest learning rate to search")


def suggest(lrs: Sequence[float], losses: Sequence[float]) -> LearningRates:
    """A range to search: a factor of three around the rate at which the smoothed loss falls fastest.

    It ends at a third of the rate with the lowest loss, above which training would be unstable.
    """
    padded = np.pad(losses, 4, mode="edge")
    smooth = np.convolve(padded, np.ones(9) / 9, mode="valid")
    lowest = max(int(np.argmin(smooth)), 2)
    steepest = int(np.argmin(np.gradient(smooth[: lowest + 1])))
    high = min(3 * lrs[steepest], lrs[lowest] / 3)
    return LearningRates(
        lr=tuple(lrs),
        loss=tuple(losses),
        smooth=tuple(smooth.tolist()),
        steepest=lrs[steepest],
        range=(high / 9, high),
    )
