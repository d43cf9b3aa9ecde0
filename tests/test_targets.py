"""The one-pass targets against a textbook version built from shapely's exact offsets and distances."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean import geometry
from hmean.targets import make_targets
from hmean.types import Polygons


def textbook(polygons, ignore, width, height, r):
    """Shapely does every step of the paper by itself; slow, and easy to check by eye."""
    ys, xs = np.mgrid[:height, :width] + 0.5
    points = shapely.points(xs.ravel(), ys.ravel())
    shrink = np.zeros(height * width, bool)
    close = np.zeros(height * width)
    band = np.zeros(height * width, bool)
    valid = np.ones(height * width, bool)
    words = [(shapely.Polygon(p), skip) for p, skip in zip(polygons, ignore, strict=True)]
    for word, skip in words:
        if skip:
            valid &= ~shapely.contains(word, points)
    for word, skip in words:
        if not skip:
            d = word.area * (1 - r * r) / word.length
            distance = shapely.distance(word.exterior, points)
            inside = shapely.contains(word, points)
            shrink |= inside & (distance >= d)
            band |= inside | (distance <= d)
            close = np.maximum(close, np.clip(1 - distance / d, 0, 1))
            valid |= inside
    return [a.reshape(height, width) for a in (shrink, 0.3 + 0.4 * close, band, valid)]


@st.composite
def words(draw):
    found = []
    for _ in range(draw(st.integers(0, 5))):
        cx, cy = draw(st.floats(-20, 120)), draw(st.floats(-20, 100))
        w, h, angle = draw(st.floats(6, 80)), draw(st.floats(6, 40)), draw(st.floats(-90, 90))
        found.append(geometry.rect_corners(cx, cy, w, h, angle))
    return found, np.array(draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))), bool)


@settings(max_examples=60, deadline=None)
@given(words(), st.sampled_from([0.4, 0.6, 0.8]))
def test_maps_equal_the_textbook(case, r):
    polygons, ignore = case
    made = make_targets(Polygons.of(polygons), ignore, 100, 80, shrink_ratio=r, min_side=0)
    shrink, threshold, band, valid = textbook(polygons, ignore, 100, 80, r)
    for name, ours, theirs in (
        ("shrink", made.shrink, shrink),
        ("band", made.band, band),
        ("valid", made.valid, valid),
    ):
        assert (ours != theirs).sum() <= 2, name  # a pixel centre may lie on an edge to the last bit
    inside = band & (made.band == 1)
    assert np.abs(made.threshold - threshold)[inside].max(initial=0) < 1e-5


CONCAVE = np.array([[10, 10], [70, 10], [70, 60], [40, 25], [10, 60.0]])


def test_concave_polygon():
    made = make_targets(Polygons.of([CONCAVE]), np.zeros(1, bool), 80, 70, shrink_ratio=0.6, min_side=0)
    shrink, *_ = textbook([CONCAVE], [False], 80, 70, 0.6)
    assert (made.shrink != shrink).sum() == 0


@pytest.mark.parametrize("angle", [0, 3, 17, 45])
def test_shrunk_area_is_within_one_percent(angle, rng):
    """Over places between the pixels, since a map of pixels can only be right on average."""
    areas = []
    for dx, dy in rng.random((16, 2)):
        word = geometry.rect_corners(150 + dx, 150 + dy, 200, 40, angle)
        made = make_targets(Polygons.of([word]), np.zeros(1, bool), 300, 300, shrink_ratio=0.4, min_side=0)
        areas.append(made.shrink.sum())
    d = geometry.shrink_distance(word, 0.4)
    assert np.mean(areas) == pytest.approx((200 - 2 * d) * (40 - 2 * d), rel=0.01)


def test_small_words_are_ignored_and_masked():
    tiny = geometry.rect_corners(50, 50, 30, 2, 0)
    made = make_targets(Polygons.of([tiny]), np.zeros(1, bool), 100, 100, shrink_ratio=0.4, min_side=3)
    assert made.shrink.sum() == 0
    assert made.valid[50, 50] == 0


def test_text_wins_over_an_ignored_region_under_it():
    word, region = geometry.rect_corners(50, 50, 40, 12, 0), geometry.rect_corners(50, 50, 90, 60, 0)
    made = make_targets(Polygons.of([word, region]), np.array([False, True]), 100, 100, shrink_ratio=0.4, min_side=3)
    assert made.valid[50, 50] == 1
    assert made.valid[30, 20] == 0
    assert made.shrink[50, 50] == 1


@pytest.mark.parametrize("polygon", [[[0, 0], [0, 0], [0, 0]], [[0, 0], [50, 0], [100, 0]], [[-9e4, -9e4], [9e4, -9e4], [9e4, 9e4]], [[-500, -500], [-400, -500], [-450, -400]]])  # fmt: skip
def test_degenerate_huge_and_outside_polygons(polygon):
    made = make_targets(Polygons.of([polygon]), np.zeros(1, bool), 60, 40, shrink_ratio=0.4, min_side=3)
    assert np.isfinite(made.threshold).all()


def test_a_page_without_text():
    made = make_targets(Polygons.of([]), np.zeros(0, bool), 60, 40, shrink_ratio=0.4, min_side=3)
    assert made.shrink.sum() == made.band.sum() == 0
    assert made.valid.all()
