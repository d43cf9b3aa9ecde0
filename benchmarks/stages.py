"""Where the time of a post-processing call and of a training sample goes: shares of stages, and so the floors.

usage: HMEAN_DATA=... python benchmarks/stages.py

Writes docs/results/stages.{json,md}. Each stage is the program's own function, timed while the whole call runs; what is
left is the Python and NumPy around them. Shares are medians over inputs, each the median of several rounds.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import loader
import numpy as np
import postprocess as peers
import torch
from harness import environment, words

from hmean import images
from hmean.data import dataset, photometric, views
from hmean.files import write_json, write_text
from hmean.postprocess import components, polygon_offset, unclip
from hmean.postprocess import decoding as ours
from hmean.postprocess.decoding import detect, detect_each

ROOT = Path(__file__).parents[1]
ROUNDS = 9
Stage = tuple[Any, str]  # the object or module that holds the function, and its name


@contextmanager
def clocked(stages: dict[str, Stage]) -> Iterator[dict[str, float]]:
    """Seconds of the processor spent in each stage while the block runs."""
    spent = dict.fromkeys(stages, 0.0)

    def wrap(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                spent[name] += time.process_time() - start

        return timed

    with ExitStack() as stack:
        for name, (owner, attribute) in stages.items():
            stack.enter_context(mock.patch.object(owner, attribute, wrap(name, getattr(owner, attribute))))
        yield spent


def shares(inputs: Sequence[Any], call: Callable[[Any], object], stages: dict[str, Stage]) -> dict[str, float]:
    """Median ms of the whole call, and the share of each stage and of the rest."""
    call(inputs[0])
    whole: list[float] = []
    parts: dict[str, list[float]] = {name: [] for name in stages}
    for value in inputs:
        rounds = []
        for _ in range(ROUNDS):
            with clocked(stages) as spent:
                start = time.process_time()
                call(value)
                rounds.append((time.process_time() - start, dict(spent)))
        whole.append(statistics.median(total for total, _ in rounds))
        for name in stages:
            parts[name].append(statistics.median(spent[name] / total for total, spent in rounds))
    found = {name: statistics.median(values) for name, values in parts.items()}
    return {"ms": 1e3 * statistics.median(whole), **found, "the rest": 1 - sum(found.values())}


def post_stages(polygon: bool) -> dict[str, Stage]:
    quads: dict[str, Stage] = {
        "the map read into runs": (components, "_scan"),
        "runs within runs (further thresholds)": (components, "_scan_within"),
        "joined, hulls, rectangles, scores": (components, "_measure"),
        "filters": (ours, "_filter"),
        "rectangles unclipped": (unclip, "_unclipped_corners"),
        "onto the page": (ours, "_place"),
    }
    more: dict[str, Stage] = {
        "outlines traced and simplified": (components, "trace_outlines"),
        "areas, lengths, distances": (unclip, "_outline_distances"),
        "outlines unclipped": (polygon_offset, "_offset_all"),
    }
    return {**quads, **more} if polygon else quads


def main() -> None:
    """Measure and write."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    rows: list[tuple[str, dict[str, float]]] = []
    polygon = replace(peers.PARAMS, use_polygon=True)
    many = [replace(peers.PARAMS, thresh=t) for t in np.linspace(0.15, 0.6, 12).tolist()]
    for side in (640, 1024):
        maps = [
            replace(page, probability=np.round(page.probability * 255).astype(np.uint8)) for page, _ in peers.maps(side)
        ]
        rows.append(
            (f"quads, {side} px", shares(maps, lambda page: detect(page, peers.PARAMS), post_stages(polygon=False)))
        )
        rows.append(
            (
                f"quads at 12 thresholds, {side} px",
                shares(maps, lambda page: detect_each(page, many), post_stages(polygon=False)),
            )
        )
        rows.append(
            (f"polygons, {side} px", shares(maps, lambda page: detect(page, polygon), post_stages(polygon=True)))
        )
    with tempfile.TemporaryDirectory() as name:
        pages, labels = loader.sroie_or_synthetic(Path(name))
        data = loader.samples(
            pages, labels, ["preset=efficientnet_b4_lr_optimized", "transforms.train.long_side=[640,640]"]
        )
        keys = [(epoch, p) for epoch, p in enumerate(range(0, len(data), max(1, len(data) // 24)))]
        stages: dict[str, Stage] = {
            "JPEG decoded (libjpeg, at most at the view's scale)": (images.cv2, "imdecode"),
            "warp": (views.PageView, "image"),
            "photometric": (photometric.Photometric, "__call__"),
            "targets": (dataset, "make_targets"),
            "laid out as a tensor": (dataset, "to_tensor"),
        }
        rows.append(("training sample, whole page at 640", shares(keys, data.__getitem__, stages)))
    record = {"environment": environment("numpy", "opencv-python-headless", "numba", "torch"), "rows": dict(rows)}
    write_json(ROOT / "docs" / "results" / "stages.json", record)
    write_text(ROOT / "docs" / "results" / "stages.md", table(record))


def table(record: dict[str, Any]) -> str:
    """The same as Markdown."""
    env = record["environment"]
    lines = [
        "# Where the time goes", "",
        "Written by `benchmarks/stages.py`. Share of the call's processor time in each stage, median; one thread.",
    ]  # fmt: skip
    for name, row in record["rows"].items():
        lines += ["", f"## {name.capitalize()}: {row['ms']:.2f} ms", "", "| stage | share |", "|---|---|"]
        lines += [
            f"| {stage} | {100 * value:.0f} % |" for stage, value in row.items() if stage != "ms" and value > 0.004
        ]
    return "\n".join([*lines, "", words(env)]) + "\n"


if __name__ == "__main__":
    main()
