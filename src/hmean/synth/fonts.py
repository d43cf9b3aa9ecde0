"""Fonts, and how a printer prints words with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from hmean.synth.words import Words, languages

Ink = NDArray[np.uint8]  # (H, W), from 0 for none to 255

# Fonts that matplotlib ships: the same everywhere, whatever the machine has installed.
MONOSPACED = ("DejaVuSansMono", "DejaVuSansMono", "cmtt10")
TEXT = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmss10", "cmr10")
DISPLAY = (
    "DejaVuSansMono-Bold",
    "DejaVuSans-Bold",
    "DejaVuSerif-Bold",
    "STIXGeneralBol",
    "cmb10",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono-Oblique",
    "DejaVuSans-Oblique",
    "DejaVuSerif-Italic",
    "STIXGeneralItalic",
    "cmti10",
)
_SUFFIXES = (".ttf", ".otf", ".ttc")
_LEAST_SIZE = 7  # of a font, in its pixels
_VISIBLE = 40  # fainter ink is not seen

# How strongly each needle of a dot matrix prints, over a font pixel of 2 or 3 printer dots.
_NEEDLES = {
    2: np.array([[1, 0.75], [0.75, 0.35]]),
    3: np.array([[0.5, 1, 0.5], [1, 1, 1], [0.5, 1, 0.5]]),
}


def shipped_font(name: str) -> Path:
    """The file of a font that matplotlib ships."""
    return Path(mpl.get_data_path(), "fonts", "ttf", f"{name}.ttf")


def font_files(folder: Path) -> tuple[Path, ...]:
    """The fonts under a folder that have the Latin letters and digits, in order of their paths."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and _letters(path) >= set(map(ord, "AZaz09")):
            found.append(path)
    return tuple(found)


@lru_cache(maxsize=256)
def readable_languages(path: Path) -> tuple[Words, ...]:
    """The languages of which a font can print all words."""
    return tuple(words for words in languages() if words.letters() <= _letters(path))


@lru_cache(maxsize=256)
def _letters(path: Path) -> frozenset[int]:
    return frozenset(FT2Font(str(path)).get_charmap())


@lru_cache(maxsize=256)
def _open_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine: the other one (raqm) is there on some machines only, and places letters differently.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


class Strike(NamedTuple):
    """The visible ink of a word, and where its top left corner lies, from the pen and from the baseline."""

    ink: Ink
    dx: int
    dy: int


@dataclass(frozen=True)
class Face:
    """One way to print.

    Attributes:
        path: the font.
        size: its em, in printer dots.
        wide: how much wider letters are than the font's.
        tall: how much taller, in whole numbers.
        heavy: whether each word is struck twice, a dot apart.
        dots: 0 for a smooth outline, 1 for a bitmap font at the printer's resolution; 2 and 3 for a dot matrix whose
            font pixels are as many dots wide.
    """

    path: Path
    size: float
    wide: float = 1.0
    tall: int = 1
    heavy: bool = False
    dots: int = 0

    @property
    def _pixel(self) -> int:
        """Side of a font pixel, in dots."""
        return max(1, self.dots)

    @property
    def _font(self) -> ImageFont.FreeTypeFont:
        return _open_font(self.path, max(_LEAST_SIZE, round(self.size / self._pixel)))

    def width(self, text: str) -> float:
        """How far the pen moves for a text, in dots."""
        return self._font.getlength(text) * self._pixel * self.wide

    def strike(self, text: str) -> Strike:
        """Print a word."""
        left, top, right, bottom = (int(bound) for bound in self._font.getbbox(text, anchor="ls"))
        # A glyph may lean out of its box by a pixel.
        left -= 2
        top -= 2
        tile = Pillow.new("L", (right - left + 2, bottom - top + 2))
        pencil = ImageDraw.Draw(tile)
        pencil.fontmode = "1" if self.dots else "L"
        pencil.text((-left, -top), text, 255, self._font, anchor="ls")
        ink = self._enlarged(np.asarray(tile, dtype=np.uint8))
        if self.heavy:
            ink[:, 1:] = np.maximum(ink[:, 1:], ink[:, :-1])
        x, y, width, height = cv2.boundingRect((ink >= _VISIBLE).astype(np.uint8))
        dx = x + round(left * self._pixel * self.wide)
        dy = y + top * self._pixel * self.tall
        return Strike(ink[y : y + height, x : x + width], dx, dy)

    def _enlarged(self, ink: Ink) -> Ink:
        """From font pixels to printer dots."""
        if self._pixel > 1:
            ink = np.kron(ink, _NEEDLES[self._pixel]).astype(np.uint8)
        width = max(1, round(ink.shape[1] * self.wide))
        height = ink.shape[0] * self.tall
        interpolation = cv2.INTER_LINEAR
        if self.wide < 1:
            interpolation = cv2.INTER_AREA
        return np.asarray(cv2.resize(ink, (width, height), interpolation=interpolation))
