"""Plane geometry on polygons and views; the one place that knows where pixel centres lie.

A *view* of a page is a 3 x 3 homogeneous matrix from page pixels to view pixels. Both frames are continuous and put the
centre of the first pixel at (0.5, 0.5). OpenCV puts it at (0, 0): ``warp`` is where the half pixel is added and taken.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.types import Points

Matrix = NDArray[np.float64]  # (3, 3)
Image = NDArray[np.uint8]  # (H, W, 3), RGB
FINER = 1.25  # a view is interpolated from pixels at least so much finer than its own, where the page has them
HORIZON = 1e-9  # least depth at which a point still has an image


def translation(dx: float, dy: float) -> Matrix:
    """Move by (dx, dy)."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


def scaling(sx: float, sy: float) -> Matrix:
    """Scale about the origin."""
    return np.diag([sx, sy, 1.0])


def rotation(degrees: float) -> Matrix:
    """Turn about the origin, clockwise on the screen for positive angles (y points down)."""
    cos = math.cos(math.radians(degrees))
    sin = math.sin(math.radians(degrees))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def quarter_turns(count: int) -> Matrix:
    """Turn about the origin by so many right angles, clockwise on the screen; exact, unlike ``rotation``."""
    cos = (1.0, 0.0, -1.0, 0.0)[count % 4]
    sin = (0.0, 1.0, 0.0, -1.0)[count % 4]
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def about(matrix: Matrix, x: float, y: float) -> Matrix:
    """``matrix`` applied about the point (x, y) instead of the origin."""
    return translation(x, y) @ matrix @ translation(-x, -y)


def transform(matrix: Matrix, points: Points) -> Points:
    """Map points (n, 2) by a homogeneous matrix.

    Raises:
        ValueError: if a point lies on or behind the matrix's horizon, where it has no image.
    """
    if len(points) == 0:
        return points.copy()
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    depth = mapped[:, 2:]
    if depth.min() <= HORIZON:
        raise ValueError("a point lies behind the horizon of the view")
    return mapped[:, :2] / depth


def corners(width: float, height: float) -> Points:
    """Corners (4, 2) of the rectangle from (0, 0) to (width, height), clockwise on the screen."""
    return np.array([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]])


def homogeneous_corners(width: float, height: float) -> NDArray[np.float64]:
    """The same corners as homogeneous points (4, 3), for matrices that may map them behind the horizon."""
    return np.column_stack([corners(width, height), np.ones(4)])


# --- warping ----------------------------------------------------------------------------------------------------------


def warp(
    image: NDArray[Any],
    matrix: Matrix,
    width: int,
    height: int,
    fill: tuple[int, ...] = (0, 0, 0),
) -> NDArray[Any]:
    """The view of an image on a canvas, resampled once.

    A view that only scales by whole-pixel sizes and shifts by whole pixels, which every letterbox does, is one
    ``cv2.resize`` by area averaging and a paste. Any other is interpolated, from an image first averaged over whole
    blocks and blurred as far as aliasing requires: averaging to the view's scale first would blur it twice.

    Args:
        image: (H, W, 3), or (H, W) with a ``fill`` of one value.
        matrix: from its pixels to the view's.
        width: of the view, pixels.
        height: likewise.
        fill: value of the pixels beside the image.

    Raises:
        ValueError: if the view has no area.
    """
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if scale <= 0 or not np.isfinite(matrix).all():
        raise ValueError("the view has no area")
    place = _whole_pixel_place(image, matrix)
    if place is not None:
        resized = _resize(image, place.width, place.height)
        return _paste(resized, place.left, place.top, width, height, fill)
    image, matrix = _cut_to_view(image, matrix, width, height)
    if image.size == 0:
        return _paste(image, 0, 0, width, height, fill)
    blocks = max(1, int(1 / (scale * FINER)))
    if blocks > 1:
        image = _average_blocks(image, blocks)
        matrix = matrix @ scaling(blocks, blocks)
        scale = scale * blocks
    image = _blur_against_aliasing(image, scale)
    centred = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    return cv2.warpPerspective(
        image, centred, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )


class _Place(NamedTuple):
    """Where in a view an image lies, in whole pixels."""

    left: int
    top: int
    width: int
    height: int


def _whole_pixel_place(image: NDArray[Any], matrix: Matrix) -> _Place | None:
    """Where the image lies if the view does no more than scale it to whole pixels and shift it by whole pixels."""
    skew = abs(matrix[0, 1]) + abs(matrix[1, 0]) + abs(matrix[2, 0]) + abs(matrix[2, 1])
    if skew >= 1e-12:
        return None
    exact = np.array([
        matrix[0, 2],
        matrix[1, 2],
        matrix[0, 0] * image.shape[1],
        matrix[1, 1] * image.shape[0],
    ])  # fmt: skip
    rounded = np.round(exact)
    if exact[2] <= 0 or exact[3] <= 0 or np.abs(exact - rounded).max() >= 1e-6:
        return None
    return _Place(*(int(value) for value in rounded))


def _cut_to_view(
    image: NDArray[Any],
    matrix: Matrix,
    width: int,
    height: int,
) -> tuple[NDArray[Any], Matrix]:
    """The part of ``image`` that the view shows, with a margin that is blended into it; and the part's matrix."""
    on_image = homogeneous_corners(width, height) @ np.linalg.inv(matrix).T
    depth = on_image[:, 2:]
    if depth.min() <= HORIZON:
        return image, matrix
    on_image = on_image[:, :2] / depth
    margin = 4 + 2 * np.ptp(on_image, axis=0) / min(width, height)
    low = np.floor(on_image.min(axis=0) - margin)
    high = np.ceil(on_image.max(axis=0) + margin)
    size = image.shape[1::-1]
    left, top = np.clip(low, 0, size).astype(int)
    right, bottom = np.clip(high, 0, size).astype(int)
    return image[top:bottom, left:right], matrix @ translation(left, top)


def _average_blocks(image: NDArray[Any], blocks: int) -> NDArray[Any]:
    """The image at 1 / ``blocks`` of its size."""
    height, width = image.shape[:2]
    image = cv2.copyMakeBorder(image, 0, -height % blocks, 0, -width % blocks, cv2.BORDER_REPLICATE)
    return _resize(image, image.shape[1] // blocks, image.shape[0] // blocks)


def _blur_against_aliasing(image: NDArray[Any], scale: float) -> NDArray[Any]:
    """The image blurred as far as a view at this scale needs.

    The variance is that of a box as wide as a view's pixel, less that of an image's pixel. 4/3 is what came nearest to
    4 x 4 samples a pixel at scales 0.42 to 0.7, before area averaging and interpolation, and interpolation alone.
    """
    variance = 4 / 3 * (1 / (scale * scale) - 1) / 12
    if variance <= 0.01:
        return image
    if variance < 0.4:
        side = 3
    else:
        side = 5
    return cv2.GaussianBlur(image, (side, side), math.sqrt(variance))


def _resize(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    if image.shape[:2] == (height, width):
        return image
    if width * height < image.shape[0] * image.shape[1]:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _paste(
    image: NDArray[Any],
    left: int,
    top: int,
    width: int,
    height: int,
    fill: tuple[int, ...],
) -> NDArray[Any]:
    """A canvas with the image's top-left corner at (left, top)."""
    x0 = max(left, 0)
    y0 = max(top, 0)
    x1 = min(left + image.shape[1], width)
    y1 = min(top + image.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return np.full((height, width, *image.shape[2:]), fill, dtype=image.dtype)
    seen = image[y0 - top : y1 - top, x0 - left : x1 - left]
    drawn = cv2.copyMakeBorder(seen, y0, height - y1, x0, width - x1, cv2.BORDER_CONSTANT, value=fill)
    return drawn.reshape(height, width, *image.shape[2:])


# --- polygons ---------------------------------------------------------------------------------------------------------


def area(polygon: Points) -> float:
    """Unsigned area by the shoelace formula, in double precision."""
    x = polygon[:, 0] - polygon[0, 0]
    y = polygon[:, 1] - polygon[0, 1]
    # The edges at the first point, which is at 0, add nothing.
    twice = float(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:]))
    return abs(twice) / 2


class RotatedRect(NamedTuple):
    """A rectangle as OpenCV describes it.

    Attributes:
        centre: x and y.
        size: width and height.
        angle: from the x axis to the side called width, degrees, clockwise on the screen.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    angle: float

    @property
    def slope(self) -> float:
        """The angle of the longer side to the horizontal, degrees, from 0 to 90."""
        width, height = self.size
        turn = self.angle
        if width >= height:
            turn += 90
        return abs(turn % 180 - 90)


def min_area_rect(points: NDArray[Any]) -> RotatedRect:
    """Smallest rotated rectangle around points (n, 2)."""
    (x, y), (width, height), angle = cv2.minAreaRect(np.ascontiguousarray(points, dtype=np.float32))
    centre = (float(x), float(y))
    size = (float(width), float(height))
    return RotatedRect(centre, size, float(angle))


def box_around(points: Points) -> Points:
    """The four corners (4, 2) of the smallest axis-parallel box around points (n, 2), from its top-left on."""
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def quad_around(points: Points) -> Points:
    """The four corners (4, 2) of the smallest rectangle around points (n, 2); of its box if that is all but a line."""
    quad = np.asarray(cv2.boxPoints(min_area_rect(points)), dtype=np.float64)
    if area(quad) < area(points):
        return box_around(points)
    return quad


def clamp(points: Points, width: float, height: float) -> Points:
    """Points (n, 2) moved to the nearest place on the page."""
    return np.clip(points, 0.0, (float(width), float(height)))
