"""Connected components of a probability map, with their smallest enclosing rectangles and scores.

A map is read once, eight pixels at a time, into runs: text pixels side by side in one row. Everything after that reads
runs only. Runs of neighbouring rows that touch are joined into components (8-connected). The convex hull of a component
is made from the ends of its rows, and its smallest enclosing rectangle from the edges of the hull. At a higher
threshold all runs lie within those of a lower one, so that each further threshold costs one pass over the runs: most of
them stay as they are or become shorter.

All kernels of this module are in this file: numba's cache of a function does not notice when a function that it calls
is changed in another file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.postprocess.outlines import trace_outlines
from hmean.types import Points, Polygons

MapArray = NDArray[np.float32] | NDArray[np.uint8]  # (H, W), in [0, 1] or in 0..255
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Columns of runs (R, 3): the row, the first column, and the column after the last one.
Runs = NDArray[np.int32]
ROW, START, STOP = range(3)

# Columns of rectangles (K, 6): the centre, the sides, and the unit vector along the width, which lies within 45 degrees
# of the x axis. Rectangles enclose the centres of the pixels: that of a single pixel has no width and no height.
Rectangles = NDArray[np.float64]
CENTRE_X, CENTRE_Y, WIDTH, HEIGHT, AXIS_X, AXIS_Y = range(6)
# Where the corners of a rectangle lie from its centre, along its width and across it: clockwise on the screen, from the
# top left.
ALONG_SIGNS = (-1, 1, 1, -1)
ACROSS_SIGNS = (-1, -1, 1, 1)

# Of the pixels around and inside a component.
_UNKNOWN, _OUTSIDE, _COMPONENT = range(3)
_LEFT, _RIGHT = range(2)
_X, _Y = range(2)
_EIGHT_TEXT_PIXELS = np.uint64(0x0101010101010101)
_NO_TEXT_PIXEL = np.uint64(0)


class _Scan(NamedTuple):
    """Runs in reading order, and the sum of the map over each of them."""

    runs: Runs
    sums: Floats


class _Joined(NamedTuple):
    """Which component each run (R,) belongs to, whether it closes a hole, and the number of components."""

    owner: Ints
    closes_hole: Flags
    components: int


class _Measured(NamedTuple):
    """The fields of ``Components``."""

    rectangles: Rectangles
    scores: NDArray[np.float32]
    runs: Runs
    first: Ints


@dataclass(frozen=True, eq=False)
class Components:
    """The K components of a map at one threshold, in reading order of their first pixels.

    Coordinates are those of the map: the centre of the first pixel is (0.5, 0.5).

    Attributes:
        rectangles: smallest enclosing rectangle of each component (K, 6), with the columns ``CENTRE_X`` to ``AXIS_Y``.
        scores: mean probability inside each outline, holes included (K,), in [0, 1].
        runs: of all components, one component after another (R, 3), with the columns ``ROW``, ``START``, ``STOP``.
        first: position of the first run of each component, and the number of runs (K + 1,).
    """

    rectangles: Rectangles
    scores: NDArray[np.float32]
    runs: Runs
    first: Ints

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def ranking(self) -> Ints:
        """The components in falling order of score (K,)."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def outlines(self) -> Polygons:
        """The simplified outer outlines (K). Components without an area have their rectangles instead."""
        outlines = []
        first_runs = self.runs[self.first[:-1]]
        for k, outline in enumerate(trace_outlines(self.runs, first_runs)):
            if outline is None:
                outline = self._thin_rectangle(k)
            outlines.append(outline)
        return Polygons.of(outlines)

    def _thin_rectangle(self, k: int) -> Points:
        """The corners of a component's rectangle (4, 2), which is given an area where it has none."""
        x, y, width, height, ux, uy = self.rectangles[k]
        half_width = max(width, 0.01) / 2
        half_height = max(height, 0.01) / 2
        corners = np.empty((4, 2))
        for corner in range(4):
            along = half_width * ALONG_SIGNS[corner]
            across = half_height * ACROSS_SIGNS[corner]
            corners[corner, _X] = x + along * ux - across * uy
            corners[corner, _Y] = y + along * uy + across * ux
        return corners


def find_components(probability: MapArray, thresholds: Sequence[float]) -> list[Components]:
    """The components of {P > t} for each threshold t (T,).

    Args:
        probability: (H, W), float32 in [0, 1] or uint8 in 0..255. It is read once, at the lowest threshold.
        thresholds: in [0, 1], in any order.
    """
    scale = 1
    if probability.dtype == np.uint8:
        scale = 255
    limits = [_limit(threshold, scale) for threshold in thresholds]
    found: dict[float, Components] = {}
    scan: _Scan | None = None
    for limit in sorted(set(limits)):
        if scan is None:
            scan = _scan(probability, limit)
        else:
            scan = _scan_within(probability, scan, limit)
        found[limit] = Components(*_measure(probability, scan, scale))
    return [found[limit] for limit in limits]


def _limit(threshold: float, scale: int) -> float:
    """The threshold in the map's own type: P > limit where P > threshold."""
    if scale == 255:
        return math.floor(threshold * 255)
    return float(np.float32(threshold))


# --- from pixels to runs --------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, fastmath={"reassoc"})  # lets the compiler keep four sums side by side
def _sum(values: MapArray) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _least(values: MapArray) -> float:
    least: float = values[0]
    for value in values:
        least = min(least, value)
    return least


@njit(cache=True, nogil=True)
def _append(
    runs: Runs, sums: Floats, count: int, row: int, start: int, stop: int, total: float
) -> tuple[Runs, Floats, int]:
    """Write a run and its sum after the first ``count``; returns the arrays, larger ones if needed, and the count."""
    if count == len(runs):
        runs = np.concatenate((runs, np.empty_like(runs)))
        sums = np.concatenate((sums, np.empty_like(sums)))
    runs[count, ROW] = row
    runs[count, START] = start
    runs[count, STOP] = stop
    sums[count] = total
    return runs, sums, count + 1


@njit(cache=True, nogil=True)
def _scan(probability: MapArray, limit: float) -> _Scan:
    """The runs of {P > limit}: each row is compared as a whole, then looked at eight pixels at a time."""
    height, width = probability.shape
    words = np.zeros(-(-width // 8), dtype=np.uint64)
    is_text = words.view(np.uint8)
    runs = np.empty((256, 3), dtype=np.int32)
    sums = np.empty(256)
    count = 0
    for y in range(height):
        row = probability[y]
        for x in range(width):
            is_text[x] = row[x] > limit
        start = -1  # of the run that is open; -1: none is
        for i in range(len(words)):
            unchanged = _NO_TEXT_PIXEL if start < 0 else _EIGHT_TEXT_PIXELS
            if words[i] == unchanged:
                continue
            for x in range(8 * i, 8 * i + 8):
                is_open = start >= 0
                if (is_text[x] == 1) == is_open:
                    continue
                if is_open:
                    total = _sum(row[start:x])
                    runs, sums, count = _append(runs, sums, count, y, start, x, total)
                    start = -1
                else:
                    start = x
        if start >= 0:
            total = _sum(row[start:])
            runs, sums, count = _append(runs, sums, count, y, start, width, total)
    return _Scan(runs[:count], sums[:count])


@njit(cache=True, nogil=True)
def _scan_within(probability: MapArray, lower: _Scan, limit: float) -> _Scan:
    """The runs of {P > limit}, given those of a lower limit: most of them only lose pixels at their ends."""
    runs = np.empty((len(lower.runs) + 64, 3), dtype=np.int32)
    sums = np.empty(len(lower.runs) + 64)
    count = 0
    for r in range(len(lower.runs)):
        y = lower.runs[r, ROW]
        start = lower.runs[r, START]
        stop = lower.runs[r, STOP]
        row = probability[y]
        while start < stop and row[start] <= limit:
            start += 1
        while start < stop and row[stop - 1] <= limit:
            stop -= 1
        if start == stop:
            continue
        if _least(row[start:stop]) <= limit:
            runs, sums, count = _append_parts(runs, sums, count, probability, y, start, stop, limit)
            continue
        if start == lower.runs[r, START] and stop == lower.runs[r, STOP]:
            total = lower.sums[r]
        else:
            total = _sum(row[start:stop])
        runs, sums, count = _append(runs, sums, count, y, start, stop, total)
    return _Scan(runs[:count], sums[:count])


@njit(cache=True, nogil=True)
def _append_parts(
    runs: Runs, sums: Floats, count: int, probability: MapArray, y: int, start: int, stop: int, limit: float
) -> tuple[Runs, Floats, int]:
    """``_append`` for each run of {P > limit} between two columns of row y; the pixel at ``start`` is one of them."""
    row = probability[y]
    for x in range(start, stop + 1):
        if x < stop and row[x] > limit:
            if start < 0:
                start = x
        elif start >= 0:
            total = _sum(row[start:x])
            runs, sums, count = _append(runs, sums, count, y, start, x, total)
            start = -1
    return runs, sums, count


# --- from runs to components ----------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _root(parent: Ints, i: int) -> int:
    """The root of a tree of runs; paths are halved on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _lies_before(above: Runs, run: Runs) -> bool:
    """Whether a run of an earlier row touches neither this run nor any later one of its row."""
    return bool(above[ROW] < run[ROW] - 1 or above[STOP] < run[START])


@njit(cache=True, nogil=True)
def _join(runs: Runs) -> _Joined:
    """Join the runs of neighbouring rows that touch, also at corners.

    A union-find, in which the earlier of two runs is the root. Components are counted from 0 in the order of their
    first runs. A run that touches two runs of the same component closes a cycle of runs, and with it a hole.
    """
    parent = np.arange(len(runs))
    closes_hole = np.zeros(len(runs), dtype=np.bool_)
    first_of_row = 0
    above = 0  # the first run of the row above that may still touch
    for r in range(1, len(runs)):
        if runs[r, ROW] != runs[r - 1, ROW]:
            above = first_of_row
            first_of_row = r
        while above < first_of_row and _lies_before(runs[above], runs[r]):
            above += 1
        touching = above
        while touching < first_of_row and runs[touching, START] <= runs[r, STOP]:
            i = _root(parent, touching)
            j = _root(parent, r)
            closes_hole[r] |= i == j
            parent[max(i, j)] = min(i, j)
            touching += 1
    owner = np.empty(len(runs), dtype=np.int64)
    count = 0
    for r in range(len(runs)):
        if parent[r] == r:
            owner[r] = count
            count += 1
        else:
            owner[r] = owner[parent[r]]  # the parent is earlier, so that its owner is known
    return _Joined(owner, closes_hole, count)


@njit(cache=True, nogil=True)
def _measure(probability: MapArray, scan: _Scan, scale: int) -> _Measured:
    """The components that these runs join into."""
    joined = _join(scan.runs)
    owner = joined.owner
    count = joined.components
    first = np.zeros(count + 1, dtype=np.int64)
    for r in range(len(owner)):
        first[owner[r] + 1] += 1
    for k in range(count):
        first[k + 1] += first[k]

    # A counting sort by component, which keeps the runs of a component in their order.
    next_free = first[:-1].copy()
    runs = np.empty_like(scan.runs)
    totals = np.zeros(count)
    pixels = np.zeros(count, dtype=np.int64)
    has_hole = np.zeros(count, dtype=np.bool_)
    for r in range(len(owner)):
        k = owner[r]
        runs[next_free[k], ROW] = scan.runs[r, ROW]
        runs[next_free[k], START] = scan.runs[r, START]
        runs[next_free[k], STOP] = scan.runs[r, STOP]
        next_free[k] += 1
        totals[k] += scan.sums[r]
        pixels[k] += scan.runs[r, STOP] - scan.runs[r, START]
        has_hole[k] |= joined.closes_hole[r]

    rectangles = np.empty((count, 6))
    scores = np.empty(count, dtype=np.float32)
    ends = np.empty((2, len(runs), 2))
    hull = np.empty((2 * len(runs) + 2, 2))
    for k in range(count):
        own = runs[first[k] : first[k + 1]]
        if has_hole[k]:
            totals[k], pixels[k] = _sum_inside(probability, own)
        # In single precision, as scores are kept: tuning drops components by these.
        scores[k] = min(totals[k] / pixels[k] / scale, 1.0)
        rows = _row_ends(own, ends)
        corners = _hull(ends, rows, hull)
        _smallest_rectangle(hull, corners, rectangles[k])
        # So far the first pixel's centre was (0, 0).
        rectangles[k, CENTRE_X] += 0.5
        rectangles[k, CENTRE_Y] += 0.5
    return _Measured(rectangles, scores, runs, first)


@njit(cache=True, nogil=True)
def _sum_inside(probability: MapArray, runs: Runs) -> tuple[float, int]:
    """Sum and number of the pixels inside a component's outline: those that the outside does not reach by an edge."""
    top = runs[0, ROW]
    left = runs[:, START].min()
    height = runs[-1, ROW] + 1 - top + 2  # with a margin of one outside pixel on all sides
    width = runs[:, STOP].max() - left + 2
    state = np.full((height, width), _UNKNOWN, dtype=np.uint8)
    for r in range(len(runs)):
        y = runs[r, ROW] - top + 1
        start = runs[r, START] - left + 1
        stop = runs[r, STOP] - left + 1
        state[y, start:stop] = _COMPONENT
    _flood(state)
    total = 0.0
    pixels = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            if state[y, x] != _OUTSIDE:
                total += probability[top + y - 1, left + x - 1]
                pixels += 1
    return total, pixels


@njit(cache=True, nogil=True)
def _flood(state: NDArray[np.uint8]) -> None:
    """Mark as outside whatever is reached from the first pixel by edges, without crossing the component."""
    height, width = state.shape
    stack = np.empty(height * width, dtype=np.int64)
    stack[0] = 0
    size = 1
    state[0, 0] = _OUTSIDE
    steps_y = (1, -1, 0, 0)
    steps_x = (0, 0, 1, -1)
    while size > 0:
        size -= 1
        y = stack[size] // width
        x = stack[size] % width
        for step in range(4):
            next_y = y + steps_y[step]
            next_x = x + steps_x[step]
            if not (0 <= next_y < height and 0 <= next_x < width):
                continue
            if state[next_y, next_x] == _UNKNOWN:
                state[next_y, next_x] = _OUTSIDE
                stack[size] = next_y * width + next_x
                size += 1


# --- rectangles -----------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _row_ends(runs: Runs, ends: Floats) -> int:
    """Write the outermost pixels of each row of a component into ``ends`` (2, R, 2); returns the number of rows.

    ``ends[_LEFT]`` are the pixels on the left and ``ends[_RIGHT]`` those on the right, from top to bottom.
    """
    rows = 0
    for r in range(len(runs)):
        y = runs[r, ROW]
        if rows == 0 or ends[_LEFT, rows - 1, _Y] != y:
            ends[_LEFT, rows, _X] = runs[r, START]
            ends[_LEFT, rows, _Y] = y
            rows += 1
        ends[_RIGHT, rows - 1, _X] = runs[r, STOP] - 1
        ends[_RIGHT, rows - 1, _Y] = y
    return rows


@njit(cache=True, nogil=True)
def _hull(ends: Floats, rows: int, hull: Floats) -> int:
    """Write the convex hull of the row ends into ``hull``, clockwise, by monotone chains; returns its corner count."""
    n = 0
    for side in range(2):
        base = n
        for step in range(rows):
            row = step  # down the right side, after up the left one
            if side == _LEFT:
                row = rows - 1 - step
            x = ends[side, row, _X]
            y = ends[side, row, _Y]
            if n > base and _is_at(hull[n - 1], x, y):
                continue
            while n - base >= 2 and _turns_left(hull, n, x, y):
                n -= 1
            hull[n, _X] = x
            hull[n, _Y] = y
            n += 1
    if n > 1 and _is_at(hull[n - 1], hull[0, _X], hull[0, _Y]):
        n -= 1
    return n


@njit(cache=True, nogil=True)
def _is_at(point: Floats, x: float, y: float) -> bool:
    return bool(point[_X] == x and point[_Y] == y)


@njit(cache=True, nogil=True)
def _turns_left(hull: Floats, n: int, x: float, y: float) -> bool:
    """Whether the way through the last two of n corners to a point turns left on the screen, or goes straight on."""
    before = hull[n - 2]
    last_x = hull[n - 1, _X] - before[_X]
    last_y = hull[n - 1, _Y] - before[_Y]
    return bool(last_x * (y - before[_Y]) - last_y * (x - before[_X]) <= 0)


@njit(cache=True, nogil=True)
def _smallest_rectangle(hull: Floats, n: int, rectangle: Floats) -> None:
    """Write the smallest rectangle around n hull corners: one of its sides lies on an edge (Freeman, Shapira 1975)."""
    smallest_area = np.inf
    for i in range(n):
        j = (i + 1) % n
        dx = hull[j, _X] - hull[i, _X]
        dy = hull[j, _Y] - hull[i, _Y]
        length = math.sqrt(dx * dx + dy * dy)
        ux = 1.0
        uy = 0.0
        if length > 0:
            ux = dx / length
            uy = dy / length
        elif n > 1:  # where the two chains of the hull meet
            continue
        low = np.inf
        high = -np.inf
        depth = 0.0
        for p in range(n):
            along = hull[p, _X] * ux + hull[p, _Y] * uy
            low = min(low, along)
            high = max(high, along)
            from_edge_x = hull[p, _X] - hull[i, _X]
            from_edge_y = hull[p, _Y] - hull[i, _Y]
            depth = max(depth, from_edge_y * ux - from_edge_x * uy)
        if (high - low) * depth >= smallest_area:
            continue
        smallest_area = (high - low) * depth
        along = (low + high) / 2
        across = -hull[i, _X] * uy + hull[i, _Y] * ux + depth / 2
        rectangle[CENTRE_X] = along * ux - across * uy
        rectangle[CENTRE_Y] = along * uy + across * ux
        _write_sides(rectangle, high - low, depth, ux, uy)


@njit(cache=True, nogil=True)
def _write_sides(rectangle: Floats, along: float, across: float, ux: float, uy: float) -> None:
    """Write the sides of a rectangle, one along (ux, uy); the width is the one nearer to the x axis."""
    if abs(ux) < abs(uy):
        rectangle[WIDTH] = across
        rectangle[HEIGHT] = along
        axis_x = -uy
        axis_y = ux
    else:
        rectangle[WIDTH] = along
        rectangle[HEIGHT] = across
        axis_x = ux
        axis_y = uy
    if axis_x < 0:
        axis_x = -axis_x
        axis_y = -axis_y
    rectangle[AXIS_X] = axis_x
    rectangle[AXIS_Y] = axis_y
