"""Polygons offset outwards by a distance, with mitred corners.

The result encloses what lies inside the outline, and what lies outside of it within the distance of an edge or in the
mitre of a corner. It is found in two steps:

1. Every edge is moved outwards. At an outward corner a mitre joins it to the next edge. At an inward corner the moved
   edges meet, or, if they are too short for that, are joined through the corner itself. This gives one closed curve,
   which lies in the result and contains its whole border.
2. The outer border of that curve is the result. It is found by walking around the crossings of the curve.

An outline that touches or crosses itself is first replaced by its own outer border. GEOS does the few outlines for
which the walk does not come back to its start.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from hmean.types import Points, Polygons

MITRE_LIMIT = 2.0  # corners reach out by at most this many distances

# Points nearer than this, in x and in y, are one point.
_SAME_POINT = 1e-5
# Brings lines that touch into general position.
_JITTER = 1e-7
# A turn goes back along its own line if 1 + its cosine is at most this.
_TURNS_BACK = 1e-9

_X, _Y = range(2)
_LEFT, _RIGHT, _TOP, _BOTTOM = range(4)  # rows of the bounds of edges

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class _Edges(NamedTuple):
    """Of the n edges of a closed outline, each from a corner to the next: unit vectors (n, 2) and lengths (n,)."""

    along: Points
    lengths: Floats


class _Crossings(NamedTuple):
    """Where edges that are not neighbours touch.

    Entries 2 c and 2 c + 1 are the two edges of crossing c. Each entry is an edge (2 C,) and the place of the crossing
    on it, from 0 at its start to 1 at its end (2 C,).
    """

    edges: Ints
    places: Floats


def offset_polygons(polygons: Polygons, which: Ints, distances: Floats) -> Polygons:
    """Move outlines outwards.

    Args:
        polygons: K outlines, in either direction.
        which: those of them to offset (N,).
        distances: of each (N,), above 0, in the unit of the points.

    Returns:
        The N outlines, without holes.
    """
    points, offsets = _offset_all(polygons.points, polygons.offsets, which, distances)
    lost = np.flatnonzero(np.diff(offsets) == 0)
    if not len(lost):
        return Polygons(points, offsets)
    moved = np.split(points, offsets[1:-1])
    for i in lost.tolist():
        outline = polygons[int(which[i])]
        moved[i] = _offset_by_geos(outline, float(distances[i]))
    return Polygons.of(moved)


def _offset_by_geos(outline: Points, distance: float) -> Points:
    shape = shapely.make_valid(shapely.Polygon(outline))  # GEOS would drop parts that a crossing outline turns round
    shape = shapely.buffer(shape, distance, join_style="mitre", mitre_limit=MITRE_LIMIT)
    if shape.geom_type != "Polygon":
        shape = max(shape.geoms, key=lambda part: part.area)
    corners: Points = np.asarray(shape.exterior.coords)[:-1]
    if not len(corners):
        return outline
    return corners


@njit(cache=True, nogil=True)
def _offset_all(points: Points, offsets: Ints, which: Ints, distances: Floats) -> tuple[Points, Ints]:
    """Points (P, 2) and offsets (N + 1,) of the result; outlines that GEOS must do have no points."""
    out = np.empty((2 * len(points) + 64, 2))
    ends = np.zeros(len(which) + 1, dtype=np.int64)
    for i in range(len(which)):
        ring = _outer_border(points[offsets[which[i]] : offsets[which[i] + 1]])
        if len(ring) > 1:
            ring = _outer_border(_moved_edges(ring, distances[i]))
        if len(ring) < 3:
            ring = ring[:0]
        while ends[i] + len(ring) > len(out):
            out = np.concatenate((out, np.empty_like(out)))
        ends[i + 1] = ends[i] + len(ring)
        out[ends[i] : ends[i + 1]] = ring
    return out[: ends[-1]].copy(), ends


# --- the closed curve of moved edges --------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _edges(ring: Points) -> _Edges:
    n = len(ring)
    along = np.empty((n, 2))
    lengths = np.empty(n)
    for i in range(n):
        j = (i + 1) % n
        dx = ring[j, _X] - ring[i, _X]
        dy = ring[j, _Y] - ring[i, _Y]
        lengths[i] = math.sqrt(dx * dx + dy * dy)
        along[i, _X] = dx / lengths[i]
        along[i, _Y] = dy / lengths[i]
    return _Edges(along, lengths)


@njit(cache=True, nogil=True)
def _direction(ring: Points) -> float:
    """1 for an outline that runs clockwise on the screen, -1 for the other direction."""
    n = len(ring)
    twice_area = 0.0
    for i in range(n):
        j = (i + 1) % n
        dx = ring[j, _X] - ring[i, _X]
        dy = ring[j, _Y] - ring[i, _Y]
        x = ring[i, _X] - ring[0, _X]
        y = ring[i, _Y] - ring[0, _Y]
        twice_area += x * dy - y * dx
    if twice_area >= 0:
        return 1.0
    return -1.0


@njit(cache=True, nogil=True)
def _turn(along: Points, i: int, direction: float) -> tuple[float, float]:
    """The sine of the turn at corner i, which is above 0 at an outward corner, and 1 + its cosine."""
    before_x = along[i - 1, _X]
    before_y = along[i - 1, _Y]
    after_x = along[i, _X]
    after_y = along[i, _Y]
    sine = direction * (before_x * after_y - before_y * after_x)
    return sine, 1 + before_x * after_x + before_y * after_y


@njit(cache=True, nogil=True)
def _moved_edges(ring: Points, distance: float) -> Points:
    """The closed curve that the edges of a simple outline make when they are moved outwards and joined."""
    n = len(ring)
    along, lengths = _edges(ring)
    direction = _direction(ring)
    # How much an inward corner takes from the length of each of its edges.
    taken = np.zeros(n)
    for i in range(n):
        sine, spread = _turn(along, i, direction)
        if sine < 0 and spread > _TURNS_BACK:
            taken[i] = -distance * sine / spread

    out = np.empty((3 * n, 2))
    count = 0
    for i in range(n):
        x = ring[i, _X]
        y = ring[i, _Y]
        # Outward normals of the edges before and after the corner.
        normal_x = direction * along[i - 1, _Y]
        normal_y = -direction * along[i - 1, _X]
        next_normal_x = direction * along[i, _Y]
        next_normal_y = -direction * along[i, _X]
        sine, spread = _turn(along, i, direction)
        # An outward corner would reach out by 1 / cos(half the turn).
        is_cut = spread <= _TURNS_BACK or (sine >= 0 and spread < 2 / MITRE_LIMIT**2)
        room_before = lengths[i - 1] - taken[i - 1]
        room_after = lengths[i] - taken[(i + 1) % n]
        room = min(room_before, room_after)
        if not is_cut and (sine >= 0 or taken[i] <= room):
            out[count, _X] = x + distance * (normal_x + next_normal_x) / spread
            out[count, _Y] = y + distance * (normal_y + next_normal_y) / spread
            count += 1
            continue
        reach = 0.0
        if is_cut:
            reach = _reach_of_a_cut(distance, spread)
        out[count, _X] = x + distance * normal_x + reach * along[i - 1, _X]
        out[count, _Y] = y + distance * normal_y + reach * along[i - 1, _Y]
        count += 1
        if not is_cut:  # edges too short to meet are joined through the corner
            out[count, _X] = x
            out[count, _Y] = y
            count += 1
        out[count, _X] = x + distance * next_normal_x - reach * along[i, _X]
        out[count, _Y] = y + distance * next_normal_y - reach * along[i, _Y]
        count += 1
    return out[:count]


@njit(cache=True, nogil=True)
def _reach_of_a_cut(distance: float, spread: float) -> float:
    """How far the moved edges are prolonged at a corner whose mitre is cut at its limit, across the bisector.

    A line that turns right back ends like a thin rectangle.
    """
    if spread <= _TURNS_BACK:
        return distance
    cosine_of_half = math.sqrt(spread / 2)
    sine_of_half = math.sqrt(1 - spread / 2)
    return distance * ((MITRE_LIMIT - cosine_of_half) / sine_of_half)


# --- the outer border of a closed curve -----------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _outer_border(curve: Points) -> Points:
    """The outer border: the curve itself if it does not touch itself, no points if the walk gets lost."""
    ring = _without_doubles(curve)
    if not _touches_itself(ring):
        return ring
    for i in range(len(ring)):
        ring[i, _X] += _JITTER * math.sin(12.9898 * (i + 1))
        ring[i, _Y] += _JITTER * math.sin(78.233 * (i + 1))
    return _without_doubles(_walk(ring, _find_crossings(ring)))


@njit(cache=True, nogil=True)
def _is_same_point(p: Floats, q: Floats) -> bool:
    dx = abs(p[_X] - q[_X])
    dy = abs(p[_Y] - q[_Y])
    return bool(dx <= _SAME_POINT and dy <= _SAME_POINT)


@njit(cache=True, nogil=True)
def _without_doubles(ring: Points) -> Points:
    """A copy of a ring, without points that are the same as the one before."""
    out = np.empty_like(ring)
    count = 0
    for i in range(len(ring)):
        if count == 0 or not _is_same_point(ring[i], out[count - 1]):
            out[count] = ring[i]
            count += 1
    while count > 1 and _is_same_point(out[count - 1], out[0]):
        count -= 1
    return out[:count]


@njit(cache=True, nogil=True)
def _edge_bounds(ring: Points) -> Floats:
    """Bounds of the edges, each from a corner to the next (4, n)."""
    n = len(ring)
    bounds = np.empty((4, n))
    for i in range(n):
        p = ring[i]
        q = ring[(i + 1) % n]
        bounds[_LEFT, i] = min(p[_X], q[_X])
        bounds[_RIGHT, i] = max(p[_X], q[_X])
        bounds[_TOP, i] = min(p[_Y], q[_Y])
        bounds[_BOTTOM, i] = max(p[_Y], q[_Y])
    return bounds


@njit(cache=True, nogil=True, inline="always")
def _side(p: Floats, q: Floats, point: Floats) -> float:
    """Twice the area between an edge from p to q and a point: above 0 on one side, below 0 on the other."""
    edge_x = q[_X] - p[_X]
    edge_y = q[_Y] - p[_Y]
    side: float = edge_x * (point[_Y] - p[_Y]) - edge_y * (point[_X] - p[_X])
    return side


@njit(cache=True, nogil=True, inline="always")
def _sides(ring: Points, i: int, j: int) -> tuple[float, float, float, float]:
    """On which side of edge i the start and the end of edge j lie, and of edge j those of edge i: see ``_side``."""
    n = len(ring)
    i_next = i + 1 if i + 1 < n else 0
    j_next = j + 1 if j + 1 < n else 0
    start_of_j = _side(ring[i], ring[i_next], ring[j])
    end_of_j = _side(ring[i], ring[i_next], ring[j_next])
    start_of_i = _side(ring[j], ring[j_next], ring[i])
    end_of_i = _side(ring[j], ring[j_next], ring[i_next])
    return start_of_j, end_of_j, start_of_i, end_of_i


@njit(cache=True, nogil=True)
def _touches_itself(ring: Points) -> bool:
    """Whether two edges that are not neighbours touch."""
    n = len(ring)
    bounds = _edge_bounds(ring)
    for i in range(n):
        left = bounds[_LEFT, i]
        right = bounds[_RIGHT, i]
        top = bounds[_TOP, i]
        bottom = bounds[_BOTTOM, i]
        last = n if i > 0 else n - 1  # the last edge is a neighbour of the first
        for j in range(i + 2, last):
            if right < bounds[_LEFT, j] or bounds[_RIGHT, j] < left:
                continue
            if bottom < bounds[_TOP, j] or bounds[_BOTTOM, j] < top:
                continue
            start_of_j, end_of_j, start_of_i, end_of_i = _sides(ring, i, j)
            if start_of_j * end_of_j <= 0 and start_of_i * end_of_i <= 0:
                return True
    return False


@njit(cache=True, nogil=True)
def _order_by_left_end(bounds: Floats) -> Ints:
    """The edges from left to right (n,). They come nearly sorted, to and fro, for which insertion is the fastest."""
    order = np.arange(bounds.shape[1])
    for i in range(1, len(order)):
        edge = order[i]
        at = i
        while at > 0 and bounds[_LEFT, order[at - 1]] > bounds[_LEFT, edge]:
            order[at] = order[at - 1]
            at -= 1
        order[at] = edge
    return order


@njit(cache=True, nogil=True)
def _find_crossings(ring: Points) -> _Crossings:
    """Where edges that are not neighbours touch: a sweep from left to right."""
    n = len(ring)
    bounds = _edge_bounds(ring)
    order = _order_by_left_end(bounds)
    edges = np.empty(32, dtype=np.int64)
    places = np.empty(32)
    count = 0
    for position in range(n):
        i = order[position]
        right = bounds[_RIGHT, i]
        top = bounds[_TOP, i]
        bottom = bounds[_BOTTOM, i]
        for later in range(position + 1, n):
            j = order[later]
            if bounds[_LEFT, j] > right:  # all further edges begin right of this one
                break
            if bottom < bounds[_TOP, j] or bounds[_BOTTOM, j] < top:
                continue
            if abs(i - j) == 1 or abs(i - j) == n - 1:
                continue
            start_of_j, end_of_j, start_of_i, end_of_i = _sides(ring, i, j)
            if start_of_j * end_of_j > 0 or start_of_i * end_of_i > 0:
                continue
            if count + 2 > len(edges):
                edges = np.concatenate((edges, edges))
                places = np.concatenate((places, places))
            edges[count] = i
            places[count] = _share(start_of_i, end_of_i)
            edges[count + 1] = j
            places[count + 1] = _share(start_of_j, end_of_j)
            count += 2
    return _Crossings(edges[:count], places[:count])


@njit(cache=True, nogil=True)
def _share(start: float, end: float) -> float:
    """The place between an edge's start and end, from 0 to 1, at which the other edge is crossed."""
    if start == end:
        return 0.0
    return start / (start - end)


@njit(cache=True, nogil=True)
def _walk(ring: Points, crossings: _Crossings) -> Points:
    """Walk around a closed curve in general position, with the outside to the right.

    At every crossing the walk turns right, onto the other edge. It starts from the leftmost corner, which lies on the
    outer border. No points are returned if it does not come back there.
    """
    n = len(ring)
    start = int(np.argmin(ring[:, _X]))
    here = ring[start]
    before = ring[start - 1]
    after = ring[(start + 1) % n]
    # Whether the walk follows the direction of the ring, or goes against it.
    ahead = _side(here, after, before) > 0
    edge, place = _leave(start, n, ahead)
    out = np.empty((n + len(crossings.edges), 2))
    count = 0
    while count < len(out):
        out[count] = here
        count += 1
        crossing = _next_crossing(crossings, edge, place, ahead)
        if crossing < 0:
            corner = (edge + 1) % n if ahead else edge
            if corner == start:
                return out[:count]
            here = ring[corner]
            edge, place = _leave(corner, n, ahead)
            continue
        other = crossings.edges[crossing ^ 1]
        along = ring[(edge + 1) % n] - ring[edge]
        along_other = ring[(other + 1) % n] - ring[other]
        here = ring[edge] + crossings.places[crossing] * along
        turn = along[_X] * along_other[_Y] - along[_Y] * along_other[_X]
        ahead = (turn < 0) == ahead
        edge = other
        place = crossings.places[crossing ^ 1]
    return out[:0]


@njit(cache=True, nogil=True)
def _leave(corner: int, n: int, ahead: bool) -> tuple[int, float]:
    """The edge on which a walk leaves a corner, and its place on that edge."""
    if ahead:
        return corner, 0.0
    return (corner + n - 1) % n, 1.0


@njit(cache=True, nogil=True)
def _next_crossing(crossings: _Crossings, edge: int, place: float, ahead: bool) -> int:
    """The entry of the next crossing on an edge, from a place on it; -1 if there is none."""
    found = -1
    nearest = 2.0
    for entry in range(len(crossings.edges)):
        if crossings.edges[entry] != edge:
            continue
        gap = crossings.places[entry] - place
        if not ahead:
            gap = -gap
        if 0 < gap < nearest:
            found = entry
            nearest = gap
    return found
