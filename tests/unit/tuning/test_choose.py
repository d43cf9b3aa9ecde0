"""The choice among settings: what is planted is found, and the middle is preferred to the edge."""

import numpy as np
import pytest

from hmean.metrics.groups import PageGroups
from hmean.metrics.kernels import CLEVAL_FP, CLEVAL_GT, CLEVAL_TP
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.choose import Floors, choose
from hmean.tuning.grid import make_grid
from hmean.tuning.scores import SettingScores, paired_gain
from support.tuning import each_alone, no_counts, planted


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
    scores.counts[edge, :, CLEVAL_TP] += 1  # a hair better everywhere, and the next step is a fall
    choice = choose(scores, {"macro": 1.0})
    assert choice.best == edge
    assert 0.4 <= scores.settings[choice.chosen].thresh <= 0.6
    assert {scores.settings[i].thresh for i in np.flatnonzero(choice.plateau)} >= {0.35}


def test_floors_hold_or_are_missed_by_least():
    scores = planted(np.random.default_rng(2), [0.2, 0.4, 0.6], 40, best=0.4)
    scores.counts[1, :, CLEVAL_FP] = 300  # the best has the worst precision
    assert scores.settings[choose(scores, {"pooled": 1.0}, floors=Floors(precision=0.95)).chosen].thresh != 0.4
    _, recall = scores.macro_pr()
    nearest = choose(scores, {"macro": 1.0}, floors=Floors(recall=0.999)).chosen
    assert recall[nearest] == recall.max()


def test_the_middle_is_among_settings_of_one_kind_and_on_the_grid():
    """Another unclip mode is no neighbour, and present values between the lists make no gap in the grid."""
    present = PostprocessParams(thresh=0.28, unclip="inverse", inverse_r=0.68)
    axes = {
        "unclip": ["ratio", "inverse"],
        "unclip_ratio": [1.0, 1.5],
        "inverse_r": [0.5, 0.6, 0.7, 0.8, 0.9],
        "thresh": [0.2, 0.25, 0.3, 0.35, 0.4],
    }
    settings = make_grid(present, axes)
    rng = np.random.default_rng(5)
    counts, matches = no_counts(len(settings), 60)
    counts[..., CLEVAL_GT] = 1000
    counts[..., CLEVAL_FP] = 20
    worth = rng.normal(0, 0.02, 60)
    for i, s in enumerate(settings):  # a broad top at r .7, thresh .3; ratio is far below
        off = max(abs(s.inverse_r - 0.7) - 0.05, 0) + max(abs(s.thresh - 0.3) - 0.03, 0)
        h = 0.75 if s.unclip == "ratio" else 0.95 - 0.1 * off
        counts[i, :, CLEVAL_TP] = np.round(1000 * np.clip(h + worth + rng.normal(0, 0.002, 60), 0, 1))
    chosen = settings[choose(SettingScores(settings, counts, matches, each_alone(60)), {"macro": 1.0}).chosen]
    assert (chosen.unclip, chosen.inverse_r, chosen.thresh) == ("inverse", 0.7, 0.3)


@pytest.mark.parametrize("groups", [5, 6])
def test_with_too_few_groups_the_plateau_is_unknown_and_the_best_with_its_neighbours_is_chosen(groups):
    """The luckiest setting is an edge; which others are as good cannot be told of five groups."""
    thresholds = np.linspace(0.1, 0.9, 17).round(3).tolist()
    scores = planted(np.random.default_rng(1), thresholds, 60, best=0.5, flat=0.15)
    edge = thresholds.index(0.35)
    scores.counts[edge, :, CLEVAL_TP] += 20
    of_groups = SettingScores(
        scores.settings, scores.counts, scores.matches, PageGroups.of_keys(np.arange(60) % groups)
    )
    choice = choose(of_groups, {"macro": 1.0})
    assert choice.best == edge
    assert choice.chosen in (edge - 1, edge, edge + 1)
    assert (choice.plateau is None) == (groups == 5)


def test_the_plateau_has_the_settings_whose_interval_to_the_best_holds_zero():
    thresholds = np.linspace(0.1, 0.9, 33).round(3).tolist()
    scores = planted(np.random.default_rng(3), thresholds, 60, best=0.5, flat=0.05, noise=0.05)
    of_shops = SettingScores(scores.settings, scores.counts, scores.matches, PageGroups.of_keys(np.arange(60) // 5))
    choice = choose(of_shops, {"pooled": 1.0})
    best = of_shops.of_settings(choice.best)
    on_plateau = []
    for i in range(33):
        gain = paired_gain(of_shops.of_settings(i), best, {"pooled": 1.0})
        on_plateau.append(gain.interval95.high >= 0)
    assert choice.plateau.tolist() == on_plateau
    assert 3 < sum(on_plateau) < 20
