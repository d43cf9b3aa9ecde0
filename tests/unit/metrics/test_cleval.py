"""The CLEval score of a page: against a plain version of it, by its bounds, and of pages that a person can count."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean.metrics.cleval import Counts, count_page
from hmean.metrics.shapes import Shapes, shared_areas
from hmean.types import PRH, Detections, Page, Polygons
from support import textbook_cleval as textbook
from support.cleval import KINDS, SIZE, detections_of, page_of, rect, ribbon, rotated, texts_for


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_textbook_on_receipts_in_the_aspect_convention(sroie_pages, kind):
    rng = np.random.default_rng(2)
    for page in sorted(sroie_pages, key=lambda page: len(page.polygons))[:10]:
        found = detections_of(kind(page.polygons, rng))
        assert count_page(page, found, "aspect") == textbook.count_page(page, found, "aspect")


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_textbook_where_quads_and_polygons_meet(seed):
    rng = np.random.default_rng(seed)
    words = [rotated(rng) if rng.random() < 0.5 else ribbon(rng, 4) for _ in range(10)]
    page = page_of(words, texts_for(rng, 10), rng.random(10) < 0.3)
    found = [rect(*w.min(axis=0), *np.ptp(w, axis=0)) if rng.random() < 0.5 else ribbon(rng, 3) for w in words]
    found = detections_of(found)
    assert count_page(page, found, "transcription") == textbook.count_page(page, found, "transcription")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_areas_equal_those_of_shapely_for_any_shapes(scale):
    rng = np.random.default_rng(0)
    quads = [rng.uniform(0, scale, (4, 2)) for _ in range(60)] + [rotated(rng) / SIZE * scale for _ in range(60)]
    quads += [rng.uniform(0, scale, (6, 2)) for _ in range(20)] + [np.zeros((4, 2)), rect(0, 0, scale, 0)]
    shapes = Shapes.of(Polygons.of(quads))
    assert set(shapes.part_count.tolist()) == {0, 1, 2}
    regions = np.array(
        [
            shapely.buffer(shapely.make_valid(shapely.Polygon(q)) if len(q) == 4 else shapely.Polygon(q), 0)
            for q in quads
        ]
    )
    expected = shapely.area(shapely.intersection(regions[:, None], regions))
    first, region, area = shapes.overlaps(shapes)
    found = np.zeros_like(expected)
    found[np.repeat(np.arange(len(quads)), np.diff(first)), region] = area
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * scale**2)
    np.testing.assert_allclose(shapes.areas, shapely.area(regions), rtol=1e-9, atol=1e-12 * scale**2)


def test_empty_pages_score_zero_by_the_official_convention():
    nothing, word = Polygons.of([]), [rect(0, 0, 40, 10)]
    no_text = Page("page", SIZE, SIZE, nothing)
    assert count_page(no_text, Detections.empty(), "transcription") == Counts()
    assert Counts().prh == PRH(0.0, 0.0, 0.0)
    assert count_page(page_of(word, ["abc"]), Detections.empty(), "transcription") == Counts(gt=3)
    assert count_page(no_text, detections_of(word), "transcription") == Counts(fp=1)
    assert count_page(page_of(word, [None], [True]), detections_of(word), "transcription") == Counts()


def test_a_word_without_a_text_counts_by_its_aspect():
    page = page_of([rect(0, 0, 40, 10)] * 2, [None, ""])
    assert count_page(page, Detections.empty(), "transcription").gt == 8  # round(0.5 + 4) is 4: half to even
    tall = page_of([rect(0, 0, 10, 40), rect(0, 0, 5, 110)], ["a", "b"])
    assert count_page(tall, Detections.empty(), "aspect").gt == 4 + 10


def test_one_word_in_three_parts():
    # 9 characters, 3 parts: R = (9 - 2) / 9, P = 9 / 9
    page = page_of([rect(0, 0, 90, 10)], ["ninechars"])
    counts = count_page(page, detections_of([rect(x, 0, 30, 10) for x in (0, 30, 60)]), "transcription")
    assert counts == Counts(gt=9, tp=9, recall_penalty=2, split=1)
    assert counts.prh.r == pytest.approx(7 / 9)
    assert counts.prh.p == 1.0


def test_areas_are_found_where_floats_cannot_tell_the_side_of_an_edge(monkeypatch):
    """GEOS gives up on some pairs of corners ("found non-noded intersection"): only those are put on a fine grid."""
    intersection = shapely.intersection

    def fails_on_the_second(first, second):
        exact = np.atleast_1d(shapely.get_precision(first)) == 0
        if (exact & (np.atleast_1d(shapely.area(first)) == 2.0)).any():
            raise shapely.errors.GEOSException("found non-noded intersection")
        return intersection(first, second)

    monkeypatch.setattr("hmean.metrics.shapes.shapely.intersection", fails_on_the_second)
    words = np.array([shapely.box(0, 0, 1, 1), shapely.box(0, 0, 2, 1)])
    assert shared_areas(words, np.array([shapely.box(0.5, 0, 9, 9)] * 2)).tolist() == [0.5, 1.5]


quads = st.lists(
    st.lists(st.tuples(st.floats(-50, 200), st.floats(-50, 200)), min_size=3, max_size=7), min_size=0, max_size=6
)


@settings(max_examples=80, deadline=None)
@given(quads, quads, st.integers(0, 2**16))
def test_bounds_and_order_for_any_outlines(words, found, seed):
    rng = np.random.default_rng(seed)
    n = len(words)
    page = page_of(words, texts_for(rng, n), rng.random(n) < 0.3)
    counts = count_page(page, detections_of(found), "transcription")
    for value in (counts.prh.p, counts.prh.r, counts.prh.h):
        assert 0 <= value <= 1
    assert 0 <= counts.tp <= counts.gt
    gt_order, det_order = rng.permutation(n), rng.permutation(len(found))
    shuffled = Page(
        "page",
        SIZE,
        SIZE,
        page.polygons.select(gt_order),
        texts=tuple(page.texts[i] for i in gt_order),
        ignore=page.ignored[gt_order],
    )
    assert count_page(shuffled, detections_of(found).select(det_order), "transcription") == counts


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25))
def test_perfect_predictions_score_one(seed, n):
    rng = np.random.default_rng(seed)
    places = rng.permutation(25)[:n]
    # Whole pixels: regions are cut to them and character centres are not, so that else one may fall beside its own word.
    words = [rect(100 * (p % 5), 30 * (p // 5), rng.integers(20, 90), rng.integers(8, 25)) for p in places]
    page = page_of(words, texts_for(rng, n), size=600)
    for characters in ("transcription", "aspect"):
        assert count_page(page, detections_of(words), characters).prh == PRH(1.0, 1.0, 1.0)


def test_counts_add_field_by_field():
    a, b = Counts(1, 2, 3, 4, 5, 6, 7, 8), Counts(10, 20, 30, 40, 50, 60, 70, 80)
    assert a + b == Counts(11, 22, 33, 44, 55, 66, 77, 88)
    assert sum([a, b], Counts()) == a + b
