"""Which strategy is kept."""

from typing import Any

from hmean.ensemble.records import StrategyRow
from hmean.ensemble.verdict import Judged, Verdicts
from hmean.metrics.intervals import Interval
from hmean.postprocess.parameters import PostprocessParams


def judged(strategy, times_single, **more):
    row = StrategyRow(
        strategy=strategy,
        h=0.9,
        gain=0.0,
        interval95=Interval(0.0, 0.0),
        verdict="base",
        ms_a_page=1.0,
        times_single=times_single,
        members=(),
        postprocess=PostprocessParams(),
        **{"mb": 1.0, **more},
    )
    nothing: Any = None
    return Judged(row, nothing)


def test_the_cheapest_of_those_that_cannot_be_distinguished_from_the_best_is_kept():
    single = judged("single", 1)
    mean = judged("mean", 5, among_the_best=True)
    scales = judged("scales", 2, among_the_best=True)
    cheap = judged("x", 1, among_the_best=False)
    assert Verdicts([single, mean, scales, cheap], []).kept() is scales


def test_of_equally_fast_ones_the_smallest_is_kept():
    small = judged("small", 2.02, among_the_best=True, mb=0.5)
    large = judged("large", 1.98, among_the_best=True)
    assert Verdicts([judged("single", 1), large, small], []).kept() is small


def test_without_a_better_one_the_single_member_is_kept():
    single = judged("single", 1)
    assert Verdicts([single, judged("mean", 5)], []).kept() is single
