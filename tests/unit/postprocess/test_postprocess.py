import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean import geometry
from hmean.data.targets import make_targets
from hmean.data.views import letterbox
from hmean.labels.ufo import UfoLabels
from hmean.metrics.scorer import Scorer
from hmean.postprocess.components import find_components
from hmean.postprocess.decoding import PageMap, detect, detect_each, detect_pages, growth_distance
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Polygons
from support import plane

EXACT = PostprocessParams(thresh=0.5, box_thresh=0.5, unclip="inverse", inverse_r=0.6, min_size=1)
NOTHING = PostprocessParams(thresh=0.5, box_thresh=0.0, unclip="inverse", inverse_r=1.0, min_size=0)


def found(probability, params, to_page=None, size=None):
    height, width = probability.shape
    page_width, page_height = size or (width, height)
    return detect(
        PageMap("page", probability, np.eye(3) if to_page is None else to_page, page_width, page_height), params
    )


def blocks(*boxes, shape=(100, 200), value=0.9):
    probability = np.zeros(shape, np.float32)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        probability[y0:y1, x0:x1] = value[i] if isinstance(value, list) else value
    return probability


@pytest.mark.parametrize("use_polygon", [False, True])
def test_a_block_of_pixels_comes_back_as_its_outline(use_polygon):
    regions = found(blocks((20, 10, 60, 30)), PostprocessParams(**{**NOTHING.to_dict(), "use_polygon": use_polygon}))
    assert shapely.Polygon(regions.polygons[0]).bounds == pytest.approx((20, 10, 60, 30), abs=1e-6)
    assert regions.scores.tolist() == pytest.approx([0.9])


@given(w=st.floats(5, 2000), h=st.floats(5, 200), r=st.floats(0.2, 0.9))
def test_inverse_growth_undoes_the_shrink_exactly(w, h, r):
    d = plane.shrink_distance(plane.rect_corners(0, 0, w, h, 0), r)
    inner_w, inner_h = w - 2 * d, h - 2 * d
    assert growth_distance(inner_w * inner_h, 2 * (inner_w + inner_h), r, False) == pytest.approx(d, rel=1e-6, abs=1e-9)


def test_ratio_growth_is_the_papers():
    regions = found(blocks((50, 40, 150, 60)), PostprocessParams(thresh=0.5, box_thresh=0, unclip_ratio=1.5))
    d = 99 * 19 * 1.5 / (2 * (99 + 19))  # from pixel centre to pixel centre, as in other programs
    x0, y0, x1, y1 = 50.5 - d, 40.5 - d, 149.5 + d, 59.5 + d
    assert shapely.Polygon(regions.polygons[0]).bounds == pytest.approx((x0, y0, x1, y1), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(-40, 40), w=st.floats(40, 120), h=st.floats(12, 30), use_polygon=st.booleans())
def test_perfect_maps_of_turned_words_come_back(angle, w, h, use_polygon):
    word = plane.rect_corners(100.3, 90.7, w, h, angle)
    made = make_targets(Polygons.of([word]), np.zeros(1, bool), 200, 180, shrink_ratio=0.6, min_side=1)
    regions = found(np.float32(made.shrink) / 255, PostprocessParams(**{**EXACT.to_dict(), "use_polygon": use_polygon}))
    assert len(regions) == 1
    a, b = shapely.Polygon(word), shapely.Polygon(regions.polygons[0]).buffer(0)
    assert a.intersection(b).area / a.union(b).area > (0.8 if h < 15 else 0.85)


def test_perfect_maps_of_real_receipts_come_back_as_the_labels(sroie):
    labels, scorer = UfoLabels(sroie / "labels.json"), Scorer("transcription")
    for i in range(0, len(labels.names), 5):
        page = labels.page(i)
        view = letterbox(page.width, page.height, 960, "stride")
        made = make_targets(
            view.polygons(page.polygons), page.ignored, view.width, view.height, shrink_ratio=0.6, min_side=2
        )
        scorer.update(page, found(np.float32(made.shrink) / 255, EXACT, view.to_page, (page.width, page.height)))
    score = scorer.compute()
    assert score.iou70.h >= 0.99
    assert score.macro.h >= 0.99


def test_the_best_candidates_are_kept_not_the_first():
    value = [0.6, 0.95, 0.7, 0.8]
    regions = found(
        blocks((10, 5, 40, 15), (10, 25, 40, 35), (10, 45, 40, 55), (10, 65, 40, 75), value=value),
        PostprocessParams(thresh=0.3, box_thresh=0.1, max_candidates=2),
    )
    assert regions.scores.tolist() == pytest.approx([0.95, 0.8])


def test_holes_are_not_regions_but_text_inside_a_frame_is():
    probability = blocks((10, 10, 190, 90))
    probability[20:80, 20:180] = 0
    probability[45:55, 60:140] = 0.8
    regions = found(probability, NOTHING)
    assert len(regions) == 2
    bounds = sorted(shapely.Polygon(p).bounds for p in regions.polygons)
    assert bounds[1] == pytest.approx((60, 45, 140, 55), abs=1e-4)


def test_filters():
    probability = blocks((10, 10, 60, 20), (10, 40, 60, 42), (100, 10, 150, 20), value=[0.9, 0.9, 0.4])
    assert len(found(probability, PostprocessParams(thresh=0.3, box_thresh=0.3, min_size=3))) == 2
    assert len(found(probability, PostprocessParams(thresh=0.3, box_thresh=0.5, min_size=1))) == 2
    assert len(found(probability, PostprocessParams(thresh=0.3, box_thresh=0.5, min_size=3))) == 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_maps(value):
    regions = found(np.full((40, 60), value, np.float32), PostprocessParams())
    assert len(regions) == int(value)
    if len(regions):
        assert shapely.Polygon(regions.polygons[0]).bounds == (0, 0, 60, 40)


def test_noise_and_cached_maps():
    noise = np.random.default_rng(0).random((300, 400)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (9, 9), 3)
    noise = (noise - noise.min()) / (noise.max() - noise.min())
    for use_polygon in (False, True):
        params = PostprocessParams(thresh=0.5, box_thresh=0.5, use_polygon=use_polygon)
        exact, cached = found(noise, params), found(np.round(noise * 255).astype(np.uint8), params)
        assert len(exact) > 20
        assert abs(len(exact) - len(cached)) <= 2
        for polygon in exact.polygons:
            assert polygon.min() >= 0
            assert (polygon <= (400, 300)).all()
        assert (np.diff(exact.scores) <= 0).all()


@given(
    st.integers(50, 3000),
    st.integers(50, 3000),
    st.sampled_from([320, 640, 960]),
    st.sampled_from(["square", "stride"]),
)
def test_map_pixels_go_back_to_the_page_without_drift(width, height, long_side, pad):
    view = letterbox(width, height, long_side, pad)
    corners = np.array([[0.0, 0], [width, 0], [width, height], [0, height]])
    there = geometry.transform(view.matrix, corners)
    assert np.abs(there - np.round(there)).max() < 1e-6
    assert max(there.max(axis=0)) == pytest.approx(long_side)
    assert np.abs(geometry.transform(view.to_page, there) - corners).max() < 1e-6


def textbook_rectangles(probability, thresh):
    """(score, rectangle of pixel centres, contour) of each component, by OpenCV's contours, one after another."""
    bitmap = (probability > thresh * (255 if probability.dtype == np.uint8 else 1)).astype(np.uint8)
    contours, hierarchy = cv2.findContours(bitmap, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    out = []
    for contour, links in zip(contours, [] if hierarchy is None else hierarchy[0], strict=True):
        if links[3] >= 0:
            continue
        mask = np.zeros(probability.shape, np.uint8)
        cv2.drawContours(mask, [contour], -1, 1, cv2.FILLED)
        score = probability[mask > 0].mean(dtype=np.float64) / (255 if probability.dtype == np.uint8 else 1)
        out.append((score, cv2.minAreaRect(contour[:, 0].astype(np.float32)), contour[:, 0]))
    return out


def filled(contour, shape):
    return cv2.drawContours(np.zeros(shape, np.uint8), [contour], -1, 1, cv2.FILLED)


@st.composite
def maps(draw):
    """Noise of any grain, blocks, holes, lines and lonely pixels; also maps of odd widths, empty and full ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    probability = rng.random(shape)
    grain = draw(st.sampled_from([0, 0.7, 1.5, 4]))
    if grain:
        probability = cv2.GaussianBlur(probability, (0, 0), grain).reshape(shape)
        probability = (probability - probability.min()) / max(np.ptp(probability), 1e-9)
    for _ in range(draw(st.integers(0, 6))):
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, n + 1, 2)) for n in shape)
        probability[y0:y1, x0:x1] = rng.choice([0.0, 0.6, 1.0])
    if draw(st.booleans()):
        return np.round(probability * 255).astype(np.uint8)
    return probability.astype(np.float32)


@settings(max_examples=300, deadline=None)
@given(maps(), st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.61, 0.9, 1.0]), min_size=1, max_size=4))
def test_components_equal_opencvs(probability, thresholds):
    for thresh, ours in zip(thresholds, find_components(probability, thresholds), strict=True):
        theirs = textbook_rectangles(probability, thresh)
        assert len(ours) == len(theirs)
        by_first_pixel = {min(map(tuple, contour[:, ::-1].tolist())): (s, r, contour) for s, r, contour in theirs}
        for k in range(len(ours)):
            cx, cy, width, height, ux, uy = ours.boxes[k]
            row, column, _ = ours.runs[ours.first[k]]
            score, (_, (w, h), _), contour = by_first_pixel[int(row), int(column)]
            assert ours.scores[k] == pytest.approx(score, rel=1e-6, abs=1e-9)
            # The smallest area is one, though not always one rectangle; ours holds all pixels.
            assert width * height == pytest.approx(w * h, rel=1e-4, abs=1e-3)
            local = (contour + 0.5 - (cx, cy)) @ [[ux, -uy], [uy, ux]]
            assert (np.abs(local) <= np.array([width, height]) / 2 + 1e-9).all()
            assert abs(ux) >= abs(uy) - 1e-12
            turns = cv2.findContours(filled(contour, probability.shape), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
            simple = cv2.approxPolyDP(turns[0], 0.002 * cv2.arcLength(turns[0], closed=True), closed=True)[:, 0]
            if len(simple) >= 3 and cv2.contourArea(turns[0]) > 0:
                np.testing.assert_array_equal(ours.outlines[k], simple + 0.5)
            else:  # a line: its smallest rectangle
                corners = (ours.outlines[k] - (cx, cy)) @ [[ux, -uy], [uy, ux]]
                assert np.abs(corners) == pytest.approx(np.tile(np.maximum([width, height], 0.01) / 2, (4, 1)))


@settings(max_examples=60, deadline=None)
@given(maps(), st.booleans(), st.randoms(use_true_random=False))
def test_many_settings_at_once_equal_one_by_one(probability, use_polygon, random):
    height, width = probability.shape
    page = PageMap("page", probability, geometry.scaling(2.0, 3.0), 2 * width, 3 * height)
    many = [
        PostprocessParams(
            thresh=random.choice([0.2, 0.5, 0.6]), box_thresh=random.choice([0.0, 0.5]), unclip=random.choice(["ratio", "inverse"]),
            min_size=random.choice([0, 3]), max_candidates=random.choice([2, 1000]), use_polygon=use_polygon,
        )
        for _ in range(5)
    ]  # fmt: skip
    for params, together in zip(many, detect_each(page, many), strict=True):
        alone = detect_pages([page, page], params, threads=2)[1]
        np.testing.assert_array_equal(together.polygons.points, alone.polygons.points)
        np.testing.assert_array_equal(together.scores, alone.scores)
        assert len(alone) <= params.max_candidates
        assert (np.diff(alone.scores) <= 0).all()
        assert (alone.polygons.points >= 0).all()
        assert (alone.polygons.points <= (2 * width, 3 * height)).all()


@pytest.mark.parametrize("angle", [0, 3, 17, 30, 44, 60])
def test_growth_moves_every_side_by_the_exact_distance(angle):
    corners = plane.rect_corners(150.5, 120.5, 120, 40, angle)
    probability = np.zeros((240, 300), np.float32)
    cv2.fillConvexPoly(probability, np.floor(corners).astype(np.int32), 1.0)
    _, (_, (w, h), _), _ = textbook_rectangles(probability, 0.5)[0]
    d = w * h * 1.5 / (2 * (w + h))
    grown = found(probability, PostprocessParams(thresh=0.5, box_thresh=0, min_size=0, unclip_ratio=1.5)).polygons[0]
    sides = np.linalg.norm(grown - np.roll(grown, -1, axis=0), axis=1)
    assert sorted(sides[:2]) == pytest.approx(sorted([w + 2 * d, h + 2 * d]), abs=0.01)


def test_thousands_of_candidates():
    probability = np.zeros((1024, 1024), np.float32)
    probability[::4, ::4] = probability[1::4, ::4] = 0.9
    regions = found(
        probability, PostprocessParams(thresh=0.5, box_thresh=0.5, unclip="inverse", min_size=0, max_candidates=100_000)
    )
    assert len(regions) == 256 * 256
