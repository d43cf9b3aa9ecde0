"""benchmarks/damages.py: damaged pages are always the same, and their labels lie where the print is."""

import importlib
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmean.synth.dataset import draw_receipt

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def damages():
    """The module benchmarks/damages.py."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("damages")
    sys.path.remove(str(ROOT / "benchmarks"))
    del sys.modules["damages"]


@pytest.fixture(scope="module")
def receipt():
    return draw_receipt(3, long_side=500)


def test_there_are_twenty_damages_of_several_strengths(damages):
    assert len(damages.DAMAGES) >= 20
    assert len({damage.name for damage in damages.DAMAGES}) == len(damages.DAMAGES)


def contrast_of(image, page):
    """How much darker words are than what is around them."""
    mask = np.zeros(image.shape[:2], dtype=np.uint8)
    for quad, ignored in zip(page.polygons, page.ignored, strict=True):
        if not ignored:
            cv2.fillConvexPoly(mask, np.round(quad).astype(np.int32), 1)
    ring = cv2.dilate(mask, np.ones((9, 9))) - mask
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    return grey[ring > 0].mean() - grey[mask > 0].mean()


def test_every_damage_is_always_the_same_and_its_labels_lie_on_the_print(damages, receipt):
    image, page = receipt
    before = image.copy()
    for damage in damages.DAMAGES:
        for strength in damage.strengths:
            worse, labels = damage(image, page, strength)
            again, same = damage(image, page, strength)
            assert np.array_equal(worse, again), damage.name
            assert np.array_equal(labels.polygons.points, same.polygons.points), damage.name
            assert worse.shape == (labels.height, labels.width, 3), damage.name
            assert worse.dtype == np.uint8
            assert len(labels.texts) == len(labels.polygons) == len(labels.ids)
            sign = -1 if damage.name == "inverted colours" else 1
            assert sign * contrast_of(worse, labels) > 0, f"{damage.name} {strength}"
    assert np.array_equal(image, before)


def test_words_that_the_edge_cuts_are_ignored_and_those_beyond_it_are_gone(damages, receipt):
    image, page = receipt
    worse, labels = damages.cut_left(image, page, 0.4, np.random.default_rng(0))
    left = round(0.4 * page.width)
    assert worse.shape[1] == page.width - left
    beyond = [quad[:, 0].max() <= left for quad in page.polygons]
    cut = [quad[:, 0].min() < left - 0.5 < left + 0.5 < quad[:, 0].max() for quad in page.polygons]
    assert len(labels.polygons) == len(page.polygons) - sum(beyond)
    assert labels.ignored.sum() >= sum(cut) > 0


def test_a_page_on_an_a4_scan_takes_the_share_it_is_said_to(damages, receipt):
    image, page = receipt
    for share in (0.25, 0.12):
        _, labels = damages.lay_on_a4(image, page, share, np.random.default_rng(1))
        assert page.width * page.height / (labels.width * labels.height) == pytest.approx(share, rel=0.02)
