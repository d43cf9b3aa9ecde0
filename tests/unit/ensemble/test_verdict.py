"""What strategies gain over the two bases, and which one is kept."""

from typing import Any

import numpy as np
import pytest

from hmean.ensemble.records import GainOver, StrategyRow
from hmean.ensemble.verdict import Found, Judged, Verdicts, conclude, gains
from hmean.metrics.groups import PageGroups
from hmean.metrics.intervals import Interval, verdict
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.scores import SettingScores

OBJECTIVE = {"iou50": 1.0}
GROUPS = 24
WORDS = 40  # labelled, and detected, on every page


def judged(strategy, times_single, **more):
    row = StrategyRow(
        strategy=strategy,
        gain=0.0,
        interval95=Interval(0.0, 0.0),
        ms_a_page=1.0,
        times_single=times_single,
        members=(),
        postprocess=PostprocessParams(),
        **{"mb": 1.0, "h": 0.9, "verdict": "base", **more},
    )
    nothing: Any = None
    return Judged(row, nothing)


def test_the_cheapest_of_those_that_cannot_be_distinguished_from_the_best_is_kept():
    single = judged("single", 1)
    mean = judged("mean", 5, among_the_best=True)
    scales = judged("scales", 2, among_the_best=True)
    cheap = judged("x", 1, among_the_best=False)
    assert Verdicts([single, mean, scales, cheap], [], single).kept() is scales


def test_of_equally_fast_ones_the_smallest_is_kept():
    single = judged("single", 1)
    small = judged("small", 2.02, among_the_best=True, mb=0.5)
    large = judged("large", 1.98, among_the_best=True)
    assert Verdicts([single, large, small], [], single).kept() is small


def test_without_a_better_one_the_single_member_is_kept():
    single = judged("single", 1)
    mean = judged("map mean", 5, h=0.95, verdict="not distinguishable")
    assert conclude([single, mean], [], OBJECTIVE).kept() is single


# --- with scores ------------------------------------------------------------------------------------------------------


def found(hits) -> Found:
    """So many words found on each page, each page a group of its own."""
    matches = np.zeros((1, len(hits), 2, 3), dtype=np.int32)
    matches[0, :, :, 0] = np.asarray(hits)[:, None]
    matches[0, :, :, 1:] = WORDS
    counts = np.zeros((1, len(hits), 8), dtype=np.int32)
    nothing: Any = None
    return Found(nothing, SettingScores([], counts, matches, PageGroups.of_keys(range(len(hits)))))


def all_judged(tried: dict[str, Found]) -> list[Judged]:
    """Lines of strategies, single first, that all cost the same."""
    over_single = gains(tried, "single", OBJECTIVE)
    over_all_pages = {}
    if "all pages" in tried:
        over_all_pages = gains(tried, "all pages", OBJECTIVE)
    lines = []
    for name, one in tried.items():
        said = "base"
        if name in over_single:
            said = over_single[name].verdict
        h = float(one.cross_fitted.score(OBJECTIVE)[0])
        line = judged(name, 1.0, h=h, verdict=said, over_all_pages=over_all_pages.get(name))
        lines.append(Judged(line.row, one))
    return lines


def noisy(rng, mean: float) -> Found:
    return found(rng.binomial(WORDS, mean, GROUPS))


def shifted(base: Found, by: int) -> Found:
    return found(base.cross_fitted.matches[0, :, 0, 0] + by)


def test_the_verdict_is_that_of_the_family():
    """Twelve candidates that are as good as the base: some single interval excludes 0, and the family's does not."""
    rng = np.random.default_rng(0)
    tried = {"single": noisy(rng, 0.8)}
    for number in range(12):
        tried[f"candidate {number}"] = noisy(rng, 0.8)
    over = gains(tried, "single", OBJECTIVE)
    assert set(over) == set(tried) - {"single"}
    by_luck = 0
    for gain in over.values():
        assert gain.family95.low < gain.interval95.low < gain.gain < gain.interval95.high < gain.family95.high
        assert gain.verdict == verdict(gain.family95) == "not distinguishable"
        by_luck += verdict(gain.interval95) != "not distinguishable"
    assert by_luck > 0


def test_one_candidate_is_a_family_of_its_own():
    rng = np.random.default_rng(0)
    tried = {"single": noisy(rng, 0.7), "map mean": noisy(rng, 0.9)}
    gain = gains(tried, "single", OBJECTIVE)["map mean"]
    assert gain.family95 == gain.interval95
    assert gain.gain == pytest.approx(
        tried["map mean"].cross_fitted.score(OBJECTIVE)[0] - tried["single"].cross_fitted.score(OBJECTIVE)[0]
    )
    assert gain.verdict == "better"


def test_too_few_groups_are_no_verdict():
    tried = {"single": found([10] * 4), "map mean": found([20, 30, 25, 35])}
    gain = gains(tried, "single", OBJECTIVE)["map mean"]
    assert gain.interval95 is None
    assert gain.family95 is None
    assert gain.verdict == "too few groups"
    assert conclude(all_judged(tried), [], OBJECTIVE).kept().row.strategy == "single"


def test_an_ensemble_has_to_beat_the_better_base():
    """It is better than the best single member, but not than the model of all pages, which is kept."""
    rng = np.random.default_rng(1)
    single = noisy(rng, 0.6)
    all_pages = shifted(single, 8)
    mean = found(all_pages.cross_fitted.matches[0, :, 0, 0] + rng.integers(-2, 3, GROUPS))
    tried = {"single": single, "all pages": all_pages, "map mean": mean}
    verdicts = conclude(all_judged(tried), [], OBJECTIVE)
    row_of = {one.row.strategy: one.row for one in verdicts.judged}
    assert row_of["map mean"].verdict == "better"
    assert row_of["map mean"].over_all_pages.verdict == "not distinguishable"
    assert row_of["all pages"].over_all_pages is None
    assert row_of["single"].over_all_pages.verdict == "worse"
    assert verdicts.to_beat.row.strategy == "all pages"
    assert verdicts.kept().row.strategy == "all pages"
    assert row_of["map mean"].among_the_best is None


def test_an_ensemble_that_beats_both_bases_is_kept():
    rng = np.random.default_rng(1)
    single = noisy(rng, 0.5)
    all_pages = found(single.cross_fitted.matches[0, :, 0, 0] + rng.integers(0, 3, GROUPS))
    mean = found(all_pages.cross_fitted.matches[0, :, 0, 0] + rng.integers(2, 6, GROUPS))
    voting = found(all_pages.cross_fitted.matches[0, :, 0, 0] + rng.integers(7, 11, GROUPS))
    tried = {"single": single, "all pages": all_pages, "map mean": mean, "voting": voting}
    verdicts = conclude(all_judged(tried), [], OBJECTIVE)
    among = {one.row.strategy: one.row.among_the_best for one in verdicts.judged}
    assert among == {"single": None, "all pages": None, "map mean": False, "voting": True}
    assert verdicts.kept().row.strategy == "voting"


def test_a_worse_model_of_all_pages_is_no_hurdle():
    rng = np.random.default_rng(1)
    single = noisy(rng, 0.6)
    mean = found(single.cross_fitted.matches[0, :, 0, 0] + rng.integers(2, 6, GROUPS))
    tried = {"single": single, "all pages": shifted(single, -5), "map mean": mean}
    verdicts = conclude(all_judged(tried), [], OBJECTIVE)
    assert verdicts.to_beat.row.strategy == "single"
    assert verdicts.kept().row.strategy == "map mean"


def test_gains_are_plain_records():
    over = GainOver(gain=0.01, interval95=(0.0, 0.02), family95=None, verdict="too few groups")
    assert over.to_json() == {"gain": 0.01, "interval95": [0.0, 0.02], "family95": None, "verdict": "too few groups"}
