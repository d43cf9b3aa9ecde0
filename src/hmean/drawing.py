"""Pages with their words and regions drawn on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hmean.files import write_with
from hmean.geometry import Image
from hmean.types import Detections, Page, Polygons

TRUTH, FOUND, IGNORED = (0, 150, 70), (230, 30, 120), (150, 150, 150)


def draw_page(image: Image, detections: Detections | None, page: Page | None = None, long_side: int = 1280) -> Image:
    """A copy at most ``long_side`` long: labelled words green, ignored ones grey, regions found magenta."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(width, height))
    shrunk = cv2.resize(
        image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    canvas: Image = np.ascontiguousarray(shrunk, dtype=np.uint8)
    if page is not None and page.words_known:
        _outline(canvas, page.polygons.select(page.ignored), scale, IGNORED, 1)
        _outline(canvas, page.polygons.select(~page.ignored), scale, TRUTH, 2)
    if detections is not None:
        _outline(canvas, detections.polygons, scale, FOUND, 1)
    return canvas


def save_picture(path: Path, image: Image) -> None:
    """Write RGB pixels as a JPEG file, atomically."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    write_with(path, lambda out: out.write(data.tobytes()))


def _outline(canvas: Image, polygons: Polygons, scale: float, color: tuple[int, int, int], thickness: int) -> None:
    shift = 4  # OpenCV takes sixteenths of a pixel, and counts them from the first pixel's centre
    outlines = [np.round((p * scale - 0.5) * 2**shift).astype(np.int32) for p in polygons]
    cv2.polylines(canvas, outlines, True, color, thickness, cv2.LINE_AA, shift)
