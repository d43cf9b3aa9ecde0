"""Reading order and crops, on pages whose answer is known."""

import numpy as np
import pytest

from hmean import geometry
from hmean.inference.reading import crops, reading_order, text_angle
from hmean.types import Detections, Polygons


def box(x, y, w, h):
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)


ROWS = [
    [(10, 10, 60, 12), (90, 12, 40, 12)],
    [(10, 40, 30, 10), (60, 41, 20, 12), (150, 38, 12, 12)],
    [(12, 70, 150, 14)],
]


@pytest.mark.parametrize("angle", [0, 8, -20, 60])
def test_lines_are_read_from_top_to_bottom_and_words_from_left_to_right(rng, angle):
    words = [box(*word) for row in ROWS for word in row]
    order = rng.permutation(len(words))
    turned = Polygons.of([geometry.transform(geometry.rotation(angle), words[i]) for i in order])
    rows, start = [], 0
    for row in ROWS:
        rows.append(list(range(start, start + len(row))))
        start += len(row)
    assert [[int(order[i]) for i in line] for line in reading_order(turned)] == rows
    assert text_angle(turned) == pytest.approx(angle, abs=1)


def test_a_bent_line_is_one_line():
    words = [box(20 * i, 100 + 0.002 * (20 * i - 200) ** 2 / 4, 16, 12) for i in range(20)]
    apart = [box(20 * i, 60 + 0.002 * (20 * i - 200) ** 2 / 4, 16, 12) for i in range(20)]
    assert reading_order(Polygons.of([*words, *apart])) == [list(range(20, 40)), list(range(20))]
    assert reading_order(Polygons.of([])) == []


@pytest.mark.parametrize("angle", [0, 7, -15])
def test_crops_are_upright_and_in_their_place(angle):
    """Left half of each word is red, its upper edge dark: wherever it lies, and at whichever corner its polygon starts."""
    page = np.full((240, 260, 3), 255, np.uint8)
    places = [(60, 60, 80, 20), (60, 100, 10, 18), (100, 100, 40, 24)]
    for x, y, w, h in places:
        page[y : y + h, x : x + w] = (0, 0, 255)
        page[y : y + h, x : x + w // 2] = (255, 0, 0)
        page[y : y + h // 4, x : x + w] = 0
    matrix = geometry.about(geometry.rotation(angle), 120, 120)
    turned = geometry.warp(page, matrix, 260, 240, (255, 255, 255))
    words = [np.roll(geometry.transform(matrix, box(*p)), k, axis=0)[:: (-1) ** k] for k, p in enumerate(places)]
    words.append(np.insert(words[0], 1, words[0][:2].mean(axis=0), axis=0))  # five points
    cut = crops(turned, Detections(Polygons.of(words), np.ones(4, np.float32)))
    for crop, (_, _, w, h) in zip(cut, [*places, places[0]], strict=True):
        assert np.abs(np.subtract(crop.shape[:2], (h, w))).max() <= 1
        assert crop[h // 2 : -3, 2 : w // 2 - 2].mean(axis=(0, 1))[0] > 200
        assert crop[h // 2 : -3, w // 2 + 2 : -2].mean(axis=(0, 1))[2] > 200
        assert crop[1 : h // 4 - 1, 2:-2].mean() < 60


def test_text_that_runs_down_the_page_is_turned():
    page = np.full((100, 60, 3), 255, np.uint8)
    page[10:50, 40:50] = 0  # what is read last: bottom to top
    crop = crops(page, Detections(Polygons.of([box(40, 10, 10, 80), box(0, 0, 30, 8)]), np.ones(2, np.float32)))[0]
    assert crop.shape == (10, 80, 3)
    assert crop[:, :36].min() == 255 or crop[:, 44:].min() == 255
