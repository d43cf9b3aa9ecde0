"""Connected components of a probability map: their smallest rectangles and scores, at one threshold or at many.

A map is read once, eight pixels at a time, into runs of text (row, first and last column). Everything after that
touches text only: runs join into components (8-connected), a component's hull comes from the ends of its rows, its
smallest rectangle from the hull's edges. At a higher threshold the runs lie within those of the lower one, so that
further thresholds cost a pass over the text, not over the map.

All kernels stand in this one file, since numba's cache of a function does not notice that one it calls, from another
file, has changed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points

MapArray = NDArray[np.float32] | NDArray[np.uint8]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Runs = NDArray[np.int32]  # (R, 3): row, first column, last column + 1; row by row, from left to right
Bytes = NDArray[np.uint8]

_ALL_TEXT = np.uint64(0x0101010101010101)


@dataclass(frozen=True, eq=False)
class Components:
    """K components of a map at one threshold, in the frame of the map (the first pixel's centre is at (0.5, 0.5))."""

    centres: Points  # of the smallest rectangles around the pixels' centres (K, 2)
    sizes: Floats  # width and height of these rectangles (K, 2): of a single pixel, 0 and 0
    axes: Floats  # unit vector along the width (K, 2), within 45 degrees of the x axis
    scores: Floats  # mean probability inside the outline, holes included (K,), in [0, 1]
    runs: Runs  # of all components (R, 3)
    owner: Ints  # component of each run (R,)

    def __len__(self) -> int:
        return len(self.scores)

    def contours(self, shape: tuple[int, ...], which: Ints) -> list[NDArray[np.int32]]:
        """Corners (n, 1, 2) of the outer outlines of components (N,) of a map (H, W), pixel centres counted from 0."""
        bitmap = np.zeros(shape, dtype=np.uint8)
        wanted = np.zeros(len(self), dtype=np.bool_)
        wanted[which] = True
        _paint(bitmap, self.runs, wanted[self.owner])
        outlines, hierarchy = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        outer = [outline for outline, links in zip(outlines, hierarchy[0], strict=True) if links[3] < 0]
        # Both start at the component's first pixel in reading order, and components are counted in that order.
        outer.sort(key=lambda outline: (outline[0, 0, 1], outline[0, 0, 0]))
        rank = np.cumsum(wanted) - 1
        return [outer[r] for r in rank[which]]


def find_components(probability: MapArray, thresholds: Sequence[float]) -> list[Components]:
    """Components of {P > t} for each threshold t (T,), in any order, in [0, 1]; the map is read once, at the lowest.

    ``probability`` is (H, W), float32 in [0, 1] or uint8 in 0..255.
    """
    eight_bit = probability.dtype == np.uint8
    # t in the map's own type.
    limits = [math.floor(t * 255) if eight_bit else float(np.float32(t)) for t in thresholds]
    base = _map_runs(probability, min(limits)) if limits else np.empty((0, 3), dtype=np.int32)
    found = []
    for limit in limits:
        runs = base if limit == min(limits) else _runs_above(probability, base, limit)
        owner, closing, count = _join(runs)
        boxes, scores = _measure(probability, runs, owner, closing, count)
        found.append(
            Components(boxes[:, :2] + 0.5, boxes[:, 2:4], boxes[:, 4:], scores / (255 if eight_bit else 1), runs, owner)
        )
    return found


def _map_runs(probability: MapArray, limit: float) -> Runs:
    height, width = probability.shape
    bitmap: Bytes
    if width % 8:
        bitmap = np.zeros((height, -(-width // 8) * 8), dtype=np.uint8)
        np.greater(probability, limit, out=bitmap[:, :width].view(np.bool_))
    else:
        bitmap = (probability > limit).view(np.uint8)
    runs: Runs = _scan(bitmap.view(np.uint64), bitmap)
    return runs


@njit(cache=True, nogil=True)
def _put(runs: Runs, n: int, y: int, start: int, end: int) -> tuple[Runs, int]:
    """Write run n, in a larger array where there is no room; the array and the next n."""
    if n == len(runs):
        runs = np.concatenate((runs, np.empty_like(runs)))
    runs[n, 0], runs[n, 1], runs[n, 2] = y, start, end
    return runs, n + 1


@njit(cache=True, nogil=True)
def _scan(words: NDArray[np.uint64], bitmap: Bytes) -> Runs:
    """Runs of a bitmap of 0 and 1 (H, W), given also as words of eight pixels (H, W / 8)."""
    runs = np.empty((256, 3), dtype=np.int32)
    n = 0
    for y in range(words.shape[0]):
        start = -1
        for i in range(words.shape[1] + 1):
            last = i == words.shape[1]
            if not last and words[y, i] == (np.uint64(0) if start < 0 else _ALL_TEXT):  # nothing changes here
                continue
            for x in range(8 * i, 8 * i + (1 if last else 8)):
                text = not last and bitmap[y, x] == 1
                if text == (start >= 0):
                    continue
                if text:
                    start = x
                    continue
                runs, n = _put(runs, n, y, start, x)
                start = -1
    return runs[:n]


@njit(cache=True, nogil=True)
def _runs_above(probability: MapArray, base: Runs, limit: float) -> Runs:
    """Runs of {P > limit}, all of which lie in those of ``base``."""
    runs = np.empty((len(base) + 64, 3), dtype=np.int32)
    n = 0
    for r in range(len(base)):
        y, end = base[r, 0], base[r, 2]
        start = -1
        for x in range(base[r, 1], end + 1):
            if x < end and probability[y, x] > limit:
                if start < 0:
                    start = x
            elif start >= 0:
                runs, n = _put(runs, n, y, start, x)
                start = -1
    return runs[:n]


@njit(cache=True, nogil=True)
def _paint(bitmap: Bytes, runs: Runs, wanted: NDArray[np.bool_]) -> None:
    for r in range(len(runs)):
        if wanted[r]:
            bitmap[runs[r, 0], runs[r, 1] : runs[r, 2]] = 1


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


@njit(cache=True, nogil=True, fastmath={"reassoc"})  # four sums side by side, instead of one waiting for itself
def _sum(values: MapArray) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


@njit(cache=True, nogil=True)
def _measure(
    probability: MapArray, runs: Runs, owner: Ints, closing: NDArray[np.bool_], count: int
) -> tuple[Floats, Floats]:
    """Rectangle (K, 6: centre, width, height, axis) and mean inside the outline (K,) of each component."""
    order, first = np.empty(len(runs), dtype=np.int64), np.zeros(count + 1, dtype=np.int64)
    for r in range(len(runs)):
        first[owner[r] + 1] += 1
    for k in range(count):
        first[k + 1] += first[k]
    fill = first[:-1].copy()
    for r in range(len(runs)):  # a counting sort, which keeps a component's runs in their order
        order[fill[owner[r]]] = r
        fill[owner[r]] += 1

    boxes, scores = np.empty((count, 6)), np.empty(count)
    ends = np.empty((2, len(runs), 2))  # the outermost centres of each row, left and right
    hull = np.empty((2 * len(runs) + 2, 2))
    for k in range(count):
        total, pixels, rows, hole = 0.0, 0, 0, False
        for o in range(first[k], first[k + 1]):
            y, x0, x1 = runs[order[o], 0], runs[order[o], 1], runs[order[o], 2]
            total += _sum(probability[y, x0:x1])
            hole |= closing[order[o]]
            pixels += x1 - x0
            if rows and ends[0, rows - 1, 1] == y:
                ends[1, rows - 1, 0] = x1 - 1
            else:
                ends[0, rows, 0], ends[0, rows, 1] = x0, y
                ends[1, rows, 0], ends[1, rows, 1] = x1 - 1, y
                rows += 1
        if hole:
            total, pixels = _fill(probability, runs, order[first[k] : first[k + 1]])
        scores[k] = total / pixels
        _smallest_rectangle(hull, _hull(ends, rows, hull), boxes[k])
    return boxes, scores


@njit(cache=True, nogil=True)
def _fill(probability: MapArray, runs: Runs, order: Ints) -> tuple[float, int]:
    """Sum and number of the pixels inside a component's outline: all that the outside does not reach by an edge."""
    top, bottom = runs[order[0], 0], runs[order[-1], 0] + 1
    left, right = runs[order, 1].min(), runs[order, 2].max()
    h, w = bottom - top + 2, right - left + 2  # one pixel of the outside all around
    outside = np.zeros((h, w), dtype=np.uint8)
    for o in order:
        y = runs[o, 0] - top + 1
        outside[y, runs[o, 1] - left + 1 : runs[o, 2] - left + 1] = 2  # the component itself
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
