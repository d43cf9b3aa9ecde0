"""Voting: the regions of several models on one page in, those that enough of them agree on out.

A region of one member and regions of others are one text if every two of them overlap by ``iou`` (of the polygons, of
any vertex count), so that neighbours cannot be chained together; a member has one vote in it, however many regions it
found there. Everything is decided in an order that only geometry and scores make: neither the order of the members
nor the start or direction of an outline plays a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hmean.metrics import kernels
from hmean.metrics.kernels import Flags, Floats, Ints
from hmean.metrics.shapes import pack
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Points, Polygons


@dataclass(frozen=True)
class VotingParams(PostprocessParams):
    """Post-processing of members that vote; ``box_thresh`` and ``max_candidates`` hold for what they agree on.

    Attributes:
        votes: least number of members.
        iou: least overlap of every two regions of one text, in (0, 1].
        geometry: ``medoid``: the outline that agrees best with those of other members; ``mean``: where all are quads,
            the mean of their corresponding corners, weighted by score, unless that has a smaller area than all of them.
        soft: the score is the mean score times the share of members that voted; else the mean score.
        floor: regions of a member with a lower score do not vote.
    """

    votes: int = 3
    iou: float = 0.5
    geometry: Literal["medoid", "mean"] = "medoid"
    soft: bool = False
    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.votes < 1 or not 0 < self.iou <= 1 or self.geometry not in ("medoid", "mean"):
            raise ValueError("votes must be at least 1, iou lie in (0, 1], geometry be 'medoid' or 'mean', "
                             f"got {self.votes}, {self.iou}, {self.geometry!r}")  # fmt: skip

    def member(self) -> PostprocessParams:
        """The post-processing of each member."""
        shared = {name: getattr(self, name) for name in PostprocessParams.__dataclass_fields__}
        return PostprocessParams(**{**shared, "box_thresh": self.floor})


def vote(members: Sequence[Detections], params: VotingParams) -> Detections:
    """What the members (M), distinct models on the same page, agree on, in falling order of score."""
    return vote_each(members, [params])[0]


def vote_each(members: Sequence[Detections], many: Sequence[VotingParams]) -> list[Detections]:
    """``vote`` by many rules (N): overlaps are found once, texts once for each ``iou``."""
    ballot = _Ballot.of(members, min(params.iou for params in many))
    texts = {iou: _texts(ballot.ious, ballot.owner, len(members), iou) for iou in {params.iou for params in many}}
    return [ballot.elect(texts[params.iou], params) for params in many]


@dataclass(frozen=True, eq=False)
class _Ballot:
    """All members' regions (K), by falling score and then by their bounds."""

    polygons: Polygons
    owner: Ints
    scores: Floats
    ious: Floats

    @classmethod
    def of(cls, members: Sequence[Detections], least: float) -> _Ballot:
        points, offsets, starts = pack([found.polygons for found in members])
        bounds = kernels.measure(points, offsets, False)[1]
        scores = np.concatenate([np.zeros(0), *(found.scores for found in members)]).astype(np.float64)
        order = np.lexsort((*bounds.T[::-1], -scores))
        owner = np.repeat(np.arange(len(members)), np.diff(starts))[order]
        polygons = Polygons(points, offsets).select(order)
        ious = _member_ious(polygons.points, polygons.offsets, bounds[order], owner, least)
        return cls(polygons, owner, scores[order], ious)

    def elect(self, texts: Ints, params: VotingParams) -> Detections:
        """Fuse the texts (C, M) of enough votes."""
        votes = (texts >= 0).sum(axis=1)
        scores = np.where(texts >= 0, self.scores[texts], 0).sum(axis=1) / np.maximum(votes, 1)
        if params.soft:
            scores *= votes / texts.shape[1]
        fused = scores.astype(np.float32)
        kept = np.flatnonzero((votes >= params.votes) & (fused >= np.float32(params.box_thresh)))
        kept = kept[np.argsort(-fused[kept], kind="stable")][: params.max_candidates]
        polygons = self.polygons.select(texts[kept, 0])
        if params.geometry == "mean":
            quads, averaged = _mean_quads(texts[kept], self.polygons.points, self.polygons.offsets, self.scores)
            polygons = Polygons.of([q if mean else p for p, q, mean in zip(polygons, quads, averaged, strict=True)])
        return Detections(polygons, fused[kept])


@njit(cache=True, nogil=True)
def _member_ious(points: Points, offsets: Ints, bounds: Floats, owner: Ints, least: float) -> Floats:
    """IoU (K, K) of regions of different members; 0 where even the overlap of their bounds is too small."""
    k_all = len(owner)
    iou, areas = np.zeros((k_all, k_all)), np.empty(k_all)
    for i in range(k_all):
        p = points[offsets[i] : offsets[i + 1]]
        areas[i] = _overlap(p, p)
        for j in range(i):
            w = min(bounds[i, 2], bounds[j, 2]) - max(bounds[i, 0], bounds[j, 0])
            h = min(bounds[i, 3], bounds[j, 3]) - max(bounds[i, 1], bounds[j, 1])
            both, most = areas[i] + areas[j], min(max(w, 0.0) * max(h, 0.0), areas[i], areas[j])
            if owner[i] != owner[j] and most > 0 and most * (1 + least) >= least * both * (1 - 1e-9):
                area = _overlap(p, points[offsets[j] : offsets[j + 1]])
                iou[i, j] = iou[j, i] = area / (both - area)
    return iou


@njit(cache=True, nogil=True)
def _overlap(p: Points, q: Points) -> float:
    """Area shared by two polygons (n, 2), (m, 2): the sum over pairs of edges of what lies below both.

    What lies below the edges, signed by their direction, adds up to the polygon, so no case needs care: neither shared
    edges nor concave corners. Of outlines that cross themselves it is the integral of the product of winding numbers.
    """
    base, total = min(p[:, 1].min(), q[:, 1].min()), 0.0
    for i in range(len(p)):
        ax, ay, bx, by = p[i - 1, 0], p[i - 1, 1] - base, p[i, 0], p[i, 1] - base
        for j in range(len(q)):
            cx, cy, dx, dy = q[j - 1, 0], q[j - 1, 1] - base, q[j, 0], q[j, 1] - base
            left, right = max(min(ax, bx), min(cx, dx)), min(max(ax, bx), max(cx, dx))
            if left >= right:
                continue
            slope, other = (by - ay) / (bx - ax), (dy - cy) / (dx - cx)
            e0, e1 = ay + (left - ax) * slope, ay + (right - ax) * slope
            f0, f1 = cy + (left - cx) * other, cy + (right - cx) * other
            below = (min(e0, f0) + min(e1, f1)) / 2
            if (e0 - f0) * (e1 - f1) < 0:  # they cross: less the triangle above the crossing
                t = (e0 - f0) / ((e0 - f0) - (e1 - f1))
                below = (min(e0, f0) * t + min(e1, f1) * (1 - t) + e0 + t * (e1 - e0)) / 2
            total += below * (right - left) * np.sign(bx - ax) * np.sign(dx - cx)
    return abs(total)


@njit(cache=True, nogil=True)
def _texts(ious: Floats, owner: Ints, members: int, least: float) -> Ints:
    """Regions of each text (C, members), the medoid first, the rest filled with -1; each region is in one.

    The region that overlaps the other members' best comes first, and takes from them what overlaps it most and all
    that it has taken already: a clique, since two regions of one member have IoU 0 here.
    """
    taken, texts, n = np.zeros(len(owner), dtype=np.bool_), np.full((len(owner), members), -1), 0
    for i in np.argsort(-_support(ious, owner, members, least), kind="mergesort"):
        found, size = i, 0
        while found >= 0 and not taken[found]:
            texts[n, size], taken[found], size = found, True, size + 1
            found = _next(ious, taken, texts[n, :size], least)
        n += size > 0
    return texts[:n]


@njit(cache=True, nogil=True)
def _support(ious: Floats, owner: Ints, members: int, least: float) -> Ints:
    """Sum over the other members of the best overlap of each region (K,), in whole 2^-30: exact in any order."""
    support = np.zeros(len(owner), dtype=np.int64)
    for i in range(len(owner)):
        best = np.zeros(members)
        for j in range(len(owner)):
            if ious[i, j] >= least:
                best[owner[j]] = max(best[owner[j]], ious[i, j])
        for m in range(members):
            support[i] += round(best[m] * 2**30)
    return support


@njit(cache=True, nogil=True)
def _next(ious: Floats, taken: Flags, text: Ints, least: float) -> int:
    """The free region that overlaps the first of a text most and all of it enough, or -1."""
    found = -1
    for j in range(len(taken)):
        near = ious[text[0], j]
        if taken[j] or near < least or (found >= 0 and near <= ious[text[0], found]):
            continue
        free = True
        for g in text[1:]:
            free &= ious[g, j] >= least
        if free:
            found = j
    return found


@njit(cache=True, nogil=True)
def _mean_quads(texts: Ints, points: Points, offsets: Ints, scores: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Weighted mean of corresponding corners of each text (C, 4, 2), and whether it may stand for the medoid (C,).

    Corners correspond in the turn and direction that brings them nearest to the medoid's.
    """
    out, fit = np.empty((len(texts), 4, 2)), np.zeros(len(texts), dtype=np.bool_)
    for c in range(len(texts)):
        text = texts[c][texts[c] >= 0]
        if (offsets[text + 1] - offsets[text] != 4).any():
            continue
        base = points[offsets[text[0]] : offsets[text[0] + 1]]
        shift, weights, smallest = np.zeros((4, 2)), 0.0, np.inf
        for k in text:
            corners, nearest, moved = points[offsets[k] : offsets[k + 1]], np.inf, base
            for turn in range(8):
                offset = np.roll(corners[:: 1 if turn < 4 else -1], 2 * turn).reshape(4, 2) - base
                distance = (offset * offset).sum()
                if distance < nearest:
                    nearest, moved = distance, offset
            weight = max(scores[k], 1e-6)
            shift, weights = shift + weight * moved, weights + weight
            smallest = min(smallest, _overlap(corners, corners))
        out[c] = base + shift / weights
        fit[c] = _overlap(out[c], out[c]) >= smallest * (1 - 1e-9)
    return out, fit


def rules(members: int, ious: Sequence[float], params: PostprocessParams, floor: float) -> list[VotingParams]:
    """The rules worth trying: 2 to M - 1 hard votes (2 of 2), or soft ones, at each IoU, with either geometry."""
    shared = {name: getattr(params, name) for name in PostprocessParams.__dataclass_fields__}
    start = VotingParams(**shared, floor=floor)
    hard = range(2, max(3, members))
    counts = [(votes, False) for votes in hard] + [(1, True)]
    return [
        replace(start, votes=votes, soft=soft, iou=iou, geometry=geometry)
        for votes, soft in counts
        for iou in ious
        for geometry in ("medoid", "mean")
    ]
