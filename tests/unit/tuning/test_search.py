"""The search of large grids."""

from dataclasses import replace

import numpy as np
import pytest

from hmean.tuning.choose import Choice, choose
from hmean.tuning.grid import grid_size, make_grid
from hmean.tuning.scores import ScoreCache
from hmean.tuning.search import FIRST_GRID, MOVES, WHOLE_GRID, GridSearch, first_grid_of
from support.tuning import FINE, PRESENT, landscape


def pick(scores):
    return choose(scores, {"macro": 1.0})


def test_a_planted_optimum_of_a_large_space_is_found_by_few_settings():
    best = replace(PRESENT, thresh=0.42, box_thresh=0.3, unclip_ratio=1.7)
    assert grid_size(FINE) == 41 * 41 * (21 + 1) > 30_000
    search = GridSearch(PRESENT, FINE, ScoreCache(landscape(np.random.default_rng(6), 60, best)), pick, first_grid=500)
    found = search.run()
    setting = found.scores.settings[found.choice.best]
    assert len(search.cache) < 1_000
    assert setting.unclip == "ratio"
    assert setting.thresh == pytest.approx(best.thresh, abs=0.021)  # a step of the list
    assert setting.box_thresh == pytest.approx(best.box_thresh, abs=0.021)
    assert setting.unclip_ratio == pytest.approx(best.unclip_ratio, abs=0.11)
    again = ScoreCache(landscape(np.random.default_rng(6), 60, best))
    assert replace(search, cache=again).run().setting == found.setting


def test_a_space_that_is_small_enough_is_scored_whole():
    axes = {"unclip": ["ratio"], "unclip_ratio": [1.0, 1.5, 2.0], "inverse_r": [0.5], "thresh": [0.4, 0.2, 0.3]}
    cache = ScoreCache(landscape(np.random.default_rng(7), 20, PRESENT))
    found = GridSearch(PRESENT, axes, cache, pick, first_grid=9).run()
    assert set(found.scores.settings) == set(make_grid(PRESENT, axes))
    assert first_grid_of(axes) == WHOLE_GRID
    assert first_grid_of(FINE) == FIRST_GRID


def test_a_search_that_wanders_ends():
    """On the finest grids a choice may move on a few times, not for ever."""
    axes = {
        "use_polygon": [False],
        "unclip": ["ratio"],
        "thresh": np.linspace(0.1, 0.9, 81).round(3).tolist(),
        "box_thresh": [0.5],
        "unclip_ratio": [1.5],
        "inverse_r": [0.5],
    }
    windows = []

    def pick_the_end(scores):
        """First the lowest threshold, then always the highest of the window."""
        thresholds = [setting.thresh for setting in scores.settings[1:]]
        chosen = int(np.argmax(thresholds))
        if not windows:
            chosen = int(np.argmin(thresholds))
        windows.append(thresholds)
        return Choice(chosen + 1, chosen + 1, np.ones(len(scores.settings), dtype=np.bool_))

    present = replace(PRESENT, thresh=0.05)
    cache = ScoreCache(landscape(np.random.default_rng(9), 5, PRESENT))
    GridSearch(present, axes, cache, pick_the_end, first_grid=30).run()
    finest = [window for window in windows if max(np.diff(window)) < 0.011]
    assert len(finest) == MOVES + 1
