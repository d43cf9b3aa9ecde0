"""A sheet of paper on which lines of text and graphics are printed, from top to bottom."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import cv2
import numpy as np

from hmean.synth.fonts import Face, Ink
from hmean.types import Polygons

Align = Literal["left", "middle", "right"]  # the end, or the middle, of a text that lies at a place
Level = Literal["word", "line"]

MARGIN = 1.5  # printer dots between the ink and its label: about 1 px of a page of long side 900, as people draw them
_BASELINE = 0.82  # of a line, as a share of its size from the top


class Box(NamedTuple):
    """Bounds on the sheet, in printer dots."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, canvas: Ink) -> Ink:
        """The part of a canvas inside the box."""
        return canvas[self.top : self.bottom, self.left : self.right]


class Mark(NamedTuple):
    """Ink at its place. ``text`` is None for what has no label; marks of one cell have the same number."""

    ink: Ink
    box: Box
    text: str | None = None
    cell: int = -1


class Cell(NamedTuple):
    """A piece of a line.

    Attributes:
        at: its place across the sheet, from 0 at the left to 1.
        align: which point of the text lies there.
        text: words; a template may have names in braces.
    """

    at: float
    align: Align
    text: str

    def filled(self, *columns: str, **values: object) -> Cell:
        """The cell of a template, with its text filled in."""
        return self._replace(text=self.text.format(*columns, **values))


class _Taken(NamedTuple):
    """Where a text lies in its line, printer dots."""

    start: float
    end: float

    def is_free(self, others: list[_Taken], gap: float) -> bool:
        """Whether there is at least a gap to all other texts of the line."""
        return all(self.end + gap <= other.start or self.start >= other.end + gap for other in others)


@dataclass(eq=False)
class Sheet:
    """A sheet that grows as it is printed on.

    Attributes:
        width: printer dots.
        pad: blank at the left and at the right, printer dots.
        lead: height of a line, as a multiple of its size.
        height: printed so far, printer dots.
        marks: all that is printed.
    """

    width: int
    pad: int
    lead: float
    height: int = 0
    marks: list[Mark] = field(default_factory=list)
    _cells: int = 0

    @property
    def inner(self) -> int:
        """Width between the blanks, printer dots."""
        return self.width - 2 * self.pad

    def graphic(self, ink: Ink) -> None:
        """Print what is not text, in the middle."""
        height, width = ink.shape
        x = self.pad + (self.inner - width) // 2
        box = Box(x, self.height, x + width, self.height + height)
        self.marks.append(Mark(ink, box))
        self.height += height

    def draw(self, ink: Ink, x: int, y: int) -> None:
        """Print what is not text at a place, over what is there; the paper does not move on."""
        height, width = ink.shape
        left = int(np.clip(x, 0, max(0, self.width - width)))
        self.marks.append(Mark(ink, Box(left, y, left + width, y + height)))

    def spaced(self, face: Face, text: str, at: float, align: Align, gap: float) -> None:
        """Print one word with a gap between its letters: a heading, which has one label."""
        strikes = [face.strike(letter) for letter in text]
        widths = [strike.ink.shape[1] for strike in strikes]
        length = round(sum(widths) + gap * (len(text) - 1))
        if length > self.inner:
            self.line(face, Cell(at, align, text))
            return
        top = min(strike.dy for strike in strikes)
        bottom = max(strike.dy + strike.ink.shape[0] for strike in strikes)
        ink = np.zeros((bottom - top, length), dtype=np.uint8)
        x = 0.0
        for strike, width in zip(strikes, widths, strict=True):
            row = strike.dy - top
            column = round(x)
            ink[row : row + strike.ink.shape[0], column : column + width] = strike.ink
            x += width + gap
        left = round(self._pen(Cell(at, align, text)) - _share_before(align) * length)
        left = int(np.clip(left, self.pad, self.width - self.pad - length))
        y = self.height + round(face.size * face.tall * _BASELINE) + top
        box = Box(left, y, left + length, y + len(ink))
        self.marks.append(Mark(ink, box, text, self._cells))
        self._cells += 1
        self.height += round(face.size * face.tall * self.lead)

    def word(self, face: Face, text: str, x: float, baseline: int) -> None:
        """Print a text whose pen starts at a place, in printer dots; the paper does not move on."""
        self._write(face, text, x, baseline)

    def line(self, face: Face, *cells: Cell, lead: float | None = None) -> None:
        """Print one line.

        Earlier cells have the right of way: a text that meets one of them is cut, and left out where there is no room.
        """
        lead = lead or self.lead
        height = face.size * face.tall
        baseline = self.height + round(height * (_BASELINE + (lead - 1) / 2))
        gap = face.width(" ")
        taken: list[_Taken] = []
        for cell in cells:
            text = _cut(face, cell.text, self._room(cell, taken, gap))
            length = face.width(text)
            start = self._pen(cell) - _share_before(cell.align) * length
            place = _Taken(start, start + length)
            if text and place.is_free(taken, gap):
                taken.append(place)
                self._write(face, text, start, baseline)
        self.height += round(height * lead)

    def paragraph(self, face: Face, text: str, at: float, align: Align) -> None:
        """Print a text on as many lines as it takes."""
        for part in wrap(text, face, self.inner):
            self.line(face, Cell(at, align, part))

    def _pen(self, cell: Cell) -> float:
        return self.pad + cell.at * self.inner

    def _room(self, cell: Cell, taken: list[_Taken], gap: float) -> float:
        """How long a text at the place of a cell may be."""
        pen = self._pen(cell)
        to_left = pen - self.pad
        ends = [other.start - gap for other in taken if other.start > pen]
        to_right = min(ends, default=self.width - self.pad) - pen
        if cell.align == "left":
            return to_right
        if cell.align == "middle":
            return 2 * min(to_left, to_right)
        return to_left

    def _write(self, face: Face, text: str, start: float, baseline: int) -> None:
        """Print the words of a cell, each as a mark of its own, at the places that they have in the whole text."""
        for word in re.finditer(r"\S+", text):
            strike = face.strike(word[0])
            height, width = strike.ink.shape
            y = baseline + strike.dy
            pen = round(start + face.width(text[: word.start()]))
            x = int(np.clip(pen + strike.dx, 0, self.width - width))
            box = Box(x, y, x + width, y + height)
            if strike.ink.size:
                self.marks.append(Mark(strike.ink, box, word[0], self._cells))
        self._cells += 1

    def ink(self) -> Ink:
        """All marks on one sheet. Where two overlap, ink on ink is paper: text on a black block is white."""
        canvas = np.zeros((self.height, self.width), dtype=np.uint8)
        for mark in self.marks:
            under = mark.box.of(canvas)
            cv2.absdiff(under, mark.ink, dst=under)
        return canvas

    def labels(self, level: Level) -> tuple[Polygons, tuple[str, ...]]:
        """A quad in dots around each word or cell, clockwise from the top left, and their texts."""
        quads = []
        texts = []
        for piece in self._pieces(level):
            left = min(mark.box.left for mark in piece) - MARGIN
            top = min(mark.box.top for mark in piece) - MARGIN
            right = max(mark.box.right for mark in piece) + MARGIN
            bottom = max(mark.box.bottom for mark in piece) + MARGIN
            quads.append([(left, top), (right, top), (right, bottom), (left, bottom)])
            texts.append(" ".join(mark.text or "" for mark in piece))
        return Polygons.of(quads), tuple(texts)

    def _pieces(self, level: Level) -> list[list[Mark]]:
        """The marks that have a label, those of one label together."""
        pieces: list[list[Mark]] = []
        for mark in self.marks:
            if mark.text is None:
                continue
            if level == "line" and pieces and pieces[-1][0].cell == mark.cell:
                pieces[-1].append(mark)
            else:
                pieces.append([mark])
        return pieces


def wrap(text: str, face: Face, width: float) -> list[str]:
    """A text in lines of about this width."""
    return textwrap.wrap(text, max(1, int(width / face.width("n"))))


def _cut(face: Face, text: str, room: float) -> str:
    """A text without the last words, then the last letters, that do not fit."""
    while text and face.width(text) > room:
        text = text.rpartition(" ")[0] or text[:-1]
    return text


def _share_before(align: Align) -> float:
    """The share of a text that lies left of its place."""
    if align == "left":
        return 0
    if align == "middle":
        return 0.5
    return 1
