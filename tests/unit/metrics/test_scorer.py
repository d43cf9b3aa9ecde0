from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hmean.metrics.cleval import Counts, count_page
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import Scorer, choose_characters, score_pages
from hmean.types import PRH, Detections, Page, Polygons


def rect(x, y, w, h):
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


def page_of(name, polygons, texts=(), ignore=None):
    return Page(name, 300, 300, Polygons.of(polygons), texts=tuple(texts), ignore=ignore)


def detections_of(polygons):
    return Detections(Polygons.of(polygons), np.ones(len(polygons), dtype=np.float32))


def scorer_of_three(characters="transcription"):
    scorer = Scorer(characters)
    words = [rect(0, 0, 50, 10), rect(0, 20, 50, 10)]
    scorer.update(page_of("a", words, ["abcd", "efgh"]), detections_of(words))
    scorer.update(page_of("b", words, ["ab", "cdefgh"]), detections_of([words[1], rect(200, 200, 50, 10)]))
    scorer.update(page_of("c", []), Detections.empty())
    return scorer


def test_macro_is_the_mean_of_pages_and_pooled_comes_from_sums():
    score = scorer_of_three().compute()
    h_b = 2 * (6 / 7) * (6 / 8) / (6 / 7 + 6 / 8)
    assert score.images == 3
    macro = [(1 + 6 / 7) / 3, (1 + 6 / 8) / 3, (1 + h_b) / 3]
    assert [score.macro.p, score.macro.r, score.macro.h] == pytest.approx(macro)
    assert (score.pooled.p, score.pooled.r) == pytest.approx((14 / 15, 14 / 16))
    assert score.pooled.h == pytest.approx(2 * score.pooled.p * score.pooled.r / (score.pooled.p + score.pooled.r))
    assert score.iou50 == score.iou70 == PRH(0.75, 0.75, 0.75)
    assert score.characters == "transcription"
    assert scorer_of_three("aspect").compute().characters == "aspect"


def test_pages_are_kept_with_what_they_scored():
    scorer = scorer_of_three()
    assert [page.name for page in scorer.pages] == ["a", "b", "c"]
    assert scorer.pages[1].counts == Counts(gt=8, tp=6, fp=1)
    assert scorer.pages[1].iou70 == MatchCounts(1, 2, 2)
    assert scorer.pages[2].prh == PRH(0.0, 0.0, 0.0)


def test_the_group_of_a_page_is_kept():
    page = replace(page_of("a", [rect(0, 0, 50, 10)]), group="shop")
    scorer = Scorer()
    assert scorer.update(page, Detections.empty()).group == "shop"
    ((scored,),) = score_pages([page], [Detections.empty()], "aspect")  # as out-of-fold scores are made
    assert scored.group == "shop"


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="no page"):
        Scorer().compute()
    with pytest.raises(ValueError, match="characters"):
        Scorer("auto")
    unlabelled = Page("page", 9, 9, Polygons.of([]), words_known=False)
    with pytest.raises(ValueError, match="no labels"):
        Scorer().update(unlabelled, Detections.empty())


def test_texts_are_used_only_if_every_word_that_counts_has_one():
    word = rect(0, 0, 50, 10)
    read, skipped = page_of("a", [word], ["abc"]), page_of("b", [word, word], ["abc", None], [False, True])
    assert choose_characters([read, skipped]) == "transcription"
    assert choose_characters([read, page_of("c", [word])]) == "aspect"
    assert choose_characters([read, page_of("c", [word], [""])]) == "aspect"
    assert count_page(read, Detections.empty(), choose_characters([read])).gt == 3


def crowd(rng, index):
    """A page and regions of every kind: quads and polygons, words that do not count, scores with ties."""
    words = [rng.uniform(0, 150, 2) + np.array([[0, 0], [w, 3], [w, 15], [0, 12]]) for w in rng.uniform(10, 60, 12)]
    if index % 3 == 1:
        words.append(np.array([[5, 5], [60, 0], [90, 20], [60, 40], [10, 30]]))
    page = Page(
        f"{index}", 200, 200, Polygons.of(words if index % 5 else []),
        texts=("TOTAL",) * len(words) if index % 5 else (), ignore=rng.random(len(words) if index % 5 else 0) < index % 2 * 0.3,
    )  # fmt: skip
    found = [w + rng.normal(0, 2, w.shape) for w in words[: index % 7 * 2]]
    return page, Detections(Polygons.of(found), rng.integers(0, 5, len(found)) / np.float32(4))


@pytest.mark.parametrize("threads", [1, 3])
def test_many_pages_and_least_scores_at_once_equal_one_by_one(threads):
    rng = np.random.default_rng(1)
    pages, found = zip(*(crowd(rng, i) for i in range(40)), strict=True)
    limits = [0.0, 0.25, 0.3, 0.6, 1.0]
    together = score_pages(pages, found, "transcription", min_scores=limits, threads=threads)
    for page, regions, scored in zip(pages, found, together, strict=True):
        for limit, at in zip(limits, scored, strict=True):
            scorer = Scorer("transcription")
            assert scorer.update(page, regions.select(regions.scores >= limit)) == at
    assert len({at.prh.h for scored in together for at in scored}) > 30


def test_scoring_hundreds_of_pages_holds_little_memory():
    """In a process of its own: the peak of another test must not hide it."""
    code = """
import resource, numpy as np
from hmean.metrics.scorer import score_pages
from hmean.types import Detections, Page, Polygons
rng = np.random.default_rng(0)
corner = rng.uniform(0, 1000, (60, 1, 2))
words = Polygons.of(corner + np.array([[0, 0], [90, 0], [90, 20], [0, 20]]))
pages = [Page(str(i), 1100, 1100, words, texts=("TOTAL",) * 60) for i in range(400)]
found = [Detections(words, np.ones(60, np.float32))] * 400
score_pages(pages[:1], found[:1], "transcription")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
score_pages(pages, found, "transcription", min_scores=np.linspace(0, 1, 12).tolist())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    grown = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert grown < 200  # megabytes
