import json

import numpy as np
import pytest

from hmean.types import Detections, Page, Polygons

SQUARE = [[0, 0], [10, 0], [10, 5], [0, 5]]


def test_polygons_are_ragged_and_keep_their_numbers():
    polygons = Polygons.of([SQUARE, [[0.1, 0.2], [3, 4], [5.5, 6]]])
    assert [len(p) for p in polygons] == [4, 3]
    assert polygons[1].tolist() == [[0.1, 0.2], [3, 4], [5.5, 6]]
    assert polygons.select(np.array([False, True]))[0].tolist() == polygons[1].tolist()


@pytest.mark.parametrize("bad", [[[0, 0], [1, 1]], [[0, 0], [1, np.nan], [2, 2]], [[0, 0], [1, np.inf], [2, 2]]])
def test_a_polygon_needs_three_finite_points(bad):
    with pytest.raises(ValueError, match=r"3 points|finite"):
        Polygons.of([bad])


def test_detections_check_scores():
    with pytest.raises(ValueError, match="scores"):
        Detections(Polygons.of([SQUARE]), np.array([1.2]))
    with pytest.raises(ValueError, match="shape"):
        Detections(Polygons.of([SQUARE]), np.array([0.1, 0.2]))


def test_detections_are_written_in_falling_order_of_score():
    found = Detections(Polygons.of([SQUARE, SQUARE]), np.array([0.2, 0.9]), texts=("low", "high"))
    words = json.loads(json.dumps(found.to_ufo(100, 50)))["words"]
    assert [w["transcription"] for w in words.values()] == ["high", "low"]


def test_page_refuses_flags_that_do_not_fit():
    with pytest.raises(ValueError, match="as many"):
        Page("a.jpg", 10, 10, Polygons.of([SQUARE]), ids=("1", "2"))
