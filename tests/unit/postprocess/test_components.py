import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmean.postprocess.components import AXIS_X, AXIS_Y, CENTRE_X, CENTRE_Y, HEIGHT, ROW, START, WIDTH, find_components
from support.maps import filled, maps, rectangles_by_opencv


@settings(max_examples=300, deadline=None)
@given(maps(), st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.61, 0.9, 1.0]), min_size=1, max_size=4))
def test_components_equal_opencvs(probability, thresholds):
    for thresh, ours in zip(thresholds, find_components(probability, thresholds), strict=True):
        theirs = rectangles_by_opencv(probability, thresh)
        assert len(ours) == len(theirs)
        by_first_pixel = {min(map(tuple, contour[:, ::-1].tolist())): (s, r, contour) for s, r, contour in theirs}
        for k in range(len(ours)):
            rectangle = ours.rectangles[k]
            first_run = ours.runs[ours.first[k]]
            score, (_, (w, h), _), contour = by_first_pixel[int(first_run[ROW]), int(first_run[START])]
            assert ours.scores[k] == pytest.approx(score, rel=1e-6, abs=1e-9)
            # The smallest area is one, though not always one rectangle; ours encloses all pixels.
            assert rectangle[WIDTH] * rectangle[HEIGHT] == pytest.approx(w * h, rel=1e-4, abs=1e-3)
            assert (np.abs(in_rectangle(contour + 0.5, rectangle)) <= half_sides(rectangle) + 1e-9).all()
            assert abs(rectangle[AXIS_X]) >= abs(rectangle[AXIS_Y]) - 1e-12
            assert_outline(ours.outlines[k], rectangle, contour, probability.shape)


def assert_outline(outline, rectangle, contour, shape):
    """An outline is OpenCV's for a bitmap that has this component only; without an area it is the rectangle."""
    alone = cv2.findContours(filled(contour, shape), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0]
    simple = cv2.approxPolyDP(alone, 0.002 * cv2.arcLength(alone, closed=True), closed=True)[:, 0]
    if len(simple) >= 3 and cv2.contourArea(alone) > 0:
        np.testing.assert_array_equal(outline, simple + 0.5)
    else:
        corners = np.abs(in_rectangle(outline, rectangle))
        assert corners == pytest.approx(np.tile(np.maximum(half_sides(rectangle), 0.005), (4, 1)))


def in_rectangle(points, rectangle):
    """Points as seen from a rectangle: from its centre, along its width and its height."""
    ux, uy = rectangle[AXIS_X], rectangle[AXIS_Y]
    return (points - (rectangle[CENTRE_X], rectangle[CENTRE_Y])) @ [[ux, -uy], [uy, ux]]


def half_sides(rectangle):
    return np.array([rectangle[WIDTH], rectangle[HEIGHT]]) / 2


def test_thresholds_come_back_in_their_order():
    probability = np.zeros((10, 30), np.float32)
    probability[2:5, 3:9] = 0.4
    probability[2:5, 15:20] = 0.8
    high, low, same = find_components(probability, [0.5, 0.3, 0.5])
    assert (len(high), len(low)) == (1, 2)
    assert same is high
    assert low.ranking.tolist() == [1, 0]
