"""The best trial of a sweep, where the best are repeated with other seeds."""

import pytest

from hmean.search.ranking import Ranking, by_own_score, ranked, seed_spread
from support.trials import ended

# By one training each: trial 2, 0, 3, 1; trial 4 failed. The repeats of the first three say that 2 was lucky.
TRIALS = [
    ended(0, 0.92),
    ended(1, 0.90),
    ended(2, 0.95),
    ended(3, 0.91),
    ended(4, None),
    ended(5, 0.89, repeats_rank=0),
    ended(6, 0.93, repeats_rank=1),
    ended(7, 0.92, repeats_rank=2),
]


def test_the_best_is_the_one_with_the_highest_mean():
    assert [trial.number for trial in by_own_score(TRIALS, 1)] == [2, 0, 3, 1]
    found = ranked(TRIALS, 1)
    assert [candidate.number for candidate in found] == [0, 2, 3, 1]
    assert found[0].scores == [0.92, 0.93]
    assert found[0].mean == pytest.approx(0.925)


def test_a_trial_that_was_not_repeated_cannot_be_the_best():
    """Repeating has only begun: the best so far fell from .95 to .92 on average, and is still the best."""
    only_one_repeated = [*TRIALS[:5], ended(5, 0.70, repeats_rank=0)]
    assert [candidate.number for candidate in ranked(only_one_repeated, 1)] == [2, 0, 3, 1]
    assert [candidate.number for candidate in ranked(TRIALS[:5], 1)] == [2, 0, 3, 1]


def test_less_is_better_where_the_objective_is_minimized():
    trials = [ended(0, 0.5), ended(1, 0.3), ended(2, 0.4, repeats_rank=0)]
    assert [candidate.number for candidate in ranked(trials, -1)] == [1, 0]
    trials.append(ended(3, 0.1, repeats_rank=1))
    assert [candidate.number for candidate in ranked(trials, -1)] == [0, 1]


def test_a_repeat_without_a_score_counts_for_nothing():
    assert [len(candidate.repeats) for candidate in ranked([*TRIALS[:5], ended(5, None, repeats_rank=0)], 1)] == [0] * 4


def test_the_spread_of_seeds_comes_from_the_repeats():
    spread = seed_spread(ranked(TRIALS, 1))
    assert spread.degrees_of_freedom == 3
    assert spread.sd == pytest.approx(((0.06**2 + 0.01**2 + 0.01**2) / 2 / 3) ** 0.5)
    assert seed_spread(ranked(TRIALS[:5], 1)) is None


def test_the_file_that_a_campaign_reads(tmp_path):
    (tmp_path / "slot_02").mkdir()  # of an earlier version
    ranking = Ranking.of(ranked(TRIALS, 1), "val/hmean", tmp_path)
    ranking.write(tmp_path / "ranking.json")
    read = Ranking.read(tmp_path / "ranking.json")
    assert read == ranking
    assert [(row.trial, row.folder) for row in read.trials[:2]] == [(0, "trial_00"), (2, "slot_02")]
    assert read.trials[1].scores == [0.95, 0.89]
    assert read.spread == seed_spread(ranked(TRIALS, 1))
