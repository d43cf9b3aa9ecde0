"""Training targets of DBNet: polygons in, shrink map, threshold map and masks out.

Liao et al. 2020, "Real-time Scene Text Detection with Differentiable Binarization" (AAAI), section "Label generation".
One pass of signed distance sd (negative inside) per word gives all three exactly: with D = A (1 - r^2) / L the shrunk
text is {sd <= -D}, the threshold map is 1 - |sd| / D, and its band is {sd <= D}. The usual route (integer polygon
offsets, distances to the nearest edge's end points) makes shrink maps too large and is wrong near corners.

The kernels go row by row: an edge costs the pixels within D of it, the inside is the spans between crossings of the
outline with the row, and the rest is filled. Pixel (column, row) has its centre at (column + 0.5, row + 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points, Polygons

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

# Range of the threshold map (paper: "the range of the threshold map is scaled to [0.3, 0.7]").
THRESHOLD_LOW = 0.3
THRESHOLD_HIGH = 0.7
IGNORED = -1.0  # in place of D for a word that is ignored

# Columns of the array of a polygon's edges.
START_X = 0
START_Y = 1
END_X = 2
END_Y = 3
DIRECTION_X = 4  # of the unit vector from start to end
DIRECTION_Y = 5
LENGTH = 6
EDGE_COLUMNS = 7


@dataclass(frozen=True, eq=False)
class Targets:
    """Maps of one view, each (H, W).

    Attributes:
        shrink: share of each pixel that the shrunk text covers, in 1/255: 0 or 255 by its centre, or, where
            anti-aliased, what lies between as well.
        threshold: in [0.3, 0.7], meaningful where ``band`` is 1.
        band: 1 inside the dilated text: where the threshold loss counts.
        valid: 0 in ignore regions: where no loss counts.
    """

    shrink: Bytes
    threshold: Floats32
    band: Bytes
    valid: Bytes


def make_targets(
    polygons: Polygons,
    ignore: Flags,
    width: int,
    height: int,
    *,
    shrink_ratio: float,
    min_side: float,
    antialias: bool = False,
) -> Targets:
    """Draw the targets of K words given in view pixels; words may reach beyond the view, or lie outside it.

    Args:
        polygons: K polygons.
        ignore: (K,), words that must not count.
        width: of the view, pixels.
        height: of the view, pixels.
        shrink_ratio: r of the paper, in (0, 1].
        min_side: a word whose short side is under this many pixels is ignored instead: its shrunk text would have no
            pixel of its own.
        antialias: ``shrink`` is clip(0.5 - (sd + D), 0, 1), the covered share of a pixel (exact at straight upright
            edges), instead of being decided by the pixel's centre.
    """
    shrink = np.zeros((height, width), dtype=np.uint8)
    threshold = np.full((height, width), THRESHOLD_LOW, dtype=np.float32)
    band = np.zeros((height, width), dtype=np.uint8)
    valid = np.ones((height, width), dtype=np.uint8)
    distances = _shrink_distances(polygons.points, polygons.offsets, ignore, shrink_ratio, min_side)
    _draw(polygons.points, polygons.offsets, distances, antialias, shrink, threshold, band, valid)
    return Targets(shrink, threshold, band, valid)


# --- shrink distances -------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _shrink_distances(
    points: Points,
    offsets: Ints,
    ignore: Flags,
    shrink_ratio: float,
    min_side: float,
) -> Floats:
    """D of each word (K,), in pixels; ``IGNORED`` for one that is ignored or too small."""
    distances = np.full(len(ignore), IGNORED)
    for k in range(len(ignore)):
        if ignore[k]:
            continue
        area, perimeter = _area_and_perimeter(points[offsets[k] : offsets[k + 1]])
        if perimeter > 0 and _short_side(area, perimeter) >= min_side:
            distances[k] = area * (1 - shrink_ratio * shrink_ratio) / perimeter
    return distances


@njit(cache=True, nogil=True)
def _area_and_perimeter(polygon: Points) -> tuple[float, float]:
    twice_area = 0.0
    perimeter = 0.0
    origin_x, origin_y = polygon[0]
    ax, ay = polygon[-1]
    for bx, by in polygon:
        twice_area += (ax - origin_x) * (by - origin_y) - (bx - origin_x) * (ay - origin_y)
        perimeter += math.hypot(bx - ax, by - ay)
        ax = bx
        ay = by
    return abs(twice_area) / 2, perimeter


@njit(cache=True, nogil=True)
def _short_side(area: float, perimeter: float) -> float:
    """Short side of the rectangle of this area and perimeter."""
    half = perimeter / 2
    return (half - math.sqrt(max(half * half - 4 * area, 0.0))) / 2


# --- drawing ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(
    points: Points,
    offsets: Ints,
    distances: Floats,
    antialias: bool,
    shrink: Bytes,
    threshold: Floats32,
    band: Bytes,
    valid: Bytes,
) -> None:
    """Draw all words into the maps (H, W)."""
    most_corners = 0
    for k in range(len(distances)):
        most_corners = max(most_corners, offsets[k + 1] - offsets[k])
    edges = np.empty((most_corners, EDGE_COLUMNS))
    crossings = np.empty(most_corners)
    # Squared distances of a row's pixels to the outline; inf where they are beyond reach.
    nearest = np.full(shrink.shape[1], np.inf)
    # Ignored words first, so that text wins where the two overlap.
    for k in range(len(distances)):
        is_word = distances[k] >= 0
        if not is_word:
            count = _load_edges(points[offsets[k] : offsets[k + 1]], edges)
            _mask_ignored(edges[:count], crossings, valid)
    for k in range(len(distances)):
        is_word = distances[k] >= 0
        if is_word:
            count = _load_edges(points[offsets[k] : offsets[k + 1]], edges)
            _draw_word(edges[:count], distances[k], antialias, crossings, nearest, shrink, threshold, band, valid)


@njit(cache=True, nogil=True)
def _load_edges(polygon: Points, edges: Floats) -> int:
    """Write the edges of a polygon, those that end at its first corner first; returns their number."""
    ax, ay = polygon[-1]
    for i in range(len(polygon)):
        bx, by = polygon[i]
        length = math.hypot(bx - ax, by - ay)
        # An edge without length is a point; any direction will do.
        direction_x = 1.0
        direction_y = 0.0
        if length > 0:
            direction_x = (bx - ax) / length
            direction_y = (by - ay) / length
        edges[i, START_X] = ax
        edges[i, START_Y] = ay
        edges[i, END_X] = bx
        edges[i, END_Y] = by
        edges[i, DIRECTION_X] = direction_x
        edges[i, DIRECTION_Y] = direction_y
        edges[i, LENGTH] = length
        ax = bx
        ay = by
    return len(polygon)


@njit(cache=True, nogil=True)
def _first_pixel(x: float, size: int) -> int:
    """The first of ``size`` pixels whose centre does not lie before ``x``; ``size`` if there is none."""
    return int(min(max(math.ceil(x - 0.5), 0.0), size))


@njit(cache=True, nogil=True)
def _rows_in_reach(edges: Floats, reach: float, height: int) -> tuple[int, int]:
    """First row, and row after the last one, within ``reach`` of the polygon."""
    low = math.inf
    high = -math.inf
    for i in range(len(edges)):
        low = min(low, edges[i, END_Y])
        high = max(high, edges[i, END_Y])
    return _first_pixel(low - reach, height), _first_pixel(high + reach + 1, height)


@njit(cache=True, nogil=True, error_model="numpy")
def _mask_ignored(edges: Floats, crossings: Floats, valid: Bytes) -> None:
    height, width = valid.shape
    first_row, end_row = _rows_in_reach(edges, 0.0, height)
    for row in range(first_row, end_row):
        count = _find_crossings(edges, row + 0.5, crossings)
        for i in range(0, count, 2):
            start = _first_pixel(crossings[i], width)
            end = _first_pixel(crossings[i + 1], width)
            valid[row, start:end] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_word(
    edges: Floats,
    distance: float,
    antialias: bool,
    crossings: Floats,
    nearest: Floats,
    shrink: Bytes,
    threshold: Floats32,
    band: Bytes,
    valid: Bytes,
) -> None:
    height, width = shrink.shape
    reach = distance
    if antialias:
        reach = distance + 0.5
    first_row, end_row = _rows_in_reach(edges, reach, height)
    for row in range(first_row, end_row):
        count = _find_crossings(edges, row + 0.5, crossings)
        left, right = _measure_row(edges, row + 0.5, reach, nearest)
        maps = (nearest, shrink[row], threshold[row], band[row])
        outside_from = left
        for i in range(0, count, 2):
            inside_from = _first_pixel(crossings[i], width)
            inside_to = _first_pixel(crossings[i + 1], width)
            _paint(False, distance, antialias, outside_from, inside_from, *maps)
            _paint(True, distance, antialias, inside_from, inside_to, *maps)
            valid[row, inside_from:inside_to] = 1
            outside_from = max(inside_to, left)
        _paint(False, distance, antialias, outside_from, right, *maps)
        nearest[left:right] = np.inf


@njit(cache=True, nogil=True, error_model="numpy")
def _find_crossings(edges: Floats, y: float, crossings: Floats) -> int:
    """Write where the outline crosses the line at ``y``, from left to right; returns how often, which is even."""
    count = 0
    for i in range(len(edges)):
        ax = edges[i, START_X]
        ay = edges[i, START_Y]
        bx = edges[i, END_X]
        by = edges[i, END_Y]
        if (ay > y) == (by > y):
            continue
        x = ax + (bx - ax) * (y - ay) / (by - ay)
        place = count
        while place > 0 and crossings[place - 1] > x:
            crossings[place] = crossings[place - 1]
            place -= 1
        crossings[place] = x
        count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _measure_row(edges: Floats, y: float, reach: float, nearest: Floats) -> tuple[int, int]:
    """Lower ``nearest`` of the row at ``y`` to the squared distances that are within reach.

    Returns:
        The first pixel that was measured, and the one after the last.
    """
    left = len(nearest)
    right = 0
    for i in range(len(edges)):
        ax = edges[i, START_X]
        ay = edges[i, START_Y]
        bx = edges[i, END_X]
        by = edges[i, END_Y]
        direction_x = edges[i, DIRECTION_X]
        direction_y = edges[i, DIRECTION_Y]
        length = edges[i, LENGTH]
        if not min(ay, by) - reach <= y <= max(ay, by) + reach:
            continue
        low = min(ax, bx) - reach
        high = max(ax, bx) + reach
        if abs(direction_y) > 1e-9:  # only what is within reach of the edge's line
            middle = ax + (y - ay) * direction_x / direction_y
            half = reach / abs(direction_y)
            low = max(low, middle - half)
            high = min(high, middle + half)
        first = _first_pixel(low, len(nearest))
        end = _first_pixel(high + 1, len(nearest))
        if first >= end:
            continue
        left = min(left, first)
        right = max(right, end)
        # Along the edge and across it, from its start to the first pixel's centre.
        from_start_x = first + 0.5 - ax
        from_start_y = y - ay
        along_first = from_start_x * direction_x + from_start_y * direction_y
        across_first = from_start_x * direction_y - from_start_y * direction_x
        here = nearest[first:end]
        for j in range(len(here)):
            along = along_first + j * direction_x
            across = across_first + j * direction_y
            beyond = max(-along, along - length, 0.0)  # of the edge's end points
            square = across * across + beyond * beyond
            here[j] = min(here[j], square)
    return left, max(left, right)


@njit(cache=True, nogil=True, error_model="numpy")
def _paint(
    inside: bool,
    distance: float,
    antialias: bool,
    first: int,
    end: int,
    nearest: Floats,
    shrink: Bytes,
    threshold: Floats32,
    band: Bytes,
) -> None:
    """Draw the piece [first, end) of a row, all of which lies inside the word or all outside.

    Float32 is exact enough where nothing is decided, and three times as fast. The loops have no branches, so that the
    compiler makes vector instructions of them.
    """
    nearest = nearest[first:end]
    shrink = shrink[first:end]
    threshold = threshold[first:end]
    band = band[first:end]
    high = np.float32(THRESHOLD_HIGH)
    slope = np.float32((THRESHOLD_HIGH - THRESHOLD_LOW) / distance)
    for j in range(len(nearest)):
        value = high - slope * math.sqrt(np.float32(nearest[j]))
        threshold[j] = max(threshold[j], value)
    if antialias:
        middle = np.float32(0.5 - distance)
        sign = np.float32(-1)
        if inside:
            sign = np.float32(1)
        for j in range(len(nearest)):
            covered = middle + sign * math.sqrt(np.float32(nearest[j]))
            covered = min(max(covered, np.float32(0)), np.float32(1))
            level = np.uint8(np.float32(255) * covered + np.float32(0.5))
            shrink[j] = max(shrink[j], level)
    elif inside:
        for j in range(len(nearest)):
            shrink[j] |= 255 * (nearest[j] >= distance * distance)
    if inside:
        band[:] = 1
    else:
        for j in range(len(nearest)):
            band[j] |= nearest[j] <= distance * distance
