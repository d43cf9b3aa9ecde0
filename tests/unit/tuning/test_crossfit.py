"""Cross-fitting: no page has a part in the choice that it is scored with."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hmean.metrics.groups import PageGroups
from hmean.metrics.kernels import CLEVAL_FP, CLEVAL_GT, CLEVAL_TP
from hmean.tuning.choose import Choice, choose
from hmean.tuning.crossfit import LEFT_OUT, crossfit, crossfit_settings, deal, find_copies
from hmean.tuning.scores import ScoreCache, SettingScores
from hmean.tuning.search import GridSearch
from support.tuning import FINE, PRESENT, each_alone, landscape, no_counts, planted


def test_each_page_is_scored_with_a_choice_made_without_its_group():
    scores = planted(np.random.default_rng(3), [0.2, 0.3, 0.4, 0.5], 30, best=0.35)
    groups = [f"shop {i // 3}" for i in range(30)]
    names = [f"{i}.jpg" for i in range(30)]
    seen = []

    def pick(part):
        seen.append(part.counts[0, :, CLEVAL_TP].tolist())
        return choose(part, {"macro": 1.0})

    found = crossfit_settings(scores, names, groups, 5, pick)
    assert len(found.chosen) == len(seen) == 5
    assert found.scores.counts.shape == (1, 30, 8)
    rows = [scores.settings.index(setting) for setting in found.chosen]
    for page in range(30):
        options = {tuple(scores.counts[row, page]) for row in rows}
        assert tuple(found.scores.counts[0, page]) in options
    left_out = [30 - len(part) for part in seen]
    assert sum(left_out) == 30
    assert all(count % 3 == 0 for count in left_out)  # whole shops
    assert crossfit_settings(scores, names, ["one"] * 30, 5, pick) is None


def test_luck_is_not_promised():
    """Settings that differ by noise alone: the best looks better on its own pages, the cross-fitted score does not."""
    gains, honest = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        counts, matches = no_counts(200, 20)
        counts[..., CLEVAL_GT] = 1000
        counts[..., CLEVAL_TP] = rng.integers(850, 950, (200, 20))
        counts[..., CLEVAL_FP] = 20
        settings = [replace(PRESENT, unclip_ratio=i / 100) for i in rng.permutation(200)]
        scores = SettingScores(settings, counts, matches, each_alone(20))
        value = scores.score({"macro": 1.0})
        found = crossfit_settings(scores, [str(i) for i in range(20)], [None] * 20, 5, pick_the_best)
        gains.append(value.max() - value.mean())
        honest.append(found.scores.score({"macro": 1.0})[0] - value.mean())
    assert min(gains) > 0.005
    assert abs(np.mean(honest)) < 3 * np.std(honest) / math.sqrt(30)


def pick_the_best(scores):
    choice = choose(scores, {"macro": 1.0})
    return Choice(choice.best, choice.best, choice.plateau)


def test_each_fold_searches_on_the_pages_of_the_others_alone():
    """Two shops that want other values: what is found for one is what the other wants, never its own."""
    rng = np.random.default_rng(8)
    names, groups = [str(i) for i in range(40)], ["a"] * 20 + ["b"] * 20
    low, high = (replace(PRESENT, thresh=t, box_thresh=t, unclip_ratio=1.0) for t in (0.2, 0.8))
    first, second = landscape(rng, 20, low), landscape(rng, 20, high)

    def both(settings):
        parts = first(settings), second(settings)
        counts = np.concatenate([part.counts for part in parts], axis=1)
        return SettingScores(
            settings, counts, np.concatenate([part.matches for part in parts], axis=1), PageGroups.of(names, groups)
        )

    def pick(scores):
        return choose(scores, {"macro": 1.0})

    search = GridSearch(PRESENT, FINE, ScoreCache(both), pick, first_grid=500)

    def choose_on(pages):
        found = search.run(pages)
        return found.scores.of_settings(found.choice.chosen)

    found = crossfit(choose_on, deal(names, groups, 2))
    assert sorted(setting.thresh for setting in found.chosen) == pytest.approx([0.2, 0.8], abs=0.05)
    assert found.scores.score({"macro": 1.0})[0] < 0.5


def test_pages_that_are_left_out_are_neither_decided_on_nor_scored():
    scores = planted(np.random.default_rng(3), [0.2, 0.3], 12, best=0.3)
    fold = np.arange(12) % 3
    fold[fold == 2] = LEFT_OUT
    seen = []

    def decide_on(pages):
        seen.append(pages)
        return scores.of_settings(0)

    found = crossfit(decide_on, fold)
    assert [np.flatnonzero(pages).tolist() for pages in seen] == [[1, 4, 7, 10], [0, 3, 6, 9]]
    assert np.array_equal(found.scores.counts, scores.counts[:1, fold != LEFT_OUT])
    assert found.scores.groups.count == 8


def test_copies_of_a_page_are_found():
    names = ["a", "b", "c", "d"]
    assert find_copies(names, np.array([1, 2, 3, 4])) is None
    assert find_copies(names, np.array([1, 2, 3, 2])) == ("b", "d")
