"""CLEval, detection only: character-level counts of one page (Baek et al. 2020, arXiv 2006.06244).

With ``c`` the character centres of the words that lie in matched regions, counted once,

    R = max(0, c - G_r) / (characters of the words),   P = max(0, c - G_p) / (c + o + f),   H = 2PR / (P + R),

``G_r`` (``G_p``) is the granularity penalty: one for every region of a word (word of a region) beyond the first; ``o``
are centres that lie in a second region and ``f`` the characters that unmatched regions stand for. An empty denominator
gives 0, so a page without text and without regions scores 0, not 1: the convention of the authors' program.

Polygons with four corners follow that program's QUAD rules (coordinates cut to whole pixels for areas and inclusion,
even-odd regions, areas by the shoelace formula, character centres from uncut corners) and hence its LTRB rules, where a
rectangle is turned into a quad. Others follow its POLY rules (uncut, boundary outside; a triangle gets the corner
(x of its first, y of its third point)), with an epsilon of 1e-5 in the aspect where the program adds 1e5 by mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from hmean.geometry import min_area_rect
from hmean.types import PRH, Characters, Detections, Page, Points, Polygons

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

AREA_PRECISION = 0.3  # least share of a region that its words must cover
UPRIGHT_ASPECT = 0.5  # a quad narrower than this (width / height) is read along its height
MAX_PSEUDO_LENGTH = 10


def harmonic(p: float, r: float) -> PRH:
    """Precision and recall with their harmonic mean, 0 where both are 0."""
    return PRH(p, r, 2 * p * r / (p + r) if p + r > 0 else 0.0)


@dataclass(frozen=True)
class Counts:
    """Everything CLEval counts, in characters unless said otherwise; sums of pages give the pooled result.

    Attributes:
        gt: characters of the words that count.
        tp: characters found, each once.
        overlapped: further finds of characters that another region had found.
        fp: characters that regions without a word stand for, from their aspect.
        recall_penalty: regions beyond the first, summed over words.
        precision_penalty: words beyond the first, summed over regions.
        split: words found in more than one region.
        merged: regions that hold more than one word.
    """

    gt: int = 0
    tp: int = 0
    overlapped: int = 0
    fp: int = 0
    recall_penalty: int = 0
    precision_penalty: int = 0
    split: int = 0
    merged: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def det(self) -> int:
        """Characters of the regions that count: the denominator of precision."""
        return self.tp + self.overlapped + self.fp

    @property
    def prh(self) -> PRH:
        """Precision, recall and hmean of these counts, each in [0, 1]."""
        p = max(0, self.tp - self.precision_penalty) / self.det if self.det else 0.0
        r = max(0, self.tp - self.recall_penalty) / self.gt if self.gt else 0.0
        return harmonic(p, r)


@dataclass(frozen=True, eq=False)
class Shapes:
    """K polygons measured once: convex quads for the compiled kernels, any other as shapely regions.

    Attributes:
        polygons: the coordinates that areas are taken of.
        quad: polygons to be treated as quads (K,).
        corners: corners of the quads (K, 4, 2), zeros elsewhere.
        bounds: x0, y0, x1, y1 of each (K, 4).
        convex: convex quads (K,).
        shoelace: unsigned shoelace area of the quads (K,), zeros elsewhere.
    """

    polygons: Polygons
    quad: Flags
    corners: Floats
    bounds: Floats
    convex: Flags
    shoelace: Floats

    @classmethod
    def of(cls, polygons: Polygons, quad: Flags | None = None) -> Self:
        """Measure polygons; ``quad`` (K,) is by default where there are four points."""
        quad = np.diff(polygons.offsets) == 4 if quad is None else quad
        return cls(polygons, quad, *_measure(polygons.points, polygons.offsets, quad))

    @cached_property
    @np.errstate(all="ignore")  # GEOS leaves floating-point flags behind, of which numpy would warn; so below
    def regions(self) -> NDArray[Any]:
        """Valid shapely regions (K,): even-odd for quads, by ``buffer(0)`` for other polygons, may be empty."""
        owner = np.repeat(np.arange(len(self.polygons)), np.diff(self.polygons.offsets))
        regions = np.asarray(shapely.polygons(shapely.linearrings(self.polygons.points, indices=owner)))
        broken = ~shapely.is_valid(regions)
        crossed = broken & self.quad
        regions[crossed] = shapely.make_valid(regions[crossed])  # may leave lines, which the buffer drops
        regions[broken] = shapely.buffer(regions[broken], 0)
        return regions

    @cached_property
    def areas(self) -> Floats:
        """Area of each region (K,), square pixels."""
        areas = self.shoelace.copy()
        if not self.convex.all():
            areas[~self.convex] = shapely.area(self.regions[~self.convex])
        return areas


@np.errstate(all="ignore")
def overlap_areas(a: Shapes, b: Shapes) -> Floats:
    """Area of the intersection of every shape of ``a`` with every one of ``b`` (Ka, Kb), square pixels."""
    areas: Floats = _convex_overlaps(a.corners, a.bounds, a.convex, b.corners, b.bounds, b.convex)
    i, j = np.nonzero(areas < 0)
    if len(i):
        areas[i, j] = shapely.area(shapely.intersection(a.regions[i], b.regions[j]))
    return areas


def count_page(page: Page, detections: Detections, characters: Characters) -> Counts:
    """CLEval counts of one page.

    Ignored words are don't-care regions, less the area of the words that count: a region that lies in them by 0.3 of
    its area counts nowhere.

    Args:
        page: K words in page pixels.
        detections: found regions in page pixels; scores and texts are not used.
        characters: where a word's number of characters comes from. ``transcription``: the length of its text; a word
            without one (None or empty) falls back on the aspect, so that it can be found at all. ``aspect``:
            min(round(0.5 + long side / short side), 10) for all.
    """
    words, gt = _official(page.polygons)
    found, det = _official(detections.polygons)
    care = ~page.ignored
    word_aspects, found_aspects = _aspects(words, gt), _aspects(found, det)
    lengths = _pseudo_lengths(np.maximum(word_aspects, 1 / word_aspects))
    if characters == "transcription":
        read = np.array([len(text or "") for text in page.texts], dtype=np.int64)
        lengths = np.where(care & (read > 0), read, lengths)
    centres = _character_centres(words, gt, word_aspects, lengths)

    overlaps = overlap_areas(gt, det)
    _subtract_words(overlaps, gt, det, care)
    det_areas = np.where(det.quad, det.shoelace, det.areas)
    precision = np.zeros(overlaps.shape, dtype=np.float32)  # single as in the program: decides ties at 0.3
    np.divide(overlaps, det_areas, out=precision, where=det_areas > 0)

    inside: Flags = _inclusion(centres, lengths, det.corners, det.bounds, det.quad)
    for j in np.flatnonzero(~det.quad):
        inside[:, j] = shapely.contains_xy(det.regions[j], centres)
    # As in the program: of a wide region 1 / aspect is below 1, it is not the long side over the short one.
    stands_for = _pseudo_lengths(1 / (1e-5 + found_aspects))
    return _count(precision, inside, lengths, care, stands_for)


def _official(polygons: Polygons) -> tuple[Polygons, Shapes]:
    """The polygons with triangles completed, and the shapes that the program takes their areas from."""
    counts = np.diff(polygons.offsets)
    quad = counts == 4
    if quad.all():
        return polygons, Shapes.of(polygons.with_points(np.trunc(polygons.points)), quad)
    if (counts == 3).any():
        polygons = Polygons.of(np.vstack([p, (p[0, 0], p[2, 1])]) if len(p) == 3 else p for p in polygons)
    whole = np.repeat(quad, np.diff(polygons.offsets))[:, None]
    return polygons, Shapes.of(polygons.with_points(np.where(whole, np.trunc(polygons.points), polygons.points)), quad)


def _aspects(polygons: Polygons, shapes: Shapes) -> Floats:
    """Width / height of quads; of others height / width of the smallest rectangle, at most 10 (K,)."""
    aspects: Floats = _quad_aspects(polygons.points, polygons.offsets, shapes.quad)
    for i in np.flatnonzero(~shapes.quad):
        _, (width, height), _ = min_area_rect(polygons[int(i)])
        aspects[i] = min(10.0, (height + 1e-6) / (width + 1e-6)) + 1e-5
    return aspects


def _pseudo_lengths(aspects: Floats) -> Ints:
    return np.minimum(np.rint(0.5 + aspects), MAX_PSEUDO_LENGTH).astype(np.int64)


def _character_centres(polygons: Polygons, shapes: Shapes, aspects: Floats, lengths: Ints) -> Points:
    """Centres (C, 2) of the characters of all words, word after word."""
    centres: Points = _quad_centres(polygons.points, polygons.offsets, shapes.quad, aspects, lengths)
    ends = np.cumsum(lengths)
    for k in np.flatnonzero(~shapes.quad):
        centres[ends[k] - lengths[k] : ends[k]] = _polygon_centres(polygons[int(k)], int(lengths[k]))
    return centres


def _polygon_centres(points: Points, length: int) -> Points:
    """Centres (length, 2) along a polygon whose first half of points is its top, left to right, the rest its bottom."""
    half = len(points) // 2
    sections = half - 1

    def steps(line: Points) -> Points:
        start = line[:sections, None]
        between = np.trunc(start + (line[1:half, None] - start) / length * np.arange(length)[:, None])
        between[:, 0] = line[:sections]  # given points stay uncut
        return np.vstack([between.reshape(-1, 2), line[-1:]])

    top, bottom = steps(points[:half]), steps(points[half:][::-1])
    left = np.arange(length) * sections
    right = left + sections
    return np.asarray((top[left] + top[right] + bottom[left] + bottom[right]) / 4)


def _count(precision: NDArray[np.float32], inside: Flags, lengths: Ints, care: Flags, stands_for: Ints) -> Counts:
    """Match words and regions and count.

    Args:
        precision: share of each region's area that lies in each word (K, D).
        inside: whether each character centre lies in each region (C, D).
        lengths: characters of each word (K,), at least one; they sum to C.
        care: words that count (K,).
        stands_for: characters that each region counts for if it is a false positive (D,).
    """
    least = np.float32(AREA_PRECISION)
    hits: Ints = _sum_by_word(inside, lengths)
    touched = hits > 0
    held = touched & (precision >= least)
    covered = np.where(touched, precision, np.float32(0))

    lost = (precision[~care] >= least).any(axis=0) | (covered[~care].sum(axis=0) >= least)
    valid = care[:, None] & ~lost
    parts = held & valid
    one_to_one = (held.sum(axis=1) == 1)[:, None] & (held.sum(axis=0) == 1)
    one_to_many = (parts.sum(axis=1) > 1)[:, None]
    pieces = touched & valid
    # Double precision here, single for don't-care regions: as in the program.
    many_to_one = (pieces.sum(axis=0) > 1) & ((covered * pieces).sum(axis=0, dtype=np.float64) >= AREA_PRECISION)
    match = (parts & (one_to_one | one_to_many)) | (pieces & many_to_one)

    regions, words = match.sum(axis=1), match.sum(axis=0)  # of each word, of each region
    tp = int((inside & np.repeat(match, lengths, axis=0)).any(axis=1).sum())
    return Counts(
        gt=int(lengths[care].sum()),
        tp=tp,
        overlapped=int(hits[match].sum()) - tp,
        fp=int(stands_for[(words == 0) & ~lost].sum()),
        recall_penalty=int(np.maximum(regions - 1, 0).sum()),
        precision_penalty=int(np.maximum(words - 1, 0).sum()),
        split=int((regions > 1).sum()),
        merged=int((words > 1).sum()),
    )


@np.errstate(all="ignore")
def _subtract_words(overlaps: Floats, gt: Shapes, det: Shapes, care: Flags) -> None:
    """Take the words that count out of the don't-care rows of ``overlaps`` (K, D), in place."""
    for i in np.flatnonzero(~care):
        hit = np.flatnonzero(overlaps[i] > 0)
        x0, y0, x1, y1 = gt.bounds[i]
        near = care & (gt.bounds[:, 0] < x1) & (gt.bounds[:, 2] > x0) & (gt.bounds[:, 1] < y1) & (gt.bounds[:, 3] > y0)
        if len(hit) and near.any():
            rest = shapely.difference(gt.regions[i], shapely.union_all(gt.regions[near]))
            overlaps[i, hit] = shapely.area(shapely.intersection(rest, det.regions[hit]))


@njit(cache=True, nogil=True)
def _measure(points: Points, offsets: Ints, quad: Flags) -> tuple[Floats, Floats, Flags, Floats]:
    """``corners``, ``bounds``, ``convex`` and ``shoelace`` of ``Shapes``."""
    corners, bounds = np.zeros((len(quad), 4, 2)), np.empty((len(quad), 4))
    convex, shoelace = np.zeros(len(quad), dtype=np.bool_), np.zeros(len(quad))
    for k in range(len(quad)):
        p = points[offsets[k] : offsets[k + 1]]
        bounds[k, 0], bounds[k, 1], bounds[k, 2], bounds[k, 3] = p[0, 0], p[0, 1], p[0, 0], p[0, 1]
        for x, y in p:
            bounds[k, 0], bounds[k, 1] = min(bounds[k, 0], x), min(bounds[k, 1], y)
            bounds[k, 2], bounds[k, 3] = max(bounds[k, 2], x), max(bounds[k, 3], y)
        if quad[k]:
            corners[k] = p
            turns = np.empty(4)
            for c in range(4):
                px, py = p[(c + 1) % 4, 0] - p[c, 0], p[(c + 1) % 4, 1] - p[c, 1]
                qx, qy = p[(c + 2) % 4, 0] - p[(c + 1) % 4, 0], p[(c + 2) % 4, 1] - p[(c + 1) % 4, 1]
                turns[c] = px * qy - py * qx
            convex[k] = turns.min() >= 0 or turns.max() <= 0  # four turns of one sign cannot wind twice
            shoelace[k] = abs((p[2, 0] - p[0, 0]) * (p[3, 1] - p[1, 1]) - (p[2, 1] - p[0, 1]) * (p[3, 0] - p[1, 0])) / 2
    return corners, bounds, convex, shoelace


@njit(cache=True, nogil=True)
def _quad_aspects(points: Points, offsets: Ints, quad: Flags) -> Floats:
    aspects = np.ones(len(quad))
    for k in np.flatnonzero(quad):
        side = np.empty(4)
        for c in range(4):
            p, q = points[offsets[k] + c], points[offsets[k] + (c + 1) % 4]
            side[c] = np.sqrt((q[0] - p[0]) * (q[0] - p[0]) + (q[1] - p[1]) * (q[1] - p[1]))
        aspects[k] = ((side[0] + side[2]) / 2 + 1e-5) / ((side[1] + side[3]) / 2 + 1e-5)
    return aspects


@njit(cache=True, nogil=True)
def _quad_centres(points: Points, offsets: Ints, quad: Flags, aspects: Floats, lengths: Ints) -> Points:
    centres = np.zeros((lengths.sum(), 2))
    start = 0
    for k in range(len(quad)):
        n = lengths[k]
        if quad[k]:
            p = points[offsets[k] : offsets[k + 1]]
            turn = 0 if aspects[k] >= UPRIGHT_ASPECT else 3  # a tall quad is read from its bottom to its top
            for axis in range(2):
                first = (p[turn, axis] + p[(turn + 3) % 4, axis]) / 2
                step = ((p[(turn + 1) % 4, axis] + p[(turn + 2) % 4, axis]) / 2 - first) / n
                for i in range(n):
                    centres[start + i, axis] = first + step / 2 + step * i
        start += n
    return centres


@njit(cache=True, nogil=True)
def _convex_overlaps(
    a: Floats, a_bounds: Floats, a_convex: Flags, b: Floats, b_bounds: Floats, b_convex: Flags
) -> Floats:
    """Areas (Ka, Kb); -1 where the bounds meet but a shape is not a convex quad."""
    areas = np.zeros((len(a), len(b)))
    work = np.empty((2, 32, 2))  # a convex quad grows by one corner a cut; rounding can at worst double that
    for i in range(len(a)):
        for j in range(len(b)):
            if (
                a_bounds[i, 0] < b_bounds[j, 2]
                and b_bounds[j, 0] < a_bounds[i, 2]
                and a_bounds[i, 1] < b_bounds[j, 3]
                and b_bounds[j, 1] < a_bounds[i, 3]
            ):
                areas[i, j] = _clipped_area(a[i], b[j], work) if a_convex[i] and b_convex[j] else -1.0
    return areas


@njit(cache=True, nogil=True)
def _clipped_area(subject: Floats, clip: Floats, work: Floats) -> float:
    """Area of a convex quad (4, 2) inside another, by Sutherland and Hodgman (1974); ``work`` is scratch."""
    x, y = clip[0]  # all relative to this corner: differences of large coordinates are exact
    twice = 0.0
    for k in range(4):
        ax, ay, bx, by = clip[k, 0] - x, clip[k, 1] - y, clip[(k + 1) % 4, 0] - x, clip[(k + 1) % 4, 1] - y
        twice += ax * by - ay * bx
        work[0, k, 0], work[0, k, 1] = subject[k, 0] - x, subject[k, 1] - y
    if twice == 0:
        return 0.0
    n, src = 4, 0
    for k in range(4):
        ax, ay = clip[k, 0] - x, clip[k, 1] - y
        ex, ey = clip[(k + 1) % 4, 0] - x - ax, clip[(k + 1) % 4, 1] - y - ay
        dst, m = 1 - src, 0
        px, py = work[src, n - 1]
        before = (ex * (py - ay) - ey * (px - ax)) * twice
        for i in range(n):
            qx, qy = work[src, i]
            now = (ex * (qy - ay) - ey * (qx - ax)) * twice
            if (now >= 0) != (before >= 0):
                t = before / (before - now)
                work[dst, m, 0], work[dst, m, 1] = px + t * (qx - px), py + t * (qy - py)
                m += 1
            if now >= 0:
                work[dst, m, 0], work[dst, m, 1] = qx, qy
                m += 1
            px, py, before = qx, qy, now
        n, src = m, dst
        if n < 3:
            return 0.0
    doubled = 0.0
    for i in range(n):
        j = (i + 1) % n
        doubled += work[src, i, 0] * work[src, j, 1] - work[src, i, 1] * work[src, j, 0]
    return abs(doubled) / 2


@njit(cache=True, nogil=True)
def _inclusion(centres: Points, lengths: Ints, corners: Floats, bounds: Floats, quad: Flags) -> Flags:
    """Whether centre c lies in quad j (C, D), by the crossing-number test: left and top edges belong to the quad."""
    inside = np.zeros((len(centres), len(corners)), dtype=np.bool_)
    start = 0
    for length in lengths:
        word = centres[start : start + length]
        x0, y0, x1, y1 = word[:, 0].min(), word[:, 1].min(), word[:, 0].max(), word[:, 1].max()
        for j in range(len(corners)):
            b = bounds[j]
            if not quad[j] or x0 > b[2] or b[0] > x1 or y0 > b[3] or b[1] > y1:
                continue
            for c in range(length):
                x, y = word[c]
                odd = False
                for i in range(4):
                    px, py = corners[j, i]
                    qx, qy = corners[j, i - 1]
                    if (py <= y) != (qy <= y) and x < (qx - px) * (y - py) / (qy - py) + px:
                        odd = not odd
                inside[start + c, j] = odd
        start += length
    return inside


@njit(cache=True, nogil=True)
def _sum_by_word(inside: Flags, lengths: Ints) -> Ints:
    """How many centres of each word lie in each region (K, D)."""
    hits = np.zeros((len(lengths), inside.shape[1]), dtype=np.int64)
    start = 0
    for k in range(len(lengths)):
        for c in range(start, start + lengths[k]):
            for d in range(inside.shape[1]):
                hits[k, d] += inside[c, d]
        start += lengths[k]
    return hits
