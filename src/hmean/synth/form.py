"""An A4 page as an office prints it: an invoice or a form.

Made of what detectors miss: single digits in boxes and tables, headings with space between their letters, two columns
of text with a narrow gap, labels in small print beside what is filled in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from hmean.synth.chance import pick
from hmean.synth.fonts import Face, Ink
from hmean.synth.layout import Printer
from hmean.synth.sheet import Cell, Sheet, wrap
from hmean.synth.shop import Faces, Place, Shop

Office = Literal["invoice", "form"]

OFFICE_LETTER = 23  # printer dots, about
_WIDTH = 1240  # printer dots of an A4 page at 150 dpi
_HEIGHT = 1754
_RULE = 2  # dots
_COLUMNS = ("#", "Art.", "", "", "", "")
# Where the columns of the table begin, and what stands in them: number, text, how many, price of one, tax, price.
_TABLE = (0.0, 0.06, 0.52, 0.6, 0.76, 0.84)


@dataclass(frozen=True)
class _Line:
    """A straight line or a frame as ink."""

    width: int
    height: int

    def solid(self) -> Ink:
        return np.full((max(1, self.height), max(1, self.width)), 255, dtype=np.uint8)

    def frame(self) -> Ink:
        ink = self.solid()
        ink[_RULE:-_RULE, _RULE:-_RULE] = 0
        return ink


def print_office_page(rng: Generator, shop: Shop, kind: Office) -> Sheet:
    """An invoice or a form of a firm."""
    printer = _OfficePrinter(rng, _as_office(rng, shop))
    printer.print_letterhead()
    if kind == "invoice":
        printer.print_addresses()
        printer.print_table()
        printer.print_totals()
        printer.print_small_print()
    else:
        printer.print_fields()
        printer.print_boxes()
        printer.print_columns()
        printer.print_small_print()
    printer.sheet.height = max(printer.sheet.height + shop.pad, _HEIGHT)
    return printer.sheet


def _as_office(rng: Generator, shop: Shop) -> Shop:
    """The same firm with a laser printer: A4 paper, and small smooth letters."""
    size = rng.uniform(19, 28)
    faces = shop.faces
    body = _resized(faces.body, size)
    office = Faces(
        words=faces.words,
        body=body,
        strong=_resized(faces.strong, size),
        title=_resized(faces.title, size * rng.uniform(1.4, 2.4)),
        small=_resized(faces.small, size * rng.uniform(0.65, 0.85)),
        lead=rng.uniform(1.15, 1.45),
    )
    pad = round(_WIDTH * rng.uniform(0.05, 0.09))
    return replace(shop, width=_WIDTH, pad=pad, faces=office, head_face=office.body)


def _resized(face: Face, size: float) -> Face:
    return replace(face, size=size, dots=0, wide=1.0)


class _OfficePrinter(Printer):
    """Prints one page of an office."""

    def print_letterhead(self) -> None:
        """Name and address, and what the page is, in spaced letters or not."""
        rng = self.rng
        faces = self.shop.faces
        if self.shop.logo is not None:
            self.sheet.draw(self.shop.logo, self.shop.pad, self.sheet.height)
        place = pick(rng, (Place(0.5, "middle"), Place(1.0, "right")))
        self.sheet.line(faces.title, Cell(place.at, place.align, self.fill_in(self.shop.name)))
        for text in self.shop.head:
            self.sheet.line(faces.small, Cell(place.at, place.align, self.fill_in(text)))
        self.feed(1)
        heading = self.some(self.words.title, 1, 1)[0].upper()
        if rng.random() < 0.6:
            first = heading.split()[0]
            gap = faces.title.size * rng.uniform(0.3, 1.1)
            self.sheet.spaced(faces.title, first, pick(rng, (0.0, 0.5)), "middle", gap)
        else:
            self.sheet.line(faces.title, Cell(0, "left", heading))
        self._rule()

    def print_addresses(self) -> None:
        """To whom it goes and who sends it, side by side with a narrow gap."""
        rng = self.rng
        middle = rng.uniform(0.4, 0.6)
        left = [self.fill_in(text) for text in rng.permutation(self.words.head)[:4].tolist()]
        right = self.some(self.words.meta, 3, 5)
        for row in range(max(len(left), len(right))):
            cells = []
            if row < len(right):
                label, colon, value = right[row].partition(": ")
                cells.append(Cell(middle, "left", label + colon.strip()))
                cells.append(Cell(middle + 0.25, "left", value))
            if row < len(left):
                cells.append(Cell(0, "left", left[row]))
            self.sheet.line(self.body, *cells)
        self.feed(1)

    def print_table(self) -> None:
        """Items with a number each, in a grid or under lines."""
        rng = self.rng
        has_grid = rng.random() < 0.5
        top = self.sheet.height
        columns = [self.fill_in(name) for name in self.words.columns]
        heads = (
            Cell(_TABLE[0], "left", pick(rng, _COLUMNS)),
            Cell(_TABLE[1] + 0.01, "left", columns[0]),
            Cell(_TABLE[3] - 0.02, "right", columns[1]),
            Cell(_TABLE[4] - 0.02, "right", columns[2]),
            Cell(0.99, "right", columns[3]),
        )
        self.sheet.line(self.shop.faces.strong, *heads)
        self._rule()
        for number in range(1, int(rng.integers(3, 14))):
            each = float(np.exp(rng.normal(2.5, 1.2)))
            count = int(rng.integers(1, 10))
            text = self.some(self.words.items, 1, 1)[0]
            cells = (
                Cell(_TABLE[0] + 0.01, "left", str(number)),
                Cell(_TABLE[1] + 0.01, "left", text),
                Cell(_TABLE[3] - 0.02, "right", str(count)),
                Cell(_TABLE[4] - 0.02, "right", self.shop.money.write(each)),
                Cell(_TABLE[5] - 0.02, "right", pick(rng, ("A", "B", "7", "19", "S", ""))),
                Cell(0.99, "right", self.shop.money.write(each * count)),
            )
            self.sheet.line(self.body, *cells)
            if has_grid:
                self._rule()
        if has_grid:
            height = self.sheet.height - top
            for at in (*_TABLE, 1.0):
                x = self.shop.pad + round(at * self.sheet.inner)
                self.sheet.draw(_Line(_RULE, height).solid(), x - 3, top)
        self.feed(0.7)

    def print_totals(self) -> None:
        """Sums at the right, and how to pay at the left."""
        self.block(self.words.sums, 1, 3, self.body, self.shop.sums)
        self.block(self.words.total, 1, 1, self.shop.faces.strong, self.shop.total)
        self.feed(1)
        self.block(self.words.pay, 1, 3, self.body, self.shop.meta)

    def print_fields(self) -> None:
        """Labels in small print above lines with what was filled in, two or three in a row."""
        rng = self.rng
        for _ in range(int(rng.integers(3, 8))):
            places = pick(rng, ((0.0, 0.5), (0.0, 0.35, 0.7), (0.0,)))
            facts = self.some(self.words.meta, len(places), len(places))
            labels = []
            values = []
            for at, fact in zip(places, facts, strict=False):
                label, _, value = fact.partition(": ")
                labels.append(Cell(at, "left", label))
                values.append(Cell(at + 0.01, "left", value))
            self.sheet.line(self.shop.faces.small, *labels)
            self.sheet.line(self.body, *values)
            for at in places:
                width = round(self.sheet.inner * (0.9 / len(places)))
                self.sheet.draw(
                    _Line(width, _RULE).solid(), self.shop.pad + round(at * self.sheet.inner), self.sheet.height
                )
            self.feed(0.5)

    def print_boxes(self) -> None:
        """Rows of boxes with a letter or digit in each, and boxes to tick."""
        rng = self.rng
        side = round(self.body.size * rng.uniform(1.3, 1.8))
        for _ in range(int(rng.integers(2, 6))):
            label = self.some(self.words.meta, 1, 1)[0].partition(": ")[0]
            self.sheet.line(self.shop.faces.small, Cell(0, "left", label))
            self._row_of_boxes(side, int(rng.integers(4, 13)))
            self.feed(0.5)
        for text in self.some(self.words.items, 2, 5):
            top = self.sheet.height
            self.sheet.draw(_Line(side, side).frame(), self.shop.pad, top)
            if rng.random() < 0.5:
                self._in_box(pick(rng, ("X", "x")), self.shop.pad, top, side)
            self.sheet.word(self.body, text, self.shop.pad + 1.6 * side, top + round(side * 0.75))
            self.sheet.height += round(side * 1.3)

    def print_columns(self) -> None:
        """Two columns of text with a narrow gap."""
        gap = self.body.size * self.rng.uniform(0.8, 2)
        width = (self.sheet.inner - gap) / 2
        left = self._paragraphs(width)
        right = self._paragraphs(width)
        second = (width + gap) / self.sheet.inner
        for a, b in zip(left, right, strict=False):
            self.sheet.line(self.body, Cell(second, "left", b), Cell(0, "left", a))
        self.feed(1)

    def print_small_print(self) -> None:
        """What is at the foot of the page, in two or three columns."""
        self.feed(1)
        columns = pick(self.rng, (2, 3))
        shuffled = self.rng.permutation([*self.words.head, *self.words.foot]).tolist()
        texts = [self.fill_in(text) for text in shuffled]
        width = self.sheet.inner / columns
        small = self.shop.faces.small
        for row in range(3):
            cells = []
            for column, text in enumerate(texts[row * columns : (row + 1) * columns]):
                cells.append(Cell(column / columns, "left", wrap(text, small, width * 0.9)[0]))
            self.sheet.line(small, *cells)

    def _paragraphs(self, width: float) -> list[str]:
        lines: list[str] = []
        texts = [*self.words.foot, *self.words.items, *self.words.head]
        for text in self.some(texts, 5, 10):
            lines += wrap(text, self.body, width)
        return [line for line in lines if self.body.width(line) <= width]

    def _row_of_boxes(self, side: int, count: int) -> None:
        """Boxes that meet, some of them filled."""
        top = self.sheet.height
        letters = self._letters(count)
        filled = int(self.rng.integers(1, count + 1))
        for box, letter in enumerate(letters):
            x = self.shop.pad + box * side  # where two overlapped, ink on ink would be paper
            self.sheet.draw(_Line(side, side).frame(), x, top)
            if box < filled:
                self._in_box(letter, x, top, side)
        self.sheet.height += side

    def _letters(self, count: int) -> Sequence[str]:
        if self.rng.random() < 0.7:
            return [str(digit) for digit in self.rng.integers(0, 10, count)]
        return [chr(code) for code in self.rng.integers(ord("A"), ord("Z") + 1, count)]

    def _in_box(self, letter: str, x: int, top: int, side: int) -> None:
        """A letter in the middle of a box."""
        pen = x + (side - self.body.width(letter)) / 2
        self.sheet.word(self.body, letter, pen, top + round(side * 0.78))

    def _rule(self) -> None:
        self.feed(0.15)
        self.sheet.graphic(_Line(self.sheet.inner, _RULE).solid())
        self.feed(0.25)
