"""A receipt as it comes out of the printer: header, items, sums, and footer on a sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from hmean.synth.chance import pick
from hmean.synth.fonts import Face, Ink
from hmean.synth.sheet import Cell, Sheet, wrap
from hmean.synth.shop import Row, Shop
from hmean.synth.words import invent_name


@dataclass(frozen=True)
class Rule:
    """A drawn separator: which of its rows have ink, and which of its columns, repeated."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def ink(self, width: int) -> Ink:
        """The separator at this width."""
        rows = np.array(self.rows, dtype=np.uint8)
        columns = np.array(self.columns, dtype=np.uint8)
        return np.outer(rows, np.resize(columns, width)) * np.uint8(255)


RULES = {
    "line": Rule((1, 1), (1,)),
    "double": Rule((1, 1, 0, 0, 0, 1, 1), (1,)),
    "dash": Rule((1, 1), (1,) * 9 + (0,) * 5),
}
_TAXES: Row = (
    Cell(0, "left", "{count}%"),
    Cell(0.5, "right", "{each}"),
    Cell(0.75, "right", "{each}"),
    Cell(1, "right", "{end}"),
)
_DATES = ("{0:02}/{1:02}/{2}", "{0:02}.{1:02}.{2}", "{2}-{1:02}-{0:02}")
_TIMES = ("{3:02}:{4:02}", "{3:02}:{4:02}:{0:02}")
_CODES = ("00000", "00000000", "0000000000000")
_AFTER_A_PRICE = ("", "", "", " A", " SR", "*")
_MOST_ITEMS = 18


def print_receipt(rng: Generator, shop: Shop) -> Sheet:
    """A receipt of a shop."""
    printer = Printer(rng, shop)
    printer.print_header()
    printer.print_items()
    printer.print_sums()
    printer.print_footer()
    printer.feed_out()
    return printer.sheet


class Printer:
    """Prints one receipt; all that differs between the receipts of a shop is drawn from ``rng``."""

    def __init__(self, rng: Generator, shop: Shop) -> None:
        self.rng = rng
        self.shop = shop
        self.words = shop.faces.words
        self.body = shop.faces.body
        self.sheet = Sheet(shop.width, shop.pad, shop.faces.lead)
        self.sheet.height = round(shop.pad * rng.uniform(0.6, 2))

    # --- the parts of a receipt ---

    def print_header(self) -> None:
        """Logo, name and address of the shop, and what the receipt is."""
        if self.shop.logo is not None:
            self.sheet.graphic(self.shop.logo)
            self.feed(0.5)
        title = self.shop.faces.title
        name = self.fill_in(self.shop.name)
        for text in wrap(name, title, self.sheet.inner * 0.9):
            self._print_name_block(text)
            self.sheet.line(title, Cell(0.5, "middle", text), lead=1.3)
        self.feed(0.3)
        for text in self.shop.head:
            self.paragraph(self.shop.head_face, self.fill_in(text))
        if self.rng.random() < 0.7:
            self.feed(0.5)
            text = self.some(self.words.title, 1, 1)[0]
            self.sheet.line(self.shop.faces.strong, Cell(0.5, "middle", text), lead=1.4)

    def print_items(self) -> None:
        """When and by whom it was sold, and what."""
        rng = self.rng
        layout = self.shop.items
        self.separate()
        self.block(self.words.meta, 2, 5, self.body, self.shop.meta)
        self.separate()
        if layout.heading:
            face = pick(rng, (self.shop.faces.strong, self.body))
            columns = [self.fill_in(name) for name in self.words.columns]
            cells = [cell.filled(*columns) for cell in layout.heading]
            self.sheet.line(face, *cells)
            self.separate()
        for _ in range(min(int(rng.geometric(0.16)), _MOST_ITEMS)):
            face = self.body
            if rng.random() >= 0.95:
                face = self.shop.faces.small
            self.block(self.words.items, 1, 1, face, *layout.rows)

    def print_sums(self) -> None:
        """What it cost, and how it was paid."""
        rng = self.rng
        self.separate()
        self.block(self.words.sums, 0, 3, self.body, self.shop.sums)
        total_face = self._choose_total_face()
        self.block(self.words.total, 1, 1, total_face, self.shop.total)
        if rng.random() < 0.4:
            self.separate()
        self.block(self.words.pay, 1, 4, self.body, self.shop.sums)
        if rng.random() < 0.35:
            self.separate()
            self.block(self.words.sums, 1, 3, self.body, _TAXES)

    def print_footer(self) -> None:
        """A barcode, the slip of the card terminal, greetings and a matrix code, or some of them."""
        rng = self.rng
        faces = self.shop.faces
        self.separate()
        if rng.random() < 0.45:
            self.feed(0.4)
            self.sheet.graphic(_barcode(rng, self.sheet.inner))
            self.feed(0.2)
            if rng.random() < 0.8:
                number = self.fill_in("0" * int(rng.integers(10, 22)))
                self.sheet.line(self.body, Cell(0.5, "middle", number))
        if rng.random() < 0.25:  # the slip of the card terminal
            self.block(self.words.meta, 2, 5, self.body, self.shop.meta)
            self.separate()
        for text in self.some(self.words.foot, 1, 5):
            face = pick(rng, (self.body, self.body, faces.small, faces.strong))
            self.paragraph(face, text)
        if rng.random() < 0.2:
            self.feed(0.5)
            self.sheet.graphic(_matrix_code(rng))

    def feed_out(self) -> None:
        """Blank paper at the end."""
        self.sheet.height += round(self.shop.pad * self.rng.uniform(0.8, 3))

    # --- what they are made of ---

    def _print_name_block(self, text: str) -> None:
        """A frame or a black block, on which a line of the name is printed next."""
        if self.shop.name_block is None:
            return
        title = self.shop.faces.title
        width = min(self.sheet.inner, round(title.width(text) + title.size))
        height = round(title.size * 1.3)
        block = np.full((height, width), 255, dtype=np.uint8)
        if self.shop.name_block == "frame":
            block[3:-3, 3:-3] = 0
        self.sheet.graphic(block)
        self.sheet.height -= len(block)

    def _choose_total_face(self) -> Face:
        faces = self.shop.faces
        tall = pick(self.rng, (1, 2))
        wide = self.body.wide * pick(self.rng, (1, 1, 1.4))
        enlarged = replace(faces.strong, tall=tall, wide=wide)
        like_the_title = replace(faces.title, size=self.body.size * 1.5)
        return pick(self.rng, (enlarged, faces.strong, like_the_title))

    def feed(self, ems: float) -> None:
        """Leave some paper blank."""
        self.sheet.height += round(ems * self.body.size)

    def separate(self) -> None:
        """Print a separator. It has no label, also where it is made of characters."""
        self.feed(0.3)
        separator = self.shop.separator
        if separator in RULES:
            self.sheet.graphic(RULES[separator].ink(self.sheet.inner))
        elif separator:
            count = int(self.sheet.inner / self.body.width(separator))
            strike = self.body.strike(separator * count)
            self.sheet.graphic(strike.ink[:, : self.sheet.inner])
        self.feed(0.3)

    def paragraph(self, face: Face, text: str) -> None:
        """Print a text where the shop's paragraphs stand."""
        self.sheet.paragraph(face, text, self.shop.paragraphs.at, self.shop.paragraphs.align)

    def block(self, alternatives: Sequence[str], least: int, most: int, face: Face, *rows: Row) -> None:
        """Print the rows for some of the alternatives, with numbers that go with them."""
        rng = self.rng
        for text in self.some(alternatives, least, most):
            label, colon, value = text.partition(": ")
            count = pick(rng, (1, 1, 1, 1, 2, 3))
            each = np.exp(rng.normal(1.9, 1.0)) + 0.2
            end = self.shop.money.write(count * each) + pick(rng, _AFTER_A_PRICE)
            code = self.fill_in(pick(rng, _CODES))
            values = {
                "text": text,
                "label": label + colon.strip(),
                "value": value,
                "count": count,
                "each": self.shop.money.write(each),
                "end": end,
                "code": code,
            }
            for row in rows:
                cells = [cell.filled(**values) for cell in row]
                self.sheet.line(face, *cells)

    def some(self, alternatives: Sequence[str], least: int, most: int) -> list[str]:
        """Different alternatives, filled in: from ``least`` to ``most`` of them, or as many as there are."""
        count = int(self.rng.integers(least, most + 1))
        order = self.rng.permutation(len(alternatives))
        return [self.fill_in(alternatives[i]) for i in order[:count]]

    def fill_in(self, text: str) -> str:
        """A text with new digits and its names filled in, in capitals if the printer has only these."""
        moment = self.rng.integers(
            (1, 1, 2009, 7, 0), (29, 13, 2027, 24, 60)
        ).tolist()  # day, month, year, hour, minute
        date = pick(self.rng, _DATES).format(*moment)
        time = pick(self.rng, _TIMES).format(*moment)
        text = re.sub(r"\d", lambda _: str(self.rng.integers(10)), text)
        first_of_name, _, _ = self.shop.name.partition(" ")
        text = text.format(date=date, time=time, who=invent_name(self.rng), shop=first_of_name.lower())
        if self.shop.is_upper:
            return text.upper()
        return text


def _barcode(rng: Generator, most: int) -> Ink:
    """Bars, at most this wide."""
    widths = rng.integers(1, 5, rng.integers(60, 100))
    is_bar = np.arange(len(widths)) % 2 == 0
    bars = np.repeat(is_bar, widths)[:most]
    height = int(rng.integers(36, 90))
    return np.tile(bars * np.uint8(255), (height, 1))


def _matrix_code(rng: Generator) -> Ink:
    """A block that looks like a QR code."""
    modules = rng.integers(0, 2, (25, 25), dtype=np.uint8)
    eye = np.zeros((8, 8), dtype=np.uint8)
    eye[:7, :7] = 1
    eye[1:6, 1:6] = 0
    eye[2:5, 2:5] = 1
    modules[:8, :8] = eye
    modules[:8, -8:] = eye[:, ::-1]
    modules[-8:, :8] = eye[::-1]
    side = int(rng.integers(4, 7))
    return np.kron(modules, np.full((side, side), 255, dtype=np.uint8))
