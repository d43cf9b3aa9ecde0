"""Many pages on one picture, with their words drawn on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from hmean.errors import InputError
from hmean.files import write_with
from hmean.geometry import Image
from hmean.runs.pictures import SHIFT, SPLIT, TRUTH, Color, outline, outlines, shrunk
from hmean.types import Page, Polygons

WORD: Color = TRUTH
IGNORED: Color = SPLIT
TEXT: Color = (190, 0, 60)
INK: Color = (40, 40, 40)
BEHIND: Color = (225, 228, 231)
GAP = 12  # pixels between tiles
TITLE_SIZE = 18  # of the font, pixels
CAPTION_SIZE = 13
TEXT_SIZE = 32  # at which texts are measured
_LEAST_TEXT = 5
_LEAST_WIDTH = 160  # of a tile, for its caption
_FILLED = 0.3  # of an ignore region: how much of its colour covers the page


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a sheet.

    Attributes:
        image: (H, W, 3).
        polygons: of the words, pixels of the image (K); also such as lie outside of it.
        ignored: which of them are ignore regions (K,).
        caption: what stands below it.
        texts: of the words (K), to be drawn on a page of their own at its side; empty: none are.
    """

    image: Image
    polygons: Polygons
    ignored: NDArray[np.bool_]
    caption: str
    texts: Sequence[str | None] = ()

    @classmethod
    def of_page(cls, image: Image, page: Page, *, texts: bool) -> Tile:
        """A page with its labels."""
        shown = page.texts if texts else ()
        return cls(image, page.polygons, page.ignored, page.name, shown)


def draw_sheet(title: str, tiles: Sequence[Tile], *, columns: int, side: int, font: Path | None = None) -> Image:
    """Tiles in rows below a title; words are green, ignore regions orange.

    Args:
        title: of the sheet.
        tiles: from left to right, row by row.
        columns: tiles of a row.
        side: longest side of a tile, pixels.
        font: for all texts; None: one that matplotlib ships, which has no letters of East Asia.

    Raises:
        InputError: if the font cannot be read.
    """
    drawn = [_draw_tile(tile, side, font) for tile in tiles]
    rows = [drawn[start : start + columns] for start in range(0, len(drawn), columns)]
    widths = [max(tile.shape[1] for tile in drawn[column::columns]) for column in range(len(rows[0]))]
    heights = [max(tile.shape[0] for tile in row) for row in rows]
    top = 2 * GAP + TITLE_SIZE
    height = top + sum(heights) + GAP * len(rows)
    width = max(GAP + sum(widths) + GAP * len(widths), _width_of(title, font) + 2 * GAP)
    sheet = np.full((height, width, 3), BEHIND, dtype=np.uint8)
    for row, row_height in zip(rows, heights, strict=True):
        left = GAP
        for tile, column_width in zip(row, widths, strict=False):  # the last row may be shorter
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
            left += column_width + GAP
        top += row_height + GAP
    return _with_text(sheet, [_Text(title, GAP, GAP, TITLE_SIZE, INK)], font)


def _width_of(title: str, font: Path | None) -> int:
    return math.ceil(_font(font, TITLE_SIZE).getlength(title))


def save_sheet(path: Path, sheet: Image) -> None:
    """Write RGB pixels as a PNG file, atomically."""
    _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    write_with(path, lambda out: out.write(data.tobytes()))


@dataclass(frozen=True)
class _Text:
    """A line of text on a picture: its top-left corner, and the size of its font, in pixels."""

    text: str
    left: float
    top: float
    size: int
    color: Color


def _draw_tile(tile: Tile, side: int, font: Path | None) -> Image:
    """The image with its words, at its side a page of their texts, and the caption below."""
    canvas, scale = shrunk(tile.image, side)
    height, width = tile.image.shape[:2]
    in_view = _meets(tile.polygons, width, height)
    ignored = tile.polygons.select(in_view & tile.ignored)
    filled = canvas.copy()
    cv2.fillPoly(filled, outlines(ignored, scale), IGNORED, cv2.LINE_AA, SHIFT)
    cv2.addWeighted(filled, _FILLED, canvas, 1 - _FILLED, 0, canvas)
    outline(canvas, tile.polygons.select(in_view & ~tile.ignored), scale, WORD, thickness=1)
    outline(canvas, ignored, scale, IGNORED, thickness=1)
    if tile.texts:
        written = _page_of_texts(tile, np.flatnonzero(in_view).tolist(), canvas, scale, font)
        canvas = np.hstack([canvas, written])
    height, width = canvas.shape[:2]
    framed = np.full((height + CAPTION_SIZE + GAP, max(width, _LEAST_WIDTH), 3), BEHIND, dtype=np.uint8)
    framed[:height, :width] = canvas
    return _with_text(framed, [_Text(tile.caption, 0, height + GAP / 3, CAPTION_SIZE, INK)], font)


def _page_of_texts(tile: Tile, words: Sequence[int], canvas: Image, scale: float, font: Path | None) -> Image:
    """A white page of the canvas's size with each text where its word is, as large as fits."""
    texts = []
    for k in words:
        text = tile.texts[k] or ""
        left, top = (tile.polygons[k].min(axis=0) * scale).tolist()
        width, height = (np.ptp(tile.polygons[k], axis=0) * scale).tolist()
        length = max(_font(font, TEXT_SIZE).getlength(text), 1)
        size = int(min(height, TEXT_SIZE * width / length))
        texts.append(_Text(text, left, top, max(size, _LEAST_TEXT), TEXT))
    return _with_text(np.full_like(canvas, 255), texts, font)


def _meets(polygons: Polygons, width: int, height: int) -> NDArray[np.bool_]:
    """Which polygons reach into the picture, and not so far out of it that they cannot be drawn."""
    found = np.zeros(len(polygons), dtype=np.bool_)
    for k, polygon in enumerate(polygons):
        low = polygon.min(axis=0)
        high = polygon.max(axis=0)
        is_near = float(np.abs(polygon).max()) < 10 * (width + height)
        found[k] = is_near and bool((high > 0).all()) and bool((low < (width, height)).all())
    return found


def _with_text(image: Image, texts: Sequence[_Text], font: Path | None) -> Image:
    picture = Pillow.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for line in texts:
        draw.text((line.left, line.top), line.text, line.color, _font(font, line.size))
    return np.asarray(picture)


@lru_cache
def _font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path is None:
        path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    try:
        return ImageFont.truetype(str(path), size)
    except OSError as error:
        raise InputError(f"{path}: is not a font that can be read ({error})") from error
