import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean.postprocess import polygon_offset
from hmean.postprocess.components import find_components
from hmean.postprocess.polygon_offset import MITRE_LIMIT, offset_polygons
from hmean.types import Polygons


def star(rng, n, wobble):
    """An outline around the origin: convex without wobble, with notches and spikes with it."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, n)) + 0.01 * np.arange(n)
    radius = 40 * (1 + wobble * rng.uniform(-1, 1, n))
    return np.stack([3 * radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def stairs(rng):
    """Outlines as pixels give them: steps, notches and bumps of one pixel along a bar."""
    top = np.cumsum(rng.integers(-1, 2, 20)) % 3
    upper = [(3 * i + d, int(t)) for i, t in enumerate(top) for d in (0, 2)]
    lower = [(x, y + 12) for x, y in upper[::-1]]
    return np.array(upper + lower, dtype=np.float64) + 0.5


def moved_by(outline, distance):
    """The outline, moved outwards by a distance."""
    return shapely.Polygon(offset_polygons(Polygons.of([outline]), np.zeros(1, int), np.array([distance]))[0])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["convex", "notched", "stairs"]), st.floats(0.1, 15), st.booleans())
def test_the_offset_is_that_of_geos(seed, kind, distance, backwards):
    rng = np.random.default_rng(seed)
    outline = stairs(rng) if kind == "stairs" else star(rng, int(rng.integers(3, 14)), 0.3 * (kind == "notched"))
    outline = outline[::-1] if backwards else outline
    shape = shapely.Polygon(outline)
    if not shape.is_valid or shape.area < 1:
        return
    moved = moved_by(outline, distance)
    assert moved.is_valid
    expected = shape.buffer(distance, join_style="mitre", mitre_limit=2.0)
    expected = shapely.Polygon(expected.exterior)
    assert moved.symmetric_difference(expected).area <= 1e-6 * distance * shape.length


def textbook(outline, distance):
    """The definition, part by part: what is inside, or outside beside an edge, or in a corner's mitre, cut at its limit."""
    outline = outline if shapely.LinearRing(outline).is_ccw else outline[::-1]
    parts = [shapely.Polygon(outline)]
    for p, q, r in zip(np.roll(outline, 1, axis=0), outline, np.roll(outline, -1, axis=0), strict=True):
        a, b = ((v / np.hypot(*v)) for v in (q - p, r - q))
        out_a, out_b = (distance * np.array([v[1], -v[0]]) for v in (a, b))
        parts.append(shapely.Polygon([q, r, r + out_b, q + out_b]))
        cosine = a @ b
        if a[0] * b[1] - a[1] * b[0] > 0:  # an outward corner
            tip = [q + (out_a + out_b) / (1 + cosine)]
            if 1 + cosine < 2 / MITRE_LIMIT**2:
                half = np.sqrt((1 + cosine) / 2)
                reach = distance * (MITRE_LIMIT - half) / np.sqrt(1 - half**2)
                tip = [q + out_a + reach * a, q + out_b - reach * b]
            parts.append(shapely.Polygon([q, q + out_a, *tip, q + out_b]))
    whole = shapely.union_all([shapely.make_valid(part) for part in parts])
    return shapely.Polygon(whole.exterior)


@pytest.mark.parametrize("seed", range(12))
def test_outlines_of_maps_are_moved_as_the_textbook_says(seed):
    """Outlines of components as they come, hundreds of notched and stepped ones: all sides to 0.01 px."""
    rng = np.random.default_rng(seed)
    probability = cv2.GaussianBlur(rng.random((160, 320), dtype=np.float32), (0, 0), sigmaX=4, sigmaY=1.5)
    (found,) = find_components(probability, [float(np.quantile(probability, 0.7))])
    which = np.flatnonzero([shapely.Polygon(outline).is_valid for outline in found.outlines])
    assert len(which) > 30
    distances = rng.uniform(0.6, 6, len(which))
    for i, moved in enumerate(offset_polygons(found.outlines, which, distances)):
        expected = textbook(found.outlines[int(which[i])], distances[i])
        assert shapely.hausdorff_distance(shapely.LinearRing(moved), expected.exterior, densify=0.2) < 0.01


def test_no_outline_needs_geos_not_even_one_that_crosses_itself():
    rng = np.random.default_rng(0)
    drawn = [stairs(rng) for _ in range(100)] + [star(rng, int(rng.integers(3, 14)), 0.9) for _ in range(100)]
    drawn += [rng.integers(0, 9, (n, 2)).astype(float) for n in rng.integers(3, 12, 400)]  # on a grid: all degeneracies
    drawn = [outline for outline in drawn if len(np.unique(outline, axis=0)) > 1]
    outlines, distances = Polygons.of(drawn), rng.uniform(0.5, 9, len(drawn))
    points, ends = polygon_offset._offset_all(outlines.points, outlines.offsets, np.arange(len(drawn)), distances)
    assert (np.diff(ends) > 2).all()
    for outline, distance, moved in zip(outlines, distances, Polygons(points, ends), strict=True):
        shape = shapely.Polygon(moved)
        assert shape.is_valid
        # All that is nearer than the distance, within what GEOS makes of a circle.
        assert shape.buffer(1e-4).contains(shapely.LinearRing([*outline, outline[0]]).buffer(0.99 * distance))
        assert shape.within(
            shapely.MultiPoint(outline).convex_hull.buffer(2.3 * distance)
        )  # the corners of a mitre cut at 2


@pytest.mark.parametrize(
    "outline",
    [
        [(0, 0), (30, 0), (0, 20), (30, 20)],  # crosses itself
        [(0, 0), (40, 0), (40, 0), (40, 10), (0, 10)],  # a point twice
        [(0, 0), (50, 0), (0, 0.001)],  # a needle
        [(0, 0), (9, 0), (9, 9), (5, 9), (5, 1), (4, 1), (4, 9), (0, 9)],  # a slot that closes
        [(0, 0), (10, 0), (20, 0), (20, 5), (10, 5), (0, 5)],  # points in one line
    ],
)
def test_hard_outlines_hold_what_they_held(outline):
    moved = moved_by(outline, 3.0)
    assert moved.is_valid
    assert moved.buffer(1e-6).contains(shapely.MultiPoint(outline[:3]))
    assert moved.area > shapely.Polygon(outline).buffer(0).area
