"""Voting: what must hold whatever the members, their order and how they write an outline."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean.ensemble import voting
from hmean.ensemble.voting import VotingParams, fixed_rule, vote, vote_each, voting_rules
from hmean.geometry import area
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Polygons
from support.plane import rect_corners

ANY = VotingParams(votes=1, iou=0.5, box_thresh=0.0)
GEOMETRY = pytest.mark.parametrize("geometry", ["medoid", "mean"])
seeds = st.integers(0, 2**32 - 1)


def found(polygons, scores=None):
    scores = np.full(len(polygons), 0.8) if scores is None else scores
    return Detections(Polygons.of(polygons), np.asarray(scores, dtype=np.float32))


def page_of(rng, members, words=12, *, jitter=0.08, vertices=4, missing=0.2):
    """Lines of words that lean by up to 20 degrees, so that their axis-aligned boxes overlap; and each member's view."""
    angle = rng.uniform(-20, 20)
    truth = [
        rect_corners(100 + 130 * (i % 3), 100 + 26 * (i // 3) + 130 * (i % 3) * np.tan(np.radians(angle)), 110, 20, angle)
        for i in range(words)
    ]  # fmt: skip
    each = []
    for _ in range(members):
        polygons, scores = [], []
        for word in truth:
            if rng.random() < missing:
                continue
            moved = word + rng.normal(0, jitter * 20, (4, 2))
            if vertices > 4:  # more points on the same outline
                along = np.arange(vertices) * 4 / vertices
                k = along.astype(int)
                moved = moved[k] + (along - k)[:, None] * (moved[(k + 1) % 4] - moved[k])
            polygons.append(moved)
            scores.append(rng.uniform(0.3, 1))
        each.append(found(polygons, scores))
    return truth, each


def same(a, b):
    assert np.array_equal(a.scores, b.scores)
    assert np.array_equal(a.polygons.offsets, b.polygons.offsets)
    assert np.array_equal(a.polygons.points, b.polygons.points)


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 6), st.sampled_from(["medoid", "mean"]), st.booleans(), st.sampled_from([4, 9]))
def test_the_order_of_the_members_changes_nothing(seed, members, geometry, soft, vertices):
    rng = np.random.default_rng(seed)
    _, each = page_of(rng, members, vertices=vertices)
    params = replace(ANY, geometry=geometry, soft=soft, votes=int(rng.integers(1, members + 1)))
    same(vote(each, params), vote([each[i] for i in rng.permutation(members)], params))


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["medoid", "mean"]), st.sampled_from([4, 7]))
def test_start_vertex_and_direction_do_not_matter(seed, geometry, vertices):
    rng = np.random.default_rng(seed)
    _, each = page_of(rng, 4, vertices=vertices)
    rolled = [
        found([np.roll(p, rng.integers(len(p)), axis=0)[:: rng.choice([-1, 1])] for p in one.polygons], one.scores)
        for one in each
    ]
    params = replace(ANY, geometry=geometry, votes=2)
    a, b = vote(each, params), vote(rolled, params)
    assert np.array_equal(a.scores, b.scores)
    for p, q in zip(a.polygons, b.polygons, strict=True):
        difference = shapely.symmetric_difference(shapely.make_valid(shapely.Polygon(p)), shapely.make_valid(shapely.Polygon(q))).area  # fmt: skip
        assert difference < 1e-6


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 5), st.sampled_from(["medoid", "mean"]), st.booleans(), st.sampled_from([4, 6]))
def test_identical_members_are_the_member(seed, k, geometry, soft, vertices):
    rng = np.random.default_rng(seed)
    _, (one, other) = page_of(rng, 2, vertices=vertices)
    both = Detections(Polygons.of([*one.polygons, *other.polygons]), np.concatenate([one.scores, other.scores]))
    params = replace(ANY, geometry=geometry, soft=soft, votes=k)
    order = np.lexsort((np.concatenate([[p[:, 0].min() for p in both.polygons]]), -both.scores))
    same(vote([both] * k, params), both.select(order))  # with regions that overlap one another


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_duplicate_regions_of_one_model_have_one_vote(seed):
    rng = np.random.default_rng(seed)
    _, each = page_of(rng, 3)
    twice = [
        Detections(Polygons.of([*one.polygons, *(p + 0.01 for p in one.polygons), *one.polygons]), np.tile(one.scores, 3))
        for one in each[:1]
    ]  # fmt: skip
    alone = vote([*twice, found([]), found([])], replace(ANY, votes=2))
    assert len(alone) == 0
    with_others = vote([*twice, *each[1:]], replace(ANY, votes=2))
    assert len(with_others) == len(vote(each, replace(ANY, votes=2)))


@settings(max_examples=30, deadline=None)
@given(seeds, st.sampled_from(["medoid", "mean"]), st.sampled_from([0.2, 0.5]))
def test_neighbours_never_merge(seed, geometry, iou):
    truth, each = page_of(np.random.default_rng(seed), 5)
    voted = vote(each, replace(ANY, geometry=geometry, iou=iou, votes=1))
    regions = [shapely.Polygon(word).buffer(0.0) for word in truth]
    for polygon in voted.polygons:
        own = shapely.make_valid(shapely.Polygon(polygon))
        covered = sorted((region.intersection(own).area / region.area for region in regions), reverse=True)
        assert covered[0] > 0.5
        assert covered[1] < 0.3
    for i in range(len(truth)):  # and each word that somebody found is there
        seen = sum(any(np.abs(p.mean(axis=0) - truth[i].mean(axis=0)).max() < 10 for p in one.polygons) for one in each)
        there = sum(np.abs(p.mean(axis=0) - truth[i].mean(axis=0)).max() < 10 for p in voted.polygons)
        assert there >= (seen > 0)


def test_axis_aligned_overlap_is_no_overlap():
    lines = [rect_corners(200, 100 + 30 * i, 300, 20, 30) for i in range(2)]
    boxes = [shapely.box(*shapely.Polygon(line).bounds) for line in lines]
    assert boxes[0].intersection(boxes[1]).area / boxes[0].union(boxes[1]).area > 0.5
    voted = vote([found([lines[0]]), found([lines[1]])], replace(ANY, votes=1, iou=0.1))
    assert len(voted) == 2
    assert len(vote([found([lines[0]]), found([lines[1]])], replace(ANY, votes=2, iou=0.1))) == 0


def test_overlaps_in_a_row_are_not_chained():
    steps = [np.array([[x, 0], [x + 30, 0], [x + 30, 10], [x, 10.0]]) for x in (0, 10, 20, 30, 40)]
    voted = vote([found([step]) for step in steps], replace(ANY, iou=0.5, votes=1))
    assert len(voted) == 3  # two by two, since the first and the third overlap by a fifth only
    assert len(vote([found([step]) for step in steps], replace(ANY, iou=0.5, votes=3))) == 0


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 5), st.sampled_from(["medoid", "mean"]), st.floats(0.02, 0.3))
def test_no_region_is_smaller_than_the_smallest_that_voted(seed, members, geometry, jitter):
    truth, each = page_of(np.random.default_rng(seed), members, jitter=jitter)
    voted = vote(each, replace(ANY, geometry=geometry, iou=0.3, votes=2))
    for polygon in voted.polygons:
        word = int(np.argmin([np.abs(polygon.mean(axis=0) - w.mean(axis=0)).sum() for w in truth]))
        near = [
            area(p)
            for one in each
            for p in one.polygons
            if np.abs(p.mean(axis=0) - truth[word].mean(axis=0)).max() < 13
        ]
        assert area(polygon) >= min(near) * (1 - 1e-9)


@GEOMETRY
def test_boxes_do_not_shrink_on_average(geometry):
    """The fault that averaging by vertex index has: a member that starts elsewhere halves the box."""
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(40):
        truth, each = page_of(rng, 5, jitter=0.05, missing=0.0)
        each = [
            found([np.roll(p, rng.integers(4), axis=0)[:: rng.choice([-1, 1])] for p in one.polygons]) for one in each
        ]
        voted = vote(each, replace(ANY, geometry=geometry, votes=3))
        assert len(voted) == len(truth)
        ratios += [area(p) / (110 * 20) for p in voted.polygons]
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)
    if geometry == "mean":  # what averaging is for: less spread than one member's 0.07
        assert np.std(ratios) < 0.04


def test_votes_scores_and_parameters():
    a, b = rect_corners(50, 50, 60, 20, 5), rect_corners(50, 150, 60, 20, 5)
    members = [found([a, b], [0.9, 0.4]), found([a + 1], [0.6]), found([a - 1], [0.3])]
    assert vote(members, replace(ANY, votes=3)).scores == pytest.approx([0.6])
    assert vote(members, replace(ANY, votes=1)).scores == pytest.approx([0.6, 0.4])
    soft = replace(ANY, votes=1, soft=True)
    assert vote(members, soft).scores == pytest.approx([0.6, 0.4 / 3])
    assert len(vote(members, replace(soft, box_thresh=0.2))) == 1
    assert len(vote(members, replace(ANY, max_candidates=1))) == 1
    assert len(vote([found([])] * 3, ANY)) == 0
    each = vote_each(members, [replace(ANY, votes=v, iou=iou) for v in (1, 2, 3) for iou in (0.5, 0.95)])
    assert [len(one) for one in each] == [2, 4, 1, 0, 1, 0]
    with pytest.raises(ValueError, match="votes must be at least 1"):
        replace(ANY, votes=0)
    with pytest.raises(ValueError, match="iou must lie in"):
        replace(ANY, iou=0.0)
    assert replace(ANY, floor=0.25, thresh=0.2).of_members().box_thresh == 0.25
    assert {rule.votes for rule in voting_rules(5, [0.5], ANY, 0.1) if not rule.soft} == {2, 3, 4}


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_overlaps_are_those_of_shapely(seed):
    """Two members: the pairs, best first, are those of a plain greedy program over shapely's IoU."""
    rng = np.random.default_rng(seed)
    _, (one, other) = page_of(rng, 2, vertices=int(rng.choice([4, 6])), jitter=0.15)
    shapes = [[shapely.make_valid(shapely.Polygon(p)) for p in m.polygons] for m in (one, other)]
    ious = np.array([[a.intersection(b).area / a.union(b).area for b in shapes[1]] for a in shapes[0]])
    pairs = (ious >= 0.5).sum()
    if pairs and max((ious >= 0.5).sum(axis=0).max(), (ious >= 0.5).sum(axis=1).max()) > 1:
        return
    assert len(vote([one, other], replace(ANY, votes=2))) == pairs
    assert len(vote([one, other], ANY)) == len(one) + len(other) - pairs


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from([3, 4, 7, 12]), st.sampled_from([3, 4, 12]))
def test_the_area_shared_is_shapelys(seed, n, m):
    """Stars: concave outlines in either direction; and an outline with itself, whose edges all coincide."""
    rng = np.random.default_rng(seed)

    def star(k):
        angle = (np.arange(k) + rng.uniform(-0.3, 0.3, k)) / k * 2 * np.pi
        points = rng.uniform(200, 2000, 2) + rng.uniform(5, 60, (k, 1)) * np.stack(
            [np.cos(angle), np.sin(angle)], axis=1
        )
        return np.ascontiguousarray(points[:: rng.choice([-1, 1])])

    p, q = star(n), star(m)
    q += p.mean(axis=0) - q.mean(axis=0)
    expected = shapely.Polygon(p).intersection(shapely.Polygon(q)).area
    assert voting._overlap(p, q) == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert voting._overlap(p, p[::-1].copy()) == pytest.approx(area(p), rel=1e-9)


def test_an_outline_that_crosses_itself_agrees_with_itself():
    bow = np.array([[0, 0], [40, 20], [40, 0], [0, 20.0]])
    assert len(vote([found([bow]), found([np.roll(bow, 1, axis=0)])], replace(ANY, votes=2, iou=0.99))) == 1


def test_the_fixed_rule_needs_three_votes_and_chooses_nothing():
    rule = fixed_rule(PostprocessParams(thresh=0.2, box_thresh=0.4, inverse_r=0.6), floor=0.1)
    assert (rule.votes, rule.iou, rule.geometry, rule.soft) == (3, 0.5, "medoid", False)
    assert (rule.thresh, rule.box_thresh, rule.inverse_r, rule.floor) == (0.2, 0.4, 0.6, 0.1)
