"""Preparing a page for a text recogniser: the reading order of its words, and their pixels upright.

The order is by lines, from top to bottom and from left to right, as a page without columns of running text is read.
Which direction is right follows from the words themselves, so that a page may lie askew.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from hmean import geometry
from hmean.geometry import Image
from hmean.types import Detections, Points, Polygons

UPRIGHT_ASPECT = 2.5  # height / width of a text polygon from which its text runs down the page
LINE_OVERLAP = 0.5  # share of the lower word's height that two words of one line have in common


class _Span(NamedTuple):
    """Where a word lies on a page that was turned upright."""

    center_x: float
    top: float
    bottom: float

    @property
    def center_y(self) -> float:
        return (self.top + self.bottom) / 2

    def overlap(self, other: _Span) -> float:
        """Common height of two words, as a share of the lower one's."""
        common = min(self.bottom, other.bottom) - max(self.top, other.top)
        lower = min(self.bottom - self.top, other.bottom - other.top)
        return common / max(1e-9, lower)


def reading_order(polygons: Polygons) -> list[list[int]]:
    """The lines of a page from top to bottom: positions of polygons from left to right.

    Taken from left to right, each word joins the line whose last word it shares the most height with, if that is at
    least ``LINE_OVERLAP``: so lines may bend. Lines are ordered by the mean height of their words' centres.
    """
    if len(polygons) == 0:
        return []
    spans = _upright_spans(polygons)
    lines: list[list[int]] = []
    for position in sorted(range(len(spans)), key=lambda position: spans[position].center_x):
        overlaps = [spans[position].overlap(spans[line[-1]]) for line in lines]
        best = int(np.argmax(overlaps)) if overlaps else None
        if best is not None and overlaps[best] >= LINE_OVERLAP:
            lines[best].append(position)
        else:
            lines.append([position])
    return sorted(lines, key=lambda line: float(np.mean([spans[position].center_y for position in line])))


def _upright_spans(polygons: Polygons) -> list[_Span]:
    turned = geometry.transform(geometry.rotation(-text_angle(polygons)), polygons.points)
    spans = []
    for polygon in polygons.with_points(turned):
        x, y = polygon.T
        spans.append(_Span(float(x.mean()), float(y.min()), float(y.max())))
    return spans


def crops(image: Image, found: Detections) -> list[Image]:
    """The pixels of each text polygon, rectified and turned upright, each as high as its text."""
    direction = math.radians(text_angle(found.polygons))
    return [_rectify(image, quad_of(polygon), direction) for polygon in found.polygons]


def text_angle(polygons: Polygons) -> float:
    """The angle by which text runs down to the right, in degrees in (-90, 90].

    It is the mean of the longer sides, in which longer words count more. The mean is of doubled angles, so that both
    directions of a side are the same (Mardia, Directional Statistics, 1.3).
    """
    quads = np.array([quad_of(polygon) for polygon in polygons]).reshape(-1, 4, 2)
    across = quads[:, 1] - quads[:, 0]
    down = quads[:, 2] - quads[:, 1]
    width = np.hypot(*across.T)
    height = np.hypot(*down.T)
    longer = np.where((width >= height)[:, None], across, down)
    doubled = 2 * np.arctan2(longer[:, 1], longer[:, 0])
    weights = np.abs(width - height)
    sine = float(weights @ np.sin(doubled))
    cosine = float(weights @ np.cos(doubled))
    return math.degrees(math.atan2(sine, cosine) / 2)


def quad_of(polygon: Points) -> Points:
    """Four corners, clockwise on the screen: the polygon's own, or those of the smallest rectangle around it."""
    quad = polygon
    if len(polygon) != 4:
        quad = cv2.boxPoints(geometry.min_area_rect(polygon)).astype(np.float64)
    x, y = quad.T
    doubled_area = x @ np.roll(y, -1) - y @ np.roll(x, -1)
    if doubled_area >= 0:
        return quad
    return quad[::-1]


def _rectify(image: Image, quad: Points, direction: float) -> Image:
    """The pixels of a quad whose text runs in the direction (radians) that is nearest to that of the page."""
    sides = np.roll(quad, -1, axis=0) - quad
    first = int(np.argmax(sides @ (math.cos(direction), math.sin(direction))))  # the upper side
    lengths = np.roll(np.hypot(*sides.T), -first)
    if lengths[1] + lengths[3] > UPRIGHT_ASPECT * (lengths[0] + lengths[2]):
        first = first + 3
        lengths = np.roll(lengths, 1)
    width = max(1, round(float(max(lengths[0], lengths[2]))))
    height = max(1, round(float(max(lengths[1], lengths[3]))))
    target = geometry.corners(width, height).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(np.roll(quad, -first, axis=0).astype(np.float32), target)
    return geometry.warp(image, np.asarray(matrix, dtype=np.float64), width, height)
