import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hmean import geometry
from support import plane

angles = st.floats(-180, 180)


def test_a_pasted_view_keeps_its_channels():
    page = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    assert geometry.warp(page, np.eye(3), 6, 5, fill=(7,)).shape == (5, 6, 1)
    assert geometry.warp(page, geometry.translation(9, 9), 6, 5, fill=(7,)).shape == (5, 6, 1)


def test_pixel_centres_survive_a_warp():
    """A dot drawn at a known place must be where the matrix says, to a tenth of a pixel."""
    page = np.zeros((60, 80, 3), np.uint8)
    page[20, 30] = 255  # centre at (30.5, 20.5)
    matrix = geometry.translation(7, 3) @ geometry.scaling(3, 3)
    view = geometry.warp(page, matrix, 300, 250)[:, :, 0].astype(float)
    ys, xs = np.mgrid[: view.shape[0], : view.shape[1]] + 0.5
    found = [(xs * view).sum() / view.sum(), (ys * view).sum() / view.sum()]
    assert found == pytest.approx(geometry.transform(matrix, np.array([[30.5, 20.5]]))[0], abs=0.1)


@pytest.mark.parametrize("long_side", [97, 160, 333, 1000])
def test_a_shrunk_edge_lies_where_the_matrix_says(long_side):
    """The two ways to shrink (area averaging, and interpolation of what is little finer) put it at the same place."""
    page = np.zeros((400, 500, 3), np.uint8)
    page[:, 203:] = 255
    scale = long_side / 500
    width, height = round(500 * scale), round(400 * scale)
    exact = geometry.scaling(width / 500, height / 400)
    turned = geometry.about(geometry.rotation(1e-4), 250, 200)  # no longer axis-aligned: the general route
    for matrix, nearly in ((exact, 0.1), (exact @ turned, 0.2)):
        row = geometry.warp(page, matrix, width, height)[height // 2, :, 0] / 255
        row[-2:] = 1  # the page's own border blends with what lies beside it
        assert width - row.sum() == pytest.approx(203 * width / 500, abs=nearly)


@given(angle=angles, w=st.floats(1, 500), h=st.floats(1, 500))
def test_rect_corners_and_area(angle, w, h):
    corners = plane.rect_corners(100, 50, w, h, angle)
    assert geometry.area(corners) == pytest.approx(w * h, rel=1e-9)
    assert plane.perimeter(corners) == pytest.approx(2 * (w + h), rel=1e-9)
    assert corners.mean(axis=0) == pytest.approx([100, 50])
    assert shapely.Polygon(corners).exterior.is_ccw  # clockwise on the screen, where y points down


@given(angle=angles)
def test_corners_turn_as_opencv_turns_them(angle):
    ours = plane.rect_corners(40, 30, 20, 8, angle)
    theirs = cv2.boxPoints(((40, 30), (20, 8), angle))
    distance = np.linalg.norm(ours[:, None] - theirs[None], axis=2).min(axis=1)
    assert distance.max() < 1e-3


def test_order_quad_starts_top_left_and_goes_clockwise():
    quad = np.array([[10.0, 10], [0, 10], [0, 0], [10, 0]])
    for shift in range(4):
        for direction in (1, -1):
            assert plane.order_quad(np.roll(quad, shift, axis=0)[::direction]).tolist() == [
                [0, 0],
                [10, 0],
                [10, 10],
                [0, 10],
            ]


def test_points_behind_the_horizon_are_refused():
    matrix = np.array([[1, 0, 0], [0, 1, 0], [-0.1, 0, 1.0]])
    with pytest.raises(ValueError, match="horizon"):
        geometry.transform(matrix, np.array([[11.0, 0]]))


def test_shrink_distance_is_the_papers():
    rectangle = np.array([[0, 0], [100, 0], [100, 20], [0, 20.0]])
    assert plane.shrink_distance(rectangle, 0.4) == pytest.approx(2000 * (1 - 0.16) / 240)
