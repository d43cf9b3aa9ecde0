"""Synthetic receipts with exact labels: the data set that needs no download.

A receipt is typeset in printer dots as a list of marks (``_Receipt``), one 3 x 3 matrix takes the sheet to the picture
(``_place``), and what wears, lights and blurs it (``_photograph``) moves no ink. So a label is the ink box of a word,
``MARGIN`` wider on each side, mapped through that matrix. Rules, barcodes, logos, pen strokes, stamps and the print of
the other side are drawn and not labelled. Shops, people and texts are invented.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from configparser import ConfigParser
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from hmean import geometry
from hmean.data.augment import Augment
from hmean.data.photometric import Photometric
from hmean.data.views import PageView
from hmean.files import write_json
from hmean.geometry import Image
from hmean.types import Page, Polygons

T = TypeVar("T")
Level = Literal["word", "line"]
Seed = int | Sequence[int]
Gray = NDArray[np.uint8]
Field = NDArray[np.float32]

MARGIN = 1.5  # printer dots between the ink and its label: about 1 px of a page of long side 900, as people draw them
PAGES_PER_SHOP = 4  # consecutive pages of a data set that share a shop, and so a ``group``
MARKER = "synth.json"  # a folder with this file is ours to write again

# Fonts that matplotlib ships: the same everywhere, whatever the machine has installed.
_MONO = ("DejaVuSansMono", "DejaVuSansMono", "cmtt10")
_TEXT = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmss10", "cmr10")
_DISPLAY = (
    *(
        "DejaVuSansMono-Bold",
        "DejaVuSans-Bold",
        "DejaVuSerif-Bold",
        "STIXGeneralBol",
        "cmb10",
        "DejaVuSans-BoldOblique",
    ),
    *("DejaVuSansMono-Oblique", "DejaVuSans-Oblique", "DejaVuSerif-Italic", "STIXGeneralItalic", "cmti10"),
)
_SYLLABLES = "ba be bo da del fen gar hal in jo ka kel la lor ma mer mon na nor ol pe por qui ra ros sen ta tor ul yo"
_NEEDLES = {  # how strong each needle of a dot matrix prints over a font pixel of 2 or 3 dots
    2: np.array([[1, 0.75], [0.75, 0.35]]),
    3: np.array([[0.5, 1, 0.5], [1, 1, 1], [0.5, 1, 0.5]]),
}
_RULES = {"line": ("11", "1"), "double": ("1100011", "1"), "dash": ("11", "11111111100000")}  # rows and columns of ink
# A line is cells between bars, the first has the right of way: a place across the sheet (0 to 1), the end of the text
# that lies there (< left, ^ middle, > right), and the text. Here the heading of the items, and the lines of each.
_ITEMS = (
    ("", "1>{end}|0<{text}"),
    ("1>{3}|0<{1}|.16<{0}", "1>{end}|0<{count}|.16<{text}"),
    ("", "0<{text}", "1>{end}|.72>{count} X {each}|0<{code}"),
    ("1>{3}|.78>{2}|.56>{1}|0<{0}", "1>{end}|.78>{each}|.56>{count}|0<{text}"),
    ("1>{3}|0<{0}", "0<{code} {text}", "1>{end}|.1<{count} x {each}"),
)
_META = ("0<{text}", "1>{value}|0<{label}", ".3<{value}|0<{label}", ".42<{value}|0<{label}")
_SUMS = ("1>{each}|0<{text}", "1>{each}|0<{text}", "1>{each}|.68>{text}", "1>{each}|.5>{text}")
_TAXES = "0<{count}%|.5>{each}|.75>{each}|1>{end}"
_TINTS = ((1.0, 1.0, 1.0), (0.98, 0.98, 1.0), (1.0, 0.98, 0.94), (1.0, 0.96, 0.84), (0.96, 0.95, 0.92))
_INKS = ((20, 20, 22), (40, 38, 40), (70, 68, 75), (45, 50, 130), (80, 70, 60), (10, 10, 10))
_PENS = ((40, 50, 140), (170, 40, 50), (30, 30, 35), (40, 110, 60))
_DESKS = ((150, 105, 65), (190, 150, 110), (95, 65, 45), (120, 120, 125), (60, 65, 75), (205, 200, 190), (70, 95, 120))
# How much of the surroundings is in the picture, as a share of the sheet: cut by a scanner, on its white or dark lid,
# or on a desk. How often of ten; how the sheet lies; and what takes the picture (on a desk, or else).
_SPARE = {"crop": (0.01, 0.07), "page": (0.1, 0.6), "dark": (0.005, 0.12), "desk": (0.01, 0.25)}
_KINDS = ("crop",) * 4 + ("desk",) * 3 + ("dark",) * 2 + ("page",)
_LIES = {True: Augment(rotate=5, shear=2, perspective=0.05), False: Augment(rotate=1.5, shear=0.3)}
_COMMON = Photometric(p_noise=0.7, blur=0.9, p_blur=0.5, p_sharpen=0.1, jpeg=35, p_jpeg=0.5, p_gray=0.3)
_CAMERAS = {
    True: replace(_COMMON, brightness=0.15, contrast=0.15, hue=0.02, p_color=0.6, noise=0.027, p_shadow=0.3),
    False: replace(_COMMON, brightness=0.06, contrast=0.4, p_color=0.5, noise=0.016),
}


def draw_receipt(
    seed: Seed,
    *,
    level: Level = "word",
    long_side: int | None = None,
    shop: Seed | None = None,
    fonts: Sequence[Path] = (),
) -> tuple[Image, Page]:
    """A receipt and its labels: the same for the same arguments on the same machine, whatever else it has drawn.

    Args:
        seed: what to draw.
        level: one polygon a word, or one a cell of a line (what SROIE calls a line: the columns of a row apart).
        long_side: longer side of the picture in pixels; between 640 and 1280 if None.
        shop: seed of the shop, whose receipts share header, layout and fonts; a shop of its own if None.
        fonts: font files to print with beside those that matplotlib ships.

    Returns:
        The picture, and its page: four points a polygon, clockwise from the top left, each with its text.
    """
    rng = np.random.default_rng(seed)
    own_shop, own_side = int(rng.integers(2**62)), int(rng.integers(640, 1281))
    receipt = _Receipt(rng, np.random.default_rng(own_shop if shop is None else shop), fonts)
    kind = _pick(rng, _KINDS)
    view = _place(rng, receipt, kind, long_side or own_side)
    boxes, texts = receipt.labels(level)
    page = Page("receipt", view.width, view.height, view.polygons(boxes), texts=texts)
    return _photograph(rng, receipt, kind, view), page


def write_dataset(
    out: Path,
    *,
    train: int,
    val: int = 0,
    test: int = 0,
    seed: int = 0,
    level: Level = "word",
    long_side: tuple[int, int] = (640, 1280),
    fonts: Sequence[Path] = (),
    overwrite: bool = False,
    on_page: Callable[[int, int], None] | None = None,
) -> dict[str, list[Page]]:
    """Write ``images/NNNNN.jpg`` and ``jsons/{train,val,test}.json`` (UFO) into ``out``, the JSON last.

    Page NNNNN depends on the seed and its number alone, not on how many there are. Numbers skip to the next shop at the
    end of a split, so no shop is in two of them; every page carries its shop as ``group``. Longer sides lie between the
    two of ``long_side``; ``on_page`` is called with (pages done, pages in all) after each; see also ``draw_receipt``.

    Returns:
        The pages of each split, as written.

    Raises:
        FileExistsError: if ``out`` holds files that this function did not write and ``overwrite`` is False.
    """
    _claim(out, overwrite)
    sizes = {"train": train, "val": val, "test": test}
    settings = {"seed": seed, "level": level, "long_side": list(long_side), **sizes}
    write_json(out / MARKER, {"made_by": "hmean.synth.receipts", **settings, "fonts": [font.name for font in fonts]})
    (out / "images").mkdir(exist_ok=True)
    splits: dict[str, list[Page]] = {split: [] for split in sizes}
    first = done = 0
    for split, size in sizes.items():
        for number in range(first, first + size):
            shop = number // PAGES_PER_SHOP
            side = int(np.random.default_rng([seed, number, 1]).integers(long_side[0], long_side[1] + 1))
            image, page = draw_receipt([seed, number], level=level, long_side=side, shop=[seed, shop, 2], fonts=fonts)
            splits[split].append(replace(page, name=f"{number:05d}.jpg", group=f"shop-{shop:04d}"))
            Pillow.fromarray(image).save(out / "images" / f"{number:05d}.jpg", quality=90)
            done += 1
            if on_page:
                on_page(done, sum(sizes.values()))
        first = -(-(first + size) // PAGES_PER_SHOP) * PAGES_PER_SHOP
    for split, pages in splits.items():
        write_json(out / "jsons" / f"{split}.json", {"images": {page.name: page.to_ufo() for page in pages}})
    return splits


def font_files(folder: Path) -> tuple[Path, ...]:
    """The fonts under a folder that have the Latin letters and digits, in order of their paths."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".ttf", ".otf", ".ttc"})
    return tuple(path for path in found if _letters(path) >= set(map(ord, "AZaz09")))


def _claim(out: Path, overwrite: bool) -> None:
    if (out / MARKER).is_file():  # ours: pages of a larger earlier set must not stay behind, nor labels without theirs
        for old in (*(out / "jsons").glob("*.json"), *(out / "images").glob("*.jpg")):
            if old.stem in ("train", "val", "test") or re.fullmatch(r"\d{5,}", old.stem):
                old.unlink()
    elif out.exists() and any(out.iterdir()) and not overwrite:
        raise FileExistsError(f"{out} is not empty and was not made here: name another folder, or ask to overwrite it")
    out.mkdir(parents=True, exist_ok=True)


@lru_cache(maxsize=256)
def _font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine: the other one (raqm) is there on some machines only, and sets differently.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=256)
def _letters(path: Path) -> frozenset[int]:
    return frozenset(FT2Font(str(path)).get_charmap())


@lru_cache(maxsize=1)
def _languages() -> dict[str, dict[str, list[str]]]:
    parser = ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string((files("hmean.synth") / "words.ini").read_text(encoding="utf-8"))
    return {name: {k: v.replace("\n", "").split("|") for k, v in parser[name].items()} for name in parser.sections()}


@lru_cache(maxsize=256)
def _readable(path: Path) -> tuple[str, ...]:
    """The languages that a font can print, whole, in both cases."""
    texts = {name: "".join(map("".join, words.values())) for name, words in _languages().items()}
    return tuple(name for name, text in texts.items() if set(map(ord, text + text.upper())) <= _letters(path))


def _pick(rng: Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _word(rng: Generator) -> str:
    return "".join(_pick(rng, _SYLLABLES.split()) for _ in range(rng.integers(2, 4))).capitalize()


@dataclass(frozen=True)
class _Face:
    """A way to print: font, em in dots, widening, double height, double strike, and the size of one font pixel in dots.

    ``dots`` 0 is a smooth outline, 1 a bitmap font at the printer's resolution, 2 and 3 the needles of a dot matrix.
    """

    path: Path
    size: float
    wide: float = 1.0
    tall: int = 1
    heavy: bool = False
    dots: int = 0

    @property
    def cell(self) -> int:
        return max(1, self.dots)

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        return _font(self.path, max(7, round(self.size / self.cell)))

    def width(self, text: str) -> float:
        """How far the pen moves, in dots."""
        return self.font.getlength(text) * self.cell * self.wide

    def strike(self, text: str) -> tuple[Gray, int, int]:
        """The ink of a word, as far as it can be seen, and where its top left corner lies from the pen and baseline."""
        left, top, right, bottom = (int(v) for v in self.font.getbbox(text, anchor="ls"))
        left, top = left - 2, top - 2  # a glyph may lean out of its box by a pixel
        tile = Pillow.new("L", (right - left + 2, bottom - top + 2))
        pencil = ImageDraw.Draw(tile)
        pencil.fontmode = "1" if self.dots else "L"
        pencil.text((-left, -top), text, 255, self.font, anchor="ls")
        ink = np.asarray(tile, dtype=np.uint8)
        if self.cell > 1:
            ink = np.kron(ink, _NEEDLES[self.cell]).astype(np.uint8)
        size = max(1, round(ink.shape[1] * self.wide)), ink.shape[0] * self.tall
        ink = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA if self.wide < 1 else cv2.INTER_LINEAR))
        if self.heavy:
            ink[:, 1:] = np.maximum(ink[:, 1:], ink[:, :-1])
        x, y, w, h = cv2.boundingRect((ink >= 40).astype(np.uint8))
        dx, dy = round(left * self.cell * self.wide), top * self.cell * self.tall
        return ink[y : y + h, x : x + w], x + dx, y + dy


class _Mark(NamedTuple):
    """Ink, and the left, top, right and bottom of it on the sheet; ``text`` is None for what is not labelled."""

    ink: Gray
    box: tuple[int, int, int, int]
    text: str | None = None
    cell: int = -1  # numbers the pieces of lines


class _Receipt:
    """A printed receipt: marks on a sheet of ``width`` x ``height`` dots; ``style`` is what a shop's receipts share."""

    def __init__(self, rng: Generator, style: Generator, fonts: Sequence[Path]) -> None:
        self.rng, self.cells = rng, 0
        self.marks: list[_Mark] = []
        self.width = _pick(style, (384, 448, 512, 576))
        self.pad = round(self.width * style.uniform(0.03, 0.09))
        self.inner = self.width - 2 * self.pad
        self.height = round(self.pad * rng.uniform(0.6, 2))
        self._choose_faces(style, fonts)
        self.upper, self.rule_kind = style.random() < 0.4, _pick(style, (*"-=*._", *_RULES, ""))
        self.money = re.split(r"([.,#])", _pick(style, self.words["money"]))
        self.at = _pick(style, (".5^",) * 5 + ("0<",))  # where paragraphs stand
        self.items, self.meta, self.sums = _pick(style, _ITEMS), _pick(style, _META), _pick(style, _SUMS)
        self.tint, self.colour = _pick(style, _TINTS), _pick(style, _INKS)
        self.name = f"{_word(style)} {_pick(style, self.words['shop'])}"
        self._print_header(style)
        self._print_table()
        self._print_footer()
        self.height += round(self.pad * rng.uniform(0.8, 3))

    def _choose_faces(self, style: Generator, fonts: Sequence[Path]) -> None:
        def choose(*shipped: str) -> Path:
            if fonts and style.random() < 0.6:
                return _pick(style, fonts)
            return Path(mpl.get_data_path(), "fonts", "ttf", f"{_pick(style, shipped)}.ttf")

        path = choose(*(_MONO if style.random() < 0.6 else _TEXT))
        language = _pick(style, _readable(path))
        self.words = _languages()[language]
        wide = style.uniform(0.72, 1.08)
        size = self.inner / style.integers(30, 46) / 0.6 / wide
        dots = int(style.choice(4, p=[0.45, 0.3, 0.17, 0.08]))
        dots = min(dots, max(0, int(size) // 9))  # a font pixel of more dots would leave letters of under 9 pixels
        smooth = 0 if style.random() < 0.7 else min(1, dots)
        display, slanted = (
            p if language in _readable(p) else path for p in (choose(*_TEXT, *_DISPLAY), choose(*_DISPLAY))
        )
        self.body = _Face(path, size, wide, dots=dots)
        self.strong = _pick(style, (replace(self.body, heavy=True), replace(self.body, path=display)))
        self.title = _Face(display, size * style.uniform(1.2, 2.2), style.uniform(0.8, 1.2), dots=smooth)
        self.small = _Face(slanted, size * style.uniform(0.75, 1.05), style.uniform(0.8, 1.0), dots=smooth)
        self.lead = style.uniform(1.1, 1.5)

    def labels(self, level: Level) -> tuple[Polygons, tuple[str, ...]]:
        """Quads, in dots, around each word or cell, clockwise from the top left, and their texts."""
        words = [mark for mark in self.marks if mark.text is not None]
        pieces = [list(group) for _, group in groupby(words, lambda mark: mark.cell if level == "line" else id(mark))]
        corners = []
        for piece in pieces:
            box = np.array([mark.box for mark in piece])
            (x0, y0), (x1, y1) = box[:, :2].min(axis=0) - MARGIN, box[:, 2:].max(axis=0) + MARGIN
            corners.append([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        return Polygons.of(corners), tuple(" ".join(mark.text or "" for mark in piece) for piece in pieces)

    def ink(self) -> Gray:
        """All marks on one sheet; where two overlap, ink on ink is paper (that prints white on a black block)."""
        canvas = np.zeros((self.height, self.width), dtype=np.uint8)
        for ink, (x0, y0, x1, y1), *_ in self.marks:
            cv2.absdiff(canvas[y0:y1, x0:x1], ink, dst=canvas[y0:y1, x0:x1])
        return canvas

    def say(self, text: str) -> str:
        """The text with new digits and its blanks filled in, in capitals if the shop's printer has only these."""
        day, month, year, hour, minute = self.rng.integers((1, 1, 2009, 7, 0), (29, 13, 2027, 24, 60)).tolist()
        numbers = (
            ("{0:02}/{1:02}/{2}", "{0:02}.{1:02}.{2}", "{2}-{1:02}-{0:02}"),
            ("{3:02}:{4:02}", "{3:02}:{4:02}:{0:02}"),
        )
        date, time = (_pick(self.rng, forms).format(day, month, year, hour, minute) for forms in numbers)
        text = re.sub(r"\d", lambda _: str(self.rng.integers(10)), text)
        text = text.format(date=date, time=time, who=_word(self.rng), shop=self.name.partition(" ")[0].lower())
        return text.upper() if self.upper else text

    def some(self, key: str, least: int, most: int) -> list[str]:
        """Different alternatives of a key, at most as many as there are."""
        count = int(self.rng.integers(least, most + 1))
        return [self.say(self.words[key][i]) for i in self.rng.permutation(len(self.words[key]))[:count]]

    def price(self, amount: float) -> str:
        before, point, after = self.money
        text = f"{amount * 100:,.0f}" if point == "#" else f"{amount:,.2f}"
        return before + (text.translate(str.maketrans(".,", ",.")) if point == "," else text) + after

    def feed(self, ems: float) -> None:
        self.height += round(ems * self.body.size)

    def graphic(self, ink: Gray) -> None:
        """Something that is not text, in the middle, and the paper fed past it."""
        (h, w), x = ink.shape, self.pad + (self.inner - ink.shape[1]) // 2
        self.marks.append(_Mark(ink, (x, self.height, x + w, self.height + h)))
        self.height += h

    def rule(self) -> None:
        """A separator, unlabelled, also where it is made of letters."""
        self.feed(0.3)
        if self.rule_kind in _RULES:
            rows, columns = (np.array(list(bits), dtype=np.uint8) for bits in _RULES[self.rule_kind])
            self.graphic(np.outer(rows, np.resize(columns, self.inner)) * np.uint8(255))
        elif self.rule_kind:
            count = int(self.inner / self.body.width(self.rule_kind))
            self.graphic(self.body.strike(self.rule_kind * count)[0][:, : self.inner])
        self.feed(0.3)

    def line(self, face: _Face, cells: str, lead: float = 0.0) -> None:
        """One line, see ``_ITEMS``; a text that meets another is cut, a cell without room is left out."""
        lead = lead or self.lead
        baseline = self.height + round(face.size * face.tall * (0.82 + (lead - 1) / 2))
        taken: list[tuple[float, float]] = []
        gap = face.width(" ")
        for cell in cells.split("|"):
            at, end, text = re.split("([<^>])", cell, maxsplit=1)
            pen = self.pad + float(at) * self.inner
            left, right = (
                pen - self.pad,
                min([a - gap for a, _ in taken if a > pen], default=self.width - self.pad) - pen,
            )
            room = {"<": right, "^": 2 * min(left, right), ">": left}[end]
            while text and face.width(text) > room:
                text = text.rpartition(" ")[0] or text[:-1]  # words, then letters
            length = face.width(text)
            start = pen - {"<": 0, "^": length / 2, ">": length}[end]
            if text and all(start + length + gap <= a or start >= b + gap for a, b in taken):
                taken.append((start, start + length))
                self._write(face, text, start, baseline)
        self.height += round(face.size * face.tall * lead)

    def _write(self, face: _Face, text: str, start: float, baseline: int) -> None:
        """One cell: its words, each a mark of its own, at the places they have in the whole."""
        for word in re.finditer(r"\S+", text):
            ink, dx, dy = face.strike(word[0])
            (h, w), y = ink.shape, baseline + dy
            x = int(np.clip(round(start + face.width(text[: word.start()])) + dx, 0, self.width - w))
            if ink.size:
                self.marks.append(_Mark(ink, (x, y, x + w, y + h), word[0], self.cells))
        self.cells += 1

    def paragraph(self, face: _Face, text: str, lead: float = 0.0) -> None:
        """A text over as many lines as it takes."""
        for part in textwrap.wrap(text, max(1, int(self.inner / face.width("n")))):
            self.line(face, self.at + part, lead)

    def block(self, key: str, least: int, most: int, face: _Face, *rows: str) -> None:
        """Lines for some alternatives of a key, with numbers to go with them."""
        for text in self.some(key, least, most):
            label, colon, value = text.partition(": ")
            count, cost = _pick(self.rng, (1, 1, 1, 1, 2, 3)), np.exp(self.rng.normal(1.9, 1.0)) + 0.2
            end = self.price(count * cost) + _pick(self.rng, ("", "", "", " A", " SR", "*"))
            code = self.say(_pick(self.rng, ("00000", "00000000", "0000000000000")))
            values = {"text": text, "label": label + colon.strip(), "value": value, "count": count, "code": code}
            for row in rows:
                self.line(face, row.format(**values, each=self.price(cost), end=end))

    def _print_header(self, style: Generator) -> None:
        if style.random() < 0.4:
            self.graphic(_logo(style, round(self.width * 0.16)))
            self.feed(0.5)
        boxed = _pick(style, (None, None, None, None, 0, 1))  # in a frame, or white on black
        for text in textwrap.wrap(self.say(self.name), max(1, int(self.inner * 0.9 / self.title.width("n")))):
            if boxed is not None:
                length = min(self.inner, round(self.title.width(text) + self.title.size))
                block = np.full((round(self.title.size * 1.3), length), 255, dtype=np.uint8)
                block[3:-3, 3:-3] *= boxed
                self.graphic(block)
                self.height -= len(block)
            self.line(self.title, f".5^{text}", 1.3)
        self.feed(0.3)
        plain = _pick(style, (self.small, self.body))
        for text in style.permutation(self.words["head"])[: style.integers(2, 6)]:
            self.paragraph(plain, self.say(str(text)))
        if self.rng.random() < 0.7:
            self.feed(0.5)
            self.line(self.strong, ".5^" + self.some("title", 1, 1)[0], 1.4)

    def _print_table(self) -> None:
        """What was bought when, and how it was paid."""
        rng, body, (heading, *item) = self.rng, self.body, self.items
        self.rule()
        self.block("meta", 2, 5, body, self.meta)
        self.rule()
        if heading:
            self.line(_pick(rng, (self.strong, body)), heading.format(*map(self.say, self.words["columns"])))
            self.rule()
        for _ in range(min(int(rng.geometric(0.16)), 18)):
            self.block("items", 1, 1, body if rng.random() < 0.95 else self.small, *item)
        self.rule()
        self.block("sums", 0, 3, body, self.sums)
        big = replace(self.strong, tall=_pick(rng, (1, 2)), wide=body.wide * _pick(rng, (1, 1, 1.4)))
        big = _pick(rng, (big, self.strong, replace(self.title, size=body.size * 1.5)))
        self.block("total", 1, 1, big, self.sums.replace(".68", ".5"))
        if rng.random() < 0.4:
            self.rule()
        self.block("pay", 1, 4, body, self.sums)
        if rng.random() < 0.35:
            self.rule()
            self.block("sums", 1, 3, body, _TAXES)

    def _print_footer(self) -> None:
        rng = self.rng
        self.rule()
        if rng.random() < 0.45:
            self.feed(0.4)
            widths = rng.integers(1, 5, rng.integers(60, 100))
            bars = np.repeat(np.arange(len(widths)) % 2 == 0, widths)[: self.inner]
            self.graphic(np.tile(bars * np.uint8(255), (int(rng.integers(36, 90)), 1)))
            self.feed(0.2)
            if rng.random() < 0.8:
                self.line(self.body, ".5^" + self.say("0" * rng.integers(10, 22)))
        if rng.random() < 0.25:  # the slip of the card terminal
            self.block("meta", 2, 5, self.body, self.meta)
            self.rule()
        for text in self.some("foot", 1, 5):
            self.paragraph(_pick(rng, (self.body, self.body, self.small, self.strong)), text)
        if rng.random() < 0.2:
            self.feed(0.5)
            self.graphic(_matrix_code(rng))


def _logo(style: Generator, size: int) -> Gray:
    """A triangle, square, star or gear, with or without a hole."""
    points = _pick(style, (3, 4, 10, 24))
    reach = np.where(np.arange(points) % 2 & (points > 4), points / 30, 1) * (size // 2 - 2)
    turn = np.arange(points) * 2 * np.pi / points - np.pi / 2
    ink = np.zeros((size, size), dtype=np.uint8)
    star = size // 2 + np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)
    cv2.fillPoly(ink, [np.round(star).astype(np.int32)], (255,), cv2.LINE_AA)
    cv2.circle(ink, (size // 2, size // 2), _pick(style, (0, size // 8, size // 4)), (0,), -1, cv2.LINE_AA)
    return ink


def _matrix_code(rng: Generator) -> Gray:
    """A block that looks like a QR code."""
    modules = rng.integers(0, 2, (25, 25), dtype=np.uint8)
    eye = np.zeros((8, 8), dtype=np.uint8)
    eye[:7, :7], eye[1:6, 1:6], eye[2:5, 2:5] = 1, 0, 1
    modules[:8, :8], modules[:8, -8:], modules[-8:, :8] = eye, eye[:, ::-1], eye[::-1]
    return np.kron(modules, np.full((rng.integers(4, 7),) * 2, 255, dtype=np.uint8))


def _place(rng: Generator, receipt: _Receipt, kind: str, long_side: int) -> PageView:
    """Turn, shear and tilt the sheet, and choose how much of its surroundings is in the picture."""
    lies = replace(_LIES[True], rotate=_pick(rng, (5, 5, 5, 15))) if kind == "desk" else _LIES[False]
    base = lies.sample(rng, receipt.width, receipt.height)
    shown = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (receipt.width, receipt.height)
    if kind == "crop":  # the scanner's cut may take the paper's edge, never the text
        shown = receipt.labels("line")[0].points
    seen = geometry.transform(base, shown)
    width, height = np.ptp(seen, axis=0)
    spare = rng.uniform(*_SPARE[kind], (2, 2)) * (width, height)  # left and top, right and bottom
    if (height + spare[:, 1].sum()) * 7 > long_side * receipt.body.size:  # letters of under 7 pixels: come closer
        spare[:] = 0.02 * width
    size = spare.sum(axis=0) + np.ptp(seen, axis=0)
    scale = long_side / size.max()
    matrix = geometry.scaling(scale, scale) @ geometry.translation(*(spare[0] - seen.min(axis=0))) @ base
    return PageView(matrix, *np.maximum(np.round(size * scale), 1).astype(int).tolist())


def _field(rng: Generator, shape: tuple[int, ...], rows: float, columns: float) -> Field:
    """Smooth noise of unit spread with about so many waves down and across."""
    grid = rng.standard_normal((max(2, int(rows)), max(2, int(columns))), dtype=np.float32)
    return np.asarray(cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _photograph(rng: Generator, receipt: _Receipt, kind: str, view: PageView) -> Image:
    """The picture of a sheet: print and paper through the matrix at once, then what a desk, a lamp and a camera do.

    Light is (3, H, W): numpy is several times faster on planes than on triples.
    """
    ink = receipt.ink()
    sheet = np.dstack([_worn(rng, ink), _creased(rng, ink), _scribbled(rng, ink.shape)])
    seen = geometry.warp(sheet, view.matrix, view.width, view.height, fill=(0, 200, 0)).astype(np.float32)
    strength, shade, pen = (np.ascontiguousarray(seen[..., i]) for i in range(3))
    cover = geometry.warp(np.full_like(sheet, 255), view.matrix, view.width, view.height)[..., 0] / np.float32(255)
    strength *= rng.uniform(0.75, 1.0) / 255
    light = _background(rng, cover.shape, kind)
    if kind == "desk":  # the paper's own shadow
        shadow = cv2.blur(np.roll(cover, rng.integers(-6, 7, 2), (0, 1)), (9, 9))
        light *= 1 - np.float32(rng.uniform(0.1, 0.45)) * shadow
    white, colour = rng.uniform(225, 254) / 200, _pick(rng, _PENS)
    for plane, tint, black, stroke in zip(light, receipt.tint, receipt.colour, colour, strict=True):
        paper = shade * np.float32(white * tint)
        paper += strength * (black - paper)
        paper += pen * (0.8 / 255) * (np.minimum(stroke, paper) - paper)
        plane += cover * (paper - plane)
    if kind == "desk":  # a lamp of some colour, not above the middle
        light *= rng.uniform(0.88, 1.04, (3, 1, 1)).astype(np.float32)
        light *= 1 + np.float32(rng.uniform(0, 0.18)) * _field(rng, cover.shape, 2, 2)
    picture = cv2.merge([np.clip(plane, 0, 255).astype(np.uint8) for plane in light])
    return _CAMERAS[kind == "desk"](np.asarray(picture, dtype=np.uint8), rng)


def _worn(rng: Generator, ink: Gray) -> Gray:
    """Ink with uneven heat, dead dots of the print head, and toner that did not stick."""
    wear = np.maximum(1 - np.float32(rng.uniform(0, 0.25)) * np.abs(_field(rng, ink.shape, ink.shape[0] / 90, 4)), 0.45)
    if rng.random() < 0.15:
        for column in rng.integers(0, ink.shape[1], rng.integers(1, 4)):
            wear[:, column : column + rng.integers(1, 5)] /= 4
    if rng.random() < 0.35:
        wear[rng.integers(0, 256, ink.shape, dtype=np.uint8) < rng.integers(10, 50)] /= 3
    return (ink * wear).astype(np.uint8)


def _creased(rng: Generator, ink: Gray) -> Gray:
    """Brightness of the paper, 200 for plain: waves, folds, stains and the print of the other side."""
    height, width = small = (max(8, ink.shape[0] // 4), max(8, ink.shape[1] // 4))
    shade = 1 + rng.uniform(0, 0.035) * _field(rng, small, height / 25, 4)
    rows, columns = np.arange(height)[:, None] / height, np.arange(width)[None] / width
    for _ in range(_pick(rng, (0, 0, 0, 0, 1, 2, 3))):
        across = rows + columns * rng.normal(0, 0.03) if rng.random() < 0.75 else columns + rows * 0.02
        away = (across - rng.uniform(0.1, 0.9)) * max(small) / 4
        shade = shade - rng.uniform(0.02, 0.12) * (np.exp(-(away**2) * 4) - 0.6 * np.exp(-((away - 0.8) ** 2)))
    if rng.random() < 0.12:  # of a cup
        ring = np.hypot(rows - rng.random(), (columns - rng.random()) * width / height)
        shade = shade - 0.12 * np.exp(-(((ring - 0.12) * 60) ** 2)) - 0.04 * (ring < 0.12)
    paper = cv2.resize(np.clip(shade * 200, 0, 255).astype(np.uint8), ink.shape[::-1])
    if rng.random() < 0.25:
        behind = cv2.blur(np.roll(ink[:, ::-1], rng.integers(len(ink)), axis=0), (5, 5))
        paper = cv2.subtract(paper, (behind * rng.uniform(0.04, 0.12)).astype(np.uint8))
    return np.asarray(paper, dtype=np.uint8)


def _scribbled(rng: Generator, shape: tuple[int, ...]) -> Gray:
    """Strokes of a pen and stamps without letters, over everything."""
    ink = np.zeros(shape, dtype=np.uint8)
    centre = rng.uniform(0.2, 0.8, 2) * shape[::-1]
    if rng.random() < 0.18:
        t = np.linspace(0, rng.uniform(6, 14), 90)
        loop = np.stack([np.cos(t * rng.uniform(0.8, 2)) + t * 0.25, np.sin(t * rng.uniform(0.8, 2)) * 0.7], axis=1)
        path = centre + loop * rng.uniform(14, 50) * (1, rng.uniform(0.4, 1))
        cv2.polylines(ink, [np.round(path).astype(np.int32)], False, (255,), int(rng.integers(2, 5)), cv2.LINE_AA)
    if rng.random() < 0.08:
        size = int(rng.integers(40, 160))
        for radius in (size + 25, size + 17, size // 2):
            axes = (radius, int(radius * 0.7))
            cv2.ellipse(ink, centre.astype(int).tolist(), axes, 20, 0, 360, (170,), 3, cv2.LINE_AA)
    return ink


def _background(rng: Generator, shape: tuple[int, ...], kind: str) -> Field:
    """What the sheet lies on, (3, H, W): the scanner's lid, white or dark, or a desk of wood, cloth or stone."""
    h, w = shape
    if kind != "desk":
        level = rng.uniform(8, 55) if kind == "dark" else rng.uniform(236, 255)
        lid = np.full((3, h, w), level, dtype=np.float32) * rng.uniform(0.96, 1, (3, 1, 1)).astype(np.float32)
        specks = rng.integers(0, [[h], [w]], (2, rng.integers(0, 60)))
        lid[:, *specks] = 255 - level
        return lid
    rows, columns = _pick(rng, ((h / 4, w / 90), (h / 70, w / 3), (h / 2, w / 2), (h / 6, w / 6), (3, 3)))
    texture = _field(rng, shape, rows, columns) + 0.7 * _field(rng, shape, rows / 3, columns / 3)
    if rng.random() < 0.3:  # woven
        texture += _field(rng, shape, columns * h / w, rows * w / h)
    texture = rng.uniform(0.7, 1.15) * (1 + rng.uniform(0.01, 0.1) * texture)
    desk: Field = np.multiply(np.reshape(_pick(rng, _DESKS), (3, 1, 1)), texture, dtype=np.float32)
    for _ in range(rng.integers(0, 3)):  # edges of other things
        thing = cv2.convexHull((rng.uniform(-0.1, 1.1, (4, 2)) * (w, h)).astype(np.int32))
        for plane, value in zip(desk, np.array(_pick(rng, _DESKS)) * rng.uniform(0.3, 1.2), strict=True):
            cv2.fillConvexPoly(plane, thing, (float(value),), cv2.LINE_AA)
    return desk
