"""Pages with their words and detections drawn on them; the pictures of an evaluation's worst and best pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.data.pages import LabelledImages
from hmean.files import read_json, write_json, write_with
from hmean.geometry import Image
from hmean.images import read_image
from hmean.metrics.breakdown import page_faults
from hmean.metrics.scorer import Scorer
from hmean.records import Record
from hmean.types import Characters, Detections, Page, Polygons

Color = tuple[int, int, int]  # RGB
TRUTH: Color = (0, 150, 70)
FOUND: Color = (230, 30, 120)
IGNORED: Color = (150, 150, 150)
# Colours of faults, which colour-blind eyes can tell apart too.
MISSED: Color = (213, 30, 0)
SPLIT: Color = (240, 150, 0)
FALSE: Color = (0, 90, 200)
MERGED: Color = (150, 60, 190)
LONG_SIDE = 1280  # of a picture, at most
EXTREMES = 6  # worst pages, and best ones, that an evaluation draws
SHIFT = 4  # OpenCV takes sixteenths of a pixel, and counts them from the first pixel's centre


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw_page(
    image: Image, detections: Detections | None, page: Page | None = None, long_side: int = LONG_SIDE
) -> Image:
    """A copy of the image with labelled words green, ignore regions grey and detections magenta.

    Args:
        image: the page.
        detections: what was found; None: nothing is drawn.
        page: the labels; likewise.
        long_side: of the copy, at most.
    """
    canvas, scale = shrunk(image, long_side)
    if page is not None and page.words_known:
        outline(canvas, page.polygons.select(page.ignored), scale, IGNORED, thickness=1)
        outline(canvas, page.polygons.select(~page.ignored), scale, TRUTH, thickness=2)
    if detections is not None:
        outline(canvas, detections.polygons, scale, FOUND, thickness=1)
    return canvas


def draw_faults(
    image: Image, found: Detections, page: Page, characters: Characters, long_side: int = LONG_SIDE
) -> Image:
    """A copy of the image with what CLEval counts against it filled.

    These are missed and split words, and false and merged detections.

    Args:
        image: the page.
        found: what was found.
        page: the labels.
        characters: how characters are counted.
        long_side: of the copy, at most.
    """
    canvas, scale = shrunk(image, long_side)
    faults = page_faults(page, found, characters)
    word_faults = faults.of_words()
    detection_faults = faults.of_detections()
    faulty = (
        (page.polygons.select(word_faults == "split"), SPLIT),
        (page.polygons.select(word_faults == "missed"), MISSED),
        (found.polygons.select(detection_faults == "merged"), MERGED),
        (found.polygons.select(detection_faults == "false"), FALSE),
    )
    filled = canvas.copy()
    for polygons, color in faulty:
        cv2.fillPoly(filled, outlines(polygons, scale), color, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(filled, 0.35, canvas, 0.65, 0, canvas)
    outline(canvas, page.polygons.select(page.ignored), scale, IGNORED, thickness=1)
    is_right = ~page.ignored & (word_faults == "")
    outline(canvas, page.polygons.select(is_right), scale, TRUTH, thickness=1)
    for polygons, color in faulty:
        outline(canvas, polygons, scale, color, thickness=2)
    return canvas


def shrunk(image: Image, long_side: int) -> tuple[Image, float]:
    """A copy at most ``long_side`` long, and its scale."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale


def outlines(polygons: Polygons, scale: float) -> list[NDArray[np.int32]]:
    """Polygons as OpenCV draws them with ``SHIFT``, in a picture of another scale."""
    return [np.round((polygon * scale - 0.5) * 2**SHIFT).astype(np.int32) for polygon in polygons]


def outline(canvas: Image, polygons: Polygons, scale: float, color: Color, thickness: int) -> None:
    """Draw the outlines of polygons in a picture that is ``scale`` times as large as what they are pixels of."""
    cv2.polylines(canvas, outlines(polygons, scale), True, color, thickness, cv2.LINE_AA, SHIFT)


# --- files ------------------------------------------------------------------------------------------------------------


def save_picture(path: Path, image: Image) -> None:
    """Write RGB pixels as a JPEG file, atomically."""
    write_with(path, lambda out: out.write(jpeg(image)))


def jpeg(image: Image) -> bytes:
    """RGB pixels as the content of a JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return data.tobytes()


class Picture(Record):
    """An entry of ``pictures.json``: a page that an evaluation drew with its faults."""

    file: str = Field(description="name of the picture's file")
    kind: Literal["worst", "best"] = Field(description="whether the page is one of the worst or of the best")
    page: str = Field(description="name of the page's image")
    h: float = Field(description="the page's CLEval H, 0 to 1")


def read_pictures(folder: Path) -> list[Picture]:
    """The entries of ``pictures.json`` in a folder, worst pages first.

    Raises:
        InputError: if the file is missing or has another layout.
    """
    path = folder / "pictures.json"
    return [Picture.parse(entry, path) for entry in read_json(path)]


def draw_extremes(folder: Path, pages: LabelledImages, scorer: Scorer, found: Sequence[Detections]) -> None:
    """Draw the worst and the best pages by CLEval H with their faults, and list them in ``pictures.json``.

    Args:
        folder: takes the files.
        pages: the labelled pages.
        scorer: their scores, in the same order.
        found: their detections, likewise.
    """
    ascending = sorted(range(len(pages)), key=lambda position: scorer.pages[position].prh.h)
    worst = ascending[:EXTREMES]
    best = ascending[::-1][:EXTREMES]
    pictures = []
    for kind, positions in (("worst", worst), ("best", best)):
        for rank, position in enumerate(positions, start=1):
            file = f"{kind}_{rank}.jpg"
            image = read_image(pages.file(position))
            page = pages.page(position)
            save_picture(folder / file, draw_faults(image, found[position], page, scorer.characters))
            h = scorer.pages[position].prh.h
            pictures.append({"file": file, "kind": kind, "page": page.name, "h": h})
    write_json(folder / "pictures.json", pictures)
