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
    return area(polygon) * (1 - r * r) / length if length > 0 else 0.0


def rect_corners(cx: float, cy: float, w: float, h: float, degrees: float) -> Points:
    """Corners (4, 2) of a rotated rectangle, clockwise on the screen, the one nearest the page's top-left first."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2
    corners = half @ np.array([[c, s], [-s, c]]) + (cx, cy)
    return np.roll(corners, -int(np.argmin(corners.sum(axis=1))), axis=0)


def order_quad(quad: Points) -> Points:
    """A quad (4, 2) clockwise on the screen, starting at the corner nearest the page's top-left."""
    cross = (quad[2] - quad[0])[0] * (quad[3] - quad[1])[1] - (quad[2] - quad[0])[1] * (quad[3] - quad[1])[0]
    clockwise = quad if cross >= 0 else quad[::-1]
    return np.roll(clockwise, -int(np.argmin(clockwise.sum(axis=1))), axis=0)
