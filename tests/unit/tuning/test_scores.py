"""Scores of many settings at once."""

import numpy as np
import pytest

from hmean.metrics.scorer import Scorer
from hmean.postprocess.decoding import PageMap, detect
from hmean.tuning.grid import make_grid
from hmean.tuning.scores import ScoreCache, paired_gain, score_settings
from hmean.types import Page, Polygons
from support.tuning import PRESENT, planted


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
    settings = make_grid(PRESENT, axes)
    done = []
    scores = score_settings(
        pages, lambda page: maps[page.name], settings, "transcription", threads=threads, on_pages=done.append
    )
    assert sum(done) == 20
    precision, recall = scores.macro_pr()
    for i, setting in enumerate(settings):
        scorer = Scorer("transcription")
        for page in pages:
            scorer.update(page, detect(maps[page.name], setting))
        score = scorer.compute()
        for name in ("macro", "pooled", "iou50", "iou70"):
            assert scores.score({name: 1.0})[i] == pytest.approx(getattr(score, name).h, abs=1e-12)
        assert [precision[i], recall[i]] == pytest.approx([score.macro.p, score.macro.r])
        assert (
            scores.of_settings(i).scorer([page.name for page in pages], [None] * len(pages), "transcription").pages
            == scorer.pages
        )
    assert len({tuple(row.ravel()) for row in scores.counts}) >= 5


def test_each_setting_is_scored_once():
    scores = planted(np.random.default_rng(0), [0.1, 0.2, 0.3], 5, best=0.2)
    asked = []

    def score(settings):
        asked.append(list(settings))
        return scores.of_settings(*(scores.settings.index(setting) for setting in settings))

    cache = ScoreCache(score)
    first, second, third = scores.settings
    cache.score([first, second])
    found = cache.score([third, first])
    assert asked == [[first, second], [third]]
    assert len(cache) == 3
    assert np.array_equal(found.counts, scores.counts[[2, 0]])
    assert np.array_equal(found.matches, scores.matches[[2, 0]])


def test_a_gain_is_paired():
    scores = planted(np.random.default_rng(1), [0.2, 0.4], 60, best=0.4)
    gain = paired_gain(scores.of_settings(1), scores.of_settings(0), {"macro": 1.0})
    assert 0 < gain.interval95.low < gain.gain < gain.interval95.high
    assert paired_gain(scores.of_settings(0), scores.of_settings(0), {"macro": 1.0}).interval95 == (0, 0)
