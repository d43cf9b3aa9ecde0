"""Outer outlines of components, traced from their runs and simplified: where polygon mode begins.

An outline is followed pixel by pixel (Suzuki and Abe 1985, 8-connected) and kept where it turns; what lies nearer than
a tolerance to the line between two kept corners goes (Douglas and Peucker 1973). Both as OpenCV's ``findContours`` and
``approxPolyDP`` do it, corner for corner, for all components in one call.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points

# Simplification of contours, as a share of their length (the value that PaddleOCR and docTR use).
CONTOUR_TOLERANCE = 0.002
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_DX, _DY = np.array([1, 1, 0, -1, -1, -1, 0, 1]), np.array([0, -1, -1, -1, 0, 1, 1, 1])  # anticlockwise on the screen


@njit(cache=True, nogil=True)
def outlines(runs: NDArray[np.int32], first: Ints, boxes: Floats) -> tuple[Points, Ints]:
    """Simplified outlines of K components, in the frame of the map: points (P, 2) and offsets (K + 1,).

    Args:
        runs: row, first column, last column + 1 (R, 3), component by component.
        first: the first run of each component (K + 1,).
        boxes: centre, width, height and axis of each component's rectangle (K, 6): its outline where it has no area.
    """
    points, offsets = np.empty((16 * len(boxes) + 64, 2)), np.zeros(len(boxes) + 1, dtype=np.int64)
    bitmap, corners = np.empty(4096, dtype=np.uint8), np.empty((256, 2), dtype=np.int64)
    for k in range(len(boxes)):
        own = runs[first[k] : first[k + 1]]
        top, left, right = own[0, 0], own[0, 1], own[0, 2]
        for r in range(len(own)):
            left, right = min(left, own[r, 1]), max(right, own[r, 2])
        width, size = right - left + 2, (own[-1, 0] - top + 3) * (right - left + 2)  # a pixel of margin; rows share it
        if len(bitmap) < size:
            bitmap = np.empty(2 * size, dtype=np.uint8)
        bitmap[:size] = 0
        for r in range(len(own)):
            row = (own[r, 0] - top + 1) * width - left + 1
            bitmap[row + own[r, 1] : row + own[r, 2]] = 1
        corners, n = _trace(bitmap, width, width + own[0, 1] - left + 1, corners)
        while offsets[k] + n + 4 > len(points):
            points = np.concatenate((points, np.empty_like(points)))
        out = points[offsets[k] :]
        m = _simplify(corners, n, out)
        if m < 3:
            m = 4
            w, h = max(boxes[k, 2], 0.01) / 2, max(boxes[k, 3], 0.01) / 2
            for c in range(4):
                x, y = -w if c in (0, 3) else w, -h if c < 2 else h
                out[c, 0] = boxes[k, 0] + x * boxes[k, 4] - y * boxes[k, 5]
                out[c, 1] = boxes[k, 1] + x * boxes[k, 5] + y * boxes[k, 4]
        else:
            for i in range(m):
                out[i, 0] += left - 0.5  # of the bitmap's margin and of a pixel's centre
                out[i, 1] += top - 0.5
        offsets[k + 1] = offsets[k] + m
    return points[: offsets[-1]].copy(), offsets


@njit(cache=True, nogil=True)
def _trace(bitmap: NDArray[np.uint8], width: int, start: int, corners: Ints) -> tuple[Ints, int]:
    """Corners of the outer outline from its first pixel in reading order on, down first; their array and number."""
    steps = _DX + width * _DY
    s = 4
    while True:
        s = (s - 1) & 7
        if bitmap[start + steps[s]] or s == 4:
            break
    if s == 4:  # a lonely pixel
        corners[0, 0], corners[0, 1] = start % width, start // width
        return corners, 1
    second, at, before, n = start + steps[s], start, s ^ 4, 0
    while True:
        s = (s + 1) & 7
        while not bitmap[at + steps[s]]:
            s = (s + 1) & 7
        if s != before:
            if n == len(corners):
                corners = np.concatenate((corners, np.empty_like(corners)))
            corners[n, 0], corners[n, 1] = at % width, at // width
            n, before = n + 1, s
        there = at + steps[s]
        if there == start and at == second:
            return corners, n
        at, s = there, (s + 4) & 7


@njit(cache=True, nogil=True)
def _simplify(corners: Ints, n: int, out: Points) -> int:
    """Corners (n, 2) of a closed outline that simplification keeps, into ``out``; 0 if it encloses nothing."""
    length, twice = 0.0, 0
    for i in range(n):
        p, q = corners[i - 1] if i else corners[n - 1], corners[i]
        length += math.sqrt((q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2)
        twice += p[0] * q[1] - p[1] * q[0]
    if twice == 0:
        return 0
    limit = (CONTOUR_TOLERANCE * length) ** 2
    round_twice = np.concatenate((corners[:n], corners[:n]))
    start, far = _far_apart(round_twice, n)
    stack, size, m = np.empty((n + 2, 2), dtype=np.int64), 2, 0
    stack[0, 0], stack[0, 1] = far, start + n
    stack[1, 0], stack[1, 1] = start, far
    while size:
        size -= 1
        a, b = stack[size, 0], stack[size, 1]
        middle, most, square = _farthest(round_twice, a % n, a % n + b - a)
        if most <= limit * square:
            out[m, 0], out[m, 1] = corners[a % n, 0], corners[a % n, 1]
            m += 1
        else:
            stack[size, 0], stack[size, 1] = a + middle, b
            stack[size + 1, 0], stack[size + 1, 1] = a, a + middle
            size += 2
    return _straighten(out, m, 0.5 * limit)


@njit(cache=True, nogil=True)
def _far_apart(ring: Ints, n: int) -> tuple[int, int]:
    """Two corners of a ring, given twice over (2 n, 2), that are about as far apart as any; the first is below n."""
    start, step = 0, 0
    for _ in range(3):
        start, most = (start + step) % n, 0
        for j in range(1, n):
            distance = (ring[start + j, 0] - ring[start, 0]) ** 2 + (ring[start + j, 1] - ring[start, 1]) ** 2
            if distance > most:
                most, step = distance, j
    return start, start + step


@njit(cache=True, nogil=True)
def _farthest(ring: Ints, a: int, b: int) -> tuple[int, int, int]:
    """The corner between a and b farthest from the line between them: steps from a, distance^2 x length^2, length^2."""
    x0, y0 = ring[a, 0], ring[a, 1]
    dx, dy = ring[b, 0] - x0, ring[b, 1] - y0
    square, most, middle = dx * dx + dy * dy, 0, 0
    for i in range(a + 1, b):
        x, y = ring[i, 0] - x0, ring[i, 1] - y0
        along = x * dx + y * dy
        if along < 0:  # nearest to an end of the line
            distance = (x * x + y * y) * square
        elif along > square:
            distance = ((x - dx) ** 2 + (y - dy) ** 2) * square
        else:
            distance = (y * dx - x * dy) ** 2
        if distance > most:
            most, middle = distance, i - a
    return middle, most, square


@njit(cache=True, nogil=True)
def _straighten(ring: Points, count: int, limit: float) -> int:
    """Take out corners nearer than sqrt(limit) to the line between their neighbours; returns how many are left."""
    left, write, read, i = count, 0, 1 % count, 0
    before, here = ring[count - 1].copy(), ring[0].copy()
    while i < count and left > 2:
        after = ring[read].copy()
        read = (read + 1) % count
        dx, dy = after[0] - before[0], after[1] - before[1]
        distance = (here[0] - before[0]) * dy - (here[1] - before[1]) * dx
        forward = (here[0] - before[0]) * (after[0] - here[0]) + (here[1] - before[1]) * (after[1] - here[1])
        if distance * distance <= limit * (dx * dx + dy * dy) and dx != 0 and dy != 0 and forward >= 0:
            left -= 1
            ring[write], before = after, after
            here = ring[read].copy()
            read = (read + 1) % count
            i += 1
        else:
            ring[write], before = here, here
            here = after
        write = (write + 1) % count
        i += 1
    return left
