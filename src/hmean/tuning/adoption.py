"""Whether a model adopts the values that were chosen for it, and what it has to say of that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hmean.inference.trained import TrainedModel
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PostprocessChange
from hmean.tuning.choose import Floors
from hmean.tuning.crossfit import CrossFitted
from hmean.tuning.result import Decision, FloorsReport, TuneResult
from hmean.tuning.scores import Gain, Objective, SettingScores


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


def report_floors(floors: Floors, before: SettingScores, crossed: CrossFitted | None) -> FloorsReport | None:
    """By how much floors are missed on held-out pages; None without floors or held-out pages."""
    if crossed is None or not floors.are_set:
        return None
    return FloorsReport(
        precision=floors.precision,
        recall=floors.recall,
        shortfall_before=float(floors.shortfall(before)[0]),
        shortfall=float(floors.shortfall(crossed.scores)[0]),
    )


def decide(gain: Gain | None, floors: FloorsReport | None) -> Decision:
    """Whether the values chosen are adopted: on held-out pages they must come nearer to the floors, or gain.

    Args:
        gain: of the cross-fitted choice; None if there are no held-out pages, so that nothing can be shown.
        floors: which go before the gain.
    """
    if gain is None:
        return "kept"
    if floors is not None and floors.shortfall != floors.shortfall_before:
        if floors.shortfall < floors.shortfall_before:
            return "adopted"
        return "kept"
    if gain.gain > 0:
        return "adopted"
    return "kept"


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
        model.write_postprocess(chosen, reason(result.objective, result.pages, result.split), keys)


def reason(objective: Objective, pages: int, split: str) -> str:
    """Why a model has the values it has: for its history."""
    return f"tuned for {'+'.join(objective)} hmean on {pages} {split} pages"
