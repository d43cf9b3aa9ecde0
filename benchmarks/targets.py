"""Training targets against the usual way to make them (``peers/targets.py``), on real pages."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import shapely
from harness import Result, compare
from numpy.typing import NDArray
from peers.targets import make_targets as make_targets_as_usual
from peers.targets import make_targets_at_once

from hmean.data.targets import make_targets
from hmean.data.views import letterbox
from hmean.labels.ufo import UfoLabels
from hmean.synth.dataset import write_dataset
from hmean.types import Page, Polygons

PEERS = ("pyclipper",)
ABOUT = (
    "Shrink map, threshold map, band and mask of one view (r = 0.4). The peer is a textbook version of the usual label "
    "generation, in fewer steps than MMOCR, docTR and PaddleOCR take, which cannot be installed beside hmean. It rounds "
    "polygons to whole pixels and fills their borders, so its maps differ: the last column gives the area of the shrunk "
    "text over the true one (shapely's mitred offsets), of all words that both draw and that lie on no other."
)
SETTINGS = {"shrink_ratio": 0.4, "min_side": 3.0}


class View(NamedTuple):
    """A letterboxed page."""

    polygons: Polygons
    ignore: NDArray[np.bool_]
    width: int
    height: int


def run() -> Iterator[Result]:
    """Whole pages and crowded ones at both sizes."""
    cv2.setNumThreads(1)
    pages = real_or_drawn()
    crowded = sorted(pages, key=lambda page: abs(len(page.polygons) - 100))[:12]
    for name, chosen in (("", pages[:: max(1, len(pages) // 40)]), ("crowded ", crowded)):
        boxes = np.median([len(page.polygons) for page in chosen])
        for side, target in ((640, 8.0), (1024, 5.0)):
            views = [letterboxed(page, side) for page in chosen]
            yield compare(
                f"targets, {name}pages, {boxes:.0f} boxes, {side} px", "textbook", views,
                lambda view: make_targets(*view, **SETTINGS), lambda view: make_targets_as_usual(*view, **SETTINGS),
                exact=_areas(views), target=target, rounds=5, cpu=True,
            )  # fmt: skip
            yield compare(
                f"targets, {name}pages, {boxes:.0f} boxes, {side} px", "OpenCV, one distance transform a page", views,
                lambda view: make_targets(*view, **SETTINGS), lambda view: make_targets_at_once(*view, **SETTINGS),
                exact=_differences(views), strongest=True, rounds=9, cpu=True,
            )  # fmt: skip


def real_or_drawn() -> list[Page]:
    root = os.environ.get("HMEAN_DATA")
    if root:
        labels = UfoLabels(Path(root) / "sroie" / "labels.json")
    else:
        folder = Path(tempfile.mkdtemp())
        write_dataset(folder, train=40)
        labels = UfoLabels(folder / "jsons" / "train.json")
    return [labels.page(i) for i in range(len(labels.names))]


def letterboxed(page: Page, side: int) -> View:
    view = letterbox(page.width, page.height, side, "square")
    return View(view.polygons(page.polygons), page.ignored, view.width, view.height)


def _differences(views: Sequence[View]) -> str:
    """How far the threshold maps of the two peers lie apart."""
    apart = [
        np.abs(make_targets_at_once(*view, **SETTINGS).threshold - make_targets_as_usual(*view, **SETTINGS).threshold)
        for view in views
    ]
    return (
        f"shrink map as the textbook's; threshold map {np.mean([a.mean() for a in apart]):.3f} from it in the mean, "
        f"by more than 0.1 on {100 * np.mean([(a > 0.1).mean() for a in apart]):.1f} % of the pixels"
    )


def _areas(views: Sequence[View]) -> str:
    """Shrunk area on the maps over the true one: hmean's, anti-aliased, and the peer's."""
    makers = (make_targets, partial(make_targets, antialias=True), make_targets_as_usual)
    true, drawn = 0.0, np.zeros(len(makers))
    for view in views:
        maps = [maker(*view, **SETTINGS).shrink for maker in makers]
        maps[2] = maps[2] * 255
        bodies = [shapely.Polygon(polygon) for polygon in view.polygons]
        tree = shapely.STRtree(bodies)
        for skip, body in zip(view.ignore, bodies, strict=True):
            d = body.area * (1 - SETTINGS["shrink_ratio"] ** 2) / body.length
            x0, y0, x1, y1 = (max(0, round(v)) for v in (body.buffer(2)).bounds)
            around = shapely.box(x0, y0, x1, y1)
            inner = body.buffer(-d, join_style="mitre").area
            parts = [m[y0:y1, x0:x1] for m in maps]
            if not skip and len(tree.query(around, "intersects")) == 1 and all(part.any() for part in parts):
                true += inner
                drawn += [part.sum() / 255 for part in parts]
    ours, soft, peer = drawn / true
    return f"area of hmean's {ours:.3f}, anti-aliased {soft:.3f}, of the peer's {peer:.3f}; exact to the pixel: `tests/unit/data/test_targets.py`"
