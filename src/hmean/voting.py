"""Voting: the regions of several models on one page in, those that enough of them agree on out.

A region of one member and regions of others are one text if every two of them overlap by ``iou`` (of the polygons, of
any vertex count), so that neighbours cannot be chained together; a member has one vote in it, however many regions it
found there. Everything is decided in an order that only geometry and scores make: neither the order of the members
nor the start or direction of an outline plays a part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from hmean.metrics import kernels
from hmean.metrics.kernels import EXOTIC, Flags, Floats, Ints
from hmean.metrics.shapes import Shapes, pack
from hmean.types import Detections, Polygons, PostprocessParams


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

    polygons: Polygons  # in the order given; the K arrays are in that of ``order``
    order: Ints
    owner: Ints
    scores: Floats
    corners: Floats
    quad: Flags
    areas: Floats
    ious: Floats

    @classmethod
    def of(cls, members: Sequence[Detections], least: float) -> _Ballot:
        points, offsets, starts = pack([found.polygons for found in members])
        shapes = Shapes.of(Polygons(points, offsets))
        scores = np.concatenate([np.zeros(0), *(found.scores for found in members)]).astype(np.float64)
        order = np.lexsort((*shapes.bounds.T[::-1], -scores))
        owner = np.repeat(np.arange(len(members)), np.diff(starts))[order]
        measured: tuple[NDArray[Any], ...] = (shapes.parts, shapes.count, shapes.bounds, shapes.areas)
        parts, count, bounds, areas = (array[order] for array in measured)
        ious = kernels.member_ious(parts, count, bounds, areas, owner, least)
        i, j = np.nonzero(ious == EXOTIC)
        if len(i):
            with np.errstate(all="ignore"):  # GEOS leaves floating-point flags behind
                area = shapely.area(shapely.intersection(shapes.regions[order[i]], shapes.regions[order[j]]))
            union = shapes.areas[order[i]] + shapes.areas[order[j]] - area
            ious[i, j] = ious[j, i] = np.divide(area, union, out=np.zeros(len(i)), where=union > 0)
        return cls(shapes.polygons, order, owner, scores[order], shapes.corners[order], shapes.quad[order], areas, ious)

    def elect(self, texts: Ints, params: VotingParams) -> Detections:
        """Fuse the texts (C, M) of enough votes."""
        votes = (texts >= 0).sum(axis=1)
        scores = np.where(texts >= 0, self.scores[texts], 0).sum(axis=1) / np.maximum(votes, 1)
        if params.soft:
            scores *= votes / texts.shape[1]
        fused = scores.astype(np.float32)
        kept = np.flatnonzero((votes >= params.votes) & (fused >= np.float32(params.box_thresh)))
        kept = kept[np.argsort(-fused[kept], kind="stable")][: params.max_candidates]
        polygons = self.polygons.select(self.order[texts[kept, 0]])
        if params.geometry == "mean":
            quads, averaged = _mean_quads(texts[kept], self.corners, self.quad, self.areas, self.scores)
            polygons = Polygons.of([q if mean else p for p, q, mean in zip(polygons, quads, averaged, strict=True)])
        return Detections(polygons, fused[kept])


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
        free = not taken[j] and (found < 0 or ious[text[0], j] > ious[text[0], found])
        for g in text:
            free &= ious[g, j] >= least
        if free:
            found = j
    return found


@njit(cache=True, nogil=True)
def _mean_quads(
    texts: Ints, corners: Floats, quad: Flags, areas: Floats, scores: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Weighted mean of corresponding corners of each text (C, 4, 2), and whether it may stand for the medoid (C,).

    Corners correspond in the turn and direction that brings them nearest to the medoid's.
    """
    out, fit = np.empty((len(texts), 4, 2)), np.ones(len(texts), dtype=np.bool_)
    for c in range(len(texts)):
        base = corners[texts[c, 0]]
        shift, weights, least = np.zeros((4, 2)), 0.0, np.inf
        for k in texts[c]:
            if k < 0:
                break
            fit[c] &= quad[k]
            weight, nearest, moved = max(scores[k], 1e-6), np.inf, np.zeros((4, 2))
            for turn in range(8):
                step = 1 if turn < 4 else -1
                offset = np.empty((4, 2))
                for v in range(4):
                    offset[v] = corners[k, (turn + step * v) % 4] - base[v]
                distance = (offset * offset).sum()
                if distance < nearest:
                    nearest, moved = distance, offset
            shift, weights, least = shift + weight * moved, weights + weight, min(least, areas[k])
        p = base + shift / weights
        out[c] = p
        area = abs((p[2, 0] - p[0, 0]) * (p[3, 1] - p[1, 1]) - (p[2, 1] - p[0, 1]) * (p[3, 0] - p[1, 0])) / 2
        fit[c] &= area >= least * (1 - 1e-9)
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
