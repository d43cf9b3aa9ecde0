from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean.metrics.iou import MatchCounts, match_counts
from hmean.types import PRH, Detections, Page, Polygons

THRESHOLDS = (0.3, 0.5, 0.7)


def rect(x, y, w, h):
    return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]


def page_of(polygons, ignore=None):
    return Page("page", 200, 200, Polygons.of(polygons), ignore=ignore)


def detections_of(polygons):
    return Detections(Polygons.of(polygons), np.ones(len(polygons), dtype=np.float32))


def textbook(page, detections, threshold):
    words = [shapely.Polygon(p) for p in page.polygons]
    found = [shapely.Polygon(p) for p in detections.polygons]
    ignored = [w for w, skip in zip(words, page.ignored, strict=True) if skip]
    words = [w for w, skip in zip(words, page.ignored, strict=True) if not skip]
    found = [f for f in found if not any(f.area and w.intersection(f).area / f.area > 0.5 for w in ignored)]
    used, tp = set(), 0
    for w in words:
        for d, f in enumerate(found):
            inter = w.intersection(f).area
            union = w.area + f.area - inter
            if d not in used and union and inter / union >= threshold:
                used.add(d)
                tp += 1
                break
    return MatchCounts(tp, len(words), len(found))


def random_quad(rng):
    w, h, angle = rng.uniform(5, 60), rng.uniform(5, 20), rng.normal(0, 0.5)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.array(rect(0, 0, w, h)) @ turn + rng.uniform(0, 150, 2)


@pytest.mark.parametrize("seed", range(40))
def test_equals_the_textbook_with_ignored_words(seed):
    rng = np.random.default_rng(seed)
    words = [random_quad(rng) for _ in range(int(rng.integers(0, 25)))]
    words = [w if rng.random() < 0.8 else np.array(shapely.Polygon(w).buffer(2).exterior.coords)[:-1] for w in words]
    page = page_of(words, rng.random(len(words)) < 0.3)
    found = [w + rng.normal(0, 1.5, (1, 2)) + rng.normal(0, 0.5, w.shape) for w in words]
    found = detections_of([f for f in found + [random_quad(rng) for _ in range(5)] if shapely.Polygon(f).is_valid])
    assert match_counts(page, found, THRESHOLDS) == [textbook(page, found, t) for t in THRESHOLDS]


def test_an_iou_equal_to_the_threshold_matches():
    page = page_of([rect(0, 0, 30, 10)])
    found = detections_of([rect(10, 0, 30, 10)])  # 200 / 400
    assert match_counts(page, found, (0.5, 0.51)) == [MatchCounts(1, 1, 1), MatchCounts(0, 1, 1)]


def test_pairs_are_one_to_one():
    word = rect(0, 0, 30, 10)
    assert match_counts(page_of([word]), detections_of([word, word]), [0.5]) == [MatchCounts(1, 1, 2)]
    assert match_counts(page_of([word, word]), detections_of([word]), [0.5]) == [MatchCounts(1, 2, 1)]


def test_a_region_half_in_an_ignored_word_still_counts():
    page = page_of([rect(0, 0, 100, 10)], [True])
    assert match_counts(page, detections_of([rect(90, 0, 20, 10)]), [0.5]) == [MatchCounts(0, 0, 1)]
    assert match_counts(page, detections_of([rect(89, 0, 20, 10)]), [0.5]) == [MatchCounts(0, 0, 0)]


def test_empty_pages_and_collapsed_shapes():
    assert match_counts(page_of([]), Detections.empty(), [0.5]) == [MatchCounts()]
    assert MatchCounts().prh == PRH(0.0, 0.0, 0.0)
    point = [(5, 5)] * 4
    assert match_counts(page_of([point]), detections_of([point, rect(0, 0, 9, 9)]), [0.5]) == [MatchCounts(0, 1, 2)]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1, float("nan")])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(ValueError, match="thresholds"):
        match_counts(page_of([]), Detections.empty(), [threshold])


def test_counts_add_and_give_hmean():
    total = MatchCounts(1, 2, 4) + MatchCounts(1, 2, 0)
    assert total == MatchCounts(2, 4, 4)
    assert total.prh == PRH(0.5, 0.5, 0.5)


outlines = st.lists(
    st.lists(st.tuples(st.floats(-50, 200), st.floats(-50, 200)), min_size=3, max_size=6), min_size=0, max_size=6
)


@settings(max_examples=100, deadline=None)
@given(outlines, outlines)
def test_bounds_and_fewer_pairs_at_higher_thresholds(words, found):
    page, found = page_of(words, [i % 3 == 2 for i in range(len(words))]), detections_of(found)
    counts = match_counts(page, found, (0.6, 0.8, 1.0))
    assert all(0 <= c.tp <= min(c.gt, c.det) for c in counts)
    assert all(0 <= c.prh.h <= 1 for c in counts)
    assert counts[0].tp >= counts[1].tp >= counts[2].tp  # above 0.5 disjoint pairs cannot block each other
