"""Scores of settings with planted optima, for tests of the tuning."""

from dataclasses import replace

import numpy as np

from hmean.metrics.groups import PageGroups
from hmean.metrics.kernels import CLEVAL_FP, CLEVAL_GT, CLEVAL_TP, MATCH_DET, MATCH_GT, MATCH_TP
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.scores import SettingScores

PRESENT = PostprocessParams()

FINE = {
    "use_polygon": [False],
    "unclip": ["inverse", "ratio"],
    "thresh": np.linspace(0.1, 0.9, 41).round(3).tolist(),
    "box_thresh": np.linspace(0.1, 0.9, 41).round(3).tolist(),
    "unclip_ratio": np.linspace(0.5, 2.5, 21).round(3).tolist(),
    "inverse_r": [0.6],
}


def no_counts(settings, pages):
    """Zeros in the shapes of both scores."""
    return np.zeros((settings, pages, 8), dtype=np.int64), np.zeros((settings, pages, 2, 3), dtype=np.int64)


def each_alone(pages):
    """Pages that are groups of their own."""
    return PageGroups.of_keys(range(pages))


def planted(rng, thresholds, pages, best, *, flat=0.0, noise=0.02):
    """Scores whose recall falls with the distance to ``best``, by nothing within ``flat``, on pages of differing worth."""
    settings = [replace(PRESENT, thresh=t) for t in thresholds]
    worth = rng.normal(0.9, noise, pages)
    loss = np.maximum(np.abs(np.array(thresholds) - best) - flat, 0)
    tp = np.round(1000 * np.clip(worth - loss[:, None] + rng.normal(0, noise / 4, (len(settings), pages)), 0, 1))
    counts, matches = no_counts(len(settings), pages)
    counts[..., CLEVAL_GT] = 1000
    counts[..., CLEVAL_TP] = tp
    counts[..., CLEVAL_FP] = 20
    matches[..., MATCH_TP] = tp[..., None]
    matches[..., MATCH_GT] = 1000
    matches[..., MATCH_DET] = tp[..., None] + 20
    return SettingScores(settings, counts, matches, each_alone(pages))


def landscape(rng, pages, best):
    """Scores of any setting: a hill around ``best`` for each page, whose tops lie apart by noise."""
    worth = rng.normal(0.95, 0.01, pages)
    tops = np.array([best.thresh, best.box_thresh, best.unclip_ratio / 2.5]) + rng.normal(0, 0.01, (pages, 3))

    def score(settings):
        at = np.array([[s.thresh, s.box_thresh, s.unclip_ratio / 2.5] for s in settings])
        inverse = np.array([s.unclip == "inverse" for s in settings])
        loss = ((at[:, None] - tops) ** 2).sum(axis=2) + 0.3 * inverse[:, None]
        counts, matches = no_counts(len(settings), pages)
        counts[..., CLEVAL_GT] = 100_000
        counts[..., CLEVAL_TP] = 100_000 * np.clip(worth - loss, 0, 1)
        counts[..., CLEVAL_FP] = 20
        return SettingScores(settings, counts, matches, each_alone(pages))

    return score
