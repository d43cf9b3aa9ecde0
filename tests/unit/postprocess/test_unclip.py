import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.unclip import UnclipRule, unclip_distance
from support import plane
from support.maps import blocks, found, rectangles_by_opencv


@given(w=st.floats(5, 2000), h=st.floats(5, 200), r=st.floats(0.2, 0.9))
def test_inverse_undoes_the_shrinking_exactly(w, h, r):
    d = plane.shrink_distance(plane.rect_corners(0, 0, w, h, 0), r)
    inner_w = w - 2 * d
    inner_h = h - 2 * d
    rule = UnclipRule.of(PostprocessParams(unclip="inverse", inverse_r=r))
    assert unclip_distance(inner_w * inner_h, 2 * (inner_w + inner_h), rule) == pytest.approx(d, rel=1e-6, abs=1e-9)


def test_ratio_is_the_distance_of_the_paper():
    detections = found(blocks((50, 40, 150, 60)), PostprocessParams(thresh=0.5, box_thresh=0, unclip_ratio=1.5))
    d = 99 * 19 * 1.5 / (2 * (99 + 19))  # from pixel centre to pixel centre, as in other programs
    bounds = (50.5 - d, 40.5 - d, 149.5 + d, 59.5 + d)
    assert shapely.Polygon(detections.polygons[0]).bounds == pytest.approx(bounds, abs=1e-4)


@pytest.mark.parametrize("angle", [0, 3, 17, 30, 44, 60])
def test_every_side_is_moved_by_the_exact_distance(angle):
    corners = plane.rect_corners(150.5, 120.5, 120, 40, angle)
    probability = np.zeros((240, 300), np.float32)
    cv2.fillConvexPoly(probability, np.floor(corners).astype(np.int32), 1.0)
    _, (_, (w, h), _), _ = rectangles_by_opencv(probability, 0.5)[0]
    d = w * h * 1.5 / (2 * (w + h))
    params = PostprocessParams(thresh=0.5, box_thresh=0, min_size=0, unclip_ratio=1.5)
    unclipped = found(probability, params).polygons[0]
    sides = np.linalg.norm(unclipped - np.roll(unclipped, -1, axis=0), axis=1)
    assert sorted(sides[:2]) == pytest.approx(sorted([w + 2 * d, h + 2 * d]), abs=0.01)
