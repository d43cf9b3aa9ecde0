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
    start, far = 0, 0
    for _ in range(3):  # two corners that are far apart
        start, most = (start + far) % n, 0
        for j in range(1, n):
            p, q = corners[start], corners[(start + j) % n]
            distance = (q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2
            if distance > most:
                most, far = distance, j
    stack, size, m = np.empty((n + 2, 2), dtype=np.int64), 2, 0
    stack[0, 0], stack[0, 1] = start + far, start + n
    stack[1, 0], stack[1, 1] = start, start + far
    while size:
        size -= 1
        a, b = stack[size]
        p, q = corners[a % n], corners[b % n]
        dx, dy = q[0] - p[0], q[1] - p[1]
        square, most, middle = dx * dx + dy * dy, 0, a
        for i in range(a + 1, b):
            x, y = corners[i % n, 0] - p[0], corners[i % n, 1] - p[1]
            along = x * dx + y * dy
            if along < 0:  # all times the square of the line's length, so that numbers stay whole
                distance = (x * x + y * y) * square
            elif along > square:
                distance = ((x - dx) ** 2 + (y - dy) ** 2) * square
            else:
                distance = (y * dx - x * dy) ** 2
            if distance > most:
                most, middle = distance, i
        if most <= limit * square:
            out[m, 0], out[m, 1] = p[0], p[1]
            m += 1
        else:
            stack[size, 0], stack[size, 1] = middle, b
            stack[size + 1, 0], stack[size + 1, 1] = a, middle
            size += 2
    return _straighten(out, m, 0.5 * limit)


@njit(cache=True, nogil=True)
def _straighten(ring: Points, count: int, limit: float) -> int:
    """Take out corners nearer than sqrt(limit) to the line between their neighbours; returns how many are left."""
    left, write, read, i = count, count - 1, 1 % count, 0
    before, here = ring[count - 1].copy(), ring[0].copy()
    write, read = 0, 1 % count
    while i < count and left > 2:
        after = ring[read].copy()
        read = (read + 1) % count
        dx, dy = after[0] - before[0], after[1] - before[1]
        distance = (here[0] - before[0]) * dy - (here[1] - before[1]) * dx
        forward = (here[0] - before[0]) * (after[0] - here[0]) + (here[1] - before[1]) * (after[1] - here[1])
        ring[write] = here
        if distance * distance <= limit * (dx * dx + dy * dy) and dx != 0 and dy != 0 and forward >= 0:
            left -= 1
            ring[write] = before = after
            here = ring[read].copy()
            read = (read + 1) % count
            i += 1
        else:
            before, here = here, after
        write = (write + 1) % count
        i += 1
    return left
