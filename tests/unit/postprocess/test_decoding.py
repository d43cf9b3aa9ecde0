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
from hmean.postprocess.decoding import PageMap, detect_each, detect_pages
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Polygons
from support import plane
from support.maps import blocks, found, maps

EXACT = PostprocessParams(thresh=0.5, box_thresh=0.5, unclip="inverse", inverse_r=0.6, min_size=1)
NOTHING = PostprocessParams(thresh=0.5, box_thresh=0.0, unclip="inverse", inverse_r=1.0, min_size=0)


@pytest.mark.parametrize("use_polygon", [False, True])
def test_a_block_of_pixels_comes_back_as_its_outline(use_polygon):
    detections = found(blocks((20, 10, 60, 30)), PostprocessParams(**{**NOTHING.to_dict(), "use_polygon": use_polygon}))
    assert shapely.Polygon(detections.polygons[0]).bounds == pytest.approx((20, 10, 60, 30), abs=1e-6)
    assert detections.scores.tolist() == pytest.approx([0.9])


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(-40, 40), w=st.floats(40, 120), h=st.floats(12, 30), use_polygon=st.booleans())
def test_perfect_maps_of_turned_words_come_back(angle, w, h, use_polygon):
    word = plane.rect_corners(100.3, 90.7, w, h, angle)
    made = make_targets(Polygons.of([word]), np.zeros(1, bool), 200, 180, shrink_ratio=0.6, min_side=1)
    detections = found(
        np.float32(made.shrink) / 255, PostprocessParams(**{**EXACT.to_dict(), "use_polygon": use_polygon})
    )
    assert len(detections) == 1
    a, b = shapely.Polygon(word), shapely.Polygon(detections.polygons[0]).buffer(0)
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
    values = [0.6, 0.95, 0.7, 0.8]
    detections = found(
        blocks((10, 5, 40, 15), (10, 25, 40, 35), (10, 45, 40, 55), (10, 65, 40, 75), values=values),
        PostprocessParams(thresh=0.3, box_thresh=0.1, max_candidates=2),
    )
    assert detections.scores.tolist() == pytest.approx([0.95, 0.8])


def test_holes_are_no_text_polygons_but_text_inside_a_frame_is():
    probability = blocks((10, 10, 190, 90))
    probability[20:80, 20:180] = 0
    probability[45:55, 60:140] = 0.8
    detections = found(probability, NOTHING)
    assert len(detections) == 2
    bounds = sorted(shapely.Polygon(p).bounds for p in detections.polygons)
    assert bounds[1] == pytest.approx((60, 45, 140, 55), abs=1e-4)


def test_filters():
    probability = blocks((10, 10, 60, 20), (10, 40, 60, 42), (100, 10, 150, 20), values=[0.9, 0.9, 0.4])
    assert len(found(probability, PostprocessParams(thresh=0.3, box_thresh=0.3, min_size=3))) == 2
    assert len(found(probability, PostprocessParams(thresh=0.3, box_thresh=0.5, min_size=1))) == 2
    assert len(found(probability, PostprocessParams(thresh=0.3, box_thresh=0.5, min_size=3))) == 1


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_maps(value):
    detections = found(np.full((40, 60), value, np.float32), PostprocessParams())
    assert len(detections) == int(value)
    if len(detections):
        assert shapely.Polygon(detections.polygons[0]).bounds == (0, 0, 60, 40)


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


def test_thousands_of_candidates():
    probability = np.zeros((1024, 1024), np.float32)
    probability[::4, ::4] = probability[1::4, ::4] = 0.9
    detections = found(
        probability, PostprocessParams(thresh=0.5, box_thresh=0.5, unclip="inverse", min_size=0, max_candidates=100_000)
    )
    assert len(detections) == 256 * 256
