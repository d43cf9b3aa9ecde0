"""Pages with their words and regions drawn on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.files import write_with
from hmean.geometry import Image
from hmean.metrics.breakdown import page_faults
from hmean.types import Characters, Detections, Page, Polygons

TRUTH, FOUND, IGNORED = (0, 150, 70), (230, 30, 120), (150, 150, 150)
# Of faults: told apart by colour-blind eyes too.
MISSED, SPLIT, FALSE, MERGED = (213, 30, 0), (240, 150, 0), (0, 90, 200), (150, 60, 190)
SHIFT = 4  # OpenCV takes sixteenths of a pixel, and counts them from the first pixel's centre


def draw_page(image: Image, detections: Detections | None, page: Page | None = None, long_side: int = 1280) -> Image:
    """A copy at most ``long_side`` long: labelled words green, ignored ones grey, regions found magenta."""
    canvas, scale = shrunk(image, long_side)
    if page is not None and page.words_known:
        _outline(canvas, page.polygons.select(page.ignored), scale, IGNORED, 1)
        _outline(canvas, page.polygons.select(~page.ignored), scale, TRUTH, 2)
    if detections is not None:
        _outline(canvas, detections.polygons, scale, FOUND, 1)
    return canvas


def draw_faults(image: Image, found: Detections, page: Page, characters: Characters, long_side: int = 1280) -> Image:
    """A copy with what CLEval counts against the page filled: missed and split words, false and merged regions."""
    canvas, scale = shrunk(image, long_side)
    faults = page_faults(page, found, characters)
    of_words = faults.of_words()
    of_regions = faults.of_detections()
    faulty = (
        (page.polygons, of_words == "split", SPLIT),
        (page.polygons, of_words == "missed", MISSED),
        (found.polygons, of_regions == "merged", MERGED),
        (found.polygons, of_regions == "false", FALSE),
    )
    plain = canvas.copy()
    for polygons, which, color in faulty:
        cv2.fillPoly(canvas, _outlines(polygons.select(which), scale), color, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(canvas, 0.35, plain, 0.65, 0, canvas)
    _outline(canvas, page.polygons.select(page.ignored), scale, IGNORED, 1)
    _outline(canvas, page.polygons.select(~page.ignored & (of_words == "")), scale, TRUTH, 1)
    for polygons, which, color in faulty:
        _outline(canvas, polygons.select(which), scale, color, 2)
    return canvas


def save_picture(path: Path, image: Image) -> None:
    """Write RGB pixels as a JPEG file, atomically."""
    write_with(path, lambda out: out.write(jpeg(image)))


def jpeg(image: Image) -> bytes:
    """RGB pixels as the content of a JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return data.tobytes()


def shrunk(image: Image, long_side: int) -> tuple[Image, float]:
    """A copy at most ``long_side`` long, and its scale."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale


def _outlines(polygons: Polygons, scale: float) -> list[NDArray[np.int32]]:
    return [np.round((p * scale - 0.5) * 2**SHIFT).astype(np.int32) for p in polygons]


def _outline(canvas: Image, polygons: Polygons, scale: float, color: tuple[int, int, int], thickness: int) -> None:
    cv2.polylines(canvas, _outlines(polygons, scale), True, color, thickness, cv2.LINE_AA, SHIFT)
