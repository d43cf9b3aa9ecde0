"""Training targets of DBNet: polygons in, shrink map, threshold map and masks out.

Liao et al. 2020, "Real-time Scene Text Detection with Differentiable Binarization" (AAAI), section "Label generation".
One pass of signed distance sd (negative inside) per word gives all three exactly: with D = A (1 - r^2) / L the shrunk
text is {sd <= -D}, the threshold map is 1 - |sd| / D, and its band is {sd <= D}. The usual route (integer polygon
offsets, distances to the nearest edge's end points) makes shrink maps too large and is wrong near corners.
``targets_torch`` makes the same maps on the training device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.types import Polygons

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# Range of the threshold map (paper: "the range of the threshold map is scaled to [0.3, 0.7]").
THRESHOLD_LOW, THRESHOLD_HIGH = 0.3, 0.7


@dataclass(frozen=True, eq=False)
class Targets:
    """Maps of one view, each (H, W).

    ``shrink`` is the share of each pixel that the shrunk text covers, in 1/255: 0 or 255 by its centre, or, where
    anti-aliased, what lies between as well.
    """

    shrink: Bytes
    threshold: NDArray[np.float32]  # in [0.3, 0.7], meaningful where ``band`` is 1
    band: Bytes  # 1 inside the dilated text: where the threshold loss counts
    valid: Bytes  # 0 in ignored regions: where no loss counts


def make_targets(
    polygons: Polygons,
    ignore: NDArray[np.bool_],
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
            edges), and not a matter of its centre.
    """
    shrink, band, valid = (np.full((height, width), value, dtype=np.uint8) for value in (0, 0, 1))
    threshold = np.full((height, width), THRESHOLD_LOW, dtype=np.float32)
    d = shrink_distances(polygons, ignore, shrink_ratio=shrink_ratio, min_side=min_side)
    _draw(polygons.points, polygons.offsets, d, antialias, shrink, threshold, band, valid)
    return Targets(shrink, threshold, band, valid)


def shrink_distances(polygons: Polygons, ignore: NDArray[np.bool_], *, shrink_ratio: float, min_side: float) -> Floats:
    """D of each word, in pixels (K,); -1 for one that is ignored, see ``make_targets``."""
    d: Floats = _shrink_distances(polygons.points, polygons.offsets, ignore, shrink_ratio, min_side)
    return d


@njit(cache=True, nogil=True)
def _shrink_distances(points: Floats, offsets: Ints, ignore: NDArray[np.bool_], r: float, min_side: float) -> Floats:
    found = np.full(len(ignore), -1.0)
    for k in np.flatnonzero(~ignore):
        polygon = points[offsets[k] : offsets[k + 1]]
        twice_area, length = 0.0, 0.0
        x0, y0 = polygon[0]
        ax, ay = polygon[-1]
        for bx, by in polygon:
            twice_area += (ax - x0) * (by - y0) - (bx - x0) * (ay - y0)
            length += math.hypot(bx - ax, by - ay)
            ax, ay = bx, by
        area, half = abs(twice_area) / 2, length / 2
        # Short side of the rectangle of this area and perimeter.
        short = (half - math.sqrt(max(half * half - 4 * area, 0.0))) / 2
        if length > 0 and short >= min_side:
            found[k] = area * (1 - r * r) / length
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(
    points: Floats, offsets: Ints, distances: Floats, antialias: bool,
    shrink: Bytes, threshold: NDArray[np.float32], band: Bytes, valid: Bytes,
) -> None:  # fmt: skip
    """Row by row: an edge costs only the pixels within D of it, and the inside is the spans between crossings."""
    height, width = shrink.shape
    corners = int((offsets[1:] - offsets[:-1]).max()) if len(distances) else 0
    edges, crossings = np.empty((corners, 7)), np.empty(corners)
    nearest = np.full(width, np.inf)  # squared distance to the outline; inf where it is more than the reach
    for drawing_words in (False, True):  # ignored regions first, so that text wins where the two overlap
        for k in range(len(distances)):
            d = distances[k]
            if (d >= 0) != drawing_words:
                continue
            reach = d + 0.5 * antialias
            low, high = _load(points[offsets[k] : offsets[k + 1]], edges)
            n = offsets[k + 1] - offsets[k]
            margin = reach if drawing_words else 0.0
            for row in range(_first(low - margin, height), _first(high + margin + 1, height)):
                crossed = _cross(edges[:n], row + 0.5, crossings)
                if not drawing_words:
                    for i in range(0, crossed, 2):
                        valid[row, _first(crossings[i], width) : _first(crossings[i + 1], width)] = 0
                    continue
                left, right = _measure(edges[:n], row + 0.5, reach, nearest)
                start, maps = left, (nearest, shrink[row], threshold[row], band[row])
                for i in range(0, crossed, 2):
                    a, b = _first(crossings[i], width), _first(crossings[i + 1], width)
                    _paint(-1.0, d, antialias, start, a, *maps)
                    _paint(1.0, d, antialias, a, b, *maps)
                    valid[row, a:b] = 1
                    start = max(b, left)
                _paint(-1.0, d, antialias, start, right, *maps)
                nearest[left:right] = np.inf


@njit(cache=True, nogil=True)
def _first(x: float, size: int) -> int:
    """The first of ``size`` pixels whose centre does not lie before ``x``."""
    return int(min(max(math.ceil(x - 0.5), 0.0), size))


@njit(cache=True, nogil=True)
def _load(polygon: Floats, edges: Floats) -> tuple[float, float]:
    """Edges (n, 7) as start, end, direction and length; and the span of y."""
    low, high = math.inf, -math.inf
    ax, ay = polygon[-1]
    for i in range(len(polygon)):
        bx, by = polygon[i]
        length = math.hypot(bx - ax, by - ay)
        # A point, which is an edge without length, has any direction.
        ux, uy = ((bx - ax) / length, (by - ay) / length) if length > 0 else (1.0, 0.0)
        edges[i] = (ax, ay, bx, by, ux, uy, length)
        low, high = min(low, by), max(high, by)
        ax, ay = bx, by
    return low, high


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(edges: Floats, y: float, crossings: Floats) -> int:
    """Where the outline crosses a row, from left to right; how often, which is even."""
    count = 0
    for i in range(len(edges)):
        ax, ay, bx, by = edges[i, 0], edges[i, 1], edges[i, 2], edges[i, 3]
        if (ay > y) != (by > y):
            x, place = ax + (bx - ax) * (y - ay) / (by - ay), count
            while place > 0 and crossings[place - 1] > x:
                crossings[place] = crossings[place - 1]
                place -= 1
            crossings[place] = x
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _measure(edges: Floats, y: float, reach: float, nearest: Floats) -> tuple[int, int]:
    """Lower ``nearest`` in a row to the squared distances that are within reach; the span that they lie in."""
    left, right = len(nearest), 0
    for i in range(len(edges)):
        ax, ay, bx, by, ux, uy, length = edges[i]
        if not min(ay, by) - reach <= y <= max(ay, by) + reach:
            continue
        low, high = min(ax, bx) - reach, max(ax, bx) + reach
        if abs(uy) > 1e-9:  # within reach of the whole line
            middle, half = ax + (y - ay) * ux / uy, reach / abs(uy)
            low, high = max(low, middle - half), min(high, middle + half)
        first, last = _first(low, len(nearest)), _first(high + 1, len(nearest))
        if first >= last:
            continue
        left, right = min(left, first), max(right, last)
        here = nearest[first:last]
        wx, wy = first + 0.5 - ax, y - ay
        along, across = wx * ux + wy * uy, wx * uy - wy * ux
        for j in range(len(here)):
            s, t = along + j * ux, across + j * uy
            beyond = max(-s, s - length, 0.0)
            square = t * t + beyond * beyond
            here[j] = min(here[j], square)
    return left, max(left, right)


@njit(cache=True, nogil=True, error_model="numpy")
def _paint(
    side: float, d: float, antialias: bool, first: int, last: int,
    nearest: Floats, shrink: Bytes, threshold: NDArray[np.float32], band: Bytes,
) -> None:  # fmt: skip
    """Draw the piece [first, last) of a row, which lies inside (side 1) or outside (-1) of the word."""
    nearest, shrink, threshold, band = nearest[first:last], shrink[first:last], threshold[first:last], band[first:last]
    high, slope = np.float32(THRESHOLD_HIGH), np.float32((THRESHOLD_HIGH - THRESHOLD_LOW) / d)
    for j in range(len(nearest)):  # float32 is exact enough where nothing is decided, and three times as fast
        value = high - slope * math.sqrt(np.float32(nearest[j]))
        threshold[j] = max(threshold[j], value)
    if antialias:
        middle, sign = np.float32(0.5 - d), np.float32(side)
        for j in range(len(nearest)):
            covered = middle + sign * math.sqrt(np.float32(nearest[j]))
            level = np.uint8(np.float32(255) * min(max(covered, np.float32(0)), np.float32(1)) + np.float32(0.5))
            shrink[j] = max(shrink[j], level)
    elif side > 0:
        for j in range(len(nearest)):
            shrink[j] |= 255 * (nearest[j] >= d * d)
    if side > 0:
        band[:] = 1
    else:
        for j in range(len(nearest)):
            band[j] |= nearest[j] <= d * d
