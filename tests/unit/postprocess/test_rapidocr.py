"""RapidOCR's post-processing: what the wheel's own finds, and how a page is scaled."""

import json
import subprocess

import numpy as np
import pytest

from hmean.metrics.iou import match_counts
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.rapidocr import STOCK, RapidOcrView, detect_each
from hmean.types import Page, Polygons
from support.rapidocr import rapidocr_python

SETTINGS = [
    STOCK,
    PostprocessParams(thresh=0.3, box_thresh=0.5, unclip="ratio", unclip_ratio=1.2),
    PostprocessParams(thresh=0.5, box_thresh=0.7, unclip="ratio", unclip_ratio=0.8),
]
WHEEL = """
import json, sys
import numpy as np
from rapidocr.ch_ppocr_det.utils import DBPostProcess

maps = np.load(sys.argv[1])["maps"]
width, height = json.loads(sys.argv[2])
found = []
for thresh, box_thresh, unclip_ratio in json.loads(sys.argv[3]):
    process = DBPostProcess(thresh, box_thresh, 1000, unclip_ratio, "fast", False)
    for probability in maps:
        boxes, scores = process(probability[None, None].astype(np.float32) / 255, (height, width))
        found.append([np.asarray(boxes).tolist(), [float(score) for score in scores]])
print(json.dumps(found))
"""


def random_map(rng):
    """Slanted bars of text, some with holes, on a map of 160 x 224."""
    y, x = np.mgrid[0:224, 0:160]
    probability = np.zeros((224, 160))
    for _ in range(14):
        turn = rng.normal(0, 0.1)
        dx = x - rng.uniform(0, 160)
        dy = y - rng.uniform(0, 224)
        along = np.abs(dx * np.cos(turn) + dy * np.sin(turn)) / rng.uniform(2, 40)
        across = np.abs(dy * np.cos(turn) - dx * np.sin(turn)) / rng.uniform(1, 7)
        bar = rng.uniform(0.5, 1) * (np.maximum(along, across) <= 1)
        if rng.random() < 0.3:
            bar *= np.maximum(along, across) > 0.4
        probability = np.maximum(probability, bar)
    return np.round(probability * 255).astype(np.uint8)


def test_it_finds_what_the_wheel_finds(tmp_path):
    python = rapidocr_python()
    rng = np.random.default_rng(0)
    maps = np.stack([random_map(rng) for _ in range(20)])
    np.savez(tmp_path / "maps.npz", maps=maps)
    page = Page("a", 320, 440, Polygons.of([]))
    values = [[s.thresh, s.box_thresh, s.unclip_ratio] for s in SETTINGS]
    arguments = [tmp_path / "maps.npz", json.dumps([320, 440]), json.dumps(values)]
    found = iter(json.loads(subprocess.check_output([python, "-c", WHEEL, *arguments])))
    to_page = np.diag([2.0, 440 / 224, 1.0])
    boxes = same = 0
    for setting in SETTINGS:
        for probability in maps:
            (ours,) = detect_each(PageMap("a", probability, to_page, page.width, page.height), [setting])
            theirs, scores = next(found)
            assert len(ours) == len(theirs)
            np.testing.assert_allclose(np.sort(ours.scores), np.sort(scores), atol=1e-5)
            page = Page("a", 320, 440, Polygons.of(theirs))
            (matched,) = match_counts(page, ours, [0.85])
            boxes += len(theirs)
            same += matched.tp
    assert boxes > 300
    assert same >= 0.97 * boxes


def bar_map():
    probability = np.zeros((64, 128), dtype=np.float32)
    probability[20:30, 10:70] = 0.9
    probability[40:46, 10:20] = 0.4
    return PageMap("a", probability, np.diag([2.0, 2.0, 1.0]), 256, 128)


def test_a_bar_grows_by_area_over_perimeter_between_the_centres_of_pixels():
    """59 x 9 between centres; a distance of 59 x 9 x 1.6 / 136 = 6.2, in whole pixels of the map."""
    strict, loose = detect_each(bar_map(), [STOCK, PostprocessParams(thresh=0.3, box_thresh=0.3, unclip_ratio=1.6)])
    assert len(strict) == 1
    assert len(loose) == 2
    assert strict.scores[0] == pytest.approx(0.9, abs=1e-6)
    corners = strict.polygons[0]
    assert corners.min(axis=0).tolist() == [8, 28]
    assert corners.max(axis=0).tolist() == [150, 70]


def test_thin_components_and_an_empty_map_give_nothing():
    page = bar_map()
    page.probability[:] = 0
    (empty,) = detect_each(page, [STOCK])
    page.probability[20:22, 10:70] = 0.9
    (thin,) = detect_each(page, [STOCK])
    assert (len(empty), len(thin)) == (0, 0)


def test_a_page_is_scaled_as_rapidocr_scales_it():
    assert RapidOcrView(960, "max").size(1000, 2000) == (480, 960)
    assert RapidOcrView(960, "max").size(300, 500) == (288, 512)  # not enlarged; multiples of 32
    assert RapidOcrView(736, "min").size(500, 1000) == (736, 1472)
    assert RapidOcrView(736, "min").size(800, 1000) == (800, 992)
    assert RapidOcrView(960, "max").size(3, 3000) == (32, 960)
    white = RapidOcrView(64, "max").image(np.full((64, 32, 3), (255, 0, 0), np.uint8))
    assert white.shape == (1, 3, 64, 32)
    assert white[0, :, 0, 0].tolist() == [-1, -1, 1]  # blue first
