"""Outlines grown by a distance, with mitred corners: what polygon mode does to every region.

Grown is what lies inside an outline, or outside within the distance of an edge or in a corner's mitre. Every edge moves
outward; at outward corners a mitre joins it to the next, at inward ones they meet, or, too short for that, are joined
through the corner itself. This closed curve lies in the grown shape and holds its border, so that its outer border is
the answer: found by walking around the curve's crossings. An outline that touches or crosses itself is first replaced
by its own outer border. GEOS is asked only if a walk does not come back.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points, Polygons

MITRE_LIMIT = 2.0  # a corner reaches at most this many distances out
JITTER, NEAR = 1e-7, 1e-5  # what brings touching lines into general position; points so near are one (units)
STRAIGHT_BACK = 1e-9  # 1 + the cosine of a turn that goes back on its own line

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def grow(polygons: Polygons, which: Ints, distances: Floats) -> Polygons:
    """Those of K outlines (N,), of any direction, each grown by its distance (N,) > 0, in their unit."""
    points, offsets = _grow(polygons.points, polygons.offsets, which, distances)
    lost = np.flatnonzero(np.diff(offsets) == 0)
    if not len(lost):
        return Polygons(points, offsets)
    grown = [points[start:end] for start, end in itertools.pairwise(offsets.tolist())]
    for i in lost.tolist():
        grown[i] = _by_geos(polygons[int(which[i])], float(distances[i]))
    return Polygons.of(grown)


def _by_geos(outline: Points, distance: float) -> Points:
    shape = shapely.make_valid(shapely.Polygon(outline))  # GEOS would drop what a crossing outline turns round
    shape = shapely.buffer(shape, distance, join_style="mitre", mitre_limit=MITRE_LIMIT)
    if shape.geom_type != "Polygon":
        shape = max(shape.geoms, key=lambda part: part.area)
    corners: Points = np.asarray(shape.exterior.coords)[:-1]
    return corners if len(corners) else outline


@njit(cache=True, nogil=True)
def _grow(points: Points, offsets: Ints, which: Ints, distances: Floats) -> tuple[Points, Ints]:
    """Grown points (P, 2) and offsets (N + 1,); an outline without points is one that GEOS must do."""
    out, ends = np.empty((2 * len(points) + 64, 2)), np.zeros(len(which) + 1, dtype=np.int64)
    for i in range(len(which)):
        ring = _border(points[offsets[which[i]] : offsets[which[i] + 1]])
        if len(ring) > 1:
            ring = _border(_moved(ring, distances[i]))
        if len(ring) < 3:
            ring = ring[:0]
        while ends[i] + len(ring) > len(out):
            out = np.concatenate((out, np.empty_like(out)))
        ends[i + 1] = ends[i] + len(ring)
        out[ends[i] : ends[i + 1]] = ring
    return out[: ends[-1]].copy(), ends


@njit(cache=True, nogil=True)
def _moved(ring: Points, distance: float) -> Points:
    """The closed curve that a simple outline's edges draw, moved outward and joined."""
    n, twice = len(ring), 0.0
    along, lengths, taken = np.empty((n, 2)), np.empty(n), np.zeros(n)
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        dx, dy = ring[j, 0] - ring[i, 0], ring[j, 1] - ring[i, 1]
        twice += (ring[i, 0] - ring[0, 0]) * dy - (ring[i, 1] - ring[0, 1]) * dx
        lengths[i] = math.sqrt(dx * dx + dy * dy)
        along[i, 0], along[i, 1] = dx / lengths[i], dy / lengths[i]
    sense = 1.0 if twice >= 0 else -1.0
    for i in range(n):  # how much of its edges an inward corner takes
        ax, ay, bx, by = along[i - 1, 0], along[i - 1, 1], along[i, 0], along[i, 1]
        turn, spread = sense * (ax * by - ay * bx), 1 + ax * bx + ay * by
        if turn < 0 and spread > STRAIGHT_BACK:
            taken[i] = -distance * turn / spread
    out, m = np.empty((3 * n, 2)), 0
    for i in range(n):
        x, y, ax, ay, bx, by = ring[i, 0], ring[i, 1], along[i - 1, 0], along[i - 1, 1], along[i, 0], along[i, 1]
        nx, ny, mx, my = sense * ay, -sense * ax, sense * by, -sense * bx  # outward normals of both edges
        turn, spread = sense * (ax * by - ay * bx), 1 + ax * bx + ay * by
        # 1 / cos(half the turn) is how far an outward corner would reach.
        sharp = spread <= STRAIGHT_BACK or (turn >= 0 and spread < 2 / MITRE_LIMIT**2)
        room = min(lengths[i - 1] - taken[i - 1], lengths[i] - taken[i + 1 if i + 1 < n else 0])
        if not sharp and (turn >= 0 or taken[i] <= room):
            out[m, 0], out[m, 1] = x + distance * (nx + mx) / spread, y + distance * (ny + my) / spread
            m += 1
            continue
        reach = 0.0
        if sharp:  # cut across the bisector; what turns right back is a line, whose end is that of a thin rectangle
            reach = distance
            if spread > STRAIGHT_BACK:
                reach *= (MITRE_LIMIT - math.sqrt(spread / 2)) / math.sqrt(1 - spread / 2)
        out[m, 0], out[m, 1] = x + distance * nx + reach * ax, y + distance * ny + reach * ay
        m += 1
        if not sharp:
            out[m, 0], out[m, 1] = x, y
            m += 1
        out[m, 0], out[m, 1] = x + distance * mx - reach * bx, y + distance * my - reach * by
        m += 1
    return out[:m]


@njit(cache=True, nogil=True)
def _border(curve: Points) -> Points:
    """Outer border of a closed curve: the curve itself if it does not touch itself; no points if the walk is lost."""
    ring = _distinct(curve)
    if not _touches_itself(ring):
        return ring
    for i in range(len(ring)):
        ring[i, 0] += JITTER * math.sin(12.9898 * (i + 1))
        ring[i, 1] += JITTER * math.sin(78.233 * (i + 1))
    segments, places = _crossings(ring)
    return _distinct(_walk(ring, segments, places))


@njit(cache=True, nogil=True)
def _distinct(ring: Points) -> Points:
    """A copy of a ring without points that are as good as the one before."""
    out, m = np.empty_like(ring), 0
    for i in range(len(ring)):
        if m == 0 or abs(ring[i, 0] - out[m - 1, 0]) > NEAR or abs(ring[i, 1] - out[m - 1, 1]) > NEAR:
            out[m] = ring[i]
            m += 1
    while m > 1 and abs(out[m - 1, 0] - out[0, 0]) <= NEAR and abs(out[m - 1, 1] - out[0, 1]) <= NEAR:
        m -= 1
    return out[:m]


@njit(cache=True, nogil=True)
def _boxes(ring: Points) -> Floats:
    """Least and largest x and y of each edge (4, n)."""
    n = len(ring)
    boxes = np.empty((4, n))
    x, y = ring[n - 1, 0], ring[n - 1, 1]
    for i in range(n):
        j = i - 1 if i else n - 1
        u, v = ring[i, 0], ring[i, 1]
        boxes[0, j], boxes[1, j] = min(x, u), max(x, u)
        boxes[2, j], boxes[3, j] = min(y, v), max(y, v)
        x, y = u, v
    return boxes


@njit(cache=True, nogil=True, inline="always")
def _sides(ring: Points, i: int, j: int) -> tuple[float, float, float, float]:
    """On which side of edge i the ends of edge j lie (twice an area), and of edge j those of edge i."""
    n = len(ring)
    k, m = (i + 1 if i + 1 < n else 0), (j + 1 if j + 1 < n else 0)
    px, py, qx, qy = ring[i, 0], ring[i, 1], ring[k, 0], ring[k, 1]
    rx, ry, sx, sy = ring[j, 0], ring[j, 1], ring[m, 0], ring[m, 1]
    return (
        (qx - px) * (ry - py) - (qy - py) * (rx - px), (qx - px) * (sy - py) - (qy - py) * (sx - px),
        (sx - rx) * (py - ry) - (sy - ry) * (px - rx), (sx - rx) * (qy - ry) - (sy - ry) * (qx - rx),
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _touches_itself(ring: Points) -> bool:
    """Whether two edges that are not neighbours touch."""
    n, boxes = len(ring), _boxes(ring)
    for i in range(n):
        x0, x1, y0, y1 = boxes[0, i], boxes[1, i], boxes[2, i], boxes[3, i]
        for j in range(i + 2, n if i else n - 1):
            if x1 < boxes[0, j] or boxes[1, j] < x0 or y1 < boxes[2, j] or boxes[3, j] < y0:
                continue
            a, b, c, d = _sides(ring, i, j)
            if a * b <= 0 and c * d <= 0:
                return True
    return False


@njit(cache=True, nogil=True)
def _by_left_end(boxes: Floats) -> Ints:
    """Edges (n,) from left to right; they come nearly sorted, to and fro, so that insertion is the quickest."""
    order = np.arange(boxes.shape[1])
    for i in range(1, len(order)):
        edge, at = order[i], i
        while at and boxes[0, order[at - 1]] > boxes[0, edge]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = edge
    return order


@njit(cache=True, nogil=True)
def _crossings(ring: Points) -> tuple[Ints, Floats]:
    """Where edges that are not neighbours touch: edge and place on it in [0, 1], two of each (2 C,)."""
    n, count, boxes = len(ring), 0, _boxes(ring)
    edges, places = np.empty(32, dtype=np.int64), np.empty(32)
    order = _by_left_end(boxes)
    for f in range(n):  # from left to right, only edges that begin before this one ends
        i = order[f]
        x1, y0, y1 = boxes[1, i], boxes[2, i], boxes[3, i]
        for g in range(f + 1, n):
            j = order[g]
            if boxes[0, j] > x1:
                break
            if y1 < boxes[2, j] or boxes[3, j] < y0 or abs(i - j) == 1 or abs(i - j) == n - 1:
                continue
            a, b, c, d = _sides(ring, i, j)
            if a * b > 0 or c * d > 0:
                continue
            if count + 2 > len(edges):
                edges, places = np.concatenate((edges, edges)), np.concatenate((places, places))
            edges[count], places[count] = i, c / (c - d) if c != d else 0.0
            edges[count + 1], places[count + 1] = j, a / (a - b) if a != b else 0.0
            count += 2
    return edges[:count], places[:count]


@njit(cache=True, nogil=True)
def _walk(ring: Points, edges: Ints, places: Floats) -> Points:
    """Around a closed curve in general position with the outside to the right, turning right at every crossing."""
    n = len(ring)
    start = np.argmin(ring[:, 0])
    here, p, q = ring[start], ring[start - 1], ring[start + 1 if start + 1 < n else 0]
    ahead = (q[0] - here[0]) * (p[1] - here[1]) > (q[1] - here[1]) * (p[0] - here[0])
    out, m = np.empty((n + len(edges), 2)), 0
    edge, place = (start, 0.0) if ahead else ((start + n - 1) % n, 1.0)
    while m < len(out):
        out[m] = here
        m += 1
        crossing, nearest = -1, 2.0
        for c in range(len(edges)):
            gap = places[c] - place if ahead else place - places[c]
            if edges[c] == edge and 0 < gap < nearest:
                crossing, nearest = c, gap
        if crossing < 0:
            corner = (edge + 1) % n if ahead else edge
            if corner == start:
                return out[:m]
            here = ring[corner]
            edge, place = (corner, 0.0) if ahead else ((corner + n - 1) % n, 1.0)
        else:
            other = edges[crossing ^ 1]
            p, q, r, s = ring[edge], ring[(edge + 1) % n], ring[other], ring[(other + 1) % n]
            here = p + places[crossing] * (q - p)
            turn = (q[0] - p[0]) * (s[1] - r[1]) - (q[1] - p[1]) * (s[0] - r[0])
            edge, place, ahead = other, places[crossing ^ 1], (turn < 0) == ahead
    return out[:0]
