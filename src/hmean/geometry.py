"""Plane geometry on polygons and views; the one place that knows where pixel centres lie.

A *view* of a page is a 3 x 3 homogeneous matrix from page pixels to view pixels. Both frames are continuous and put the
centre of the first pixel at (0.5, 0.5). OpenCV puts it at (0, 0): ``warp`` is where the half pixel is added and taken.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.types import Points

Matrix = NDArray[np.float64]  # (3, 3)
Image = NDArray[np.uint8]  # (H, W, 3), RGB
FINER = 1.25  # a view is interpolated from pixels at least so much finer than its own, where the page has them


def translation(dx: float, dy: float) -> Matrix:
    """Move by (dx, dy)."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


def scaling(sx: float, sy: float) -> Matrix:
    """Scale about the origin."""
    return np.diag([sx, sy, 1.0])


def rotation(degrees: float) -> Matrix:
    """Turn about the origin, clockwise on the screen for positive angles (y points down)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


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
    if mapped[:, 2].min() <= 1e-9:
        raise ValueError("a point lies behind the horizon of the view")
    return mapped[:, :2] / mapped[:, 2:]


def warp(
    image: NDArray[Any], matrix: Matrix, width: int, height: int, fill: tuple[int, ...] = (0, 0, 0)
) -> NDArray[Any]:
    """The view of ``image`` (H, W, 3), or (H, W) with a ``fill`` of one value, on a canvas: resampled once.

    A view that only scales by whole-pixel sizes and shifts by whole pixels, which every letterbox does, is one
    ``cv2.resize`` by area averaging and a paste. Any other is interpolated, from an image first averaged over whole
    blocks and blurred as far as aliasing asks: averaging to the view's scale first would blur it twice.
    """
    h, w = image.shape[:2]
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if scale <= 0 or not np.isfinite(matrix).all():
        raise ValueError("the view has no area")
    axis_aligned = abs(matrix[0, 1]) + abs(matrix[1, 0]) + abs(matrix[2, 0]) + abs(matrix[2, 1]) < 1e-12
    if axis_aligned:
        rw, rh = matrix[0, 0] * w, matrix[1, 1] * h
        dx, dy = matrix[0, 2], matrix[1, 2]
        whole = np.array([rw, rh, dx, dy])
        if rw > 0 and rh > 0 and np.abs(whole - np.round(whole)).max() < 1e-6:
            return _paste(_resize(image, round(rw), round(rh)), round(dx), round(dy), width, height, fill)
    image, matrix = _visible(image, matrix, width, height)
    if not image.size:
        return _paste(image, 0, 0, width, height, fill)
    blocks = max(1, int(1 / (scale * FINER)))
    if blocks > 1:
        h, w = image.shape[:2]
        image = cv2.copyMakeBorder(image, 0, -h % blocks, 0, -w % blocks, cv2.BORDER_REPLICATE)
        image = _resize(image, image.shape[1] // blocks, image.shape[0] // blocks)
        matrix, scale = matrix @ scaling(blocks, blocks), scale * blocks
    # The variance of a box as wide as a view's pixel, less that of an image's pixel; 4/3 is what came nearest to
    # 4 x 4 samples a pixel at scales 0.42 to 0.7, before area averaging and interpolation, and interpolation alone.
    variance = 4 / 3 * (1 / (scale * scale) - 1) / 12
    if variance > 0.01:
        side = 3 if variance < 0.4 else 5
        image = cv2.GaussianBlur(image, (side, side), math.sqrt(variance))
    centred = translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)
    return cv2.warpPerspective(
        image, centred, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )


def _visible(image: NDArray[Any], matrix: Matrix, width: int, height: int) -> tuple[NDArray[Any], Matrix]:
    """The part of ``image`` that the view shows and what its pixels are blended with, and its matrix."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]]) @ np.linalg.inv(matrix).T
    if corners[:, 2].min() <= 1e-9:
        return image, matrix
    at = corners[:, :2] / corners[:, 2:]
    margin = 4 + 2 * np.ptp(at, axis=0) / min(width, height)
    size = image.shape[1::-1]
    x0, y0 = np.clip(np.floor(at.min(axis=0) - margin), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(at.max(axis=0) + margin), 0, size).astype(int)
    return image[y0:y1, x0:x1], matrix @ translation(x0, y0)


def _resize(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    if image.shape[:2] == (height, width):
        return image
    shrink = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


def _paste(image: NDArray[Any], dx: int, dy: int, width: int, height: int, fill: tuple[int, ...]) -> NDArray[Any]:
    x0, y0 = max(dx, 0), max(dy, 0)
    x1, y1 = min(dx + image.shape[1], width), min(dy + image.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return np.full((height, width, *image.shape[2:]), fill, dtype=image.dtype)
    seen = image[y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    drawn = cv2.copyMakeBorder(seen, y0, height - y1, x0, width - x1, cv2.BORDER_CONSTANT, value=fill)
    return drawn.reshape(height, width, *image.shape[2:])


def area(polygon: Points) -> float:
    """Unsigned area by the shoelace formula, in double precision."""
    x, y = polygon[:, 0] - polygon[0, 0], polygon[:, 1] - polygon[0, 1]
    return abs(float(np.dot(x[:-1], y[1:]) - np.dot(y[:-1], x[1:]))) / 2  # the first point, at 0, adds nothing


def min_area_rect(points: NDArray[Any]) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Smallest rotated rectangle around points (n, 2): centre, (width, height), angle in degrees."""
    (cx, cy), (w, h), angle = cv2.minAreaRect(np.ascontiguousarray(points, dtype=np.float32))
    return (float(cx), float(cy)), (float(w), float(h)), float(angle)


def clamp(points: Points, width: float, height: float) -> Points:
    """Points (n, 2) moved to the nearest place on the page."""
    return np.clip(points, 0.0, (float(width), float(height)))
