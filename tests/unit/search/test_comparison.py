"""The trials of a sweep against its base."""

import numpy as np
import pytest

from hmean.search.comparison import BEST, PRESET, compare_trials
from hmean.search.ranking import ranked, seed_spread
from hmean.search.sweepfile import SweepFile
from support.sweeps import FILE, LR
from support.trials import ended

BAYES = SweepFile.parse(FILE, "s.yaml")
GRID = SweepFile.parse({**FILE, "method": "grid", "parameters": {LR: {"values": [0.001, 0.002]}}}, "s.yaml")
PAGES = 12  # with as many groups, every flip of signs is tried
RNG = np.random.default_rng(5)
HARD = 0.9 + 0.03 * RNG.standard_normal(PAGES)


def pages(gain: float = 0.0, noise: float = 0.001) -> np.ndarray:
    """The scores of one training's pages."""
    return HARD + gain + noise * RNG.standard_normal(PAGES)


def compare(trials, file=BAYES):
    return compare_trials(ranked(trials, file.sign), file)


def test_every_trial_is_compared_with_the_presets_own_values():
    found = compare([ended(0, pages(), given=True), ended(1, pages(0.02)), ended(2, pages(-0.02)), ended(3, pages())])
    assert [row.trial for row in found.comparisons] == [1, 3, 2]
    assert {(row.base, row.what) for row in found.comparisons} == {(0, PRESET)}
    told = {row.trial: row.verdict for row in found.comparisons}
    assert told[1] == "better (one training a side: another seed may say otherwise)"
    assert told[2] == "worse (one training a side: another seed may say otherwise)"
    assert (found.spread, found.grouping.groups, found.grouping.pages) == (None, PAGES, PAGES)


def test_the_family_is_wider_than_a_comparison_alone():
    found = compare([ended(0, pages(), given=True), *(ended(i, pages()) for i in range(1, 8))])
    for row in found.comparisons:
        assert row.family95.low < row.interval95.low < row.difference < row.interval95.high < row.family95.high


def test_without_the_presets_values_the_best_is_the_base():
    trials = [ended(0, pages(), given=True), ended(1, pages(0.02)), ended(2, pages(0.01)), ended(3, pages())]
    for found in (compare(trials[1:]), compare(trials, GRID)):
        assert {(row.base, row.what) for row in found.comparisons} == {(1, BEST)}
        assert all(row.difference < 0 for row in found.comparisons)
        assert found.comparisons[-1].verdict.startswith("worse")


def test_repeats_give_means_and_the_spread_of_seeds():
    high = pages(0.02)
    low = pages(0.006)
    trials = [ended(0, pages(), given=True), ended(1, high), ended(2, pages(0.004)), ended(3, low, repeats_rank=0)]
    (first, second) = compare(trials).comparisons
    alone = {row.trial: row for row in compare(trials[:3]).comparisons}
    spread = seed_spread(ranked(trials, 1))
    assert spread.sd == pytest.approx((high.mean() - low.mean()) / 2**0.5, abs=1e-4)
    assert first.trial == 1
    assert first.difference == pytest.approx((high.mean() + low.mean()) / 2 - trials[0].result.value, abs=1e-4)
    assert first.verdict == "not distinguishable"  # two trainings that lie 1.4 points apart
    # A trial that was not repeated has the luck of one seed, not that of the mean of two.
    width = second.interval95.high - second.difference
    assert width == pytest.approx(
        np.hypot(alone[2].interval95.high - second.difference, spread.half_width(1, 1)), abs=1e-6
    )
    assert spread.half_width(1, 1) > spread.half_width(2, 1)


def test_groups_are_the_unit():
    shops = ["a"] * 6 + ["b"] * 2 + list("cdef")
    trials = [ended(0, pages(), given=True, groups=shops), ended(1, pages(), groups=shops)]
    found = compare(trials)
    assert (found.grouping.groups, found.grouping.largest_share) == (6, 0.5)
    assert found.grouping.warning() is not None


def test_what_cannot_be_compared_says_so():
    few = [ended(0, pages()[:3], given=True), ended(1, pages()[:3])]
    assert [row.verdict for row in compare(few).comparisons] == ["too few groups"]
    without = [ended(0, 0.9, given=True), ended(1, 0.91)]
    (row,) = compare(without).comparisons
    assert (row.verdict, row.interval95, row.difference) == ("no pages to compare", None, pytest.approx(0.01))
    one_lacks_them = [ended(0, pages(), given=True), ended(1, 0.5), ended(2, pages(0.02))]
    told = {row.trial: row.verdict for row in compare(one_lacks_them).comparisons}
    assert told[1] == "no pages to compare"
    assert told[2].startswith("better")
    assert compare([]).comparisons == ()
    assert compare([ended(0, pages())]).comparisons == []
    loss = SweepFile.parse({**FILE, "metric": {"name": "train/loss", "goal": "minimize"}}, "s.yaml")
    assert [row.verdict for row in compare(few, loss).comparisons] == ["no pages to compare"]


def test_a_large_grid_is_compared_in_bounded_memory():
    trials = [ended(i, pages()) for i in range(60)]
    found = compare(trials, GRID)
    assert sum(row.family95 is not None for row in found.comparisons) == 49
    assert {row.verdict for row in found.comparisons[49:]} == {"not compared: only the 50 best are"}


def trials_alike(rng: np.random.Generator, *, repeats: int, given: bool) -> list:
    """Twelve trainings that differ by nothing but their seed, which moves all pages and each of them."""

    def training() -> np.ndarray:
        return HARD + 0.002 * rng.standard_normal() + 0.002 * rng.standard_normal(PAGES)

    trials = [ended(i, training(), given=given and i == 0) for i in range(12)]
    for rank in range(repeats):
        trials.append(ended(12 + rank, training(), repeats_rank=rank))
    return trials


@pytest.mark.parametrize("given", [True, False])
def test_the_best_of_twelve_alike_is_not_called_better(given):
    """With the best three repeated; by one training each, it is called so far more often than not."""
    rng = np.random.default_rng(1)
    sweeps = 60
    told = 0
    told_without_repeats = 0
    for _ in range(sweeps):
        trials = trials_alike(rng, repeats=3, given=given)
        told += any(row.verdict in ("better", "worse") for row in compare(trials).comparisons)
        without = compare(trials[:12]).comparisons
        told_without_repeats += any(row.verdict.startswith(("better", "worse")) for row in without)
    assert told <= 0.05 * sweeps
    assert told_without_repeats > 0.3 * sweeps
