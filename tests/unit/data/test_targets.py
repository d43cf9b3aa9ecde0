"""The one-pass targets against a textbook version built from shapely's exact offsets and distances."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean import geometry
from hmean.data.targets import make_targets
from hmean.types import Polygons
from support import plane


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
        found.append(plane.rect_corners(cx, cy, w, h, angle))
    return found, np.array(draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))), bool)


@settings(max_examples=60, deadline=None)
@given(words(), st.sampled_from([0.4, 0.6, 0.8]))
def test_maps_equal_the_textbook(case, r):
    polygons, ignore = case
    made = make_targets(Polygons.of(polygons), ignore, 100, 80, shrink_ratio=r, min_side=0)
    shrink, threshold, band, valid = textbook(polygons, ignore, 100, 80, r)
    for name, ours, theirs in (
        ("shrink", made.shrink == 255, shrink),
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
    assert ((made.shrink == 255) != shrink).sum() == 0


def plain(polygons, ignore, width, height, r, min_side):
    """Every pixel against every edge in numpy, for any polygon; NaN where the last bit decides.

    Returns the anti-aliased shrink map in 0..255, then those of ``textbook``.
    """
    ys, xs = np.mgrid[:height, :width] + 0.5
    cover, shrink, threshold, band = np.zeros_like(xs), np.zeros_like(xs), np.full_like(xs, 0.3), np.zeros_like(xs)
    valid, words = np.ones_like(xs), []
    for polygon, skip in zip(polygons, ignore, strict=True):
        polygon = np.asarray(polygon, float)
        inside, near = np.zeros(xs.shape, bool), np.full(xs.shape, np.inf)
        for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            ex, ey, wx, wy = bx - ax, by - ay, xs - ax, ys - ay
            t = np.clip((wx * ex + wy * ey) / (ex * ex + ey * ey), 0, 1) if ex or ey else 0
            near = np.minimum(near, np.hypot(wx - t * ex, wy - t * ey))
            if ey:
                inside ^= ((ay > ys) != (by > ys)) & (xs < ax + ex * (ys - ay) / ey)
        doubtful, area, length = near < 1e-6, geometry.area(polygon), plane.perimeter(polygon)
        short = (length / 2 - np.sqrt(max(length * length / 4 - 4 * area, 0))) / 2
        if skip or length == 0 or short < min_side:
            valid[inside] = 0
            valid[doubtful] = np.nan
        else:
            words.append((inside, near, doubtful, area * (1 - r * r) / length))
    for inside, near, doubtful, d in words:
        core, rim = inside & (near >= d), inside | (near <= d)
        valid[inside], valid[doubtful] = 1, np.nan
        at_shrink, at_band = doubtful | (np.abs(near - d) < 1e-6) & inside, doubtful | (np.abs(near - d) < 1e-6)
        shrink, band = (
            np.maximum(shrink, np.where(at_shrink, np.nan, core)),
            np.maximum(band, np.where(at_band, np.nan, rim)),
        )
        cover = np.maximum(cover, np.where(doubtful, np.nan, np.clip(0.5 + np.where(inside, near, -near) - d, 0, 1)))
        if d > 0:
            threshold = np.maximum(threshold, 0.7 - 0.4 * np.minimum(near / d, 1))
    return 255 * cover, shrink, threshold, band, valid


# Round numbers make vertices coincide, edges touch and lie on each other; order is free, so most outlines cross themselves.
near_view = st.floats(-30, 90, width=32) | st.integers(-5, 65).map(float) | st.integers(0, 12).map(lambda v: v * 5.0)
tiny = st.floats(20, 20.5, width=32) | st.sampled_from([20.0, 20.25, 20.5])
huge = st.floats(-1e5, 1e5, width=32) | near_view
outlines = st.sampled_from([near_view, near_view, tiny, huge]).flatmap(
    lambda c: st.lists(st.tuples(c, c), min_size=3, max_size=8)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(outlines, max_size=4), st.data(), st.sampled_from([0.0, 3.0]))
def test_any_polygons_equal_the_plain_version(polygons, data, min_side):
    ignore = np.array(data.draw(st.lists(st.booleans(), min_size=len(polygons), max_size=len(polygons))), bool)
    maps = {
        soft: make_targets(Polygons.of(polygons), ignore, 60, 50, shrink_ratio=0.5, min_side=min_side, antialias=soft)
        for soft in (False, True)
    }
    cover, shrink, threshold, band, valid = plain(polygons, ignore, 60, 50, 0.5, min_side)
    for name, theirs in (("shrink", 255 * shrink), ("band", band), ("valid", valid)):
        known = np.isfinite(theirs)
        assert np.array_equal(getattr(maps[False], name)[known], theirs[known]), name
    known = np.isfinite(cover)
    assert np.abs(maps[True].shrink - cover)[known].max(initial=0) < 0.51
    for made in maps.values():
        assert np.abs(made.threshold - threshold).max() < 1e-5


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("angle", [0, 3, 17, 45])
@pytest.mark.parametrize("size", [(200, 40), (40, 16), (20, 12)])
def test_shrunk_area_is_within_one_percent(size, angle, antialias, rng):
    """Over places between the pixels, since a map of pixels can only be right on average; less so with soft edges."""
    areas = []
    for dx, dy in rng.random((8, 2) if antialias else (400, 2)):
        word = plane.rect_corners(150 + dx, 150 + dy, *size, angle)
        made = make_targets(
            Polygons.of([word]), np.zeros(1, bool), 300, 300, shrink_ratio=0.4, min_side=0, antialias=antialias
        )
        areas.append(made.shrink.sum() / 255)
    d = plane.shrink_distance(word, 0.4)
    assert np.mean(areas) == pytest.approx((size[0] - 2 * d) * (size[1] - 2 * d), rel=0.01)


def test_small_words_are_ignored_and_masked():
    tiny = plane.rect_corners(50, 50, 30, 2, 0)
    made = make_targets(Polygons.of([tiny]), np.zeros(1, bool), 100, 100, shrink_ratio=0.4, min_side=3)
    assert made.shrink.sum() == 0
    assert made.valid[50, 50] == 0


def test_text_wins_over_an_ignored_region_under_it():
    word, region = plane.rect_corners(50, 50, 40, 12, 0), plane.rect_corners(50, 50, 90, 60, 0)
    made = make_targets(Polygons.of([word, region]), np.array([False, True]), 100, 100, shrink_ratio=0.4, min_side=3)
    assert made.valid[50, 50] == 1
    assert made.valid[30, 20] == 0
    assert made.shrink[50, 50] == 255


@pytest.mark.parametrize("polygon", [[[0, 0], [0, 0], [0, 0]], [[0, 0], [50, 0], [100, 0]], [[-9e4, -9e4], [9e4, -9e4], [9e4, 9e4]], [[-500, -500], [-400, -500], [-450, -400]]])  # fmt: skip
def test_degenerate_huge_and_outside_polygons(polygon):
    made = make_targets(Polygons.of([polygon]), np.zeros(1, bool), 60, 40, shrink_ratio=0.4, min_side=3)
    assert np.isfinite(made.threshold).all()


def test_a_page_without_text():
    made = make_targets(Polygons.of([]), np.zeros(0, bool), 60, 40, shrink_ratio=0.4, min_side=3)
    assert made.shrink.sum() == made.band.sum() == 0
    assert made.valid.all()
