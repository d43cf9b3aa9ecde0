"""Intervals over groups of pages: their definition, how often they hold, families, and the verdict."""

import itertools

import numpy as np
import pytest

from hmean.metrics.cleval import Counts
from hmean.metrics.groups import PageGroups
from hmean.metrics.intervals import (
    Contributions,
    Interval,
    below_zero,
    contributions,
    count_arrays,
    difference_interval,
    difference_intervals,
    hmean_intervals,
    interval_pairs,
    intervals,
    page_groups,
    score_interval,
    score_intervals,
    verdict,
)
from hmean.metrics.iou import MatchCounts
from hmean.metrics.kernels import (
    CLEVAL_COLUMNS,
    CLEVAL_GT,
    CLEVAL_TP,
    MATCH_COLUMNS,
    MATCH_DET,
    MATCH_GT,
    MATCH_TP,
)
from hmean.metrics.scorer import PageScore, Scorer
from hmean.metrics.statistics import STATISTICS, from_sums, summands
from support.groups import GROUP_SIZES, correlated, group_of_page

COMPARED = (*STATISTICS, "macro_p", "macro_r")


def random_scores(rng, n, skill, groups=None):
    pages = []
    for i in range(n):
        gt = int(rng.integers(50, 400))
        tp = int(rng.binomial(gt, skill))
        match = MatchCounts(tp // 5, gt // 5, max(tp // 5, gt // 6))
        counts = Counts(gt, tp, overlapped=int(rng.integers(0, 5)), fp=int(rng.integers(0, 30)), recall_penalty=1)
        group = None
        if groups is not None:
            group = str(groups[i])
        pages.append(PageScore(f"{i}", counts, match, match, group))
    return pages


def value(pages, statistic):
    score = Scorer(pages=pages).compute()
    if statistic == "macro_p":
        return score.macro.p
    if statistic == "macro_r":
        return score.macro.r
    return getattr(score, statistic).h


def mean_contributions(values, groups):
    """Of means (K,) over pages of values (K, N) that need not lie between 0 and 1."""
    unit = PageGroups.of_keys(groups)
    mean = values.mean(axis=1)
    share = np.bincount(unit.index) / len(groups)
    sums = unit.sums(values[..., None])[..., 0] / len(groups)
    return Contributions(mean, sums - mean[:, None] * share, np.broadcast_to(share, sums.shape))


# --- the definition ---------------------------------------------------------------------------------------------------


def is_rejected(values, groups, truth):
    """By the definition: the mean is further from the truth than under 95 % of all flips of the groups' signs."""
    sums = np.bincount(groups, values - truth)
    observed = abs(sums.sum())
    flips = np.array(list(itertools.product([-1, 1], repeat=len(sums))))
    return np.mean(np.abs(flips @ sums) < observed * (1 - 1e-12)) >= 0.95


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_has_all_values_that_the_test_by_flipped_signs_does_not_reject(seed):
    rng = np.random.default_rng(seed)
    groups = group_of_page((5, 4, 3, 2, 2, 1, 1, 1))
    values = correlated(rng, groups, 0.3, ()) + rng.exponential(size=len(groups))
    (interval,) = intervals(mean_contributions(values[None], groups))
    assert not is_rejected(values, groups, interval.low + 1e-9)
    assert is_rejected(values, groups, interval.low - 1e-9)
    assert not is_rejected(values, groups, interval.high - 1e-9)
    assert is_rejected(values, groups, interval.high + 1e-9)


def test_many_random_flips_come_near_to_all_flips(monkeypatch):
    rng = np.random.default_rng(0)
    groups = group_of_page((3, 3, 2, 2, 2, *[1] * 7))
    of = mean_contributions(correlated(rng, groups, 0.3, (3,)), groups)
    exact = np.array(intervals(of))
    monkeypatch.setattr("hmean.metrics.intervals.ALL_FLIPS_GROUPS", 0)
    width = exact[:, 1] - exact[:, 0]
    assert np.abs(np.array(intervals(of)) - exact).max() < 0.06 * width.max()


def test_the_interval_does_not_depend_on_the_block_size(monkeypatch):
    pages = random_scores(np.random.default_rng(2), 30, 0.7)
    whole = score_interval(pages, "pooled")
    monkeypatch.setattr("hmean.metrics.intervals.BLOCK", 100)
    again = score_interval(pages, "pooled")
    assert tuple(again) == pytest.approx(tuple(whole), abs=1e-12)


@pytest.mark.parametrize("statistic", COMPARED)
def test_contributions_are_those_of_the_statistic_to_first_order(statistic):
    """A group that counts a little more moves the statistic by its influence."""
    rng = np.random.default_rng(4)
    pages = random_scores(rng, 12, 0.8, groups=[0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 7])
    of = contributions(pages, [statistic])[statistic]
    assert of.value[0] == pytest.approx(value(pages, statistic), abs=1e-12)
    assert of.influence.sum() == pytest.approx(0, abs=1e-12)
    assert of.share.sum() == pytest.approx(1, abs=1e-12)
    sums = page_groups(pages).sums(summands(*count_arrays(pages), statistic))
    for group in range(8):
        moved = 1e6 * (from_sums(1e6 * sums.sum(axis=0) + sums[group]) - of.value[0])
        assert moved == pytest.approx(of.influence[0, group], abs=1e-5)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_paired_interval_of_a_clear_and_of_no_difference(statistic):
    rng = np.random.default_rng(1)
    worse, better = random_scores(rng, 60, 0.6), random_scores(rng, 60, 0.9)
    low, high = difference_interval(better, worse, statistic)
    assert 0 < low < value(better, statistic) - value(worse, statistic) < high
    assert difference_interval(better, better, statistic) == (0.0, 0.0)


def test_copies_of_pages_in_their_groups_tell_nothing_new():
    pages = random_scores(np.random.default_rng(3), 20, 0.8, groups=range(20))
    copies = [PageScore(f"{page.name} again", page.counts, page.iou50, page.iou70, page.group) for page in pages]
    assert score_interval(pages + copies, "macro") == pytest.approx(score_interval(pages, "macro"), abs=1e-12)


def test_fewer_than_six_groups_have_no_interval():
    rng = np.random.default_rng(0)
    five = random_scores(rng, 50, 0.8, groups=[i % 5 for i in range(50)])
    assert score_interval(five, "macro") is None
    assert verdict(difference_interval(five, random_scores(rng, 50, 0.5), "macro")) == "too few groups"
    one = random_scores(rng, 50, 0.8, groups=["one"] * 50)
    assert score_interval(one, "macro") is None
    six = random_scores(rng, 50, 0.8, groups=[i % 6 for i in range(50)])
    assert score_interval(six, "macro") is not None


@pytest.mark.parametrize("groups", [5, 9, 40])
def test_what_lies_below_zero_is_what_the_intervals_say(groups):
    rng = np.random.default_rng(2)
    sums = rng.uniform(5, 10, (60, groups, 1)) + rng.normal(0, 1, (60, 1, 1))
    scores = Contributions.of_sums(np.concatenate([sums, np.full_like(sums, 20.0)], axis=2))
    difference = scores.minus(scores.of(int(np.argmax(scores.value))))
    said = [interval is not None and interval.high < 0 for interval in intervals(difference, flips=2000)]
    assert below_zero(difference, flips=2000).tolist() == said
    assert any(said) == (groups > 5)


def test_a_score_is_never_said_to_be_above_1():
    perfect_but_one = [
        PageScore(str(i), Counts(gt=10, tp=10), MatchCounts(1, 1, 1), MatchCounts(1, 1, 1)) for i in range(30)
    ]
    perfect_but_one[0] = PageScore("0", Counts(gt=10, tp=5), MatchCounts(0, 1, 1), MatchCounts(0, 1, 1))
    for interval in score_intervals(perfect_but_one, ["macro", "pooled", "iou50"]).values():
        assert 0 <= interval.low < interval.high <= 1
        assert interval.high == pytest.approx(1)


def test_intervals_need_pages_and_pairs():
    pages = random_scores(np.random.default_rng(0), 8, 0.8)
    with pytest.raises(ValueError, match="no page"):
        score_interval([], "macro")
    with pytest.raises(ValueError, match="same pages"):
        difference_interval(pages, pages[::-1], "macro")


def test_the_verdict_says_whether_an_interval_excludes_0():
    assert verdict(Interval(0.01, 0.02)) == "better"
    assert verdict(Interval(-0.02, -0.01)) == "worse"
    assert verdict(Interval(-0.01, 0.02)) == verdict(Interval(0.0, 0.0)) == "not distinguishable"
    assert verdict(None) == "too few groups"


def test_the_intervals_of_all_hmeans_are_those_of_each():
    pages = random_scores(np.random.default_rng(5), 30, 0.8)
    assert hmean_intervals(pages) == {statistic: score_interval(pages, statistic) for statistic in STATISTICS}


# --- how often they hold ----------------------------------------------------------------------------------------------

REPEATS = 400


def within_chance(count, repeats, share):
    """Whether a count is one that this share gives in all but one of about 3,000 cases."""
    return abs(count - repeats * share) <= 3.6 * np.sqrt(repeats * share * (1 - share))


def covers(found, truth):
    """How many intervals contain the truth."""
    return sum(interval.low <= truth <= interval.high for interval in found)


@pytest.mark.parametrize("correlation", [0.0, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("sizes", GROUP_SIZES)
def test_a_paired_interval_of_a_mean_covers_the_truth(sizes, correlation):
    groups = group_of_page(GROUP_SIZES[sizes])
    differences = correlated(np.random.default_rng(7), groups, correlation, (REPEATS,))
    found = intervals(mean_contributions(differences, groups), flips=1000)
    assert within_chance(covers(found, 0.0), REPEATS, 0.95)
    assert within_chance(sum(interval.low > 0 for interval in found), REPEATS, 0.025)


def counted_contributions(rng, groups, statistic, correlation, data_sets):
    """Of data sets of pages whose share of text found varies with their group around 0.8."""
    shape = (data_sets, len(groups))
    words = rng.integers(20, 120, shape)
    share = np.clip(0.8 + 0.05 * correlated(rng, groups, correlation, (data_sets,)), 0, 1)
    found = rng.binomial(words, share)
    counts = np.zeros((*shape, CLEVAL_COLUMNS), dtype=np.int64)
    counts[..., CLEVAL_GT] = 5 * words
    counts[..., CLEVAL_TP] = 5 * found
    matches = np.zeros((*shape, 2, MATCH_COLUMNS), dtype=np.int64)
    matches[..., MATCH_TP] = found[..., None]
    matches[..., MATCH_GT] = words[..., None]
    matches[..., MATCH_DET] = words[..., None]
    return Contributions.of_sums(PageGroups.of_keys(groups).sums(summands(counts, matches, statistic)))


@pytest.mark.parametrize("statistic", ["macro", "pooled", "iou50"])
@pytest.mark.parametrize("sizes", GROUP_SIZES)
def test_intervals_of_scores_and_differences_cover_the_truth(sizes, statistic):
    groups = group_of_page(GROUP_SIZES[sizes])
    rng = np.random.default_rng(11)
    truth = counted_contributions(rng, np.arange(100_000), statistic, 0.0, 1).value[0]
    first = counted_contributions(rng, groups, statistic, 0.2, REPEATS)
    second = counted_contributions(rng, groups, statistic, 0.2, REPEATS)
    assert within_chance(covers(intervals(first, flips=1000), truth), REPEATS, 0.95)
    assert within_chance(covers(intervals(first.minus(second), flips=1000), 0.0), REPEATS, 0.95)


# --- families ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("sizes", GROUP_SIZES)
def test_of_twelve_equal_candidates_hardly_ever_one_is_called_better(sizes, correlation):
    groups = group_of_page(GROUP_SIZES[sizes])
    rng = np.random.default_rng(13)
    repeats = 100
    any_better = 0
    all_covered = 0
    any_better_alone = 0
    for _ in range(repeats):
        candidates = correlated(rng, groups, correlation, (12,)) * rng.uniform(0.5, 2, (12, 1))
        base = correlated(rng, groups, correlation, (1,))
        pair = interval_pairs(mean_contributions(candidates - base, groups), flips=500)
        any_better += any(interval.low > 0 for interval in pair.family)
        all_covered += all(interval.low <= 0 <= interval.high for interval in pair.family)
        any_better_alone += any(interval.low > 0 for interval in pair.single)
    assert any_better <= 0.05 * repeats + 2.5 * np.sqrt(0.05 * 0.95 * repeats)
    assert all_covered >= 0.95 * repeats - 2.5 * np.sqrt(0.05 * 0.95 * repeats)
    assert any_better_alone > any_better  # which is why there are family intervals


def test_family_intervals_contain_the_single_ones_and_a_family_of_one_is_single():
    rng = np.random.default_rng(2)
    base, *others = [random_scores(rng, 60, skill, groups=np.arange(60) // 2) for skill in (0.8, 0.81, 0.8, 0.85)]
    family = difference_intervals(others, base, ["macro"])["macro"]
    for single, wide in zip(family.single, family.family, strict=True):
        assert wide.low < single.low
        assert wide.high > single.high
    alone = difference_intervals(others[:1], base, ["macro"])["macro"]
    assert alone.family == alone.single
    assert alone.single[0] == pytest.approx(family.single[0], abs=1e-12)


def test_a_candidate_that_equals_the_base_takes_no_part_in_the_family():
    rng = np.random.default_rng(2)
    base, other, third = [random_scores(rng, 60, skill) for skill in (0.8, 0.85, 0.7)]
    with_base = difference_intervals([base, other, third], base, ["macro"])["macro"]
    assert with_base.single[0] == with_base.family[0] == (0.0, 0.0)
    without = difference_intervals([other, third], base, ["macro"])["macro"]
    assert np.array(with_base.family[1:]) == pytest.approx(np.array(without.family), abs=1e-12)
