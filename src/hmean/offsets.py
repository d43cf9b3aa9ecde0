"""Outlines grown by a distance, with mitred corners: what polygon mode does to every region.

The outline's edges move outward as lines. Where it is concave an edge shrinks, and the first to vanish is taken out,
its neighbours then meet: the wavefront of the straight skeleton (Aichholzer et al. 1995), edge events only. What needs
more (an outline that crosses itself or runs into itself, a corner sharper than the mitre limit) goes to GEOS.
"""

from __future__ import annotations

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points, Polygons

MITRE_LIMIT = 2.0  # a corner reaches at most this many distances out

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def grow(polygons: Polygons, distances: Floats) -> Polygons:
    """Each of K outlines, of any direction, grown by its distance (K,) > 0, in their unit."""
    points, counts = _grow(polygons.points, polygons.offsets, distances)
    grown = [points[start : start + count] for start, count in zip(2 * polygons.offsets, counts, strict=False)]
    for k in np.flatnonzero(counts == 0).tolist():
        grown[k] = _by_geos(polygons[k], float(distances[k]))
    return Polygons.of(grown)


def _by_geos(outline: Points, distance: float) -> Points:
    shape = shapely.Polygon(outline)
    if not shape.is_valid:  # GEOS would drop what the crossing outline turns the other way round
        shape = shapely.make_valid(shape)
    shape = shapely.buffer(shape, distance, join_style="mitre", mitre_limit=MITRE_LIMIT)
    if shape.geom_type != "Polygon":
        shape = max(shape.geoms, key=lambda part: part.area)
    corners: Points = np.asarray(shape.exterior.coords)[:-1]
    return corners if len(corners) else outline


@njit(cache=True, nogil=True)
def _grow(points: Points, offsets: Ints, distances: Floats) -> tuple[Points, Ints]:
    """Grown points, outline k from ``2 offsets[k]`` on, and how many each has: 0 where GEOS must do it."""
    out, counts = np.empty((2 * len(points), 2)), np.zeros(len(distances), dtype=np.int64)
    for k in range(len(distances)):
        start, end = offsets[k], offsets[k + 1]
        counts[k] = _grow_one(points[start:end], distances[k], out[2 * start : 2 * end])
    return out, counts


@njit(cache=True, nogil=True)
def _grow_one(outline: Points, distance: float, out: Points) -> int:
    lines, m, sense = _edges(outline)
    now = 0.0
    before, after = np.empty((m, 2)), np.empty((m, 2))
    while True:
        m = _merge(lines, m)
        if m < 3 or not (_corners(lines, m, now, before) and _corners(lines, m, distance, after)):
            return 0
        first, now = _first_to_vanish(lines, m, sense, before, after, now, distance)
        if first < 0:
            break
        lines[first : m - 1] = lines[first + 1 : m].copy()
        m -= 1
    if not _simple(after, m):
        return 0
    out[:m] = after[:m]
    return m


@njit(cache=True, nogil=True)
def _edges(outline: Points) -> tuple[Floats, int, float]:
    """Edges as moving lines n . x = c + v t, normals outward (2n, 4: n, c, v); how many; sense of the outline.

    A corner sharper than the limit allows has a line of its own, across its bisector, that moves faster.
    """
    n = len(outline)
    sides, m, twice = np.empty((n, 3)), 0, 0.0
    for i in range(n):
        p, q = outline[i], outline[(i + 1) % n]
        twice += (p[0] - outline[0, 0]) * (q[1] - outline[0, 1]) - (p[1] - outline[0, 1]) * (q[0] - outline[0, 0])
    sense = 1.0 if twice > 0 else -1.0
    corners = np.empty_like(outline)
    for i in range(n):
        p, q = outline[i], outline[(i + 1) % n]
        dx, dy = q[0] - p[0], q[1] - p[1]
        length = np.sqrt(dx * dx + dy * dy)
        if length > 0:
            nx, ny = sense * dy / length, -sense * dx / length
            sides[m, 0], sides[m, 1], sides[m, 2] = nx, ny, nx * p[0] + ny * p[1]
            corners[m] = p
            m += 1
    lines, count = np.empty((2 * n, 4)), 0
    for i in range(m):
        a, b = sides[(i + m - 1) % m], sides[i]
        turn, cosine = (a[0] * b[1] - a[1] * b[0]) * sense, a[0] * b[0] + a[1] * b[1]
        # 1 / cos(half the turn) is how far the corner would reach; only outward corners do.
        if turn > 1e-9 and 1 + cosine < 2 / MITRE_LIMIT**2:
            bx, by = a[0] + b[0], a[1] + b[1]
            length = np.sqrt(bx * bx + by * by)
            bx, by = bx / length, by / length
            lines[count, 0], lines[count, 1] = bx, by
            lines[count, 2], lines[count, 3] = bx * corners[i, 0] + by * corners[i, 1], MITRE_LIMIT
            count += 1
        lines[count, :3], lines[count, 3] = b, 1.0
        count += 1
    return lines, count, sense


@njit(cache=True, nogil=True)
def _first_to_vanish(
    lines: Floats, m: int, sense: float, before: Points, after: Points, now: float, distance: float
) -> tuple[int, float]:
    """The edge whose length, linear from ``now`` to ``distance``, is first down to 0, and when; -1 if none is."""
    first, when = -1, distance
    for i in range(m):
        j = (i + 1) % m
        ex, ey = -lines[i, 1] * sense, lines[i, 0] * sense  # along the edge, from corner i to corner j
        here = max((before[j, 0] - before[i, 0]) * ex + (before[j, 1] - before[i, 1]) * ey, 0.0)
        there = (after[j, 0] - after[i, 0]) * ex + (after[j, 1] - after[i, 1]) * ey
        if there <= 0:
            gone = now + (distance - now) * here / max(here - there, 1e-300)
            if first < 0 or gone < when:
                first, when = i, gone
    return first, max(now, when)


@njit(cache=True, nogil=True)
def _merge(lines: Floats, m: int) -> int:
    """Take out edges that lie on the line of the one before; returns how many are left."""
    i = 0
    while i < m:
        j = (i + m - 1) % m
        a, b = lines[i], lines[j]
        if m > 1 and abs(a[0] - b[0]) < 1e-9 and abs(a[1] - b[1]) < 1e-9 and abs(a[2] - b[2]) < 1e-6:
            lines[i : m - 1] = lines[i + 1 : m].copy()
            m -= 1
        else:
            i += 1
    return m


@njit(cache=True, nogil=True)
def _corners(lines: Floats, m: int, t: float, corners: Points) -> bool:
    """Where each line, moved by t, meets the one before it; False if they are too nearly parallel."""
    for i in range(m):
        j = (i + m - 1) % m
        cross = lines[j, 0] * lines[i, 1] - lines[j, 1] * lines[i, 0]
        if abs(cross) < 1e-9:
            return False
        a, b = lines[j, 2] + lines[j, 3] * t, lines[i, 2] + lines[i, 3] * t
        corners[i, 0] = (a * lines[i, 1] - b * lines[j, 1]) / cross
        corners[i, 1] = (b * lines[j, 0] - a * lines[i, 0]) / cross
    return True


@njit(cache=True, nogil=True)
def _simple(ring: Points, m: int) -> bool:
    """Whether no two edges that are not neighbours touch."""
    for i in range(m):
        p, q = ring[i], ring[(i + 1) % m]
        for j in range(i + 2, m):
            if i == 0 and j == m - 1:
                continue
            r, s = ring[j], ring[(j + 1) % m]
            if (
                max(p[0], q[0]) < min(r[0], s[0])
                or max(r[0], s[0]) < min(p[0], q[0])
                or max(p[1], q[1]) < min(r[1], s[1])
                or max(r[1], s[1]) < min(p[1], q[1])
            ):
                continue
            a = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
            b = (q[0] - p[0]) * (s[1] - p[1]) - (q[1] - p[1]) * (s[0] - p[0])
            c = (s[0] - r[0]) * (p[1] - r[1]) - (s[1] - r[1]) * (p[0] - r[0])
            d = (s[0] - r[0]) * (q[1] - r[1]) - (s[1] - r[1]) * (q[0] - r[0])
            if a * b <= 0 and c * d <= 0:
                return False
    return True
