"""The CLEval score equals that of the official program, which needs torch."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import shapely

pytest.importorskip("torch")

from hmean.metrics.cleval import Counts, count_page
from support import textbook_cleval as textbook
from support.cleval import KINDS, SIZE, detections_of, page_of, rect, ribbon, rotated, texts_for

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that the official one imports
    from cleval.box_types import POLY, QUAD
    from cleval.eval_functions import evaluation
    from cleval.main import parse_single_file

OPTIONS = SimpleNamespace(
    DUMP_SAMPLE_RESULT=False,
    E2E=False,
    ORIENTATION=False,
    CASE_SENSITIVE=True,
    RECALL_GRANULARITY_PENALTY_WEIGHT=1.0,
    PRECISION_GRANULARITY_PENALTY_WEIGHT=1.0,
    VERTICAL_ASPECT_RATIO_THRESH=0.5,
    AREA_PRECISION_CONSTRAINT=0.3,
)


class FixedPoly(POLY):
    """The official POLY without the faults that stop ``evaluation`` and with its epsilon where it was meant."""

    scale = None

    def pseudo_character_center(self, _threshold):
        return super().pseudo_character_center()

    def make_aspect_ratio(self):
        _, (width, height), _ = cv2.minAreaRect(np.array(self.points, dtype=np.float32).reshape(-1, 2))
        return min(10, (height + 1e-6) / (width + 1e-6)) + 1e-5


def official_stats(gts, dets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba on reflected lists
        return evaluation(OPTIONS, gts, dets).stats


def official(page, detections, characters="transcription", box=QUAD):
    gts = []
    for points, text, skip in zip(page.polygons, page.texts, page.ignored, strict=True):
        made = box(points.ravel().tolist(), transcription=text, is_dc=bool(skip))
        if characters == "aspect":
            made.transcription = "#" * made.pseudo_transcription_length()
        gts.append(made)
    return official_stats(gts, [box(points.ravel().tolist(), transcription="") for points in detections.polygons])


def assert_equal(ours, stats):
    core = stats.det
    theirs = Counts(
        gt=core.num_char_gt,
        tp=core.num_char_tp_recall,
        overlapped=stats.num_char_overlapped,
        fp=core.num_char_fp,
        recall_penalty=core.gran_score_recall,
        precision_penalty=core.gran_score_precision,
        split=stats.num_splitted,
        merged=stats.num_merged,
    )
    assert ours == theirs
    assert ours.det == core.num_char_det
    assert ours.tp == core.num_char_tp_precision
    prh = ours.prh
    np.testing.assert_allclose([prh.p, prh.r, prh.h], [core.precision, core.recall, core.hmean], rtol=0, atol=1e-9)


@pytest.mark.parametrize("turn", range(len(KINDS)))
def test_equals_the_official_program_on_receipts(sroie_pages, turn):
    rng = np.random.default_rng(turn)
    assert len(sroie_pages) == 300
    for i, page in enumerate(sroie_pages[turn :: len(KINDS)]):  # a page in one test, the kinds of faults in turn
        kind = KINDS[i % len(KINDS)]
        found = detections_of(kind(page.polygons, rng))
        assert_equal(count_page(page, found, "transcription"), official(page, found))


@pytest.mark.parametrize("characters", ["transcription", "aspect"])
@pytest.mark.parametrize("seed", range(60))
def test_equals_the_official_program_on_rotated_quads_with_ignored_words(seed, characters):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 14))
    words = [rotated(rng) for _ in range(n)]
    page = page_of(words, texts_for(rng, n), rng.random(n) < 0.35)
    found = [w + rng.normal(0, 2, w.shape) for w in words] + [rotated(rng) for _ in range(int(rng.integers(0, 8)))]
    found = detections_of([found[i] for i in rng.permutation(len(found))])
    ours = count_page(page, found, characters)
    assert_equal(ours, official(page, found, characters))
    assert ours == textbook.count_page(page, found, characters)


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_any_corners_on_a_small_grid(seed, crossed):
    # concave, crossed and collapsed quads; centres on edges and areas on the threshold are common
    rng = np.random.default_rng(seed)

    def grid_quads(count):
        drawn = rng.integers(0, 9, (count * 20, 4, 2)) * 2.0
        return drawn[crossed | shapely.is_valid(shapely.polygons(drawn))][:count]

    n, m = rng.integers(1, 8, 2)
    page, found = page_of(grid_quads(n), texts_for(rng, n), rng.random(n) < 0.3), detections_of(grid_quads(m))
    ours = count_page(page, found, "transcription")
    assert ours == textbook.count_page(page, found, "transcription")
    if not crossed:  # Polygon3, which the official program stands on, now and then dies of crossed ones
        assert_equal(ours, official(page, found))


@pytest.mark.parametrize("seed", range(20))
def test_equals_the_official_program_on_files_of_rectangles(seed):
    rng = np.random.default_rng(seed)
    boxes = [np.sort(rng.integers(0, SIZE, (2, 2)), axis=0).ravel().tolist() for _ in range(16)]
    texts = [*texts_for(rng, 6), "###", "###"]
    lines = [",".join(map(str, b)) for b in boxes]
    theirs = official_stats(
        parse_single_file(
            "\n".join(f"{b},{t}" for b, t in zip(lines[:8], texts, strict=True)), False, True, box_type="LTRB"
        ),
        parse_single_file("\n".join(lines[8:]), False, box_type="LTRB"),
    )
    quads = [rect(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes]
    page = page_of(quads[:8], texts, np.array([t == "###" for t in texts]))
    assert_equal(count_page(page, detections_of(quads[8:]), "transcription"), theirs)


@pytest.mark.parametrize("characters", ["transcription", "aspect"])
@pytest.mark.parametrize("seed", range(40))
def test_equals_the_official_program_on_polygons(seed, characters):
    rng = np.random.default_rng(seed)

    def any_polygon():
        if rng.random() < 0.2:  # any outline, mostly crossed; triangles
            return rng.uniform(0, SIZE, (int(rng.choice([3, 5, 6])), 2))
        outline = ribbon(rng, int(rng.integers(3, 6)))
        return outline[1:] if rng.random() < 0.3 else outline  # an odd number of points

    n = int(rng.integers(0, 9))
    words = [any_polygon() for _ in range(n)]
    page = page_of(words, texts_for(rng, n), rng.random(n) < 0.3)
    found = [w + rng.normal(0, 1.5, w.shape) for w in words] + [any_polygon() for _ in range(int(rng.integers(0, 4)))]
    found = detections_of(found)
    ours = count_page(page, found, characters)
    assert_equal(ours, official(page, found, characters, FixedPoly))
    assert ours == textbook.count_page(page, found, characters)
