"""YOLO: a folder of text files with numbers that are shares of the page, one file an image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord
from hmean.labels.words import shown
from hmean.labels.writers import FileForEachPage
from hmean.types import Page

_BOX_NUMBERS = 4  # behind the class: x and y of the centre, width, height
_QUAD_NUMBERS = 8
_FARTHEST = 1.5  # share of the page; labels may stick out of it
_COMPANIONS = frozenset({"classes.txt", "notes.json"})


def is_yolo_line(line: str) -> bool:
    """Whether a line is a class and the four, six or more numbers of a word, with a confidence behind it or not."""
    fields = line.split()
    if len(fields) < 1 + _BOX_NUMBERS or not fields[0].isdecimal():
        return False
    values = _floats(fields[1:])
    return values is not None and max(map(abs, values)) <= _FARTHEST


def _floats(fields: list[str]) -> list[float] | None:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _recognises(peek: Peek) -> bool:
    """A folder of .txt files all of whose lines, as far as a glance shows them, are of YOLO."""
    if not peek.is_folder:
        return False
    samples = [sample for sample in peek.samples(".txt") if sample.path.name not in _COMPANIONS]
    return bool(samples) and all(is_yolo_line(sample.lines[0]) for sample in samples)


def _read(file: LabelFile) -> Iterator[RawPage]:
    if file.path.name in _COMPANIONS:
        return
    words = [_parse_line(number, line) for number, line in file.lines()]
    yield RawPage(file.own_image(), words, unit="page")


def _parse_line(number: int, line: str) -> RawWord:
    values = _floats(line.split()[1:])
    if values is not None and len(values) in (_BOX_NUMBERS, _BOX_NUMBERS + 1):
        return RawWord(_box(values), id=f"{number:04d}")
    if values is not None and len(values) > _BOX_NUMBERS + 1:
        values = values[: len(values) // 2 * 2]  # an odd one is the confidence
        return RawWord([values[i : i + 2] for i in range(0, len(values), 2)], id=f"{number:04d}")
    fault = f"line {number} is {shown(line.strip())}, not a class and the numbers of a box or outline"
    return RawWord(None, fault=fault, id=f"{number:04d}")


def _box(values: list[float]) -> Any:
    x, y, width, height = values[:_BOX_NUMBERS]
    left = x - width / 2
    top = y - height / 2
    right = x + width / 2
    bottom = y + height / 2
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def _render_quads(page: Page) -> bytes:
    lines = []
    for polygon in page.polygons:
        shares = (polygon / (page.width, page.height)).flatten().tolist()
        lines.append(" ".join(["0", *map(repr, shares)]) + "\n")
    return "".join(lines).encode()


def _render_boxes(page: Page) -> bytes:
    lines = []
    for polygon in page.polygons:
        shares = polygon / (page.width, page.height)
        least = shares.min(axis=0)
        most = shares.max(axis=0)
        numbers = np.concatenate([(least + most) / 2, most - least]).tolist()
        lines.append(" ".join(["0", *map(repr, numbers)]) + "\n")
    return "".join(lines).encode()


FORMAT = LabelFormat(
    name="yolo-obb",
    title="a folder of YOLO .txt files",
    layout="a `.txt` file for each image, with lines `class x1 y1 ... x4 y4`; coordinates are shares of the page",
    recognises=_recognises,
    keeps=Keeps(outline="quad", texts=False, ignore="none"),
    read=_read,
    write=FileForEachPage(".txt", _render_quads),
    in_shares=True,
    one_page_a_file=True,
    suffix=".txt",
    companions=_COMPANIONS,
    notes=(
        "The image has the name of the file, and its size. Boxes, polygons and a confidence behind the "
        "numbers are read as well. Every class is text; written is the class 0. `classes.txt` is not read."
    ),
)

BOX_FORMAT = LabelFormat(
    name="yolo",
    title="a folder of YOLO .txt files with boxes",
    layout="a `.txt` file for each image, with lines `class x y width height`, of the box's centre; shares of the page",
    recognises=lambda _peek: False,  # ``FORMAT`` reads them, too
    keeps=Keeps(outline="box", texts=False, ignore="none"),
    read=_read,
    write=FileForEachPage(".txt", _render_boxes),
    in_shares=True,
    one_page_a_file=True,
    suffix=".txt",
    companions=_COMPANIONS,
    notes=("Read as `yolo-obb`."),
)
