"""Synthetic receipts with exact labels: the data set that needs no download.

A receipt is typeset in printer dots as a list of marks (``_typeset``), one 3 x 3 matrix takes the sheet to the picture
(``_place``), and what wears, lights and blurs it (``_photograph``) moves no ink. So a label is the ink box of a word,
``MARGIN`` wider on each side, mapped through that matrix. Rules, barcodes, logos, pen strokes, stamps and the print of
the other side are drawn and not labelled. Shops, people and texts are invented.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from configparser import ConfigParser
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib.resources import files
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from hmean import geometry
from hmean.files import write_json
from hmean.types import Page, Points, Polygons

if TYPE_CHECKING:
    from numpy.random import Generator

    from hmean.geometry import Image, Matrix

T = TypeVar("T")
Level = Literal["word", "line"]
Align = Literal["l", "c", "r"]
Cell = tuple[str, float, Align]  # a text, its place across the sheet from 0 to 1, and which end of it lies there
Kind = Literal["crop", "desk", "page", "dark"]
Seed = int | Sequence[int]
Gray = NDArray[np.uint8]
Field = NDArray[np.float32]

MARGIN = 1.5  # printer dots between the ink and its label: about 1 px of a page of long side 900, as people draw them
_CALENDAR = ((1, 26), (1, 13), (2009, 2027), (7, 24), (0, 60))  # day, month, year, hour, minute: ranges to draw from
_NEEDLE = {
    2: np.array([[255, 190], [190, 90]], dtype=np.uint8),
    3: np.array([[130, 255, 130], [255, 255, 255], [130, 255, 130]], dtype=np.uint8),
}
_DESKS = ((150, 105, 65), (190, 150, 110), (95, 65, 45), (120, 120, 125), (60, 65, 75), (205, 200, 190), (70, 95, 120))
_PENS = ((40, 50, 140), (170, 40, 50), (30, 30, 35), (40, 110, 60))
PAGES_PER_SHOP = 4  # consecutive pages of a data set that share a shop, and so a ``group``
MARKER = "synth.json"  # a folder with this file is ours to write again

# Regular, bold, italic of the fonts that matplotlib ships: the same everywhere, whatever the machine has installed.
_SHIPPED = (
    ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    ("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Bold"),
    ("cmtt10", "cmtt10", "cmtt10"),
    ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique"),
    ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    ("cmss10", "cmss10", "cmss10"),
    ("cmr10", "cmb10", "cmti10"),
)

_SYLLABLES = re.findall(
    r"\w+",
    "ba be bo da del fen gar hal in jo ka kel la lor ma mer mon na nor ol pe por qui ra ros sa sen ta tor ul va ver yo",
)


@dataclass(frozen=True)
class _Face:
    """A way to print: font, em in dots, widening, double height, double strike, and the size of one font pixel in dots.

    ``dots`` 0 is a smooth outline, 1 a bitmap font at the printer's resolution, 2 and 3 the needles of a dot matrix.
    """

    path: str
    size: float
    wide: float = 1.0
    tall: int = 1
    heavy: bool = False
    dots: int = 0

    @property
    def cell(self) -> int:
        return max(1, self.dots)

    @property
    def pixels(self) -> int:
        return max(7, round(self.size / self.cell))

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        return _font(self.path, self.pixels)

    def width(self, text: str) -> float:
        """How far the pen moves, in dots."""
        return _advance(self.path, self.pixels, text) * self.cell * self.wide


@dataclass(frozen=True, eq=False)
class _Mark:
    """Ink at (x, y) of the sheet; ``text`` is None for what is not labelled. ``cell`` numbers the pieces of a line."""

    x: int
    y: int
    ink: Gray
    text: str | None = None
    cell: int = -1

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the ink; antialiasing too faint to see does not count."""
        rows, columns = (np.flatnonzero((self.ink >= 40).any(axis=axis)) for axis in (1, 0))
        return (
            self.x + int(columns[0]),
            self.y + int(rows[0]),
            self.x + int(columns[-1]) + 1,
            self.y + int(rows[-1]) + 1,
        )


@dataclass(eq=False)
class _Sheet:
    """A receipt being printed: its marks, and the height that the paper has reached."""

    width: int
    pad: int
    height: int
    marks: list[_Mark] = field(default_factory=list)
    cells: int = 0

    @property
    def inner(self) -> int:
        return self.width - 2 * self.pad

    def ink(self) -> Gray:
        """All marks on one sheet; where two overlap, ink on ink is paper (that prints white on a black block)."""
        canvas = np.zeros((self.height, self.width), dtype=np.uint8)
        for mark in self.marks:
            x0, y0 = max(mark.x, 0), max(mark.y, 0)
            place = canvas[y0 : mark.y + mark.ink.shape[0], x0 : mark.x + mark.ink.shape[1]]
            ink = mark.ink[y0 - mark.y :, x0 - mark.x :][: place.shape[0], : place.shape[1]]
            cv2.absdiff(place, ink, dst=place)
        return canvas

    def graphic(self, ink: Gray, *, after: float = 0.0) -> None:
        """Something that is not text, in the middle, and the paper fed past it."""
        self.marks.append(_Mark(self.pad + (self.inner - ink.shape[1]) // 2, self.height, ink))
        self.height += ink.shape[0] + round(after)

    def line(self, face: _Face, cells: Iterable[Cell], *, lead: float = 1.2) -> None:
        """One line of cells; a text that meets the next is cut, a cell without room is left out."""
        baseline = self.height + round(face.size * face.tall * (0.82 + (lead - 1) / 2))
        taken: list[tuple[float, float]] = []
        gap = face.width(" ")
        for text, at, align in cells:
            pen = self.pad + at * self.inner
            right = min([start for start, _ in taken if start > pen], default=self.width - self.pad + gap) - gap
            to_left, to_right = pen - self.pad, self.width - self.pad - pen
            text = _cut(face, text, {"l": right - pen, "c": 2 * min(to_left, to_right), "r": to_left}[align])
            length = face.width(text)
            start = pen - {"l": 0.0, "c": length / 2, "r": length}[align]
            if text and all(start + length + gap <= a or start >= b + gap for a, b in taken):
                taken.append((start, start + length))
                self.write(face, text, start, baseline)
        self.height += round(face.size * face.tall * lead)

    def write(self, face: _Face, text: str, x: float, baseline: int) -> None:
        """One cell: its words, each a mark of its own, at the places they have in the whole."""
        pen = 0
        for word in text.split(" "):
            if word:
                ink, dx, dy = _strike(face, word)
                self.marks.append(_Mark(round(x + face.width(text[:pen])) + dx, baseline + dy, ink, word, self.cells))
            pen += len(word) + 1
        self.cells += 1


@dataclass(frozen=True)
class _Shop:
    """What the receipts of one shop have in common."""

    words: dict[str, str]
    money: tuple[str, str, str]
    name: str
    head: tuple[str, ...]
    body: _Face
    strong: _Face
    title: _Face
    small: _Face
    width: int
    pad: int
    lead: float
    layout: int
    header: int
    rule: str
    upper: bool
    logo: int
    tint: tuple[float, float, float]
    ink: tuple[float, float, float]

    def say(self, text: str) -> str:
        return text.upper() if self.upper else text

    def price(self, amount: float) -> str:
        before, after, point = self.money
        whole, cents = divmod(round(amount * 100), 100)
        if not point:
            return f"{before}{whole * 100 + cents:,}{after}"
        thousands = f"{whole:,}".replace(",", "." if point == "," else ",")
        return f"{before}{thousands}{point}{cents:02d}{after}"


@dataclass(frozen=True)
class _Scene:
    """How the sheet is seen: the one matrix from its dots to the picture's pixels, and what lies around it."""

    kind: Kind
    matrix: Matrix
    width: int
    height: int


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
    own_shop = int(rng.integers(2**62))
    side = int(rng.integers(640, 1281)) if long_side is None else long_side
    store = _open_shop(np.random.default_rng(own_shop if shop is None else shop), tuple(fonts))
    sheet = _typeset(rng, store)
    scene = _place(rng, sheet, side, store.body.size)
    boxes, texts = _labels(sheet, level)
    corners = geometry.transform(scene.matrix, boxes.reshape(-1, 2)).reshape(-1, 4, 2)
    image = _photograph(rng, sheet, scene, store)
    return image, Page("receipt", scene.width, scene.height, Polygons.of(corners), texts=texts)


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
    quality: int = 90,
    workers: int = 1,
    overwrite: bool = False,
    on_page: Callable[[int, int], None] | None = None,
) -> dict[str, list[Page]]:
    """Write ``images/NNNNN.jpg`` and ``jsons/{train,val,test}.json`` (UFO) into ``out``, the JSON last.

    Page NNNNN depends on the seed and its number alone, not on how many there are. Numbers skip to the next shop at the
    end of a split, so no shop is in two of them; every page carries its shop as ``group``.

    Args:
        out: the folder; made if it is not there.
        train: pages of the training split.
        val: pages of the validation split; 0 writes a JSON without pages.
        test: the same for the test split.
        seed: of the whole set.
        level: see ``draw_receipt``.
        long_side: least and greatest longer side of a page.
        fonts: see ``draw_receipt``; ``font_files`` lists those of a folder.
        quality: of the JPEG files.
        workers: processes that draw; the result is the same for any number.
        overwrite: write into a folder that holds something else too.
        on_page: called with (pages done, pages in all) after each page.

    Returns:
        The pages of each split, as written.

    Raises:
        FileExistsError: if ``out`` holds files that this function did not write and ``overwrite`` is False.
    """
    _claim(out, overwrite)
    sizes, numbers, first = {"train": train, "val": val, "test": test}, {}, 0
    for split, size in sizes.items():
        numbers[split] = range(first, first + size)
        first = -(-(first + size) // PAGES_PER_SHOP) * PAGES_PER_SHOP
    wanted = [number for split in numbers.values() for number in split]
    settings = {"seed": seed, "level": level, "long_side": list(long_side), "quality": quality, **sizes}
    write_json(out / MARKER, {"made_by": "hmean.data.synth", **settings, "fonts": [font.name for font in fonts]})
    (out / "images").mkdir(exist_ok=True)
    draw = partial(
        _write_page, images=out / "images", seed=seed, level=level, sides=long_side, fonts=tuple(fonts), quality=quality
    )
    pages: dict[int, Page] = {}
    with ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext() as pool:
        for number, page in zip(wanted, pool.map(draw, wanted) if pool else map(draw, wanted), strict=True):
            pages[number] = page
            if on_page:
                on_page(len(pages), len(wanted))
    splits = {split: [pages[number] for number in which] for split, which in numbers.items()}
    for split, members in splits.items():
        write_json(out / "jsons" / f"{split}.json", {"images": {page.name: page.to_ufo() for page in members}})
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


def _write_page(
    number: int, *, images: Path, seed: int, level: Level, sides: tuple[int, int], fonts: tuple[Path, ...], quality: int
) -> Page:
    shop = number // PAGES_PER_SHOP
    side = int(np.random.default_rng([seed, number, 1]).integers(sides[0], sides[1] + 1))
    image, page = draw_receipt([seed, number], level=level, long_side=side, shop=[seed, shop, 2], fonts=fonts)
    name = f"{number:05d}.jpg"
    Pillow.fromarray(image).save(images / name, quality=quality)
    return replace(page, name=name, group=f"shop-{shop:04d}")


# ---- fonts and text --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine: the other one (raqm) is there on some machines only, and sets differently.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)  # a text is measured when it is cut, wrapped, placed and written
def _advance(path: str, size: int, text: str) -> float:
    return _font(path, size).getlength(text)


@lru_cache(maxsize=256)
def _letters(path: Path) -> frozenset[int]:
    return frozenset(FT2Font(str(path)).get_charmap())


@lru_cache(maxsize=1)
def _languages() -> dict[str, dict[str, str]]:
    parser = ConfigParser(interpolation=None, delimiters=("=",))
    parser.read_string((files("hmean.data") / "synth_words.ini").read_text(encoding="utf-8"))
    return {name: {key: text.replace("\n", "") for key, text in parser[name].items()} for name in parser.sections()}


@lru_cache(maxsize=256)
def _readable(path: Path) -> tuple[str, ...]:
    """The languages that a font can print, whole, in both cases."""
    texts = {name: "".join(words.values()) for name, words in _languages().items()}
    return tuple(name for name, text in texts.items() if set(map(ord, text + text.upper())) <= _letters(path) | {0x5F})


def _pick(rng: Generator, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]


def _word(rng: Generator, least: int = 2) -> str:
    return "".join(_pick(rng, _SYLLABLES) for _ in range(int(rng.integers(least, 4)))).capitalize()


def _digits(rng: Generator, count: int) -> str:
    return "".join(map(str, rng.integers(0, 10, count)))


def _fill(rng: Generator, text: str, name: str) -> str:
    def blank(match: re.Match[str]) -> str:
        what = match[1]
        if what.isdigit():
            return _digits(rng, int(what))
        day, month, year, hour, minute = (int(rng.integers(a, b)) for a, b in _CALENDAR)
        if what == "date":
            return _pick(rng, ("{0:02}/{1:02}/{2}", "{0:02}.{1:02}.{2}", "{2}-{1:02}-{0:02}", "{0}-{1:02}-{2}")).format(
                day, month, year
            )
        if what == "time":
            return f"{hour:02}:{minute:02}" + _pick(rng, ("", f":{minute // 2:02}"))
        return {"L": chr(65 + day), "who": _word(rng), "name": name.partition(" ")[0].lower()}[what]

    return re.sub(r"\{(\w+)\}", blank, text)


def _texts(rng: Generator, words: dict[str, str], key: str, count: int, name: str = "") -> list[str]:
    """Different alternatives of a key, as many as there are up to ``count``, their blanks filled in."""
    options = words[key].split("|")
    return [_fill(rng, options[int(i)], name) for i in rng.permutation(len(options))[:count]]


def _cut(face: _Face, text: str, room: float) -> str:
    """The text without the words, then the letters, that do not fit."""
    while text and face.width(text) > room:
        text = text.rpartition(" ")[0] if " " in text else text[:-1]
    return text


def _wrap(face: _Face, text: str, room: float) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if face.width(joined) <= room:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _strike(face: _Face, text: str) -> tuple[Gray, int, int]:
    """The ink of a word, and where its top left corner lies from the pen and the baseline."""
    left, top, right, bottom = (int(v) for v in face.font.getbbox(text, anchor="ls"))
    left, top = left - 2, top - 2  # a glyph may lean out of its box by a pixel
    tile = Pillow.new("L", (right - left + 2, bottom - top + 2))
    pencil = ImageDraw.Draw(tile)
    pencil.fontmode = "1" if face.dots else "L"
    pencil.text((-left, -top), text, 255, face.font, anchor="ls")
    ink = np.asarray(tile, dtype=np.uint8)
    if face.cell > 1:
        ink = np.kron(ink // 255, _NEEDLE[face.cell])
    if face.wide != 1 or face.tall != 1:
        size = max(1, round(ink.shape[1] * face.wide)), ink.shape[0] * face.tall
        ink = np.asarray(cv2.resize(ink, size, interpolation=cv2.INTER_AREA if face.wide < 1 else cv2.INTER_LINEAR))
    if face.heavy:
        ink[:, 1:] = np.maximum(ink[:, 1:], ink[:, :-1])
    return ink, round(left * face.cell * face.wide), top * face.cell * face.tall


# ---- shop and sheet --------------------------------------------------------------------------------------------------


def _family(rng: Generator, fonts: tuple[Path, ...], mono: float) -> tuple[Path, Path, Path, bool]:
    """Regular, bold, italic, and whether bold is the same file and must be struck twice."""
    if fonts and rng.random() < 0.6:
        own = _pick(rng, fonts)
        return own, own, own, True
    names = _pick(rng, _SHIPPED[:3] if rng.random() < mono else _SHIPPED[3:])
    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    regular, bold, italic = (folder / f"{name}.ttf" for name in names)
    return regular, bold, italic, regular == bold


def _open_shop(rng: Generator, fonts: tuple[Path, ...]) -> _Shop:
    regular, bold, _, heavy = _family(rng, fonts, 0.6)
    language = _pick(rng, _readable(regular))
    display = _family(rng, fonts, 0.3)
    if language not in _readable(display[1]):
        display = (regular, bold, regular, heavy)
    words = _languages()[language]
    width = int(_pick(rng, (384, 448, 512, 576)))
    pad = round(width * rng.uniform(0.03, 0.09))
    wide = float(rng.uniform(0.72, 1.08))
    size = (width - 2 * pad) / rng.integers(30, 46) / 0.6 / wide
    dots = int(rng.choice([0, 1, 2, 3], p=[0.45, 0.3, 0.17, 0.08]))
    dots = min(dots, max(0, int(size) // 9))  # a font pixel of more dots would leave letters of under 9 pixels
    body = _Face(str(regular), size, wide, dots=dots)
    strong = replace(body, path=str(bold), heavy=heavy)
    smooth = 0 if rng.random() < 0.7 else min(1, dots)
    title = _Face(str(display[1]), size * rng.uniform(1.2, 2.2), float(rng.uniform(0.8, 1.2)), 1, display[3], smooth)
    small = _Face(str(display[2]), size * rng.uniform(0.75, 1.05), float(rng.uniform(0.8, 1.0)), dots=smooth)
    kind = _pick(rng, words["shop"].split("|"))
    name = f"{_word(rng)} {kind}" if rng.random() < 0.8 else f"{kind} {_word(rng)} {_word(rng)}"
    head = [
        line for key, most in (("street", 1), ("city", 1), ("ids", 3)) for line in _texts(rng, words, key, most, name)
    ]
    prefix, suffix, point = _pick(rng, words["money"].split("|")).replace("_", " ").split("~")
    tint = _pick(rng, ((1.0, 1.0, 1.0), (0.98, 0.98, 1.0), (1.0, 0.98, 0.94), (1.0, 0.96, 0.84), (0.96, 0.95, 0.92)))
    ink = _pick(rng, ((20, 20, 22), (40, 38, 40), (70, 68, 75), (45, 50, 130), (80, 70, 60), (10, 10, 10)))
    return _Shop(
        words, (prefix, suffix, point), name, tuple(head[: int(rng.integers(2, 6))]),
        body, strong, title, small, width, pad, float(rng.uniform(1.1, 1.5)), int(rng.integers(5)),
        int(rng.integers(6)), _pick(rng, ("-", "=", "*", ".", "_", "line", "double", "dash", "")),
        bool(rng.random() < 0.4), int(rng.integers(8)), tint, ink,
    )  # fmt: skip


def _typeset(rng: Generator, shop: _Shop) -> _Sheet:
    """Print one receipt, from the logo to the last line."""
    sheet = _Sheet(shop.width, shop.pad, round(shop.pad * rng.uniform(0.6, 2)))
    _print_header(rng, shop, sheet)
    _print_meta(rng, shop, sheet)
    total = _print_items(rng, shop, sheet)
    _print_sums(rng, shop, sheet, total)
    _print_footer(rng, shop, sheet)
    sheet.height += round(shop.pad * rng.uniform(0.8, 3))
    return sheet


def _print_rule(shop: _Shop, sheet: _Sheet) -> None:
    """A separator, unlabelled, also where it is made of letters."""
    gap = round(shop.body.size * 0.3)
    sheet.height += gap
    if shop.rule in ("line", "double", "dash"):
        ink = np.full((2 if shop.rule != "double" else 7, sheet.inner), 255, dtype=np.uint8)
        if shop.rule == "double":
            ink[2:5] = 0
        if shop.rule == "dash":
            ink[:, np.arange(sheet.inner) % 14 > 8] = 0
        sheet.graphic(ink, after=gap)
    elif shop.rule:
        ink = _strike(shop.body, shop.rule * int(sheet.inner / shop.body.width(shop.rule)))[0][:, : sheet.inner]
        sheet.graphic(ink, after=gap)


def _print_header(rng: Generator, shop: _Shop, sheet: _Sheet) -> None:
    if shop.logo < 3:
        sheet.graphic(_logo(shop.logo, round(shop.width * 0.16)), after=shop.body.size * 0.5)
    face, left = shop.title, shop.header == 5
    align: Align = "l" if left else "c"
    at = 0.0 if left else 0.5
    for text in _wrap(face, shop.say(shop.name), sheet.inner * 0.9):
        text = _cut(face, text, sheet.inner * 0.94)
        if shop.header in (1, 2):  # white on black, or in a frame
            height, length = round(face.size * 1.3), min(sheet.inner, round(face.width(text) + face.size))
            block = np.full((height, length), 255, dtype=np.uint8)
            if shop.header == 2:
                block[3:-3, 3:-3] = 0
            sheet.graphic(block)
            sheet.height -= height
            sheet.line(face, [(text, at, align)], lead=1.3)
        else:
            sheet.line(face, [(text, at, align)])
    sheet.height += round(shop.body.size * 0.3)
    plain = shop.small if shop.header in (3, 5) else shop.body
    for text in shop.head:
        for part in _wrap(plain, shop.say(text), sheet.inner):
            sheet.line(plain, [(part, at, align)], lead=shop.lead)
    if rng.random() < 0.7:
        sheet.height += round(shop.body.size * 0.5)
        sheet.line(shop.strong, [(shop.say(_texts(rng, shop.words, "title", 1)[0]), 0.5, "c")], lead=1.4)


def _print_meta(rng: Generator, shop: _Shop, sheet: _Sheet) -> None:
    _print_rule(shop, sheet)
    texts = _texts(rng, shop.words, "meta", int(rng.integers(2, 6)))
    at = float(rng.uniform(0.28, 0.45))
    for i, text in enumerate(texts):
        key, colon, value = shop.say(text).partition(": ")
        if shop.layout in (0, 3) and colon:
            sheet.line(shop.body, [(value, at, "l"), (f"{key.strip()}:", 0, "l")], lead=shop.lead)
        elif shop.layout == 1 and i % 2 and len(text) < 18:
            sheet.line(shop.body, [(shop.say(text), 1, "r"), (_digits(rng, 6), 0, "l")], lead=shop.lead)
        elif shop.layout == 4 and colon:
            sheet.line(shop.body, [(value, 1, "r"), (f"{key.strip()}:", 0, "l")], lead=shop.lead)
        else:
            sheet.line(shop.body, [(shop.say(text), 0, "l")], lead=shop.lead)
    _print_rule(shop, sheet)


def _print_items(rng: Generator, shop: _Shop, sheet: _Sheet) -> float:
    """The table of what was bought, in the shop's layout; the sum of it."""
    face, say, price = shop.body, shop.say, shop.price
    item, quantity, unit, amount = (say(text) for text in shop.words["cols"].split("|"))
    heads: dict[int, list[Cell]] = {
        1: [(amount, 1, "r"), (quantity, 0, "l"), (item, 0.16, "l")],
        3: [(amount, 1, "r"), (unit, 0.78, "r"), (quantity, 0.56, "r"), (item, 0, "l")],
        4: [(amount, 1, "r"), (item, 0, "l")],
    }
    if shop.layout in heads:
        sheet.line(shop.strong if rng.random() < 0.5 else face, heads[shop.layout], lead=shop.lead)
        _print_rule(shop, sheet)
    total = 0.0
    for _ in range(int(np.clip(rng.geometric(0.16), 1, 18))):
        name = _texts(rng, shop.words, "items", 1)[0]
        name = say(f"{_word(rng)} {name}" if rng.random() < 0.3 else name)
        count = int(rng.integers(1, 4)) if rng.random() < 0.5 else 1
        cost = round(float(np.exp(rng.normal(1.9, 1.0))) + 0.2, 2)
        total += count * cost
        end = price(count * cost) + _pick(rng, ("", "", " A", " B", " SR", "*")) * (shop.layout != 3)
        code = _digits(rng, int(_pick(rng, (5, 8, 13))))
        rows: dict[int, list[list[Cell]]] = {
            0: [[(end, 1, "r"), (name, 0, "l")]],
            1: [[(end, 1, "r"), (str(count), 0, "l"), (name, 0.16, "l")]],
            2: [[(name, 0, "l")], [(end, 1, "r"), (f"{count} X {price(cost)}", 0.72, "r"), (code, 0.0, "l")]],
            3: [[(end, 1, "r"), (price(cost), 0.78, "r"), (str(count), 0.56, "r"), (name, 0, "l")]],
            4: [[(f"{code} {name}", 0, "l")], [(end, 1, "r"), (f"{count} x {price(cost)}", 0.1, "l")]],
        }
        for row in rows[shop.layout]:
            sheet.line(face, row, lead=shop.lead)
        if rng.random() < 0.08:
            sheet.line(shop.small, [(price(-0.1 * cost), 1, "r"), (f"-10% {_word(rng)}", 0.06, "l")], lead=shop.lead)
    return total


def _print_sums(rng: Generator, shop: _Shop, sheet: _Sheet, total: float) -> None:
    _print_rule(shop, sheet)
    inset = shop.header in (0, 4)
    align: Align = "r" if inset else "l"
    at = 0.68 if inset else 0.0
    for text in _texts(rng, shop.words, "sums", int(rng.integers(0, 4))):
        part = shop.price(total * float(rng.uniform(0.02, 0.95)))
        sheet.line(shop.body, [(part, 1, "r"), (shop.say(text), at, align)], lead=shop.lead)
    big = replace(shop.strong, tall=int(rng.integers(1, 3)), wide=shop.body.wide * float(_pick(rng, (1, 1, 1.4))))
    big = _pick(rng, (big, shop.strong, replace(shop.title, size=shop.body.size * 1.5)))
    sheet.line(
        big, [(shop.price(total), 1, "r"), (_texts(rng, shop.words, "total", 1)[0], at if at == 0 else 0.5, align)]
    )
    if rng.random() < 0.4:
        _print_rule(shop, sheet)
    for text in _texts(rng, shop.words, "pay", int(rng.integers(1, 5))):
        paid = shop.price(float(np.ceil(total / 5) * 5)) if rng.random() < 0.8 else ""
        sheet.line(shop.body, [(paid, 1, "r"), (shop.say(text), at, align)], lead=shop.lead)
    if rng.random() < 0.35:  # a small table of taxes
        _print_rule(shop, sheet)
        for _ in range(int(rng.integers(1, 4))):
            numbers = [shop.price(total * float(rng.random())) for _ in range(3)]
            cells: list[Cell] = [(f"{_pick(rng, 'ABCS')} {int(rng.integers(5, 25))}%", 0, "l")]
            cells += [(number, place, "r") for number, place in zip(numbers, (0.5, 0.75, 1), strict=True)]
            sheet.line(shop.body, cells, lead=shop.lead)


def _print_footer(rng: Generator, shop: _Shop, sheet: _Sheet) -> None:
    _print_rule(shop, sheet)
    if rng.random() < 0.45:
        sheet.height += round(shop.body.size * 0.4)
        widths = rng.integers(1, 5, int(rng.integers(60, 100)))
        bars = np.repeat(np.arange(len(widths)) % 2 == 0, widths)[: sheet.inner]
        sheet.graphic(np.tile(bars * np.uint8(255), (int(rng.integers(36, 90)), 1)), after=3)
        if rng.random() < 0.8:
            sheet.line(shop.body, [(_digits(rng, int(rng.integers(10, 22))), 0.5, "c")])
    if rng.random() < 0.25:  # the slip of the card terminal
        _print_meta(rng, shop, sheet)
    left = shop.header == 5
    for text in _texts(rng, shop.words, "foot", int(rng.integers(1, 6)), shop.name):
        face = _pick(rng, (shop.body, shop.body, shop.small, shop.strong))
        for part in _wrap(face, shop.say(text), sheet.inner):
            sheet.line(face, [(part, 0.0 if left else 0.5, "l" if left else "c")], lead=shop.lead)
    if rng.random() < 0.2:
        sheet.height += round(shop.body.size * 0.5)
        sheet.graphic(_matrix_code(rng))


def _logo(kind: int, size: int) -> Gray:
    ink = np.zeros((size, round(size * 1.4)), dtype=np.uint8)
    cx, cy, r = ink.shape[1] // 2, size // 2, size // 2 - 2
    if kind == 0:
        cv2.circle(ink, (cx, cy), r, 255, max(3, r // 5), cv2.LINE_AA)
        cv2.ellipse(ink, (cx, cy), (r // 2, r // 4), 30, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        turn = np.arange(10 if kind == 1 else 3) * 2 * np.pi / (10 if kind == 1 else 3) - np.pi / 2
        reach = np.where(np.arange(len(turn)) % 2 & (kind == 1), r * 0.45, r)
        star = np.stack([cx + reach * np.cos(turn), cy + reach * np.sin(turn)], axis=1)
        cv2.fillPoly(ink, [np.round(star).astype(np.int32)], 255, cv2.LINE_AA)
    return ink


def _matrix_code(rng: Generator) -> Gray:
    """A block that looks like a QR code."""
    modules = rng.integers(0, 2, (25, 25), dtype=np.uint8) * np.uint8(255)
    eye = np.pad(np.pad(np.full((3, 3), 255, dtype=np.uint8), 1), 1, constant_values=255)
    eye = np.pad(eye, ((0, 1), (0, 1)))
    modules[:8, :8], modules[:8, -8:], modules[-8:, :8] = eye, eye[:, ::-1], eye[::-1]
    return np.kron(modules, np.ones((int(rng.integers(4, 7)),) * 2, dtype=np.uint8))


def _labels(sheet: _Sheet, level: Level) -> tuple[Points, tuple[str, ...]]:
    """Corners (K, 4, 2) in dots of each word or cell, clockwise from the top left, and its text."""
    words = [mark for mark in sheet.marks if mark.text is not None]
    pieces = [list(group) for _, group in groupby(words, lambda mark: mark.cell)]
    pieces = [[mark] for mark in words] if level == "word" else pieces
    corners = []
    for piece in pieces:
        box = np.array([mark.box for mark in piece], dtype=np.float64)
        (x0, y0), (x1, y1) = box[:, :2].min(axis=0) - MARGIN, box[:, 2:].max(axis=0) + MARGIN
        corners.append([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return np.array(corners), tuple(" ".join(mark.text or "" for mark in piece) for piece in pieces)


# ---- picture ---------------------------------------------------------------------------------------------------------


def _place(rng: Generator, sheet: _Sheet, long_side: int, em: float) -> _Scene:
    """Turn, shear and tilt the sheet, and choose what of its surroundings is in the picture."""
    kinds: tuple[Kind, ...] = ("crop", "crop", "crop", "crop", "desk", "desk", "desk", "page", "dark", "dark")
    kind = _pick(rng, kinds)
    loose = kind == "desk"
    angle = float(rng.uniform(-15, 15) if loose and rng.random() < 0.25 else rng.normal(0, 2.5 if loose else 0.8))
    slope, tilt = (rng.normal(0, 0.02), rng.uniform(-0.22, 0.22, 2)) if loose else (rng.normal(0, 0.003), (0.0, 0.0))
    lean = np.array([[1, slope, 0], [0, 1, 0], [tilt[0] / sheet.height, tilt[1] / sheet.height, 1]])
    base = lean @ geometry.rotation(angle) @ geometry.translation(-sheet.width / 2, -sheet.height / 2)
    boxes = _labels(sheet, "line")[0].reshape(-1, 2)
    (x0, y0), (x1, y1) = (0, 0), (sheet.width, sheet.height)
    if kind == "crop":  # the scanner's cut may take the paper's edge, never the text
        (x0, y0), (x1, y1) = boxes.min(axis=0), boxes.max(axis=0)
    seen = geometry.transform(base, np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64))
    low, high = seen.min(axis=0), seen.max(axis=0)
    width, height = high - low
    spare = {"crop": (0.01, 0.07), "desk": (0.01, 0.25), "dark": (0.005, 0.12), "page": (0.1, 0.6)}[kind]
    left, right, top, bottom = rng.uniform(*spare, 4) * (width, width, height, height)
    if (height + top + bottom) * 7 > long_side * em:  # letters of under 7 pixels: come closer
        left, right, top, bottom = (0.02 * width,) * 4
    size = np.array([width + left + right, height + top + bottom])
    scale = long_side / size.max()
    matrix = geometry.scaling(scale, scale) @ geometry.translation(left - low[0], top - low[1]) @ base
    return _Scene(kind, matrix, *(max(1, int(side)) for side in np.round(size * scale)))


def _field(rng: Generator, shape: tuple[int, int], rows: float, columns: float) -> Field:
    """Smooth noise of unit spread with about so many waves down and across."""
    grid = rng.standard_normal((max(2, int(rows)), max(2, int(columns))), dtype=np.float32)
    return np.asarray(cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _photograph(rng: Generator, sheet: _Sheet, scene: _Scene, shop: _Shop) -> Image:
    """The picture of a sheet: print and paper through the matrix at once, then what a desk, a lamp and a camera do.

    Light is (3, H, W): numpy is several times faster on planes than on triples.
    """
    layers = np.dstack([_worn(rng, sheet.ink()), _creased(rng, sheet), _scribbled(rng, sheet)])
    seen = geometry.warp(layers, scene.matrix, scene.width, scene.height, fill=(0, 200, 0)).astype(np.float32)
    strength, shade, pen = (np.ascontiguousarray(seen[..., i]) for i in range(3))
    strength *= float(rng.uniform(0.75, 1.0)) / 255
    pen *= 0.8 / 255
    edge = np.array([[0, 0], [sheet.width, 0], [sheet.width, sheet.height], [0, sheet.height]], dtype=np.float64)
    corners = np.round((geometry.transform(scene.matrix, edge) - 0.5) * 16).astype(np.int32)
    mask = np.zeros(shade.shape, dtype=np.uint8)
    cv2.fillConvexPoly(mask, corners, (255,), cv2.LINE_AA, 4)
    cover = mask.astype(np.float32) / 255
    light = _background(rng, scene, shop)
    if scene.kind == "desk":  # the paper's own shadow
        dx, dy = (int(rng.integers(-6, 7)) for _ in range(2))
        light *= 1 - float(rng.uniform(0.1, 0.45)) * cv2.blur(np.roll(cover, (dy, dx), (0, 1)), (9, 9))
    white, colour = float(rng.uniform(225, 254)) / 200, _pick(rng, _PENS)
    for plane, tint, ink, stroke in zip(light, shop.tint, shop.ink, colour, strict=True):
        paper = shade * (white * tint)
        paper += strength * (ink - paper)
        paper += pen * (np.minimum(stroke, paper) - paper)
        plane += cover * (paper - plane)
    return _camera(rng, light, scene)


def _worn(rng: Generator, ink: Gray) -> Gray:
    """Uneven heat, dead dots of the print head, and toner that did not stick."""
    wear = np.full(ink.shape, 255, dtype=np.uint8)
    if rng.random() < 0.7:
        depth = float(rng.uniform(10, 70))
        faded = 255 - depth * np.abs(_field(rng, ink.shape, ink.shape[0] / 90, 4))
        wear = np.clip(faded, 120, 255).astype(np.uint8)
    if rng.random() < 0.15:
        for column in rng.integers(0, ink.shape[1], int(rng.integers(1, 4))):
            wear[:, column : column + int(rng.integers(1, 5))] //= 4
    if rng.random() < 0.35:
        grain = rng.integers(0, 256, ink.shape, dtype=np.uint8)
        wear[grain < rng.integers(10, 50)] //= 3
    return np.asarray(cv2.multiply(ink, wear, scale=1 / 255), dtype=np.uint8)


def _creased(rng: Generator, sheet: _Sheet) -> Gray:
    """Brightness of the paper, 200 for plain: folds, waves, stains and the print of the other side."""
    shape = (sheet.height, sheet.width)
    small = (max(8, shape[0] // 4), max(8, shape[1] // 4))
    shade = 1 + float(rng.uniform(0, 0.035)) * _field(rng, small, small[0] / 25, 4)
    rows = np.arange(small[0], dtype=np.float32)[:, None] / small[0]
    columns = np.arange(small[1], dtype=np.float32)[None] / small[1]
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.5 else 0):
        across = rows + columns * float(rng.normal(0, 0.03)) if rng.random() < 0.75 else columns + rows * 0.02
        away = (across - float(rng.uniform(0.1, 0.9))) * max(small) / 4
        shade -= float(rng.uniform(0.02, 0.12)) * (np.exp(-(away**2) * 4) - 0.6 * np.exp(-((away - 0.8) ** 2)))
    if rng.random() < 0.12:
        ring = np.hypot(rows - rng.random(), (columns - rng.random()) * small[1] / small[0])
        shade -= 0.12 * np.exp(-(((ring - 0.12) * 60) ** 2)) + 0.04 * (ring < 0.12)
    out = np.asarray(cv2.resize(np.clip(shade * 200, 0, 255).astype(np.uint8), shape[::-1]), dtype=np.uint8)
    if rng.random() < 0.25:
        behind = cv2.blur(np.roll(sheet.ink()[:, ::-1], int(rng.integers(shape[0])), axis=0), (5, 5))
        out = np.asarray(cv2.subtract(out, (behind * rng.uniform(0.04, 0.12)).astype(np.uint8)), dtype=np.uint8)
    return out


def _scribbled(rng: Generator, sheet: _Sheet) -> Gray:
    """Strokes of a pen and stamps without letters, over everything."""
    ink = np.zeros((sheet.height, sheet.width), dtype=np.uint8)
    if rng.random() < 0.18:
        centre = rng.uniform(0.2, 0.8, 2) * (sheet.width, sheet.height)
        t = np.linspace(0, float(rng.uniform(6, 14)), 90)
        loop = np.stack([np.cos(t * rng.uniform(0.8, 2)) + t * 0.25, np.sin(t * rng.uniform(0.8, 2)) * 0.7], axis=1)
        path = centre + loop * rng.uniform(14, 50) * (1, rng.uniform(0.4, 1))
        cv2.polylines(ink, [np.round(path).astype(np.int32)], False, 255, int(rng.integers(2, 5)), cv2.LINE_AA)
    if rng.random() < 0.08:
        x, y, r = (int(rng.uniform(0.2, 0.8) * side) for side in (sheet.width, sheet.height, 150))
        for radius in (r + 25, r + 17, r // 2):
            cv2.ellipse(ink, (x, y), (radius, int(radius * 0.7)), 20, 0, 360, 170, 3, cv2.LINE_AA)
    return ink


def _background(rng: Generator, scene: _Scene, shop: _Shop) -> Field:
    """What the sheet lies on, (3, H, W): the scanner's lid, white or dark, or a desk of wood, cloth or stone."""
    h, w = shape = (scene.height, scene.width)
    if scene.kind != "desk":
        level = float(rng.uniform(8, 55) if scene.kind == "dark" else rng.uniform(236, 255))
        lid = np.full((3, h, w), level, dtype=np.float32)
        lid *= np.array(shop.tint, dtype=np.float32)[:, None, None]
        specks = rng.integers(0, [[h], [w]], (2, int(rng.integers(0, 60))))
        lid[:, specks[0], specks[1]] = 255 - level
        return lid
    colour = np.array(_pick(rng, _DESKS), dtype=np.float32) * float(rng.uniform(0.7, 1.15))
    rows, columns = _pick(rng, ((h / 4, w / 90), (h / 70, w / 3), (h / 2, w / 2), (h / 6, w / 6), (3, 3)))
    texture = _field(rng, shape, rows, columns) + 0.7 * _field(rng, shape, rows / 3, columns / 3)
    if rng.random() < 0.3:
        texture += _field(rng, shape, columns * h / w, rows * w / h)
    light: Field = np.multiply(colour[:, None, None], 1 + float(rng.uniform(0.01, 0.1)) * texture, dtype=np.float32)
    for _ in range(int(rng.integers(0, 3))):  # edges of other things
        thing = cv2.convexHull((rng.uniform(-0.1, 1.1, (4, 2)) * (w, h)).astype(np.int32))
        for plane, value in zip(light, np.array(_pick(rng, _DESKS)) * rng.uniform(0.3, 1.2), strict=True):
            cv2.fillConvexPoly(plane, thing, (float(value),), cv2.LINE_AA)
    return light


def _camera(rng: Generator, light: Field, scene: _Scene) -> Image:
    """Lamp, blur, noise, contrast and compression."""
    h, w = shape = (scene.height, scene.width)
    loose = scene.kind == "desk"
    if loose or rng.random() < 0.3:
        lamp = 1 + float(rng.uniform(0, 0.18 if loose else 0.05)) * _field(rng, shape, 2, 2)
        if loose and rng.random() < 0.3:  # the shadow of a hand or an arm
            shadow = np.ones((h // 8 + 1, w // 8 + 1), dtype=np.float32)
            corners = rng.uniform(-0.3, 1.3, (3, 2)) * shadow.shape[::-1]
            cv2.fillConvexPoly(shadow, corners.astype(np.int32), (float(rng.uniform(0.55, 0.85)),))
            lamp *= cv2.resize(cv2.blur(shadow, (7, 7)), (w, h))
        light *= np.clip(lamp, 0.4, 1.15)
    if loose and rng.random() < 0.6:
        light *= rng.uniform(0.88, 1.04, (3, 1, 1)).astype(np.float32)
    elif not loose and rng.random() < 0.5:  # a scanner's curve: paper to white, ink to black
        light = (light - 128) * float(rng.uniform(1.0, 1.7)) + float(rng.uniform(120, 150))
    if rng.random() < 0.7:
        light += rng.standard_normal(shape, dtype=np.float32) * float(rng.uniform(0.5, 7 if loose else 4))
    picture = cv2.merge([np.clip(plane, 0, 255).astype(np.uint8) for plane in light])
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.0)) * max(shape) / 1000)
    if rng.random() < 0.3:
        picture = cv2.merge([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] * 3)
    if rng.random() < 0.5:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.asarray(picture, dtype=np.uint8)
