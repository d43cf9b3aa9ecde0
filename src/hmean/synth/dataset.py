"""Synthetic receipts with exact labels: the data set that needs no download.

A shop is invented (``shop``), a receipt of it is printed on a sheet (``layout``), and a picture is taken of the sheet
(``render``). Paper and print are worn (``damage``), but no ink is moved. So a label is the box around the ink of a
word, ``sheet.MARGIN`` wider on each side, seen through the matrix of the picture. Separators, barcodes, logos, strokes
of a pen, stamps and the print of the other side have no label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image as Pillow
from pydantic import Field

from hmean.files import write_json
from hmean.geometry import Image
from hmean.records import Record
from hmean.synth.chance import pick
from hmean.synth.form import OFFICE_LETTER, print_office_page
from hmean.synth.layout import print_receipt
from hmean.synth.render import KINDS, Kind, photograph, place
from hmean.synth.sheet import Level, Sheet
from hmean.synth.shop import Shop
from hmean.types import Page

Seed = int | Sequence[int]
# receipt: as they are scanned and photographed with care; photo: of crumpled receipts in bad light; scan: on a part of
# an A4 scan; invoice and form: A4 pages of an office.
Style = Literal["receipt", "photo", "scan", "invoice", "form"]
STYLES: tuple[Style, ...] = get_args(Style)

_KINDS_OF: dict[Style, tuple[Kind, ...]] = {
    "receipt": KINDS,
    "photo": ("photo",),
    "scan": ("a4",),
    "invoice": ("crop", "crop", "page", "dark", "photo"),
    "form": ("crop", "crop", "page", "dark", "photo"),
}
PAGES_PER_SHOP = 4  # consecutive pages of a data set that share a shop, and so a ``group``
MARKER = "synth.json"
_JPEG_QUALITY = 90


class Drawn(Record):
    """``synth.json``: marks a folder that may be drawn again, and says how."""

    made_by: str = Field(default="hmean data synth", description="what drew the data set")
    seed: int = Field(description="of everything random")
    level: Level = Field(description="what a polygon holds")
    long_side: tuple[int, int] = Field(description="smallest and largest long side of a picture, pixels")
    train: int = Field(description="number of training pages")
    val: int = Field(description="number of validation pages")
    test: int = Field(description="number of test pages")
    fonts: list[str] = Field(description="names of the user's own fonts")
    styles: list[Style] = Field(default=["receipt"], description="kinds of pages, each as likely")


def draw_receipt(
    seed: Seed,
    *,
    level: Level = "word",
    long_side: int | None = None,
    shop: Seed | None = None,
    fonts: Sequence[Path] = (),
    style: Style = "receipt",
) -> tuple[Image, Page]:
    """Draw a receipt: the same for the same arguments on the same machine.

    Args:
        seed: what to draw.
        level: a polygon for each word, or for each cell of a line (what SROIE calls a line: columns are apart).
        long_side: of the picture, pixels; between 640 and 1280 if None.
        shop: seed of the shop, whose receipts share header, layout and fonts; a shop of its own if None.
        fonts: font files to print with, beside those that matplotlib ships.
        style: kind of page; with any but ``receipt``, the seed gives another receipt.

    Returns:
        The picture, and its page: four points a polygon, clockwise from the top left, each with its text.
    """
    rng = np.random.default_rng(seed)
    own_shop = int(rng.integers(2**62))
    own_side = int(rng.integers(640, 1281))
    if shop is None:
        shop = own_shop
    invented = Shop.invent(np.random.default_rng(shop), fonts)
    sheet = _print(rng, invented, style)
    kind = pick(rng, _KINDS_OF[style])
    letter = invented.faces.body.size
    if style in ("invoice", "form"):
        letter = OFFICE_LETTER
    view = place(rng, sheet, letter, kind, long_side or own_side)
    boxes, texts = sheet.labels(level)
    page = Page("receipt", view.width, view.height, view.polygons(boxes), texts=texts)
    return photograph(rng, sheet, invented, kind, view), page


def _print(rng: np.random.Generator, shop: Shop, style: Style) -> Sheet:
    if style == "invoice":
        return print_office_page(rng, shop, "invoice")
    if style == "form":
        return print_office_page(rng, shop, "form")
    return print_receipt(rng, shop)


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
    styles: Sequence[Style] = ("receipt",),
    overwrite: bool = False,
    on_page: Callable[[int, int], None] | None = None,
) -> dict[str, list[Page]]:
    """Write ``images/NNNNN.jpg`` and ``jsons/{train,val,test}.json`` (UFO), the JSON files last.

    Page NNNNN depends on the seed and its number only, not on how many pages there are. At the end of a split numbers
    skip to the next shop, so that no shop is in two splits; every page has its shop as ``group``.

    Args:
        out: folder to write to.
        train: number of training pages.
        val: number of validation pages.
        test: number of test pages.
        seed: of everything random.
        level: see ``draw_receipt``.
        long_side: smallest and largest long side of a picture, pixels.
        fonts: see ``draw_receipt``.
        styles: kinds of pages; each page is of one of them, given several times it is likelier.
        overwrite: write into a folder that holds something else, or over a synthetic data set; one that was not
            finished is always drawn again.
        on_page: called with the number of pages done, and of all pages, after each page.

    Returns:
        The pages of each split, as written.

    Raises:
        FileExistsError: if ``overwrite`` is False, and ``out`` holds files that this function did not write, or all
            of a data set.
    """
    _claim(out, overwrite=overwrite)
    font_names = [font.name for font in fonts]
    drawn = Drawn(
        seed=seed,
        level=level,
        long_side=long_side,
        train=train,
        val=val,
        test=test,
        fonts=font_names,
        styles=list(styles),
    )
    drawn.write(out / MARKER)
    (out / "images").mkdir(exist_ok=True)
    splits: dict[str, list[Page]] = {}
    total = train + val + test
    done = 0
    first = 0
    for split, size in (("train", train), ("val", val), ("test", test)):
        splits[split] = []
        for number in range(first, first + size):
            image, page = _draw_numbered(number, drawn, fonts)
            splits[split].append(page)
            Pillow.fromarray(image).save(out / "images" / page.name, quality=_JPEG_QUALITY)
            done += 1
            if on_page is not None:
                on_page(done, total)
        shops = -(-(first + size) // PAGES_PER_SHOP)
        first = shops * PAGES_PER_SHOP
    for split, pages in splits.items():
        images = {page.name: page.to_ufo() for page in pages}
        write_json(out / "jsons" / f"{split}.json", {"images": images})
    return splits


def _draw_numbered(number: int, drawn: Drawn, fonts: Sequence[Path]) -> tuple[Image, Page]:
    """The page of a number in a data set."""
    seed = drawn.seed
    shop = number // PAGES_PER_SHOP
    shortest, longest = drawn.long_side
    rng = np.random.default_rng([seed, number, 1])
    side = int(rng.integers(shortest, longest + 1))
    style = pick(rng, drawn.styles)
    shop_seed = [seed, shop, 2]
    image, page = draw_receipt(
        [seed, number], level=drawn.level, long_side=side, shop=shop_seed, fonts=fonts, style=style
    )
    return image, replace(page, name=f"{number:05d}.jpg", group=f"shop-{shop:04d}")


def _is_finished(out: Path) -> bool:
    """Whether a data set was drawn to its end: the label files are written last."""
    return all((out / "jsons" / f"{split}.json").is_file() for split in ("train", "val", "test"))


def _claim(out: Path, *, overwrite: bool) -> None:
    """Make the folder; if an earlier data set is there, remove its files, of which there may have been more."""
    if (out / MARKER).is_file():
        if not overwrite and _is_finished(out):
            raise FileExistsError(f"{out}: holds a synthetic data set already; choose another folder, or set overwrite")
        for path in (out / "jsons").glob("*.json"):
            if path.stem in ("train", "val", "test"):
                path.unlink()
        for path in (out / "images").glob("*.jpg"):
            if re.fullmatch(r"\d{5,}", path.stem):
                path.unlink()
    elif out.exists() and any(out.iterdir()) and not overwrite:
        raise FileExistsError(
            f"{out}: is not empty and holds no synthetic data set; choose another folder, or set overwrite"
        )
    out.mkdir(parents=True, exist_ok=True)
