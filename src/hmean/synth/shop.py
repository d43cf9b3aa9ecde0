"""A shop: what all of its receipts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator

from hmean.synth.chance import pick
from hmean.synth.fonts import DISPLAY, MONOSPACED, TEXT, Face, Ink, readable_languages, shipped_font
from hmean.synth.sheet import Align, Cell
from hmean.synth.words import Words, invent_name

Colour = tuple[float, float, float]  # red, green, blue
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class ItemLayout:
    """The heading above the items, if there is one, and the lines of each item.

    In the heading, ``{0}`` to ``{3}`` are the names of the columns.
    """

    heading: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Place:
    """Where paragraphs stand."""

    at: float
    align: Align


_ITEMS = (
    ItemLayout(
        heading=(),
        rows=((Cell(1, "right", "{end}"), Cell(0, "left", "{text}")),),
    ),
    ItemLayout(
        heading=(
            Cell(1, "right", "{3}"),
            Cell(0, "left", "{1}"),
            Cell(0.16, "left", "{0}"),
        ),
        rows=(
            (
                Cell(1, "right", "{end}"),
                Cell(0, "left", "{count}"),
                Cell(0.16, "left", "{text}"),
            ),
        ),
    ),
    ItemLayout(
        heading=(),
        rows=(
            (Cell(0, "left", "{text}"),),
            (
                Cell(1, "right", "{end}"),
                Cell(0.72, "right", "{count} X {each}"),
                Cell(0, "left", "{code}"),
            ),
        ),
    ),
    ItemLayout(
        heading=(
            Cell(1, "right", "{3}"),
            Cell(0.78, "right", "{2}"),
            Cell(0.56, "right", "{1}"),
            Cell(0, "left", "{0}"),
        ),
        rows=(
            (
                Cell(1, "right", "{end}"),
                Cell(0.78, "right", "{each}"),
                Cell(0.56, "right", "{count}"),
                Cell(0, "left", "{text}"),
            ),
        ),
    ),
    ItemLayout(
        heading=(Cell(1, "right", "{3}"), Cell(0, "left", "{0}")),
        rows=(
            (Cell(0, "left", "{code} {text}"),),
            (Cell(1, "right", "{end}"), Cell(0.1, "left", "{count} x {each}")),
        ),
    ),
)
_META: tuple[Row, ...] = (
    (Cell(0, "left", "{text}"),),
    (Cell(1, "right", "{value}"), Cell(0, "left", "{label}")),
    (Cell(0.3, "left", "{value}"), Cell(0, "left", "{label}")),
    (Cell(0.42, "left", "{value}"), Cell(0, "left", "{label}")),
)
_LEFT_SUMS: Row = (Cell(1, "right", "{each}"), Cell(0, "left", "{text}"))
_SUMS: tuple[Row, ...] = (
    _LEFT_SUMS,
    _LEFT_SUMS,
    (Cell(1, "right", "{each}"), Cell(0.68, "right", "{text}")),
    (Cell(1, "right", "{each}"), Cell(0.5, "right", "{text}")),
)
_PARAGRAPHS = (*[Place(0.5, "middle")] * 5, Place(0, "left"))
# Separators: a character that is repeated, or one of layout.RULES, or none.
_SEPARATORS = ("-", "=", "*", ".", "_", "line", "double", "dash", "")
_TINTS: tuple[Colour, ...] = (
    (1.0, 1.0, 1.0),
    (0.98, 0.98, 1.0),
    (1.0, 0.98, 0.94),
    (1.0, 0.96, 0.84),
    (0.96, 0.95, 0.92),
)
_INKS: tuple[Colour, ...] = (
    (20, 20, 22),
    (40, 38, 40),
    (70, 68, 75),
    (45, 50, 130),
    (80, 70, 60),
    (10, 10, 10),
)
_SHARE_OF_OWN_FONTS = 0.6
_LEAST_LETTER = 9  # a size in font pixels, under which no letter can be read


@dataclass(frozen=True)
class Faces:
    """The faces that a shop prints with, all of them in one language."""

    words: Words
    body: Face
    strong: Face
    title: Face
    small: Face
    lead: float

    @classmethod
    def choose(cls, rng: Generator, width: int, fonts: Sequence[Path]) -> Faces:
        """Choose them.

        Args:
            rng: all chance.
            width: of a line, printer dots.
            fonts: of the user's own, beside those that matplotlib ships.
        """
        path = _choose_font(rng, fonts, MONOSPACED if rng.random() < 0.6 else TEXT)
        words = pick(rng, readable_languages(path))
        wide = rng.uniform(0.72, 1.08)
        size = width / rng.integers(30, 46) / 0.6 / wide
        dots = int(rng.choice(4, p=[0.45, 0.3, 0.17, 0.08]))
        dots = min(dots, max(0, int(size) // _LEAST_LETTER))
        title_dots = 0
        if rng.random() >= 0.7:
            title_dots = min(1, dots)
        display = _choose_font(rng, fonts, (*TEXT, *DISPLAY))
        slanted = _choose_font(rng, fonts, DISPLAY)
        if words not in readable_languages(display):
            display = path
        if words not in readable_languages(slanted):
            slanted = path
        body = Face(path, size, wide, dots=dots)
        heavy = replace(body, heavy=True)
        strong = pick(rng, (heavy, replace(body, path=display)))
        title_size = size * rng.uniform(1.2, 2.2)
        title = Face(display, title_size, rng.uniform(0.8, 1.2), dots=title_dots)
        small_size = size * rng.uniform(0.75, 1.05)
        small = Face(slanted, small_size, rng.uniform(0.8, 1.0), dots=title_dots)
        return cls(words, body, strong, title, small, lead=rng.uniform(1.1, 1.5))


def _choose_font(rng: Generator, fonts: Sequence[Path], shipped: Sequence[str]) -> Path:
    if fonts and rng.random() < _SHARE_OF_OWN_FONTS:
        return pick(rng, fonts)
    return shipped_font(pick(rng, shipped))


@dataclass(frozen=True)
class Money:
    """How prices are written: what stands before and after, and the decimal mark (``#``: without decimals)."""

    before: str
    mark: str
    after: str

    @classmethod
    def of(cls, text: str) -> Money:
        """From an alternative of ``Words.money``, such as ``$.`` or ``,EUR``."""
        at = next(i for i, letter in enumerate(text) if letter in ".,#")
        return cls(text[:at], text[at], text[at + 1 :])

    def write(self, amount: float) -> str:
        """An amount as text."""
        if self.mark == "#":
            text = f"{amount * 100:,.0f}"
        else:
            text = f"{amount:,.2f}"
        if self.mark == ",":
            text = text.translate(str.maketrans(".,", ",."))
        return self.before + text + self.after


NameBlock = Literal["frame", "block"]
_NAME_BLOCKS: tuple[NameBlock | None, ...] = (None, None, None, None, "frame", "block")


@dataclass(frozen=True)
class Shop:
    """What all receipts of a shop share.

    Attributes:
        width: of the paper, printer dots.
        pad: blank at its sides, printer dots.
        faces: what is printed with.
        is_upper: whether the printer has capitals only.
        separator: a character, the name of one of ``layout.RULES``, or nothing.
        money: how prices are written.
        paragraphs: where they stand.
        items: layout of the items.
        meta: layout of the facts about the purchase.
        sums: layout of the sums.
        tint: colour of the paper, as factors.
        ink: colour of the print.
        name: of the shop.
        logo: above the name, or None.
        name_block: ``frame``: the name stands in a frame; ``block``: white on black.
        head_face: of the lines below the name.
        head: these lines.
    """

    width: int
    pad: int
    faces: Faces
    is_upper: bool
    separator: str
    money: Money
    paragraphs: Place
    items: ItemLayout
    meta: Row
    sums: Row
    tint: Colour
    ink: Colour
    name: str
    logo: Ink | None
    name_block: NameBlock | None
    head_face: Face
    head: list[str]

    @property
    def total(self) -> Row:
        """Layout of the total: that of the sums, with more room for large letters."""
        cells = []
        for cell in self.sums:
            if cell.at == 0.68:
                cell = cell._replace(at=0.5)
            cells.append(cell)
        return tuple(cells)

    @classmethod
    def invent(cls, rng: Generator, fonts: Sequence[Path]) -> Shop:
        """A random shop; ``fonts`` are the user's own."""
        width = pick(rng, (384, 448, 512, 576))
        pad = round(width * rng.uniform(0.03, 0.09))
        faces = Faces.choose(rng, width - 2 * pad, fonts)
        words = faces.words
        is_upper = rng.random() < 0.4
        separator = pick(rng, _SEPARATORS)
        money = Money.of(pick(rng, words.money))
        paragraphs = pick(rng, _PARAGRAPHS)
        items = pick(rng, _ITEMS)
        meta = pick(rng, _META)
        sums = pick(rng, _SUMS)
        tint = pick(rng, _TINTS)
        ink = pick(rng, _INKS)
        name = f"{invent_name(rng)} {pick(rng, words.shop)}"
        logo = None
        if rng.random() < 0.4:
            logo = _logo(rng, round(width * 0.16))
        name_block = pick(rng, _NAME_BLOCKS)
        head_face = pick(rng, (faces.small, faces.body))
        head = rng.permutation(words.head)[: rng.integers(2, 6)]
        return cls(
            width=width,
            pad=pad,
            faces=faces,
            is_upper=is_upper,
            separator=separator,
            money=money,
            paragraphs=paragraphs,
            items=items,
            meta=meta,
            sums=sums,
            tint=tint,
            ink=ink,
            name=name,
            logo=logo,
            name_block=name_block,
            head_face=head_face,
            head=[str(line) for line in head],
        )


def _logo(rng: Generator, size: int) -> Ink:
    """A triangle, square, star or gear, with or without a hole."""
    points = pick(rng, (3, 4, 10, 24))
    radius = np.full(points, float(size // 2 - 2))
    if points > 4:  # every second point of a star or a gear lies further in
        radius[1::2] *= points / 30
    angles = np.arange(points) * 2 * np.pi / points - np.pi / 2
    ink = np.zeros((size, size), dtype=np.uint8)
    centre = size // 2
    x = centre + radius * np.cos(angles)
    y = centre + radius * np.sin(angles)
    outline = np.round(np.stack([x, y], axis=1)).astype(np.int32)
    cv2.fillPoly(ink, [outline], (255,), cv2.LINE_AA)
    hole = pick(rng, (0, size // 8, size // 4))
    cv2.circle(ink, (centre, centre), hole, (0,), -1, cv2.LINE_AA)
    return ink
