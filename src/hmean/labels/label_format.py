"""What a label format is: how it is known, read and written, and what of a page it can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from hmean import geometry
from hmean.labels.label_set import LabelSet
from hmean.labels.peek import Peek
from hmean.labels.whole_file import Reader
from hmean.labels.words import IGNORED_TEXT, polygon_fault
from hmean.types import Page, Points, Polygons

Outline = Literal["polygon", "quad", "box"]
IgnoreMark = Literal["flag", "text", "none"]  # "text": the text of an ignore region becomes ###


def _is_any(text: str) -> bool:  # noqa: ARG001 - for formats that hold any text
    return True


@dataclass(frozen=True)
class Keeps:
    """What a format can hold of a page. Messages, the reference page and the tests of round trips come from it.

    Attributes:
        outline: of a word: any polygon, four corners, or an axis-parallel box.
        texts: whether words have texts.
        ignore: how an ignore region is marked; none: it becomes a word like any other.
        groups: whether pages have groups.
        unlabelled: whether a page without labels can be told from a page without text.
        whole_pixels: whether coordinates are whole numbers.
        on_page: whether words end at the edge of the page.
        holds_text: which texts it can hold, of formats with texts.
    """

    outline: Outline = "polygon"
    texts: bool = True
    ignore: IgnoreMark = "flag"
    groups: bool = False
    unlabelled: bool = False
    whole_pixels: bool = False
    on_page: bool = False
    holds_text: Callable[[str], bool] = _is_any


@dataclass
class Lost:
    """What a format could not hold, in numbers.

    Attributes:
        outlines: words whose outline became four corners or a box.
        cut: words that stuck out of the page.
        rounded: words whose corners were moved to whole pixels.
        texts: words that lost their text.
        ignore: ignore regions that became words.
        groups: pages that lost their group.
        unlabelled: pages without labels, which were left out.
    """

    outlines: int = 0
    cut: int = 0
    rounded: int = 0
    texts: int = 0
    ignore: int = 0
    groups: int = 0
    unlabelled: int = 0

    def sentences(self, keeps: Keeps) -> list[str]:
        """One for each kind of loss, in a format that keeps this."""
        outlines = {"polygon": "polygon", "quad": "rectangle", "box": "upright box"}
        found = []
        for field in fields(self):
            count = getattr(self, field.name)
            if count:
                loss = _LOSSES[field.name].format(outline=outlines[keeps.outline])
                found.append(f"{count:,} {loss}")
        return found


_LOSSES = {
    "outlines": "words: their outlines became the smallest {outline} around them",
    "cut": "words were cut off at the edge of the page",
    "rounded": "words: their corners were rounded to whole pixels",
    "texts": "words lost their texts",
    "ignore": "ignore regions became words that count",
    "groups": "pages lost their groups",
    "unlabelled": "pages without labels were left out",
}


class Writer(Protocol):
    """Writes pages that hold nothing but what the format keeps."""

    @property
    def suffix(self) -> str:
        """Of the file or files that it writes."""

    @property
    def is_folder(self) -> bool:
        """Whether it writes a folder."""

    def __call__(self, path: Path, pages: Iterable[Page]) -> None:
        """Write a file or folder that is not there yet, page by page; ``hmean.files`` moves it to its place."""


@dataclass(frozen=True)
class LabelFormat:
    """One label format. ``labels/formats.py`` has all of them in a table.

    Attributes:
        name: of the format in ``format=NAME``.
        title: in words, with an article: "a COCO file".
        layout: what the labels look like, one line for the reference page.
        recognises: whether what a glance shows is in this format.
        keeps: what it can hold.
        read: takes one of its files apart.
        open: for a format that is not read whole: opens a file or folder, with the folder of the images.
        write: writes it; None: hmean only reads it.
        in_shares: whether it writes coordinates as shares of the page.
        one_page_a_file: whether a folder of such files is one label set.
        suffix: of the files of such a folder, or several.
        companions: names of files that lie beside the labels and hold none.
        notes: how it is read and written where that is not plain, for the reference page.
    """

    name: str
    title: str
    layout: str
    recognises: Callable[[Peek], bool]
    keeps: Keeps
    read: Reader | None = None
    open: Callable[[Path, Path], LabelSet] | None = None
    write: Writer | None = None
    in_shares: bool = False
    one_page_a_file: bool = False
    suffix: str | tuple[str, ...] = ".json"
    companions: frozenset[str] = frozenset()
    notes: str = ""


# --- what a format can hold -------------------------------------------------------------------------------------------


def fitted(pages: Iterable[Page], keeps: Keeps, lost: Lost) -> Iterator[Page]:
    """The pages as a format can hold them; what it cannot is counted in ``lost``."""
    for page in pages:
        if not page.words_known and not keeps.unlabelled:
            lost.unlabelled += 1
            continue
        yield _fitted(page, keeps, lost)


def _fitted(page: Page, keeps: Keeps, lost: Lost) -> Page:
    group = page.group
    if group is not None and not keeps.groups:
        lost.groups += 1
        group = None
    ignored = page.ignored
    if keeps.ignore == "none":
        lost.ignore += int(ignored.sum())
        ignored = np.zeros_like(ignored)
    texts = []
    for text, is_ignored in zip(page.texts, ignored.tolist(), strict=True):
        kept = _fitted_text(text, keeps, is_ignored=is_ignored)
        lost.texts += bool(text) and text not in (IGNORED_TEXT, kept)
        texts.append(kept)
    polygons = []
    for polygon in page.polygons:
        outline = _fitted_outline(polygon, keeps.outline)
        lost.outlines += not _is_same_outline(outline, polygon)
        if keeps.on_page:
            inside = _inside(outline, page)
            lost.cut += not np.array_equal(inside, outline)
            outline = inside
        if keeps.whole_pixels:
            rounded = _rounded(outline, page)
            lost.rounded += not np.array_equal(rounded, outline)
            outline = rounded
        polygons.append(outline)
    return replace(page, polygons=Polygons.of(polygons), texts=tuple(texts), ignore=ignored, group=group)


def _fitted_text(text: str | None, keeps: Keeps, *, is_ignored: bool) -> str | None:
    if is_ignored and keeps.ignore == "text":
        return IGNORED_TEXT
    if not keeps.texts or not text or (text == IGNORED_TEXT and not is_ignored):
        return None
    if text != IGNORED_TEXT and not keeps.holds_text(text):
        return None
    return text


def _fitted_outline(polygon: Points, outline: Outline) -> Points:
    if outline == "box":
        return geometry.box_around(polygon)
    if outline == "quad" and len(polygon) != 4:
        return geometry.quad_around(polygon)
    return polygon


def _is_same_outline(a: Points, b: Points) -> bool:
    """Whether two outlines have the same corners; a box may begin at another one, or go round the other way."""
    if len(a) != len(b):
        return False
    return sorted(a.tolist()) == sorted(b.tolist())


def _inside(polygon: Points, page: Page) -> Points:
    """The polygon with all its corners on the page; the box around these if it would lose its area, or cross itself."""
    inside = geometry.clamp(polygon, page.width, page.height)
    if polygon_fault(inside, page.width, page.height) is None:
        return inside
    return geometry.box_around(inside)


def _rounded(polygon: Points, page: Page) -> Points:
    """The polygon with whole numbers; the whole pixels around it if it would lose its area, or cross itself."""
    rounded = np.round(polygon)
    if polygon_fault(rounded, page.width, page.height) is None:
        return rounded
    return geometry.box_around(np.concatenate([np.floor(polygon), np.ceil(polygon)]))
