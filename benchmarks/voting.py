"""Voting of five members against a textbook over shapely: greedy over a tree of polygons, votes of distinct members."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from harness import Result, compare

from hmean.ensemble.voting import VotingParams, vote
from hmean.types import Detections, Polygons

PEERS = ()
ABOUT = (
    "Five members on pages of 55 or 115 words: rotated rectangles, and outlines of 12 points. The aim is 2 "
    "seconds for five members on 400 pages, so 5 ms a page."
)
PARAMS = VotingParams(votes=3, iou=0.5, box_thresh=0.0)
TESTS = "tests/unit/ensemble/test_voting.py (properties; pairs of two members are those of shapely's IoU); equal number of texts here"


def members(rng: np.random.Generator, points: int, words: int = 55) -> list[Detections]:
    angle = np.arange(points) / points * 2 * np.pi + np.pi / points
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (90, 22)
    places = np.stack([150 + 260 * (np.arange(words) % 4), 40 + 55 * (np.arange(words) // 4)], axis=1)
    return [
        scored(rng, [outline + at + rng.normal(0, 1.5, outline.shape) for at in places[rng.random(words) < 0.95]])
        for _ in range(5)
    ]


def scored(rng: np.random.Generator, polygons: list[np.ndarray]) -> Detections:
    return Detections(Polygons.of(polygons), rng.uniform(0.5, 1, len(polygons)).astype(np.float32))


def textbook(each: list[Detections]) -> int:
    """Texts with three votes: by falling score, a region takes the best overlap of each other member."""
    boxes = [
        (s, m, shapely.Polygon(p)) for m, one in enumerate(each) for p, s in zip(one.polygons, one.scores, strict=True)
    ]
    boxes.sort(key=lambda box: -box[0])
    tree, taken, texts = shapely.STRtree([box[2] for box in boxes]), set(), 0
    for i, (_, member, polygon) in enumerate(boxes):
        if i in taken:
            continue
        best: dict[int, tuple[float, int]] = {}
        for j in tree.query(polygon).tolist():
            other = boxes[j]
            if j in taken or other[1] == member:
                continue
            area = polygon.intersection(other[2]).area
            iou = area / (polygon.area + other[2].area - area)
            if iou >= 0.5 and iou > best.get(other[1], (0.0, 0))[0]:
                best[other[1]] = (iou, j)
        taken |= {i, *(j for _, j in best.values())}
        texts += len(best) + 1 >= 3
    return texts


def vectorised(each: list[Detections]) -> int:
    """The same with arrays: one query of the tree for all, and one shapely call for each text."""
    polygons = np.concatenate([_polygons(one.polygons) for one in each])
    member = np.repeat(np.arange(len(each)), [len(one) for one in each])
    scores = np.concatenate([one.scores for one in each])
    order = np.argsort(-scores, kind="stable")
    polygons, member = polygons[order], member[order]
    areas = shapely.area(polygons)
    boxes = shapely.bounds(polygons)
    i, j = shapely.STRtree(polygons).query(polygons)
    shared = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
    may_match = shared.prod(axis=1) >= PARAMS.iou * np.maximum(areas[i], areas[j])
    may_match &= (i < j) & (member[i] != member[j])
    i, j = i[may_match], j[may_match]
    by_word = np.argsort(i, kind="stable")
    starts = np.searchsorted(i[by_word], np.arange(len(polygons) + 1)).tolist()
    partners = j[by_word]
    of_member = member.tolist()
    taken = np.zeros(len(polygons), dtype=np.bool_)
    texts = 0
    for k in range(len(polygons)):
        if taken[k]:
            continue
        near = partners[starts[k] : starts[k + 1]]
        near = near[~taken[near]]
        inter = shapely.area(shapely.intersection(polygons[k], polygons[near]))
        iou = inter / (areas[k] + areas[near] - inter)
        best: dict[int, tuple[float, int]] = {}
        for value, other in zip(iou.tolist(), near.tolist(), strict=True):
            if value >= PARAMS.iou and value > best.get(of_member[other], (0.0, 0))[0]:
                best[of_member[other]] = (value, other)
        taken[k] = True
        taken[[other for _, other in best.values()]] = True
        texts += len(best) + 1 >= PARAMS.votes
    return texts


def _polygons(polygons: Polygons) -> np.ndarray:
    rings = np.repeat(np.arange(len(polygons)), np.diff(polygons.offsets))
    return shapely.polygons(shapely.linearrings(polygons.points, indices=rings))


def run() -> Iterator[Result]:
    for name, points, words in (("quads", 4, 55), ("12 points", 12, 55), ("quads", 4, 115), ("12 points", 12, 115)):
        rng = np.random.default_rng(0)
        pages = [members(rng, points, words) for _ in range(20)]
        assert all(len(vote(page, PARAMS)) == textbook(page) == vectorised(page) for page in pages)
        yield compare(
            f"voting, 5 members, {words} words, {name}",
            "textbook",
            pages,
            lambda page: vote(page, PARAMS),
            textbook,
            exact=TESTS,
            cpu=True,
            most_ms=5,
        )
        yield compare(
            f"voting, 5 members, {words} words, {name}",
            "shapely 2, one call a text",
            pages,
            lambda page: vote(page, PARAMS),
            vectorised,
            exact="equal number of texts here",
            strongest=True,
            cpu=True,
            rounds=9,
        )
