"""CLEval against the official program, page by page in turn: every counter's result, and the ratio of times.

usage: HMEAN_DATA=... python benchmarks/score.py   (without HMEAN_DATA: synthetic pages)
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from hmean.data.annotations import UfoLabels
from hmean.data.synth import write_dataset
from hmean.metrics.cleval import count_page
from hmean.types import Detections, Page

warnings.simplefilter("ignore")  # of what the official package imports
from cleval import CLEvalMetric  # noqa: E402


def pages() -> list[Page]:
    root = os.environ.get("HMEAN_DATA")
    if root:
        labels = UfoLabels(Path(root) / "sroie" / "labels.json")
    else:
        folder = Path(tempfile.mkdtemp())
        write_dataset(folder, train=40)
        labels = UfoLabels(folder / "jsons" / "train.json")
    return [labels.page(i) for i in range(0, len(labels.names), max(1, len(labels.names) // 40))]


def main() -> None:
    rng = np.random.default_rng(0)
    ratios, worst = [], 0.0
    for i, page in enumerate(pages()):
        points = page.polygons.points + rng.normal(0, 1.5, page.polygons.points.shape)
        found = Detections(page.polygons.with_points(points), np.ones(len(page.polygons), np.float32))
        metric = CLEvalMetric()
        quads = [q.flatten() for q in page.polygons]
        start = time.perf_counter()
        metric.update(
            [p.flatten() for p in found.polygons], quads, gt_letters=list(page.texts), det_letters=[""] * len(found)
        )
        theirs = metric.compute()
        middle = time.perf_counter()
        ours = count_page(page, found, "transcription").prh
        end = time.perf_counter()
        worst = max(worst, abs(ours.h - float(theirs["det_h"])))
        if i:  # the first call compiles, or loads what was compiled
            ratios.append((middle - start) / (end - middle))
    print(json.dumps({"pages": len(ratios), "worst_difference_of_h": worst, "official_over_ours": {
        "median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}}))  # fmt: skip


if __name__ == "__main__":
    main()
