"""Voting: the text polygons of several models on one page in, those that enough of the models agree on out.

Polygons of different members are one text if every two of them overlap by ``iou``, so that neighbours cannot be joined
through a third polygon. A member has one vote in a text, however many polygons it found there. Everything is decided in
an order that follows from geometry and scores alone: neither the order of the members nor the first vertex or the
direction of an outline plays a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.metrics import kernels
from hmean.metrics.kernels import Flags, Floats, Ints
from hmean.metrics.shapes import pack
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Points, Polygons

# Columns of bounds (N, 4).
LEFT, TOP, RIGHT, BOTTOM = range(4)
QUAD = 4  # vertices
NOBODY = -1  # in a text, the place of a member that has no polygon there
FIXED_VOTES = 3  # of the rule that nothing is chosen of
FIXED_IOU = 0.5
LEAST_WEIGHT = 1e-6  # of a quad in a mean, so that scores of 0 divide by something


@dataclass(frozen=True)
class VotingParams(PostprocessParams):
    """Post-processing of members that vote; ``box_thresh`` and ``max_candidates`` hold for what they agree on.

    Attributes:
        votes: least number of members that must have found a text.
        iou: least overlap of every two polygons of one text, in (0, 1].
        geometry: ``medoid``: the outline that agrees best with those of the other members; ``mean``: where all are
            quads, the mean of their corresponding corners, weighted by score, unless that is smaller than all of them.
        soft: the score is the mean score times the share of the members that voted; else the mean score.
        floor: polygons of a member with a lower score do not vote.

    Raises:
        ValueError: if a value is out of range.
    """

    votes: int = 3
    iou: float = 0.5
    geometry: Literal["medoid", "mean"] = "medoid"
    soft: bool = False
    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.votes < 1:
            raise ValueError(f"votes must be at least 1, got {self.votes}")
        if not 0 < self.iou <= 1:
            raise ValueError(f"iou must lie in (0, 1], got {self.iou}")
        if self.geometry not in ("medoid", "mean"):
            raise ValueError(f"geometry must be 'medoid' or 'mean', got {self.geometry!r}")

    def of_members(self) -> PostprocessParams:
        """The post-processing of each member."""
        return PostprocessParams(**{**_shared(self), "box_thresh": self.floor})


def voting_rules(members: int, ious: Sequence[float], params: PostprocessParams, floor: float) -> list[VotingParams]:
    """The rules that are worth trying: 2 to M - 1 votes (2 of 2) or soft ones, at each IoU, with either geometry."""
    start = VotingParams(**_shared(params), floor=floor)
    counts = [replace(start, votes=votes) for votes in range(2, max(3, members))]
    counts.append(replace(start, votes=1, soft=True))
    rules = []
    for count in counts:
        for iou in ious:
            rules.append(replace(count, iou=iou, geometry="medoid"))
            rules.append(replace(count, iou=iou, geometry="mean"))
    return rules


def fixed_rule(params: PostprocessParams, floor: float) -> VotingParams:
    """A text is what three members have found, at an IoU of 0.5; its outline is the medoid, its score the mean."""
    return VotingParams(**_shared(params), votes=FIXED_VOTES, iou=FIXED_IOU, geometry="medoid", floor=floor)


def _shared(params: PostprocessParams) -> dict[str, Any]:
    """The values that a member's post-processing and that of a vote have in common."""
    return {name: getattr(params, name) for name in PostprocessParams.__dataclass_fields__}


def vote(members: Sequence[Detections], params: VotingParams) -> Detections:
    """What the members (M), distinct models on the same page, agree on, in falling order of score."""
    return vote_each(members, [params])[0]


def vote_each(members: Sequence[Detections], many: Sequence[VotingParams]) -> list[Detections]:
    """``vote`` by many rules (N): overlaps are computed once, texts once for each ``iou``."""
    ballot = _Ballot.of(members, min(params.iou for params in many))
    texts: dict[float, Ints] = {}
    found = []
    for params in many:
        if params.iou not in texts:
            texts[params.iou] = _texts(ballot.ious, ballot.owner, len(members), params.iou)
        found.append(ballot.fuse(texts[params.iou], params))
    return found


@dataclass(frozen=True, eq=False)
class _Ballot:
    """The polygons of all members (K), by falling score and then by their bounds.

    Attributes:
        polygons: the polygons (K).
        owner: number of the member that found each (K,).
        scores: score of each (K,).
        ious: overlap of every two polygons of different members (K, K).
    """

    polygons: Polygons
    owner: Ints
    scores: Floats
    ious: Floats

    @classmethod
    def of(cls, members: Sequence[Detections], least_iou: float) -> _Ballot:
        points, offsets, starts = pack([found.polygons for found in members])
        bounds = kernels.measure(points, offsets, False)[1]
        none = np.zeros(0)
        scores = np.concatenate([none, *(found.scores for found in members)]).astype(np.float64)
        # lexsort's last key counts first: score, then left, top, right and bottom.
        order = np.lexsort((*bounds.T[::-1], -scores))
        owner = np.repeat(np.arange(len(members)), np.diff(starts))[order]
        polygons = Polygons(points, offsets).select(order)
        ious = _member_ious(polygons.points, polygons.offsets, bounds[order], owner, least_iou)
        return cls(polygons, owner, scores[order], ious)

    def fuse(self, texts: Ints, params: VotingParams) -> Detections:
        """One polygon for each text (C, M) with enough votes."""
        is_vote = texts != NOBODY
        votes = is_vote.sum(axis=1)
        sums = np.where(is_vote, self.scores[texts], 0).sum(axis=1)
        scores = sums / np.maximum(votes, 1)
        if params.soft:
            scores *= votes / texts.shape[1]
        fused = scores.astype(np.float32)
        kept = np.flatnonzero((votes >= params.votes) & (fused >= np.float32(params.box_thresh)))
        kept = kept[np.argsort(-fused[kept], kind="stable")][: params.max_candidates]
        return Detections(self._outlines(texts[kept], params), fused[kept])

    def _outlines(self, texts: Ints, params: VotingParams) -> Polygons:
        medoids = self.polygons.select(texts[:, 0])
        if params.geometry == "medoid":
            return medoids
        means, is_usable = _mean_quads(texts, self.polygons.points, self.polygons.offsets, self.scores)
        outlines = []
        for medoid, mean, usable in zip(medoids, means, is_usable, strict=True):
            if usable:
                outlines.append(mean)
            else:
                outlines.append(medoid)
        return Polygons.of(outlines)


# --- kernels ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _polygon(points: Points, offsets: Ints, k: int) -> Points:
    """Vertices of polygon k."""
    return points[offsets[k] : offsets[k + 1]]


@njit(cache=True, nogil=True)
def _member_ious(points: Points, offsets: Ints, bounds: Floats, owner: Ints, least: float) -> Floats:
    """IoU (K, K) of polygons of different members; 0 where the overlap of their bounds already rules out ``least``."""
    count = len(owner)
    ious = np.zeros((count, count))
    areas = np.empty(count)
    for i in range(count):
        outline = _polygon(points, offsets, i)
        areas[i] = _overlap(outline, outline)
        for j in range(i):
            if owner[i] == owner[j]:
                continue
            most_shared = min(_overlap_of_bounds(bounds[i], bounds[j]), areas[i], areas[j])
            both = areas[i] + areas[j]
            # shared / (both - shared) >= least, without the division and with room for rounding
            if most_shared > 0 and most_shared * (1 + least) >= least * both * (1 - 1e-9):
                shared = _overlap(outline, _polygon(points, offsets, j))
                ious[i, j] = shared / (both - shared)
                ious[j, i] = ious[i, j]
    return ious


@njit(cache=True, nogil=True)
def _overlap_of_bounds(a: Floats, b: Floats) -> float:
    """Area shared by two axis-parallel boxes (4,)."""
    width = min(a[RIGHT], b[RIGHT]) - max(a[LEFT], b[LEFT])
    height = min(a[BOTTOM], b[BOTTOM]) - max(a[TOP], b[TOP])
    area: float = max(width, 0.0) * max(height, 0.0)
    return area


@njit(cache=True, nogil=True)
def _overlap(p: Points, q: Points) -> float:
    """Area shared by two polygons (n, 2), (m, 2): the sum over pairs of edges of what lies below both.

    What lies below the edges, signed by their direction, adds up to the polygon, so no case needs special care: neither
    shared edges nor concave corners. Of outlines that cross themselves it is the integral of the product of winding
    numbers.
    """
    base = min(p[:, 1].min(), q[:, 1].min())
    total = 0.0
    for i in range(len(p)):
        # The edge of p goes from a to b, that of q from c to d; heights are measured from the base.
        ax = p[i - 1, 0]
        ay = p[i - 1, 1] - base
        bx = p[i, 0]
        by = p[i, 1] - base
        for j in range(len(q)):
            cx = q[j - 1, 0]
            cy = q[j - 1, 1] - base
            dx = q[j, 0]
            dy = q[j, 1] - base
            left = max(min(ax, bx), min(cx, dx))
            right = min(max(ax, bx), max(cx, dx))
            if left >= right:
                continue
            slope_p = (by - ay) / (bx - ax)
            slope_q = (dy - cy) / (dx - cx)
            # Heights of both edges at the left and right end of what they have in common.
            p_left = ay + (left - ax) * slope_p
            p_right = ay + (right - ax) * slope_p
            q_left = cy + (left - cx) * slope_q
            q_right = cy + (right - cx) * slope_q
            below = (min(p_left, q_left) + min(p_right, q_right)) / 2
            if (p_left - q_left) * (p_right - q_right) < 0:  # they cross: less the triangle above the crossing
                t = (p_left - q_left) / ((p_left - q_left) - (p_right - q_right))
                below = (
                    min(p_left, q_left) * t + min(p_right, q_right) * (1 - t) + p_left + t * (p_right - p_left)
                ) / 2
            total += below * (right - left) * np.sign(bx - ax) * np.sign(dx - cx)
    return abs(total)


@njit(cache=True, nogil=True)
def _texts(ious: Floats, owner: Ints, members: int, least: float) -> Ints:
    """Polygons of each text (C, members), the medoid first, filled up with NOBODY; each polygon is in one text.

    The polygon that overlaps those of the other members best comes first. It takes the one that overlaps it most and
    overlaps enough all that it has taken already, until there is none: a clique, with at most one polygon of each
    member, since two of one member have an IoU of 0 here.
    """
    taken = np.zeros(len(owner), dtype=np.bool_)
    texts = np.full((len(owner), members), NOBODY)
    count = 0
    for medoid in np.argsort(-_support(ious, owner, members, least), kind="mergesort"):
        if taken[medoid]:
            continue
        found = medoid
        size = 0
        while found != NOBODY:
            texts[count, size] = found
            taken[found] = True
            size += 1
            found = _next_of_text(ious, taken, texts[count, :size], least)
        count += 1
    return texts[:count]


@njit(cache=True, nogil=True)
def _support(ious: Floats, owner: Ints, members: int, least: float) -> Ints:
    """Sum over the other members of the best overlap of each polygon (K,), in whole 2^-30: exact in any order."""
    support = np.zeros(len(owner), dtype=np.int64)
    for i in range(len(owner)):
        best = np.zeros(members)
        for j in range(len(owner)):
            if ious[i, j] >= least:
                best[owner[j]] = max(best[owner[j]], ious[i, j])
        for member in range(members):
            support[i] += round(best[member] * 2**30)
    return support


@njit(cache=True, nogil=True)
def _next_of_text(ious: Floats, taken: Flags, text: Ints, least: float) -> int:
    """The free polygon that overlaps the medoid of a text most, and all of the text enough; or NOBODY."""
    medoid = text[0]
    found = NOBODY
    for j in range(len(taken)):
        if taken[j] or ious[medoid, j] < least:
            continue
        if found != NOBODY and ious[medoid, j] <= ious[medoid, found]:
            continue
        overlaps_all = True
        for other in text[1:]:
            overlaps_all &= ious[other, j] >= least
        if overlaps_all:
            found = j
    return found


@njit(cache=True, nogil=True)
def _mean_quads(texts: Ints, points: Points, offsets: Ints, scores: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Mean of the corresponding corners of each text (C, 4, 2), weighted by score, and whether it is usable (C,).

    It is usable if all polygons of the text are quads and it is no smaller than the smallest of them.
    """
    means = np.empty((len(texts), QUAD, 2))
    is_usable = np.zeros(len(texts), dtype=np.bool_)
    for c in range(len(texts)):
        text = texts[c][texts[c] != NOBODY]
        if (offsets[text + 1] - offsets[text] != QUAD).any():
            continue
        medoid = _polygon(points, offsets, text[0])
        moved = np.zeros((QUAD, 2))
        weights = 0.0
        smallest = np.inf
        for k in text:
            corners = _polygon(points, offsets, k)
            weight = max(scores[k], LEAST_WEIGHT)
            moved = moved + weight * _offset_from(medoid, corners)
            weights = weights + weight
            smallest = min(smallest, _overlap(corners, corners))
        means[c] = medoid + moved / weights
        is_usable[c] = _overlap(means[c], means[c]) >= smallest * (1 - 1e-9)
    return means, is_usable


@njit(cache=True, nogil=True)
def _offset_from(base: Points, corners: Points) -> Points:
    """Offsets (4, 2) of a quad's corners from those of another, in the turn and direction that make them smallest."""
    nearest = np.inf
    offset = base
    for turn in range(2 * QUAD):
        step = 1
        if turn >= QUAD:
            step = -1
        turned = np.roll(corners[::step], 2 * turn).reshape(QUAD, 2) - base
        distance = (turned * turned).sum()
        if distance < nearest:
            nearest = distance
            offset = turned
    return offset
