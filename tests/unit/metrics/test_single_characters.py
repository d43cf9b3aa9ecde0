"""Words of one character: found by a box of their own, and by nothing else."""

import numpy as np
import pytest

from hmean.metrics.iou import match_counts
from hmean.metrics.scorer import score_pages
from hmean.metrics.single_characters import is_single, single_counts, single_recall, with_single
from hmean.types import Detections, Page, Polygons


def box(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def found(*boxes):
    return Detections(Polygons.of(boxes), np.ones(len(boxes), dtype=np.float32))


WORDS = [box(10, 10, 8, 12), box(30, 10, 60, 12), box(100, 10, 8, 12), box(120, 10, 8, 12), box(140, 10, 8, 12)]
PAGE = Page(
    "a",
    200,
    40,
    Polygons.of(WORDS),
    texts=("1", "total", " 2 ", "3", None),
    ignore=np.array([False, False, False, True, False]),
    group="g",
)


def test_words_of_one_character_that_count():
    assert is_single(PAGE).tolist() == [True, False, True, False, False]


def test_a_box_of_its_own_finds_it_and_one_with_its_neighbour_does_not():
    assert single_counts(PAGE, found(*WORDS)).tp == 2
    merged = single_counts(PAGE, found(box(10, 10, 80, 12), WORDS[2]))
    assert (merged.tp, merged.gt) == (1, 2)
    wide = single_counts(PAGE, found(box(10, 10, 16, 12), box(100, 10, 17, 12)))
    assert wide.tp == 1  # an IoU of 8/16 counts, 8/17 does not


def test_nothing_is_found_without_detections_and_nothing_counts_without_such_words():
    assert single_counts(PAGE, Detections.empty()).tp == 0
    no_words = Page("b", 10, 10, Polygons.of([]))
    assert single_counts(no_words, found(WORDS[0])).gt == 0


def test_it_is_the_recall_of_one_to_one_matches_where_all_words_are_of_one_character():
    rng = np.random.default_rng(0)
    for _ in range(50):
        words = [box(20 * i, 5, 8, 12) for i in range(9)]
        page = Page("a", 200, 40, Polygons.of(words), texts=("1",) * 9)
        moved = [box(20 * i + rng.normal(0, 3), 5 + rng.normal(0, 3), 8, 12) for i in range(9)]
        detections = found(*moved)
        (matched,) = match_counts(page, detections, [0.5])
        assert single_counts(page, detections).tp == matched.tp


def test_the_recall_of_a_set_is_that_of_its_sums():
    detections = [found(*WORDS), found(WORDS[0])]
    pages = [PAGE, PAGE]
    scores = [page for (page,) in score_pages(pages, detections, "transcription")]
    assert single_recall(scores) is None  # nobody has counted
    counted = with_single(scores, pages, detections)
    assert single_recall(counted) == pytest.approx(3 / 4)
    assert counted[0].counts == scores[0].counts
