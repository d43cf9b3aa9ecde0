"""Sides between pixels, where the mean of the map across a side falls to ``edge_level``."""

import numpy as np
import pytest
import shapely

from hmean.postprocess.components import CENTRE_X, CENTRE_Y, HEIGHT, WIDTH, find_components
from hmean.postprocess.edges import fit_sides
from hmean.postprocess.parameters import PostprocessParams
from support import plane
from support.maps import blocks, found

EXACT = {"thresh": 0.5, "box_thresh": 0.0, "min_size": 0.0, "unclip": "inverse"}


def soft_map(corners, slope=0.2, shape=(240, 300)):
    """0.5 on the sides of a convex polygon, rising inwards and falling outwards by ``slope`` a pixel."""
    ys, xs = np.mgrid[: shape[0], : shape[1]] + 0.5
    points = shapely.points(xs.ravel(), ys.ravel())
    word = shapely.Polygon(corners)
    distance = shapely.distance(word.exterior, points) * np.where(shapely.contains(word, points), 1, -1)
    return np.clip(0.5 + slope * distance, 0, 1).reshape(shape).astype(np.float32)


def fitted(probability, thresh, level):
    (components,) = find_components(probability, [thresh])
    assert len(components) == 1
    return fit_sides(probability, components.rectangles, np.array([0]), level)[0]


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
@pytest.mark.parametrize("thresh", [0.3, 0.5, 0.8])
def test_sides_lie_between_pixels_whatever_the_threshold(kind, thresh):
    probability = soft_map(plane.rect_corners(150.3, 120.8, 100.4, 20.6, 0))
    if kind is np.uint8:
        probability = np.round(probability * 255).astype(np.uint8)
    rectangle = fitted(probability, thresh, 0.5)
    wanted = {CENTRE_X: 150.3, CENTRE_Y: 120.8, WIDTH: 100.4, HEIGHT: 20.6}
    for column, value in wanted.items():
        assert rectangle[column] == pytest.approx(value, abs=0.06)


@pytest.mark.parametrize(("level", "move"), [(0.3, 1.0), (0.7, -1.0)])
def test_the_level_moves_the_sides(level, move):
    rectangle = fitted(soft_map(plane.rect_corners(150, 120, 100, 20, 0)), 0.5, level)
    assert rectangle[WIDTH] == pytest.approx(100 + 2 * move, abs=0.05)
    assert rectangle[HEIGHT] == pytest.approx(20 + 2 * move, abs=0.05)


@pytest.mark.parametrize("angle", [3, 17, 44, 60])
def test_turned_rectangles(angle):
    rectangle = fitted(soft_map(plane.rect_corners(150.3, 120.8, 100.4, 20.6, angle)), 0.6, 0.5)
    assert rectangle[[CENTRE_X, CENTRE_Y]] == pytest.approx([150.3, 120.8], abs=0.3)
    assert sorted(rectangle[[WIDTH, HEIGHT]]) == pytest.approx([20.6, 100.4], abs=0.5)


def test_a_pixel_that_sticks_out_moves_no_side():
    probability = soft_map(plane.rect_corners(150, 120, 100, 20, 0))
    probability[104:110, 150] = 1
    assert fitted(probability, 0.5, 0.5)[HEIGHT] == pytest.approx(20, abs=0.7)
    (components,) = find_components(probability, [0.5])
    assert components.rectangles[0, HEIGHT] > 24


def test_a_side_that_finds_no_edge_stays():
    assert fitted(blocks((0, 0, 200, 100), values=0.9), 0.5, 0.3)[[WIDTH, HEIGHT]] == pytest.approx([200, 100], abs=0.7)
    flat = np.full((100, 200), 0.4, np.float32)
    flat[40:60, 50:150] = 0.9
    assert fitted(flat, 0.5, 0.3)[[WIDTH, HEIGHT]] == pytest.approx([100, 20])  # the map is above the level all around
    assert fitted(flat, 0.5, 0.95)[[WIDTH, HEIGHT]] == pytest.approx([100, 20])  # and nowhere above this one


@pytest.mark.parametrize("r", [0.5, 0.7])
def test_the_inverse_undoes_the_shrinking_of_fitted_sides(r):
    word = plane.rect_corners(150.3, 120.8, 100.4, 30.6, 0)
    d = plane.shrink_distance(word, r)
    shrunk = plane.rect_corners(150.3, 120.8, 100.4 - 2 * d, 30.6 - 2 * d, 0)
    detections = found(soft_map(shrunk), PostprocessParams(**EXACT, inverse_r=r, edge_level=0.5))
    iou = _iou(detections.polygons[0], word)
    assert iou > 0.99
    outermost = found(soft_map(shrunk), PostprocessParams(**EXACT, inverse_r=r))
    assert iou > _iou(outermost.polygons[0], word)


def test_outlines_have_no_sides_to_fit():
    probability = soft_map(plane.rect_corners(150.3, 120.8, 100.4, 30.6, 5))
    outlines = found(probability, PostprocessParams(**EXACT, use_polygon=True))
    same = found(probability, PostprocessParams(**EXACT, use_polygon=True, edge_level=0.3))
    assert np.array_equal(outlines.polygons.points, same.polygons.points)


def _iou(a, b):
    a, b = shapely.Polygon(a), shapely.Polygon(b)
    return a.intersection(b).area / a.union(b).area
