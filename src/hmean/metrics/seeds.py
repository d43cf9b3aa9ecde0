"""The spread of seeds: how far trainings lie apart that differ by their seed alone, and what that does to a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import Self

import numpy as np
from pydantic import Field

from hmean.metrics.intervals import LEVEL, Interval
from hmean.records import Record


class SeedSpread(Record):
    """How the scores of trainings scatter that differ by their seed alone."""

    sd: float = Field(description="standard deviation of the score over seeds")
    degrees_of_freedom: int = Field(description="trainings that it is estimated from, less one for each side")

    @classmethod
    def of(cls, *sides: Sequence[float]) -> Self | None:
        """From the scores of the trainings of each side, pooled; None where no side has two."""
        squares = 0.0
        freedom = 0
        for scores in sides:
            squares += float(((np.array(scores) - np.mean(scores)) ** 2).sum())
            freedom += len(scores) - 1
        if freedom == 0:
            return None
        return cls(sd=math.sqrt(squares / freedom), degrees_of_freedom=freedom)

    def half_width(self, *trainings: int, family: int = 1) -> float:
        """Half of the 95 % interval of a mean over trainings, or of a difference of two such means.

        Args:
            trainings: of each side.
            family: number of differences whose intervals are to hold together (Bonferroni).
        """
        variance = sum(1 / number for number in trainings)
        level = 1 - (1 - LEVEL) / family
        return student_t(self.degrees_of_freedom, level) * self.sd * math.sqrt(variance)

    def chance_of_crossing(self, distance: float) -> float:
        """How often a training with another seed lies on the other side of a bound that is so far away.

        Both this training and the next are off the mean of all by the same spread, so that their difference has twice
        the variance. The spread is taken as known and normal.
        """
        if self.sd == 0:
            return 0.0
        return NormalDist().cdf(-abs(distance) / (self.sd * math.sqrt(2)))


def widened(interval: Interval | None, value: float, half_width: float) -> Interval | None:
    """An interval around an estimate, widened by an independent error with an interval of its own.

    The distances to the ends are added in quadrature (MOVER: Zou and Donner 2008).

    Args:
        interval: of the estimate.
        value: the estimate.
        half_width: of the interval of the other error.
    """
    if interval is None:
        return None
    below = math.hypot(value - interval.low, half_width)
    above = math.hypot(interval.high - value, half_width)
    return Interval(value - below, value + above)


@cache
def student_t(degrees_of_freedom: int, level: float = LEVEL) -> float:
    """The number that Student's t exceeds in absolute value with a probability of 1 - ``level``.

    From its distribution function for whole degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4), by
    halving an interval.

    Raises:
        ValueError: if there is no degree of freedom.
    """
    if degrees_of_freedom < 1:
        raise ValueError("an interval needs at least one degree of freedom")
    low = 0.0
    high = 1.0
    while _share_within(high, degrees_of_freedom) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if _share_within(middle, degrees_of_freedom) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _share_within(t: float, degrees_of_freedom: int) -> float:
    """The probability that Student's t lies in [-t, t]."""
    angle = math.atan(t / math.sqrt(degrees_of_freedom))
    cosine = math.cos(angle)
    is_odd = degrees_of_freedom % 2 == 1
    exponent = 0
    term = 1.0
    if is_odd:
        exponent = 1
        term = cosine
    total = 0.0
    while exponent <= degrees_of_freedom - 2:
        total += term
        term *= cosine**2 * (exponent + 1) / (exponent + 2)
        exponent += 2
    if is_odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total
