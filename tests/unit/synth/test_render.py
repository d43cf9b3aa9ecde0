import cv2
import numpy as np
import pytest

from hmean import geometry
from hmean.synth.sheet import MARGIN
from support.receipts import sheet_and_view


def alone(sheet, mark):
    """The sheet with the ink of one word and nothing else."""
    ink = np.zeros((sheet.height, sheet.width), dtype=np.uint8)
    mark.box.of(ink)[:] = mark.ink
    return ink


@pytest.mark.parametrize("seed", range(8))
def test_polygons_are_tight_around_the_ink(seed):
    """Each word alone, warped at 3 x the size of the picture, measured in the word's own frame: within 1 px."""
    sheet, view = sheet_and_view(seed)
    quads = view.polygons(sheet.labels("word")[0])
    words = [mark for mark in sheet.marks if mark.text is not None]
    zoom = geometry.scaling(3, 3)
    for k in np.linspace(0, len(words) - 1, 6).astype(int):
        ink = np.repeat(alone(sheet, words[k])[..., None], 3, axis=2)
        seen = geometry.warp(ink, zoom @ view.matrix, 3 * view.width, 3 * view.height)[..., 0]
        found = np.argwhere(seen > 40)[:, ::-1] / 3 + 0.5 / 3
        box = words[k].box
        size = np.array([box.right - box.left, box.bottom - box.top]) + 2 * MARGIN
        rect = np.array([[0, 0], [size[0], 0], size, [0, size[1]]], dtype=np.float32)
        upright = cv2.getPerspectiveTransform(quads[k].astype(np.float32), rect)
        inside = geometry.transform(upright, found)
        scale = np.sqrt(geometry.area(quads[k]) / size.prod())  # pixels a dot
        gaps = np.concatenate([inside.min(axis=0), size - inside.max(axis=0)]) * scale
        assert gaps.min() > 0, words[k].text
        assert np.abs(gaps - MARGIN * scale).max() < 1, words[k].text
