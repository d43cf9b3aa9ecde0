"""Plane geometry that only the tests need."""

import math

import numpy as np

from hmean.geometry import area
from hmean.types import Points


def perimeter(polygon: Points) -> float:
    """Length of the closed outline."""
    return float(np.hypot(*(polygon - np.roll(polygon, -1, axis=0)).T).sum())


def shrink_distance(polygon: Points, r: float) -> float:
    """Offset D = A (1 - r^2) / L of the training targets (Liao et al. 2020, AAAI, eq. 10)."""
    length = perimeter(polygon)
    if length == 0:
        return 0.0
    return area(polygon) * (1 - r * r) / length


def rect_corners(cx: float, cy: float, width: float, height: float, degrees: float) -> Points:
    """Corners (4, 2) of a rotated rectangle, clockwise on the screen, the one nearest the page's top-left first."""
    half = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    cos = math.cos(math.radians(degrees))
    sin = math.sin(math.radians(degrees))
    corners = half @ np.array([[cos, sin], [-sin, cos]]) + (cx, cy)
    return _top_left_first(corners)


def order_quad(quad: Points) -> Points:
    """A quad (4, 2) clockwise on the screen, starting at the corner nearest the page's top-left."""
    ax, ay = quad[2] - quad[0]
    bx, by = quad[3] - quad[1]
    is_clockwise = ax * by - ay * bx >= 0
    if not is_clockwise:
        quad = quad[::-1]
    return _top_left_first(quad)


def _top_left_first(quad: Points) -> Points:
    return np.roll(quad, -int(np.argmin(quad.sum(axis=1))), axis=0)
