"""Whether a model adopts the values chosen, and what they are measured against."""

from dataclasses import replace

import numpy as np
import pytest

from hmean.metrics.intervals import Interval
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PostprocessChange
from hmean.tuning.adoption import Verdict, decide, report_floors, values_before
from hmean.tuning.choose import Floors
from hmean.tuning.crossfit import CrossFitted
from hmean.tuning.result import FloorsReport
from hmean.tuning.scores import Gain
from support.tuning import planted

PRESENT = PostprocessParams()


def gain_of(value):
    return Gain(gain=value, interval95=Interval(value - 0.1, value + 0.1))


FEW = Gain(gain=0.3, interval95=None)


def floors_of(before, after, raised=None):
    return FloorsReport(precision=0.9, recall=0.0, shortfall_before=before, shortfall=after, raised=raised)


@pytest.mark.parametrize(
    ("gain", "floors", "decision", "reason"),
    [
        (None, None, "kept", "too few groups"),
        (FEW, None, "kept", "too few groups"),
        (gain_of(0.121), None, "adopted", "gain shown"),
        (gain_of(0.119), None, "kept", "gain not shown"),  # a gain, but none that is shown
        (gain_of(-0.3), None, "kept", "gain not shown"),
        (gain_of(-0.3), floors_of(0.3, 0.1, gain_of(0.2)), "adopted", "floors shown"),  # floors go before the objective
        (gain_of(-0.3), floors_of(0.02, 0.01, gain_of(0.01)), "kept", "gain not shown"),
        (gain_of(0.2), floors_of(0.02, 0.01, gain_of(0.01)), "adopted", "gain shown"),
        (gain_of(0.2), floors_of(0.01, 0.02, gain_of(-0.01)), "kept", "floors missed"),
        (gain_of(0.2), floors_of(0.01, 0.01, gain_of(0.0)), "adopted", "gain shown"),
    ],
)
def test_values_are_adopted_if_it_is_shown_on_held_out_pages_that_they_are_better(gain, floors, decision, reason):
    assert decide(gain, floors, "shown") == Verdict(decision, reason)
    assert decide(gain, floors, "any") == Verdict("adopted", "any is adopted")


def test_how_much_a_choice_raises_what_was_below_a_floor_has_a_paired_interval():
    scores = planted(np.random.default_rng(2), [0.2, 0.4], 40, best=0.4)
    precision, recall = scores.macro_pr()
    before, after = scores.of_settings(0), scores.of_settings(1)
    crossed = CrossFitted(after, [])
    for floor in (recall[1] + 0.02, recall[1] - 0.02):
        of_recall = report_floors(Floors(recall=floor), before, crossed)
        assert of_recall.raised.gain == pytest.approx(recall[1] - recall[0])
        assert 0 < of_recall.raised.interval95.low < of_recall.raised.gain
        assert of_recall.shortfall < of_recall.shortfall_before
    both = report_floors(Floors(1.0, 1.0), before, crossed)
    assert both.raised.gain == pytest.approx(recall[1] - recall[0] + precision[1] - precision[0])
    neither = report_floors(Floors(precision=0.01), before, crossed)
    assert neither.raised == Gain(gain=0.0, interval95=Interval(0, 0))
    assert report_floors(Floors(), before, crossed) is None


def test_values_that_these_pages_chose_before_are_no_fair_start():
    first, second = replace(PRESENT, thresh=0.1), replace(PRESENT, thresh=0.2)
    history = [
        PostprocessChange(postprocess=first, until="", why="", pages=np.array([1, 2])),
        PostprocessChange(postprocess=second, until="", why="", pages=np.array([3, 4])),
    ]
    assert values_before(history, np.array([5]), PRESENT) == PRESENT
    assert values_before(history, np.array([4, 5]), PRESENT) == second
    assert values_before(history, np.array([2, 4]), PRESENT) == first
