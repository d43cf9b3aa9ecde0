"""Scores against the official CLEval program and a textbook IoU evaluator."""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from harness import Result, compare
from numba import njit
from peers import iou as textbook
from score_files import end_to_end

from hmean.labels.ufo import UfoLabels
from hmean.metrics.cleval import count_page
from hmean.metrics.iou import match_counts
from hmean.metrics.scorer import score_pages
from hmean.synth.dataset import write_dataset
from hmean.types import Detections, Page, Polygons

warnings.simplefilter("ignore")  # of what the official package imports
from cleval import CLEvalMetric  # noqa: E402

PEERS = ("cleval",)
ABOUT = (
    "Pages are those of SROIE (words with their texts), or synthetic receipts without HMEAN_DATA; regions are the words "
    "with corners moved by a normal error of 1.5 px (crowded, don't-care: as said). Every pair of results is compared "
    "before it is timed; one difference ends the benchmark."
)
SAME = "tests/unit/metrics/test_cleval.py (every counter, 300 SROIE pages with four kinds of faults, random quads, don't-care)"
Pair = tuple[Page, Detections]


POOL = ThreadPoolExecutor(2)


@njit(nogil=True)
def arithmetic(count: int) -> float:
    """Nothing but multiplications and additions."""
    x = 0.5
    for _ in range(count):
        x = 3.9 * x * (1.0 - x)
    return x


def sroie() -> list[Page]:
    root = os.environ.get("HMEAN_DATA")
    if root:
        labels = UfoLabels(Path(root) / "sroie" / "labels.json")
    else:
        folder = Path(tempfile.mkdtemp())
        write_dataset(folder, train=40, val=1, test=1, overwrite=True)
        labels = UfoLabels(folder / "jsons" / "train.json")
    return [labels.page(i) for i in range(0, len(labels.names), max(1, len(labels.names) // 30))]


def found(page: Page, rng: np.random.Generator) -> Detections:
    points = page.polygons.points + rng.normal(0, 1.5, page.polygons.points.shape)
    return Detections(page.polygons.with_points(points), rng.random(len(page.polygons)).astype(np.float32))


def crowded(count: int, rng: np.random.Generator) -> Page:
    """``count`` words of 3 to 18 characters in rows, turned a little, on one page."""
    quads = []
    for i in range(count):
        w, h = rng.uniform(40, 160), rng.uniform(14, 24)
        a = rng.normal(0, 0.03)
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        quads.append(np.array([[0, 0], [w, 0], [w, h], [0, h]]) @ turn + (i % 10 * 170, i // 10 * 30))
    texts = tuple("x" * int(rng.integers(3, 19)) for _ in quads)
    return Page("crowded", 1700, 30 * (count // 10 + 1), Polygons.of(quads), texts=texts)


def official(pair: Pair) -> tuple[float, float, float]:
    page, regions = pair
    metric = CLEvalMetric()
    metric.update(
        [p.flatten() for p in regions.polygons],
        [p.flatten() for p in page.polygons],
        gt_letters=["###" if skip else text for text, skip in zip(page.texts, page.ignored, strict=True)],
        det_letters=[""] * len(regions),
        gt_is_dcs=page.ignored.tolist(),
    )
    result = metric.compute()
    return float(result["det_p"]), float(result["det_r"]), float(result["det_h"])


def ours(pair: Pair) -> tuple[float, float, float]:
    prh = count_page(*pair, "transcription").prh
    return prh.p, prh.r, prh.h


def run() -> Iterator[Result]:
    rng = np.random.default_rng(0)
    receipts = [(page, found(page, rng)) for page in sroie()]
    ignoring = [(replace(p, ignore=rng.random(len(p.polygons)) < 0.2), d) for p, d in receipts]
    dense = [(page, found(page, rng)) for page in (crowded(n, rng) for n in (250, 300, 350))]
    for name, pairs, target in (
        ("CLEval, receipts", receipts, 100),
        ("CLEval, receipts, every fifth word don't-care", ignoring, 100),
        ("CLEval, crowded pages (250-350 words)", dense, 300),
    ):
        for pair in pairs:
            np.testing.assert_allclose(ours(pair), official(pair), rtol=0, atol=1e-7)  # theirs come in single precision
        yield compare(name, "cleval", pairs, ours, official, exact=SAME, target=target, cpu=True)

    yield end_to_end(10_000, sroie(), official)

    limits = (0.5, 0.7)
    words = [(page, found(page, rng)) for page in (crowded(n, rng) for n in (60, 115, 115, 276))]
    for pair in words[:2]:
        assert [(m.tp, m.gt, m.det) for m in match_counts(*pair, limits)] == [
            textbook.evaluate(*pair, t) for t in limits
        ]
    # The peers drop outlines that cross themselves, which moved corners make of a few narrow words.
    simple = [pair for pair in ignoring if textbook.crosses_nowhere(pair[1].polygons)]
    assert len(simple) > 25
    for pair in [*words, *simple]:
        vectorised = textbook.evaluate_vectorised(*pair, limits)
        assert [(m.tp, m.gt, m.det) for m in match_counts(*pair, limits)] == vectorised
    yield compare(
        "IoU 0.5 and 0.7 in one pass, 60-276 words", "textbook of PaddleOCR's, at one threshold", words,
        lambda pair: match_counts(*pair, limits), lambda pair: textbook.evaluate(*pair, 0.5),
        exact="tests/unit/metrics/test_iou.py", target=200, rounds=1, cpu=True,
    )  # fmt: skip
    yield compare(
        "IoU 0.5 and 0.7 in one pass, 60-276 words", "shapely 2, all pairs that touch in one call, at both thresholds", words,
        lambda pair: match_counts(*pair, limits), lambda pair: textbook.evaluate_vectorised(*pair, limits),
        exact="equal counts here, with ignored words too", strongest=True, rounds=15, cpu=True,
    )  # fmt: skip

    pages, regions = [p for p, _ in receipts] * 14, [d for _, d in receipts] * 14
    yield compare(
        f"Both scores of {len(pages)} pages, two threads", "the same, one thread", [None],
        lambda _: score_pages(pages, regions, "transcription", threads=2),
        lambda _: score_pages(pages, regions, "transcription"),
        exact="tests/unit/metrics/test_scorer.py", rounds=15,
    )  # fmt: skip
    yield compare(
        "What the machine gives: arithmetic alone, two threads", "the same, one thread", [None],
        lambda _: list(POOL.map(arithmetic, [10**7, 10**7])), lambda _: [arithmetic(10**7), arithmetic(10**7)],
        exact="no memory, no lock: a bound for the line above", rounds=15,
    )  # fmt: skip
    scores = np.linspace(0, 0.95, 12).tolist()
    yield compare(
        "Both scores at 12 box_thresh", "12 times from the start", [None],
        lambda _: score_pages(pages[:100], regions[:100], "transcription", min_scores=scores),
        lambda _: [score_pages(pages[:100], [d.select(d.scores >= s) for d in regions[:100]], "transcription") for s in scores],
        exact="tests/unit/metrics/test_scorer.py", rounds=15, cpu=True,
    )  # fmt: skip


if __name__ == "__main__":
    start = time.time()
    for result in run():
        print(result)
    print(f"{time.time() - start:.0f} s")
