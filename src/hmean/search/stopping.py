"""When a trial is stopped before its end: W&B's Hyperband rule with guards, and an absolute floor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from hmean.records import Record

MIN_COMPARABLE = 4  # trials that must have come as far before one is stopped for being worse than them
MIN_PROGRESS = 0.6  # share of its schedule that every trial is given


@dataclass(frozen=True)
class Hyperband:
    """W&B's ``early_terminate``.

    Attributes:
        bands: numbers of validations at which trials are compared; without any, no trial is stopped.
        eta: at a band, trials that are not among the best 1 / eta are stopped.
    """

    bands: tuple[int, ...] = ()
    eta: float = 3.0

    @classmethod
    def from_config(cls, rule: Mapping[str, Any] | None) -> Hyperband:
        """The rule of a sweep file; None: no rule."""
        if rule is None:
            return cls()
        eta = float(rule.get("eta", 3))
        if "max_iter" in rule:
            steps = range(1, int(rule["s"]) + 1)
            bands = [int(rule["max_iter"] / eta**step) for step in steps]
        else:
            bands = []
            for step in range(100):
                band = rule["min_iter"] * eta**step
                if band < 1e6:
                    bands.append(int(band))
        return cls(tuple(sorted({band for band in bands if band >= 1})), eta)

    def last_band(self, validations: int) -> int | None:
        """The last band that a trial with so many validations has reached."""
        return max((band for band in self.bands if band <= validations), default=None)


class StopReason(Record):
    """Why a trial was stopped before its end."""

    rule: Literal["floor", "early_terminate"] = Field(description="The rule that stopped it.")
    value: float = Field(description="Its best value so far.")
    threshold: float = Field(description="The value that it had to reach.")
    rank: int = Field(description="Its rank among the comparable trials, 1 being the best.")
    comparable: int = Field(description="How many trials it was compared with, itself among them.")
    validations: int = Field(description="How many validations it had.")

    def describe(self) -> str:
        """The reason in words."""
        return (
            f"{self.rule}: its best value was {self.value:.4g}, and {self.threshold:.4g} was required; "
            f"rank {self.rank} of {self.comparable} after {self.validations} validations"
        )

    def negated(self) -> StopReason:
        """The same reason for an objective that is minimized: the rules know only that more is better."""
        return self.model_copy(update={"value": -self.value, "threshold": -self.threshold})


def should_stop(
    own: Sequence[float],
    others: Sequence[Sequence[float]],
    progress: float,
    *,
    hyperband: Hyperband,
    floor: float | None = None,
) -> StopReason | None:
    """Whether to stop a trial.

    W&B's rule (``strict: false``: the best value so far counts), with guards: never the trial that is best so far, not
    with fewer than four comparable trials, not before 60 % of the schedule.

    Args:
        own: the objective at each validation; more is better.
        others: that of the other trials, finished or not.
        progress: share of its schedule that the trial has behind it.
        hyperband: W&B's rule.
        floor: a trial whose best value is below is stopped too.
    """
    if not own or progress < MIN_PROGRESS:
        return None
    if floor is not None and max(own) < floor:
        return _below_floor(own, others, floor)
    return _below_band(own, others, hyperband)


def _below_floor(own: Sequence[float], others: Sequence[Sequence[float]], floor: float) -> StopReason:
    best = max(own)
    validations = len(own)
    rank = 1
    comparable = 1
    for other in others:
        if len(other) >= validations:
            comparable += 1
            if max(other[:validations]) > best:
                rank += 1
    return StopReason(
        rule="floor", value=best, threshold=floor, rank=rank, comparable=comparable, validations=validations
    )


def _below_band(own: Sequence[float], others: Sequence[Sequence[float]], hyperband: Hyperband) -> StopReason | None:
    band = hyperband.last_band(len(own))
    if band is None:
        return None
    at_band = [history[band - 1] for history in [*others, own] if len(history) >= band]
    at_band.sort(reverse=True)
    if len(at_band) < MIN_COMPARABLE:
        return None
    best = max(own)
    best_of_others = max((max(other) for other in others if other), default=-math.inf)
    threshold = at_band[int(len(at_band) / hyperband.eta)]
    if best >= best_of_others or best >= threshold:
        return None
    rank = 1 + sum(value > best for value in at_band)
    return StopReason(
        rule="early_terminate",
        value=best,
        threshold=threshold,
        rank=rank,
        comparable=len(at_band),
        validations=len(own),
    )
