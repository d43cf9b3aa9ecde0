"""Connected components of a probability map: their smallest rectangles and scores, at one threshold or at many.

A map is read once, eight pixels at a time, into runs of text (row, first and last column). Everything after that
touches text only: runs join into components (8-connected), a component's hull comes from the ends of its rows, its
smallest rectangle from the hull's edges. At a higher threshold the runs lie within those of the lower one, so that
further thresholds cost a pass over runs: most of them stay, or lose pixels at their ends.

All kernels stand in this one file, since numba's cache of a function does not notice that one it calls, from another
file, has changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.postprocess.contours import outlines
from hmean.types import Polygons

MapArray = NDArray[np.float32] | NDArray[np.uint8]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Runs = NDArray[np.int32]  # (R, 3): row, first column, last column + 1; row by row, from left to right

_ALL_TEXT = np.uint64(0x0101010101010101)


@dataclass(frozen=True, eq=False)
class Components:
    """K components of a map at one threshold, in the frame of the map (the first pixel's centre is at (0.5, 0.5))."""

    # Smallest rectangle around the pixels' centres (K, 6): its centre, width and height (of a single pixel 0 and 0),
    # and the unit vector along the width, within 45 degrees of the x axis.
    boxes: Floats
    scores: NDArray[np.float32]  # mean probability inside the outline, holes included (K,), in [0, 1]
    runs: Runs  # component by component (R, 3)
    first: Ints  # the first run of each component (K + 1,)

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def ranking(self) -> Ints:
        """Components in falling order of score (K,)."""
        return np.argsort(-self.scores, kind="stable")

    @cached_property
    def outlines(self) -> Polygons:
        """Simplified outer outlines (K)."""
        return Polygons(*outlines(self.runs, self.first, self.boxes))


def find_components(probability: MapArray, thresholds: Sequence[float]) -> list[Components]:
    """Components of {P > t} for each threshold t (T,), in any order, in [0, 1]; the map is read once, at the lowest.

    ``probability`` is (H, W), float32 in [0, 1] or uint8 in 0..255.
    """
    scale = 255 if probability.dtype == np.uint8 else 1
    # t in the map's own type.
    limits = [math.floor(t * 255) if scale == 255 else float(np.float32(t)) for t in thresholds]
    found: dict[float, Components] = {}
    spans = None
    for limit in sorted(set(limits)):
        spans = _within(probability, spans[0], spans[1], limit) if spans else _scan(probability, limit)
        found[limit] = Components(*_measure(probability, spans[0], spans[1], scale))
    return [found[limit] for limit in limits]


@njit(cache=True, nogil=True, fastmath={"reassoc"})  # four sums side by side, instead of one waiting for itself
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
def _put(runs: Runs, sums: Floats, n: int, y: int, start: int, end: int, total: float) -> tuple[Runs, Floats, int]:
    """Write run n and its sum, in larger arrays where there is no room; the arrays and the next n."""
    if n == len(runs):
        runs, sums = np.concatenate((runs, np.empty_like(runs))), np.concatenate((sums, np.empty_like(sums)))
    runs[n, 0], runs[n, 1], runs[n, 2] = y, start, end
    sums[n] = total
    return runs, sums, n + 1


@njit(cache=True, nogil=True)
def _scan(probability: MapArray, limit: float) -> tuple[Runs, Floats]:
    """Runs of {P > limit} and their sums (R,): a row is compared at once, then looked at eight pixels at a time."""
    height, width = probability.shape
    words = np.zeros(-(-width // 8), dtype=np.uint64)
    text = words.view(np.uint8)
    runs, sums, n = np.empty((256, 3), dtype=np.int32), np.empty(256), 0
    for y in range(height):
        row = probability[y]
        for x in range(width):
            text[x] = row[x] > limit
        start = -1
        for i in range(len(words)):
            if words[i] == (np.uint64(0) if start < 0 else _ALL_TEXT):  # nothing changes here
                continue
            for x in range(8 * i, 8 * i + 8):
                if (text[x] == 1) == (start >= 0):
                    continue
                if start < 0:
                    start = x
                else:
                    runs, sums, n = _put(runs, sums, n, y, start, x, _sum(row[start:x]))
                    start = -1
        if start >= 0:
            runs, sums, n = _put(runs, sums, n, y, start, width, _sum(row[start:]))
    return runs[:n], sums[:n]


@njit(cache=True, nogil=True)
def _within(probability: MapArray, base: Runs, base_sums: Floats, limit: float) -> tuple[Runs, Floats]:
    """Runs of {P > limit}, all within those of ``base``, and their sums: most only lose pixels at their ends."""
    runs, sums, n = np.empty((len(base) + 64, 3), dtype=np.int32), np.empty(len(base) + 64), 0
    for r in range(len(base)):
        y, start, end = base[r, 0], base[r, 1], base[r, 2]
        row = probability[y]
        while start < end and row[start] <= limit:
            start += 1
        while start < end and row[end - 1] <= limit:
            end -= 1
        if start == end:
            continue
        if _least(row[start:end]) > limit:
            same = start == base[r, 1] and end == base[r, 2]
            runs, sums, n = _put(runs, sums, n, y, start, end, base_sums[r] if same else _sum(row[start:end]))
            continue
        for x in range(start, end + 1):
            if x < end and row[x] > limit:
                if start < 0:
                    start = x
            elif start >= 0:
                runs, sums, n = _put(runs, sums, n, y, start, x, _sum(row[start:x]))
                start = -1
    return runs[:n], sums[:n]


@njit(cache=True, nogil=True)
def _root(parent: Ints, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _join(runs: Runs) -> tuple[Ints, NDArray[np.bool_], int]:
    """Component of each run (R,), counted from 0 in the order of their first runs; runs that close a hole (R,); count.

    Runs of neighbouring rows that touch, also at corners, belong together (union-find, the earlier run is the root).
    One that touches two that are together already closes a cycle of runs, which is a hole.
    """
    parent, closing = np.arange(len(runs)), np.zeros(len(runs), dtype=np.bool_)
    row, above = 0, 0  # the first run of this row, and the first of the rows before that may still touch
    for r in range(1, len(runs)):
        if runs[r, 0] != runs[r - 1, 0]:
            row, above = r, row
        while above < row and (runs[above, 0] < runs[r, 0] - 1 or runs[above, 2] < runs[r, 1]):
            above += 1
        a = above
        while a < row and runs[a, 1] <= runs[r, 2]:
            i, j = _root(parent, a), _root(parent, r)
            closing[r] |= i == j
            parent[max(i, j)] = min(i, j)
            a += 1
    owner = np.empty(len(runs), dtype=np.int64)
    count = 0
    for r in range(len(runs)):
        if parent[r] == r:
            owner[r] = count
            count += 1
        else:
            owner[r] = owner[parent[r]]  # earlier in the order, hence known
    return owner, closing, count


@njit(cache=True, nogil=True)
def _measure(
    probability: MapArray, spans: Runs, sums: Floats, scale: int
) -> tuple[Floats, NDArray[np.float32], Runs, Ints]:
    """Rectangles, scores, runs and first runs of the components that these runs join into: see ``Components``."""
    owner, closing, count = _join(spans)
    first = np.zeros(count + 1, dtype=np.int64)
    for r in range(len(spans)):
        first[owner[r] + 1] += 1
    for k in range(count):
        first[k + 1] += first[k]
    fill, runs = first[:-1].copy(), np.empty_like(spans)
    totals, pixels, hole = np.zeros(count), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    for r in range(len(spans)):  # a counting sort, which keeps a component's runs in their order
        k = owner[r]
        runs[fill[k], 0], runs[fill[k], 1], runs[fill[k], 2] = spans[r, 0], spans[r, 1], spans[r, 2]
        fill[k] += 1
        totals[k] += sums[r]
        pixels[k] += spans[r, 2] - spans[r, 1]
        hole[k] |= closing[r]

    boxes, scores = np.empty((count, 6)), np.empty(count, dtype=np.float32)
    ends = np.empty((2, len(runs), 2))  # the outermost centres of each row, left and right
    hull = np.empty((2 * len(runs) + 2, 2))
    for k in range(count):
        rows = 0
        for r in range(first[k], first[k + 1]):
            y = runs[r, 0]
            if not rows or ends[0, rows - 1, 1] != y:
                ends[0, rows, 0], ends[0, rows, 1] = runs[r, 1], y
                rows += 1
            ends[1, rows - 1, 0], ends[1, rows - 1, 1] = runs[r, 2] - 1, y
        if hole[k]:
            totals[k], pixels[k] = _fill(probability, runs[first[k] : first[k + 1]])
        # Single precision, as regions keep their scores: tuning drops by those.
        scores[k] = min(totals[k] / pixels[k] / scale, 1.0)
        _smallest_rectangle(hull, _hull(ends, rows, hull), boxes[k])
        boxes[k, :2] += 0.5  # from pixels, counted, to their centres
    return boxes, scores, runs, first


@njit(cache=True, nogil=True)
def _fill(probability: MapArray, runs: Runs) -> tuple[float, int]:
    """Sum and number of the pixels inside a component's outline: all that the outside does not reach by an edge."""
    top, bottom = runs[0, 0], runs[-1, 0] + 1
    left, right = runs[:, 1].min(), runs[:, 2].max()
    h, w = bottom - top + 2, right - left + 2  # one pixel of the outside all around
    outside = np.zeros((h, w), dtype=np.uint8)
    for r in range(len(runs)):
        y = runs[r, 0] - top + 1
        outside[y, runs[r, 1] - left + 1 : runs[r, 2] - left + 1] = 2  # the component itself
    stack = np.empty(h * w, dtype=np.int64)
    stack[0], size = 0, 1
    outside[0, 0] = 1
    while size:
        size -= 1
        y, x = stack[size] // w, stack[size] % w
        for step in range(4):
            ny, nx = y + (step == 0) - (step == 1), x + (step == 2) - (step == 3)
            if 0 <= ny < h and 0 <= nx < w and outside[ny, nx] == 0:
                outside[ny, nx] = 1
                stack[size] = ny * w + nx
                size += 1
    total, pixels = 0.0, 0
    for y in range(1, h - 1):
        for x in range(1, w - 1):
            if outside[y, x] != 1:
                total += probability[top + y - 1, left + x - 1]
                pixels += 1
    return total, pixels


@njit(cache=True, nogil=True)
def _hull(ends: Floats, rows: int, hull: Floats) -> int:
    """Convex hull of the rows' ends into ``hull``, by monotone chains; returns the number of its corners."""
    n = 0
    for side in range(2):
        base = n
        for step in range(rows):
            row = rows - 1 - step if side == 0 else step  # up the left side, down the right: clockwise
            x, y = ends[side, row, 0], ends[side, row, 1]
            if n > base and hull[n - 1, 0] == x and hull[n - 1, 1] == y:
                continue
            while n - base >= 2 and (
                (hull[n - 1, 0] - hull[n - 2, 0]) * (y - hull[n - 2, 1])
                - (hull[n - 1, 1] - hull[n - 2, 1]) * (x - hull[n - 2, 0])
                <= 0
            ):
                n -= 1
            hull[n, 0], hull[n, 1] = x, y
            n += 1
    if n > 1 and hull[0, 0] == hull[n - 1, 0] and hull[0, 1] == hull[n - 1, 1]:
        n -= 1
    return n


@njit(cache=True, nogil=True)
def _smallest_rectangle(hull: Floats, n: int, box: Floats) -> None:
    """Smallest rectangle around a convex polygon: one of its sides lies on an edge (Freeman and Shapira 1975)."""
    best = np.inf
    for i in range(n):
        j = (i + 1) % n
        dx, dy = hull[j, 0] - hull[i, 0], hull[j, 1] - hull[i, 1]
        length = math.sqrt(dx * dx + dy * dy)
        if length == 0 and n > 1:  # where the two chains meet
            continue
        ux, uy = (dx / length, dy / length) if length > 0 else (1.0, 0.0)
        low, high, deep = np.inf, -np.inf, 0.0
        for p in range(n):
            along = hull[p, 0] * ux + hull[p, 1] * uy
            low, high = min(low, along), max(high, along)
            deep = max(deep, (hull[p, 1] - hull[i, 1]) * ux - (hull[p, 0] - hull[i, 0]) * uy)
        if (high - low) * deep < best:
            best = (high - low) * deep
            middle, across = (low + high) / 2, -hull[i, 0] * uy + hull[i, 1] * ux + deep / 2
            box[0], box[1] = middle * ux - across * uy, middle * uy + across * ux
            w, h = high - low, deep
            if abs(ux) < abs(uy):  # the other axis is nearer to horizontal
                w, h, ux, uy = h, w, -uy, ux
            if ux < 0:
                ux, uy = -ux, -uy
            box[2], box[3], box[4], box[5] = w, h, ux, uy
