"""A folder of text files, one an image, as of ICDAR 2013, ICDAR 2015 and SROIE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.images import SUFFIXES, image_size
from hmean.labels.label_set import LabelSet
from hmean.labels.words import IGNORED_TEXT, Word, are_convex_quads, check_polygon, make_page
from hmean.types import Page

_PREFIX = re.compile(r"^(gt|res)_")
_QUOTED = re.compile(r'\s*"(.*)"\s*')
_IMAGE_SUFFIXES = SUFFIXES | {".pdf"}
_QUAD_NUMBERS = 8
_BOX_NUMBERS = 4


class IcdarLabels(LabelSet):
    """The files ``gt_NAME.txt``, ``NAME.txt`` or ``res_NAME.txt`` for the image ``NAME.*``.

    A line is ``x1,y1,...,x4,y4,text`` (ICDAR 2015, SROIE) or ``left,top,right,bottom,text`` (ICDAR 2013, also with
    spaces for the commas). A text may be made of numbers, so all lines of a file are read as most of them are: a line
    speaks for quads if its first eight numbers go round a convex quad, or its first four are no box. A text is read as
    the official program of CLEval reads it: it may hold commas, spaces count, and quotes around it are removed.

    Raises:
        InputError: if there are no such files, or one has no image.
    """

    format_name = "a folder of ICDAR 2013/2015 or SROIE .txt files"

    def __init__(self, path: Path, image_path: Path) -> None:
        self.source = path
        self.names: list[str] = []
        self._image_path = image_path
        self._files: list[Path] = []
        names_by_stem = _image_names(image_path)
        missing = []
        for file in sorted(path.glob("*.txt")):
            stem = _PREFIX.sub("", file.stem)
            name = names_by_stem.get(file.stem) or names_by_stem.get(stem)
            if name is None:
                missing.append(f"{file.name}: no image {stem}.* in {image_path}")
                continue
            self._files.append(file)
            self.names.append(name)
        if missing:
            raise InputError.listing(f"{path}: labels without an image:", missing)
        if not self.names:
            raise InputError(f"{path}: holds no .txt label files")
        self.groups: list[str | None] = [None] * len(self.names)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any folder: it stands behind the other formats that are folders."""
        return path.is_dir()

    @classmethod
    def open(cls, path: Path, image_path: Path) -> Self:
        """See ``LabelSet.open``."""
        return cls(path, image_path)

    def file_of(self, index: int) -> Path:
        """See ``LabelSet.file_of``."""
        return self._files[index]

    def read_page(self, index: int, faults: list[str]) -> Page:
        """See ``LabelSet.read_page``."""
        name = self.names[index]
        file = self._files[index]
        width, height = image_size(self._image_path / name)
        try:
            text = file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            faults.append(f"{file.name}: is not UTF-8 ({error})")
            text = ""
        return make_page(name, width, height, _parse_words(name, text, width, height, faults))


def _image_names(folder: Path) -> dict[str, str]:
    """Names of the images of a folder by their stem; labels may lie beside them."""
    if not folder.is_dir():
        return {}
    return {file.stem: file.name for file in sorted(folder.iterdir()) if file.suffix.lower() in _IMAGE_SUFFIXES}


@dataclass(frozen=True)
class _Line:
    """A line that is not blank.

    Attributes:
        number: counted from 1.
        content: as it stands in the file.
        separator: of its fields; None for white space.
        numbers: the first fields, as far as they are numbers, at most 8.
    """

    number: int
    content: str
    separator: str | None
    numbers: list[float]

    def text(self, numbers: int) -> str:
        """What stands behind so many numbers."""
        fields = self.content.split(self.separator, numbers)
        if len(fields) <= numbers:
            return ""
        text = fields[numbers]
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            return text
        return quoted[1].replace("\\\\", "\\").replace('\\"', '"')


def _split_lines(text: str) -> list[_Line]:
    lines = []
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        separator: str | None = ","
        numbers = _leading_numbers(content, separator)
        if not numbers:
            separator = None
            numbers = _leading_numbers(content, separator)
        lines.append(_Line(number, content, separator, numbers))
    return lines


def _leading_numbers(content: str, separator: str | None) -> list[float]:
    numbers: list[float] = []
    for field in content.split(separator, _QUAD_NUMBERS)[:_QUAD_NUMBERS]:
        try:
            numbers.append(float(field))
        except ValueError:
            break
    return numbers


def _parse_words(name: str, text: str, width: int, height: int, faults: list[str]) -> list[Word]:
    lines = _split_lines(text)
    are_quads = 2 * _count_quads(lines, width, height) > len(lines)
    read = []
    for line in lines:
        if are_quads:
            fault = _quad_fault(line)
        else:
            fault = _box_fault(line)
        if fault is None:
            read.append(line)
        else:
            faults.append(f"{name}: line {line.number}: {line.content.strip()!r} {fault}")
    numbers = _BOX_NUMBERS
    if are_quads:
        numbers = _QUAD_NUMBERS
    corners = _corners(read, are_quads=are_quads)
    sound = are_convex_quads(corners, width, height)
    words = []
    for k, line in enumerate(read):
        where = f"{name}: line {line.number}"
        if not sound[k] and check_polygon(where, corners[k], width, height, faults) is None:
            continue
        text = line.text(numbers)
        if text.strip() == IGNORED_TEXT != text:
            faults.append(f"{where}: the text is {text!r}; remove the spaces, as only {IGNORED_TEXT!r} is ignored")
            continue
        words.append(Word(f"{line.number:04d}", corners[k], text or None, text == IGNORED_TEXT))
    return words


def _count_quads(lines: Sequence[_Line], width: int, height: int) -> int:
    """How many lines look like those of a file of quads, and not of boxes."""
    corners = _corners([line for line in lines if len(line.numbers) == _QUAD_NUMBERS], are_quads=True)
    are_boxes = (corners[:, 0] < corners[:, 1]).all(axis=1)
    return int((are_convex_quads(corners, width, height) | ~are_boxes).sum())


def _quad_fault(line: _Line) -> str | None:
    if len(line.numbers) < _QUAD_NUMBERS:
        return "is not x1,y1,...,x4,y4,text, as most lines of the file are"
    return None


def _box_fault(line: _Line) -> str | None:
    if len(line.numbers) < _BOX_NUMBERS:
        return "is not left,top,right,bottom,text, as most lines of the file are"
    left, top, right, bottom = line.numbers[:_BOX_NUMBERS]
    if right < left or bottom < top:
        return "is not left,top,right,bottom,text: right is less than left, or bottom less than top"
    return None


def _corners(lines: Sequence[_Line], *, are_quads: bool) -> NDArray[np.float64]:
    """The corners of the words of lines (K, 4, 2)."""
    if are_quads:
        return np.array([line.numbers for line in lines], dtype=np.float64).reshape(-1, 4, 2)
    boxes = np.array([line.numbers[:_BOX_NUMBERS] for line in lines], dtype=np.float64).reshape(-1, _BOX_NUMBERS)
    return boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
