"""CORD: a JSON file for each receipt, with lines of words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord
from hmean.labels.words import IGNORED_TEXT, shown
from hmean.labels.writers import FileForEachPage
from hmean.types import Page, Points

_CORNERS = ("1", "2", "3", "4")


class _Word(msgspec.Struct):
    quad: Any
    text: Any = None


class _Line(msgspec.Struct):
    words: list[_Word]


class _Size(msgspec.Struct):
    width: Any = None
    height: Any = None


class _Meta(msgspec.Struct):
    image_size: _Size = msgspec.field(default_factory=_Size)


class _CordFile(msgspec.Struct):
    valid_line: list[_Line]
    meta: _Meta = msgspec.field(default_factory=_Meta)
    dontcare: list[Any] = msgspec.field(default_factory=list)


def _recognises(peek: Peek) -> bool:
    return "valid_line" in peek.keys


def _read(file: LabelFile) -> Iterator[RawPage]:
    content = file.json(_CordFile)
    words = []
    for line in content.valid_line:
        for word in line.words:
            words.append(_parse_word(word.quad, word.text, ignore=False))
    for quad in content.dontcare:
        if isinstance(quad, list) and len(quad) == 1:
            quad = quad[0]
        words.append(_parse_word(quad, IGNORED_TEXT, ignore=True))
    size = content.meta.image_size
    yield RawPage(file.own_image(), words, size.width, size.height)


def _parse_word(quad: Any, text: Any, *, ignore: bool) -> RawWord:
    if not isinstance(quad, dict):
        return RawWord(None, fault=f'quad is {shown(quad)}, not {{"x1", "y1", ..., "x4", "y4"}}')
    points = [[quad.get(f"x{corner}"), quad.get(f"y{corner}")] for corner in _CORNERS]
    return RawWord(points, text, ignore)


def _render(page: Page) -> bytes:
    lines: list[dict[str, Any]] = []
    dontcare: list[list[dict[str, float]]] = []
    for polygon, text, ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
        quad = _quad(polygon)
        if ignored:
            dontcare.append([quad])
            continue
        number = len(lines)
        word = {"quad": quad, "is_key": 0, "row_id": number, "text": text or ""}
        lines.append({"words": [word], "category": "", "group_id": number})
    content = {
        "valid_line": lines,
        "meta": {"image_size": {"width": page.width, "height": page.height}},
        "roi": {},
        "repeating_symbol": [],
        "dontcare": dontcare,
    }
    return msgspec.json.encode(content)


def _quad(polygon: Points) -> dict[str, float]:
    quad = {}
    for corner, (x, y) in zip(_CORNERS, polygon.tolist(), strict=True):
        quad[f"x{corner}"] = x
        quad[f"y{corner}"] = y
    return quad


FORMAT = LabelFormat(
    name="cord",
    title="a CORD file",
    layout="a JSON file for each image, with `valid_line`, `words` and `quad`; `dontcare` are ignore regions",
    recognises=_recognises,
    keeps=Keeps(outline="quad", ignore="text"),
    read=_read,
    write=FileForEachPage(".json", _render),
    one_page_a_file=True,
    notes=("The image has the name of the file. Ignore regions are written as `dontcare`."),
)
