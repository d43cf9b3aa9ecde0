"""Whether a model adopts the values that were chosen for it, and what it has to say of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hmean.inference.trained import TrainedModel
from hmean.metrics.intervals import intervals
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PostprocessChange
from hmean.tuning.choose import Floors
from hmean.tuning.crossfit import CrossFitted
from hmean.tuning.result import Adopt, Decision, FloorsReport, Reason, TuneResult
from hmean.tuning.scores import Gain, Objective, SettingScores

WIDER = 1.2  # an interval must be above 0 when it is that much wider, to show a cross-fitted gain


def values_before(
    history: Sequence[PostprocessChange], keys: NDArray[np.int64], present: PostprocessParams
) -> PostprocessParams:
    """The values that a gain on pages of these keys is measured against.

    Present values that these very pages chose would be an unfair start: then it is what the model had before them.

    Args:
        history: earlier values of the model, oldest first, each with the pages that replaced it.
        keys: of the pages (N,).
        present: the values that the model has now.
    """
    for change in history:
        if np.isin(keys, change.pages).any():
            return change.postprocess
    return present


@dataclass(frozen=True)
class Verdict:
    """Whether values are adopted, and why."""

    decision: Decision
    reason: Reason


def report_floors(floors: Floors, before: SettingScores, crossed: CrossFitted) -> FloorsReport | None:
    """By how much floors are missed on held-out pages; None without floors."""
    if not floors.are_set:
        return None
    raised = floors.raised(before, crossed.scores)
    (interval,) = intervals(raised)
    return FloorsReport(
        precision=floors.precision,
        recall=floors.recall,
        shortfall_before=float(floors.shortfall(before)[0]),
        shortfall=float(floors.shortfall(crossed.scores)[0]),
        raised=Gain(gain=float(raised.value[0]), interval95=interval),
    )


def decide(gain: Gain | None, floors: FloorsReport | None, adopt: Adopt) -> Verdict:
    """Whether the values chosen are adopted: where it is shown that they gain, or come nearer to the floors.

    One choice is compared with the values before, so the family that its interval has to hold for is of one.

    Args:
        gain: of the cross-fitted choice over the values before; None if there are no held-out pages.
        floors: which go before the gain: a choice that misses them by more is not adopted.
        adopt: ``any`` adopts without a look at either.
    """
    if adopt == "any":
        return Verdict("adopted", "any is adopted")
    if gain is None or gain.interval95 is None:
        return Verdict("kept", "too few groups")
    if floors is not None and floors.shortfall != floors.shortfall_before:
        if floors.shortfall > floors.shortfall_before:
            return Verdict("kept", "floors missed")
        if floors.raised is not None and is_shown(floors.raised):
            return Verdict("adopted", "floors shown")
    if is_shown(gain):
        return Verdict("adopted", "gain shown")
    return Verdict("kept", "gain not shown")


def is_shown(gain: Gain) -> bool:
    """Whether a cross-fitted gain is above 0 by more than its interval, made a fifth wider.

    The folds choose on pages that they share, so their errors are correlated, and the pages themselves cannot tell by
    how much (Bengio and Grandvalet 2004). With the interval as it is, too many tunings adopt where there is nothing to
    gain. The factor was set by simulation, which ``tests/unit/tuning/test_rule.py`` repeats in small.
    """
    if gain.interval95 is None:
        return False
    return gain.gain > WIDER * (gain.gain - gain.interval95.low)


def adopt(model: TrainedModel, result: TuneResult, keys: NDArray[np.int64]) -> None:
    """Write the values chosen into a model's file, if they are adopted.

    Args:
        model: the model.
        result: of the tuning.
        keys: of the pages that the values were chosen on (N,).

    Raises:
        InputError: if the file cannot be written.
    """
    chosen = result.after.postprocess
    if result.decision == "adopted" and chosen != model.postprocess:
        model.write_postprocess(chosen, why_tuned(result.objective, result.pages, result.split), keys)


def why_tuned(objective: Objective, pages: int, split: str) -> str:
    """Why a model has the values it has: for its history."""
    return f"tuned for {'+'.join(objective)} hmean on {pages} {split} pages"
