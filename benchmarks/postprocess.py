"""Post-processing against RapidOCR, docTR and a textbook of polygon mode, on maps of PP-OCRv6's detector."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import rapidocr
from doctr.models.detection.differentiable_binarization.base import DBPostProcessor
from harness import Result, compare
from numpy.typing import NDArray
from peers import postprocess as textbook
from rapidocr.ch_ppocr_det.utils import DBPostProcess

from hmean.data.pages import LabelledImages
from hmean.data.views import letterbox
from hmean.labels.ufo import UfoLabels
from hmean.metrics.scorer import score_pages
from hmean.postprocess.decoding import PageMap, detect, detect_each, detect_pages
from hmean.postprocess.parameters import PostprocessParams
from hmean.synth.dataset import write_dataset
from hmean.types import Detections, Page, Polygons

PEERS = ("rapidocr", "python-doctr", "pyclipper", "onnxruntime")
ABOUT = (
    "Maps are those of the detector in the wheel of `rapidocr` (PP-OCRv6 small) on SROIE pages, or synthetic ones "
    "without HMEAN_DATA; thresh 0.3, box_thresh 0.5, unclip 1.6, no dilation, for all. RapidOCR and docTR give rotated boxes; "
    "the IoU70 H of their regions and ours on the same maps stands in the last column."
)
PARAMS = PostprocessParams(thresh=0.3, box_thresh=0.5, unclip="ratio", unclip_ratio=1.6)
TESTS = "tests/unit/postprocess/test_postprocess.py (components equal OpenCV's on random maps; sides exact to 0.01 px)"
LESS = "the peer does less: no scores, no filters, no unclip, nothing on the page"
Item = tuple[PageMap, Page]


def maps(long_side: int, count: int = 12) -> list[Item]:
    root = os.environ.get("HMEAN_DATA")
    if root:
        folder = Path(root) / "sroie"
        labels = UfoLabels(folder / "labels.json")
    else:
        folder = Path(tempfile.mkdtemp()) / "synthetic"
        write_dataset(folder, train=count, val=1, test=1)
        labels = UfoLabels(folder / "jsons" / "train.json")
    busiest = sorted(
        range(0, len(labels.names), max(1, len(labels.names) // 60)), key=lambda i: -len(labels.page(i).polygons)
    )
    pages = LabelledImages(labels, folder / "images", busiest[:count])
    session = onnxruntime.InferenceSession(
        str(Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_det_small.onnx"), providers=["CPUExecutionProvider"]
    )
    items = []
    for position in range(len(pages)):
        page = pages.page(position)
        view = letterbox(page.width, page.height, long_side, "stride")
        pixels = view.image(pages.pixels(position, page), (255, 255, 255))[:, :, ::-1].astype(np.float32) / 127.5 - 1
        probability = session.run(None, {session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]})[0][0, 0]
        items.append(
            (PageMap(page.name, np.ascontiguousarray(probability), view.to_page, page.width, page.height), page)
        )
    return items


def rapid(item: Item) -> list[NDArray[np.float64]]:
    page = item[0]
    boxes, _ = DBPostProcess(thresh=0.3, box_thresh=0.5, unclip_ratio=1.6)(
        page.probability[None, None], (page.probability.shape[0], page.probability.shape[1])
    )
    return list(boxes)


def doctr(item: Item) -> list[NDArray[np.float64]]:
    page = item[0]
    peer = DBPostProcessor(box_thresh=0.5, bin_thresh=0.3, assume_straight_pages=False)
    peer.unclip_ratio = 1.6
    height, width = page.probability.shape
    return [box[:4] * (width, height) for box in peer(page.probability[None, :, :, None])[0][0]]


def lean_boxes(item: Item) -> list[NDArray[np.float32]]:
    return [corners for corners, _ in textbook.lean_quads(item[0].probability, 0.3, 0.5, 1.6)]


def iou70(items: list[Item], call: object) -> float:
    """Of polygons in map pixels, as a peer gives them."""
    found = []
    for page, _ in items:
        polygons = [np.asarray(p, dtype=np.float64) * np.diag(page.to_page)[:2] for p in call((page, None))]  # type: ignore[operator]
        found.append(Detections(Polygons.of(polygons), np.ones(len(polygons), dtype=np.float32)))
    return summed(items, found)


def summed(items: list[Item], found: list[Detections]) -> float:
    scored = score_pages([page for _, page in items], found, "transcription")
    tp, gt, det = (sum(getattr(s[0].iou70, name) for s in scored) for name in ("tp", "gt", "det"))
    return 2 * tp / (gt + det)


def run() -> Iterator[Result]:
    cv2.setNumThreads(1)
    polygon = replace(PARAMS, use_polygon=True)
    for side in (640, 1024):
        items = maps(side)
        boxes = sum(len(detect(page, PARAMS)) for page, _ in items) / len(items)
        where = f"{side} px, {boxes:.0f} regions a map"
        own = summed(items, [detect(page, PARAMS) for page, _ in items])
        for name, peer, target in (("RapidOCR", rapid, 12), ("docTR, rotated", doctr, 8)):
            exact = f"IoU70 H {own:.3f}, {name.split(',')[0]}'s {iou70(items, peer):.3f}; {TESTS}"
            yield compare(
                f"Quads, {where}",
                name,
                items,
                lambda i: detect(i[0], PARAMS),
                peer,
                exact=exact,
                target=target,
                cpu=True,
            )
        lean = f"IoU70 H {own:.3f}, the peer's {iou70(items, lean_boxes):.3f}"
        yield compare(
            f"Quads, {where}", "OpenCV alone, with scores and unclip", items, lambda i: detect(i[0], PARAMS), lean_boxes,
            exact=lean, strongest=True, rounds=9, cpu=True,
        )  # fmt: skip
        yield compare(
            f"Quads, {where}", "bare OpenCV: compare, findContours, minAreaRect", items, lambda i: detect(i[0], PARAMS),
            lambda i: textbook.bare_quads(i[0].probability, 0.3), exact=LESS, strongest=True, rounds=9, cpu=True,
        )  # fmt: skip
        yield compare(
            f"Polygons, {where}", "textbook of PaddleOCR's", items, lambda i: detect(i[0], polygon),
            lambda i: textbook.polygons(i[0].probability, 0.3, 0.5, 1.6), exact=TESTS, target=8, cpu=True,
        )  # fmt: skip
        yield compare(
            f"Polygons, {where}", "bare OpenCV: compare, findContours, approxPolyDP", items,
            lambda i: detect(i[0], polygon), lambda i: textbook.bare_polygons(i[0].probability, 0.3),
            exact=LESS, strongest=True, rounds=9, cpu=True,
        )  # fmt: skip
    many = [replace(PARAMS, thresh=t) for t in np.linspace(0.15, 0.6, 12).tolist()]
    cached = [replace(page, probability=np.round(page.probability * 255).astype(np.uint8)) for page, _ in items]
    same = "tests/unit/postprocess/test_postprocess.py (equal to one by one)"
    yield compare(
        "12 thresholds of a cached map", "12 calls", cached, lambda page: detect_each(page, many),
        lambda page: [detect(page, params) for params in many], exact=same, cpu=True,
    )  # fmt: skip
    yield compare(
        "One threshold of a cached map", "12 thresholds in one call", cached, lambda page: detect(page, PARAMS),
        lambda page: detect_each(page, many), exact=same, cpu=True,
    )  # fmt: skip
    yield compare(
        "A batch of 48 maps, two threads", "one thread", [cached * 4], lambda batch: detect_pages(batch, PARAMS, threads=2),
        lambda batch: detect_pages(batch, PARAMS), exact=same, rounds=15,
    )  # fmt: skip
