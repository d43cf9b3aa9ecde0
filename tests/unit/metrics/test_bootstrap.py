"""Bootstrap intervals over pages, of scores and of differences; and the verdict."""

import functools

import numpy as np
import pytest

from hmean.metrics.bootstrap import Interval, bootstrap_interval, hmean_intervals, verdict
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore, Scorer
from hmean.metrics.statistics import STATISTICS


def random_scores(rng, n, skill):
    pages = []
    for i in range(n):
        gt = int(rng.integers(50, 400))
        tp = int(rng.binomial(gt, skill))
        match = MatchCounts(tp // 5, gt // 5, max(tp // 5, gt // 6))
        counts = Counts(gt, tp, overlapped=int(rng.integers(0, 5)), fp=int(rng.integers(0, 30)), recall_penalty=1)
        pages.append(PageScore(f"{i}", counts, match, match))
    return pages


def value(pages, statistic):
    score = Scorer(pages=pages).compute()
    if statistic == "macro_p":
        return score.macro.p
    if statistic == "macro_r":
        return score.macro.r
    return getattr(score, statistic).h


@pytest.mark.parametrize("statistic", STATISTICS)
def test_interval_equals_a_loop_over_resamples(statistic):
    pages = random_scores(np.random.default_rng(0), 20, 0.8)
    low, high = bootstrap_interval(pages, statistic, draws=400, seed=3)
    drawn = np.random.default_rng(3).integers(20, size=(400, 20))
    values = [value([pages[i] for i in row], statistic) for row in drawn]
    assert (low, high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)
    assert low < value(pages, statistic) < high


@pytest.mark.parametrize("statistic", STATISTICS)
def test_paired_interval_of_a_clear_and_of_no_difference(statistic):
    rng = np.random.default_rng(1)
    worse, better = random_scores(rng, 60, 0.6), random_scores(rng, 60, 0.9)
    low, high = bootstrap_interval(better, statistic, minus=worse, draws=2000)
    assert 0 < low < value(better, statistic) - value(worse, statistic) < high
    assert bootstrap_interval(better, statistic, minus=better, draws=100) == (0.0, 0.0)


def test_interval_does_not_depend_on_the_block_size(monkeypatch):
    pages = random_scores(np.random.default_rng(2), 30, 0.7)
    whole = bootstrap_interval(pages, "pooled", draws=500)
    monkeypatch.setattr("hmean.metrics.bootstrap.BLOCK", 100)
    assert bootstrap_interval(pages, "pooled", draws=500) == whole
    assert bootstrap_interval(pages, "pooled", draws=500, seed=1) != whole


def test_intervals_need_pages_and_pairs():
    pages = random_scores(np.random.default_rng(0), 3, 0.8)
    with pytest.raises(ValueError, match="no page"):
        bootstrap_interval([], "macro")
    with pytest.raises(ValueError, match="same pages"):
        bootstrap_interval(pages, "macro", minus=pages[::-1])


def test_the_verdict_says_whether_an_interval_excludes_0():
    assert verdict(Interval(0.01, 0.02)) == "better"
    assert verdict(Interval(-0.02, -0.01)) == "worse"
    assert verdict(Interval(-0.01, 0.02)) == verdict(Interval(0.0, 0.0)) == "not distinguishable"


def test_the_intervals_of_all_hmeans_are_those_of_each():
    pages = random_scores(np.random.default_rng(5), 30, 0.8)
    assert hmean_intervals(pages) == {statistic: bootstrap_interval(pages, statistic) for statistic in STATISTICS}


@functools.cache
def draws_of_two_systems():
    """Pages that two systems read: 20,000 of each, and 200 draws of 60; the second system is a little better."""
    rng = np.random.default_rng(0)

    def draw(pages):
        size = rng.integers(20, 200, pages)
        shift = rng.normal(0, 0.03, pages)  # a hard page is hard for both
        both = []
        for quality in (0.90, 0.92):
            tp = rng.binomial(size, np.clip(quality + shift, 0.5, 1))
            fp = rng.binomial(size, 0.05)
            both.append(score(np.stack([size, tp, fp], axis=1)))
        return both

    def score(rows):
        return [
            PageScore(str(i), Counts(gt=g, tp=t, fp=f), MatchCounts(t, g, t + f), MatchCounts(t, g, t + f))
            for i, (g, t, f) in enumerate(rows.tolist())
        ]

    return draw(20_000), [draw(60) for _ in range(200)]


@pytest.mark.parametrize("statistic", [*STATISTICS, "macro_p", "macro_r"])
def test_intervals_cover_the_truth(statistic):
    """200 draws of 60 pages of two systems whose true difference is known from a very large draw."""
    (a, b), draws = draws_of_two_systems()
    truth = value(b, statistic) - value(a, statistic)
    covered = 0
    for a, b in draws:
        low, high = bootstrap_interval(b, statistic, minus=a, draws=1000)
        covered += low <= truth <= high
    assert 180 <= covered <= 196
