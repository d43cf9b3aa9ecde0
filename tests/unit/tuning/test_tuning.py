"""Choosing settings: what is planted is found, the middle is preferred to the edge, and no page chooses for itself."""

import math
from dataclasses import replace

import numpy as np
import pytest

from hmean.metrics.scorer import Scorer
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.grids import (
    Scored,
    SettingScores,
    choose,
    crossfit,
    crossfit_search,
    grid,
    grid_size,
    score_settings,
    search,
)
from hmean.types import Page, Polygons

PRESENT = PostprocessParams()


def planted(rng, thresholds, pages, best, *, flat=0.0, noise=0.02):
    """Scores whose recall falls with the distance to ``best``, by nothing within ``flat``, on pages of differing worth."""
    settings = [replace(PRESENT, thresh=t) for t in thresholds]
    worth = rng.normal(0.9, noise, pages)
    loss = np.maximum(np.abs(np.array(thresholds) - best) - flat, 0)
    tp = np.round(1000 * np.clip(worth - loss[:, None] + rng.normal(0, noise / 4, (len(settings), pages)), 0, 1))
    counts = np.zeros((len(settings), pages, 8), dtype=np.int64)
    counts[..., 0], counts[..., 1], counts[..., 3] = 1000, tp, 20
    ious = np.zeros((len(settings), pages, 2, 3), dtype=np.int64)
    ious[..., 0], ious[..., 1], ious[..., 2] = tp[..., None], 1000, tp[..., None] + 20
    return SettingScores(settings, counts, ious)


@pytest.mark.parametrize("objective", [{"macro": 1.0}, {"pooled": 1.0}, {"iou70": 2.0}, {"macro": 1.0, "iou50": 1.0}])
def test_a_planted_optimum_is_found(objective):
    thresholds = np.linspace(0.1, 0.9, 17).round(3).tolist()
    scores = planted(np.random.default_rng(0), thresholds, 60, best=0.4)
    choice = choose(scores, objective)
    assert scores.settings[choice.chosen].thresh == 0.4
    assert choice.plateau[choice.best]


def test_the_middle_of_a_plateau_is_chosen_not_its_luckiest_edge():
    thresholds = np.linspace(0.1, 0.9, 17).round(3).tolist()
    scores = planted(np.random.default_rng(1), thresholds, 60, best=0.5, flat=0.15)
    edge = thresholds.index(0.35)
    scores.counts[edge, :, 1] += 1  # a hair better everywhere, and the next step is a fall
    choice = choose(scores, {"macro": 1.0})
    assert choice.best == edge
    assert 0.4 <= scores.settings[choice.chosen].thresh <= 0.6
    assert {scores.settings[i].thresh for i in np.flatnonzero(choice.plateau)} >= {0.35}


def test_constraints_hold_or_come_nearest():
    scores = planted(np.random.default_rng(2), [0.2, 0.4, 0.6], 40, best=0.4)
    scores.counts[1, :, 3] = 300  # the best has the worst precision
    assert scores.settings[choose(scores, {"pooled": 1.0}, precision=0.95).chosen].thresh != 0.4
    r = scores.macro_pr()[1]
    nearest = choose(scores, {"macro": 1.0}, recall=0.999).chosen
    assert r[nearest] == r.max()


def test_cross_fitting_scores_each_page_with_a_choice_made_without_its_group():
    rng = np.random.default_rng(3)
    scores = planted(rng, [0.2, 0.3, 0.4, 0.5], 30, best=0.35)
    groups = [f"shop {i // 3}" for i in range(30)]
    names = [f"{i}.jpg" for i in range(30)]
    seen = []

    def choose_on(part):
        seen.append(part.counts[0, :, 1].tolist())
        return choose(part, {"macro": 1.0}, draws=50)

    held, chosen = crossfit(scores, names, groups, 5, choose_on)
    assert len(chosen) == len(seen) == 5
    assert held.counts.shape == (1, 30, 8)
    for page in range(30):
        options = {tuple(scores.counts[c, page]) for c in chosen}
        assert tuple(held.counts[0, page]) in options
    left_out = [30 - len(part) for part in seen]
    assert sum(left_out) == 30
    assert all(count % 3 == 0 for count in left_out)  # whole shops
    assert crossfit(scores, names, ["one"] * 30, 5, choose_on) is None


def test_luck_is_not_promised():
    """Settings that differ by noise alone: the best looks better on its own pages, the cross-fitted score does not."""
    gains, honest = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        counts = np.zeros((200, 20, 8), dtype=np.int64)
        counts[..., 0], counts[..., 1], counts[..., 3] = 1000, rng.integers(850, 950, (200, 20)), 20
        settings = [replace(PRESENT, unclip_ratio=i / 100) for i in rng.permutation(200)]
        scores = SettingScores(settings, counts, np.zeros((200, 20, 2, 3), dtype=np.int64))
        value = scores.score({"macro": 1.0})
        best = lambda part: replace_chosen(choose(part, {"macro": 1.0}, draws=20))  # noqa: E731
        held, _ = crossfit(scores, [str(i) for i in range(20)], [None] * 20, 5, best)
        gains.append(value.max() - value.mean())
        honest.append(held.score({"macro": 1.0})[0] - value.mean())
    assert min(gains) > 0.005
    assert abs(np.mean(honest)) < 3 * np.std(honest) / math.sqrt(30)


def replace_chosen(choice):
    return type(choice)(choice.best, choice.best, choice.plateau)


def test_the_grid_tries_each_setting_once():
    axes = {
        "unclip": ["ratio", "inverse"],
        "unclip_ratio": [1.0, 2.0],
        "inverse_r": [0.4, 0.5, 0.6],
        "thresh": [0.3, 0.4],
    }
    settings = grid(PRESENT, axes)
    assert settings[0] == PRESENT
    assert len(settings) == len(set(settings)) == 1 + 2 * (2 + 3)


@pytest.mark.parametrize("threads", [1, 3])
def test_scores_of_a_grid_equal_those_of_one_setting_after_another(threads):
    rng = np.random.default_rng(4)
    maps, pages = {}, []
    for i in range(20):
        probability = np.zeros((80, 160), np.float32)
        words = []
        for row in range(0, 70, 14):
            x, w = rng.integers(4, 40), rng.integers(20, 100)
            probability[row + 3 : row + 9, x : x + w] = rng.uniform(0.25, 0.95, (6, 1))
            words.append([[x - 2, row], [x + w + 2, row], [x + w + 2, row + 12], [x - 2, row + 12]])
        pages.append(Page(f"{i}", 160, 80, Polygons.of(words), texts=("ABCDE",) * len(words)))
        maps[f"{i}"] = PageMap(f"{i}", np.round(probability * 255).astype(np.uint8), np.eye(3), 160, 80)
    axes = {
        "thresh": [0.3, 0.5],
        "box_thresh": [0.3, 0.5, 0.7],
        "unclip": ["ratio", "inverse"],
        "max_candidates": [2, 1000],
        "use_polygon": [False, True],
    }
    settings = grid(PRESENT, axes)
    done = []
    scores = score_settings(
        pages, lambda page: maps[page.name], settings, "transcription", threads=threads, on_pages=done.append
    )
    assert sum(done) == 20
    for i, setting in enumerate(settings):
        scorer = Scorer("transcription")
        for page in pages:
            scorer.update(page, detect(maps[page.name], setting))
        score = scorer.compute()
        for name in ("macro", "pooled", "iou50", "iou70"):
            assert scores.score({name: 1.0})[i] == pytest.approx(getattr(score, name).h, abs=1e-12)
        assert [scores.macro_pr()[0][i], scores.macro_pr()[1][i]] == pytest.approx([score.macro.p, score.macro.r])
    assert len({tuple(row.ravel()) for row in scores.counts}) >= 5


def test_the_middle_is_among_settings_of_one_kind_and_on_the_grid():
    """Another growth rule is no neighbour, and present values between the lists tear no hole into the grid."""
    present = PostprocessParams(thresh=0.28, unclip="inverse", inverse_r=0.68)
    axes = {
        "unclip": ["ratio", "inverse"],
        "unclip_ratio": [1.0, 1.5],
        "inverse_r": [0.5, 0.6, 0.7, 0.8, 0.9],
        "thresh": [0.2, 0.25, 0.3, 0.35, 0.4],
    }
    settings = grid(present, axes)
    rng = np.random.default_rng(5)
    counts = np.zeros((len(settings), 60, 8), dtype=np.int64)
    worth = rng.normal(0, 0.02, 60)
    for i, s in enumerate(settings):  # a broad top at r .7, thresh .3; ratio is far below
        off = max(abs(s.inverse_r - 0.7) - 0.05, 0) + max(abs(s.thresh - 0.3) - 0.03, 0)
        h = 0.75 if s.unclip == "ratio" else 0.95 - 0.1 * off
        counts[i, :, 0], counts[i, :, 3] = 1000, 20
        counts[i, :, 1] = np.round(1000 * np.clip(h + worth + rng.normal(0, 0.002, 60), 0, 1))
    scores = SettingScores(settings, counts, np.zeros((len(settings), 60, 2, 3), dtype=np.int64))
    chosen = settings[choose(scores, {"macro": 1.0}).chosen]
    assert (chosen.unclip, chosen.inverse_r, chosen.thresh) == ("inverse", 0.7, 0.3)


FINE = {
    "use_polygon": [False],
    "unclip": ["inverse", "ratio"],
    "thresh": np.linspace(0.1, 0.9, 41).round(3).tolist(),
    "box_thresh": np.linspace(0.1, 0.9, 41).round(3).tolist(),
    "unclip_ratio": np.linspace(0.5, 2.5, 21).round(3).tolist(),
    "inverse_r": [0.6],
}


def landscape(rng, pages, best):
    """Scores of any setting: a hill around ``best`` for each page, whose tops lie apart by noise."""
    worth = rng.normal(0.95, 0.01, pages)
    tops = np.array([best.thresh, best.box_thresh, best.unclip_ratio / 2.5]) + rng.normal(0, 0.01, (pages, 3))

    def score(settings):
        at = np.array([[s.thresh, s.box_thresh, s.unclip_ratio / 2.5] for s in settings])
        loss = ((at[:, None] - tops) ** 2).sum(axis=2) + 0.3 * np.array([s.unclip == "inverse" for s in settings])[
            :, None
        ]
        counts = np.zeros((len(settings), pages, 8), dtype=np.int64)
        counts[..., 0], counts[..., 1], counts[..., 3] = 100_000, 100_000 * np.clip(worth - loss, 0, 1), 20
        return SettingScores(settings, counts, np.zeros((len(settings), pages, 2, 3), dtype=np.int64))

    return score


def test_a_planted_optimum_of_a_large_space_is_found_by_few_settings():
    best = replace(PRESENT, thresh=0.42, box_thresh=0.3, unclip_ratio=1.7)
    every = Scored(landscape(np.random.default_rng(6), 60, best))
    assert grid_size(FINE) == 41 * 41 * (21 + 1) > 30_000
    scores, choice = search(PRESENT, FINE, every, lambda part: choose(part, {"macro": 1.0}, draws=100), most=500)
    found = scores.settings[choice.best]
    assert len(every.known) < 1_000
    assert found.unclip == "ratio"
    assert found.thresh == pytest.approx(best.thresh, abs=0.021)  # a step of the list
    assert found.box_thresh == pytest.approx(best.box_thresh, abs=0.021)
    assert found.unclip_ratio == pytest.approx(best.unclip_ratio, abs=0.11)
    again = Scored(landscape(np.random.default_rng(6), 60, best))
    repeated, same = search(PRESENT, FINE, again, lambda part: choose(part, {"macro": 1.0}, draws=100), most=500)
    assert repeated.settings[same.chosen] == scores.settings[choice.chosen]


def test_a_space_that_is_small_enough_is_scored_whole():
    axes = {"unclip": ["ratio"], "unclip_ratio": [1.0, 1.5, 2.0], "inverse_r": [0.5], "thresh": [0.4, 0.2, 0.3]}
    every = Scored(landscape(np.random.default_rng(7), 20, PRESENT))
    scores, _ = search(PRESENT, axes, every, lambda part: choose(part, {"macro": 1.0}, draws=10), most=9)
    assert set(scores.settings) == set(grid(PRESENT, axes))


def test_each_fold_searches_on_the_pages_of_the_others_alone():
    """Two shops that want other values: what is found for one is what the other wants, never its own."""
    rng, names, groups = np.random.default_rng(8), [str(i) for i in range(40)], ["a"] * 20 + ["b"] * 20
    low, high = (replace(PRESENT, thresh=t, box_thresh=t, unclip_ratio=1.0) for t in (0.2, 0.8))
    first, second = landscape(rng, 20, low), landscape(rng, 20, high)

    def both(settings):
        parts = first(settings), second(settings)
        counts, ious = (np.concatenate([getattr(p, key) for p in parts], axis=1) for key in ("counts", "ious"))
        return SettingScores(settings, counts, ious)

    every = Scored(both)
    held, found = crossfit_search(
        lambda rest: search(PRESENT, FINE, every, lambda s: choose(s.pages(rest), {"macro": 1.0}, draws=50), most=500),
        names, groups, 2,
    )  # fmt: skip
    thresholds = sorted(scores.settings[choice.chosen].thresh for scores, choice in found)
    assert thresholds == pytest.approx([0.2, 0.8], abs=0.05)
    assert held.score({"macro": 1.0})[0] < 0.5
