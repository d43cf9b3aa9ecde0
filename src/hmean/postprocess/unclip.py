"""Unclipping: text polygons are moved outwards, to undo the shrinking of the training targets.

The distance D' follows from the area A' and the perimeter L' of the shrunk text:

- ``ratio``: D' = A' * ``unclip_ratio`` / L' (Liao et al. 2020, equation 11).
- ``inverse``: the D' that undoes the shrinking with the ratio ``inverse_r`` exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from hmean.postprocess.components import (
    ACROSS_SIGNS,
    ALONG_SIGNS,
    AXIS_X,
    AXIS_Y,
    CENTRE_X,
    CENTRE_Y,
    HEIGHT,
    WIDTH,
    Floats,
    Ints,
    Rectangles,
)
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.polygon_offset import offset_polygons
from hmean.types import Points, Polygons


class UnclipRule(NamedTuple):
    """How the unclip distance is found.

    Attributes:
        margin: how far the edge of the shrunk text is taken to lie outside of the centres of its outermost pixels.
        value: ``unclip_ratio`` or ``inverse_r``.
        by_ratio: whether the unclip mode is ``ratio``.
    """

    margin: float
    value: float
    by_ratio: bool

    @classmethod
    def of(cls, params: PostprocessParams) -> UnclipRule:
        """The rule of these parameters."""
        if params.unclip == "ratio":
            # No margin, as in all DBNet programs, so that values of ``unclip_ratio`` from elsewhere mean the same.
            return cls(margin=0.0, value=float(params.unclip_ratio), by_ratio=True)
        if params.has_fitted_sides:
            return cls(margin=0.0, value=float(params.inverse_r), by_ratio=False)
        # The edge lies half a pixel outside, on average.
        return cls(margin=0.5, value=float(params.inverse_r), by_ratio=False)


def unclip_rectangles(rectangles: Rectangles, which: Ints, rule: UnclipRule) -> Polygons:
    """Unclip some of K rectangles.

    Args:
        rectangles: see ``components.Components`` (K, 6).
        which: those of them to unclip (N,).
        rule: see the class.

    Returns:
        N quads, clockwise on the screen, each from the corner nearest to the top left of the page.
    """
    corners = _unclipped_corners(rectangles, which, rule)
    return Polygons(corners, np.arange(len(which) + 1) * 4)


def unclip_outlines(outlines: Polygons, which: Ints, rule: UnclipRule) -> Polygons:
    """Unclip some of K outlines: those at ``which`` (N,)."""
    distances = _outline_distances(outlines.points, outlines.offsets, which, rule)
    return offset_polygons(outlines, which, distances)


@njit(cache=True, nogil=True)
def unclip_distance(area: float, perimeter: float, rule: UnclipRule) -> float:
    """D' from the area and the perimeter of the shrunk text: see the module.

    ``inverse`` solves D = (A' + L' D + 4 D^2) s / (L' + 8 D) with s = 1 - r^2: the shrink distance (equation 10) of the
    outline that lies D outside, if its corners are square. That is (8 - 4 s) D^2 + (1 - s) L' D - s A' = 0.
    """
    if rule.by_ratio:
        if perimeter > 0:
            return area * rule.value / perimeter
        return 0.0
    s = 1 - rule.value**2
    a = 8 - 4 * s
    b = (1 - s) * perimeter
    c = -s * area
    return (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)


@njit(cache=True, nogil=True)
def _unclipped_corners(rectangles: Rectangles, which: Ints, rule: UnclipRule) -> Points:
    """The corners of the unclipped rectangles, one rectangle after another (4 N, 2)."""
    out = np.empty((4 * len(which), 2))
    for i in range(len(which)):
        rectangle = rectangles[which[i]]
        width = rectangle[WIDTH] + 2 * rule.margin
        height = rectangle[HEIGHT] + 2 * rule.margin
        distance = unclip_distance(width * height, 2 * (width + height), rule)
        ux = rectangle[AXIS_X]
        uy = rectangle[AXIS_Y]
        for corner in range(4):
            along = (width / 2 + distance) * ALONG_SIGNS[corner]
            across = (height / 2 + distance) * ACROSS_SIGNS[corner]
            out[4 * i + corner, 0] = rectangle[CENTRE_X] + along * ux - across * uy
            out[4 * i + corner, 1] = rectangle[CENTRE_Y] + along * uy + across * ux
    return out


@njit(cache=True, nogil=True)
def _outline_distances(points: Points, offsets: Ints, which: Ints, rule: UnclipRule) -> Floats:
    """By how much each outline is moved outwards (N,), the margin included."""
    margin = rule.margin
    out = np.empty(len(which))
    for i in range(len(which)):
        outline = points[offsets[which[i]] : offsets[which[i] + 1]]
        twice_area = 0.0
        length = 0.0
        before = outline[-1]
        for p in outline:
            dx = p[0] - before[0]
            dy = p[1] - before[1]
            x = p[0] - outline[0, 0]
            y = p[1] - outline[0, 1]
            twice_area += x * dy - y * dx
            length += math.sqrt(dx * dx + dy * dy)
            before = p
        # Of the outline that lies the margin outside, if its corners are square: exact for rectangles.
        area = abs(twice_area) / 2 + length * margin + 4 * margin**2
        out[i] = margin + unclip_distance(area, length + 8 * margin, rule)
    return out
