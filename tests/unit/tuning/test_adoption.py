"""Whether a model adopts the values chosen, and what they are measured against."""

from dataclasses import replace

import numpy as np
import pytest

from hmean.metrics.intervals import Interval
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PostprocessChange
from hmean.tuning.adoption import decide, values_before
from hmean.tuning.result import FloorsReport
from hmean.tuning.scores import Gain

PRESENT = PostprocessParams()


def gain_of(value):
    return Gain(gain=value, interval95=Interval(value - 0.1, value + 0.1))


def floors_of(before, after):
    return FloorsReport(precision=0.9, recall=0.0, shortfall_before=before, shortfall=after)


@pytest.mark.parametrize(
    ("gain", "floors", "decision"),
    [
        (None, None, "kept"),  # nothing shows a gain
        (gain_of(0.01), None, "adopted"),
        (gain_of(0.0), None, "kept"),
        (gain_of(-0.01), floors_of(0.02, 0.01), "adopted"),  # floors go before the objective
        (gain_of(0.01), floors_of(0.01, 0.02), "kept"),
        (gain_of(0.01), floors_of(0.01, 0.01), "adopted"),
        (gain_of(-0.01), floors_of(0.0, 0.0), "kept"),
    ],
)
def test_values_are_adopted_if_they_are_better_on_held_out_pages(gain, floors, decision):
    assert decide(gain, floors) == decision


def test_values_that_these_pages_chose_before_are_no_fair_start():
    first, second = replace(PRESENT, thresh=0.1), replace(PRESENT, thresh=0.2)
    history = [
        PostprocessChange(postprocess=first, until="", why="", pages=np.array([1, 2])),
        PostprocessChange(postprocess=second, until="", why="", pages=np.array([3, 4])),
    ]
    assert values_before(history, np.array([5]), PRESENT) == PRESENT
    assert values_before(history, np.array([4, 5]), PRESENT) == second
    assert values_before(history, np.array([2, 4]), PRESENT) == first
