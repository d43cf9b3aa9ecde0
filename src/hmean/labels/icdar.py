"""A folder of text files, one an image, as of ICDAR 2013, ICDAR 2015 and SROIE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from hmean.errors import InputError
from hmean.images import image_size
from hmean.labels.label_set import LabelSet
from hmean.labels.words import IGNORED_TEXTS, Word, check_polygon, make_page
from hmean.types import Page, Points

_PREFIX = re.compile(r"^(gt|res)_")
_QUAD_NUMBERS = 8
_BOX_NUMBERS = 4


class IcdarLabels(LabelSet):
    """The files ``gt_NAME.txt``, ``NAME.txt`` or ``res_NAME.txt`` for the image ``NAME.*``.

    A line is ``x1,y1,...,x4,y4,text`` (ICDAR 2015, SROIE) or ``left,top,right,bottom,text`` (ICDAR 2013). A text may
    itself begin with numbers, so all lines of a file are read as most of them are. It may hold commas, and quotes
    around it are removed.

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
        lines = _split_lines(text)
        are_quads = _are_quads(lines)
        words = []
        for line in lines:
            word = _parse_word(name, line, are_quads=are_quads, width=width, height=height, faults=faults)
            if word is not None:
                words.append(word)
        return make_page(name, width, height, words)


def _image_names(folder: Path) -> dict[str, str]:
    """File names of a folder by their stem."""
    if not folder.is_dir():
        return {}
    return {file.stem: file.name for file in sorted(folder.iterdir())}


@dataclass(frozen=True)
class _Line:
    """A line that is not blank.

    Attributes:
        number: counted from 1.
        fields: what stands between its commas.
        numbers: the first fields, as far as they are numbers, at most 8.
    """

    number: int
    fields: list[str]
    numbers: list[float]


def _split_lines(text: str) -> list[_Line]:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            fields = line.strip().split(",")
            lines.append(_Line(number, fields, _leading_numbers(fields)))
    return lines


def _leading_numbers(fields: Sequence[str]) -> list[float]:
    numbers: list[float] = []
    for field in fields[:_QUAD_NUMBERS]:
        try:
            numbers.append(float(field))
        except ValueError:
            break
    return numbers


def _are_quads(lines: Sequence[_Line]) -> bool:
    """Whether most lines begin with the eight coordinates of a quad, and not with the four of a box."""
    quads = sum(len(line.numbers) == _QUAD_NUMBERS for line in lines)
    return 2 * quads > len(lines)


def _parse_word(
    name: str,
    line: _Line,
    *,
    are_quads: bool,
    width: int,
    height: int,
    faults: list[str],
) -> Word | None:
    where = f"{name}: line {line.number}"
    if are_quads:
        needed = _QUAD_NUMBERS
        layout = "x1,y1,...,x4,y4,text"
    else:
        needed = _BOX_NUMBERS
        layout = "left,top,right,bottom,text"
    if len(line.numbers) < needed:
        faults.append(f"{where}: {','.join(line.fields)!r} is not {layout}, as most lines of the file are")
        return None
    if are_quads:
        corners = np.array(line.numbers, dtype=np.float64).reshape(4, 2)
    else:
        corners = _box_corners(*line.numbers[:_BOX_NUMBERS])
    polygon = check_polygon(where, corners, width, height, faults)
    if polygon is None:
        return None
    text = _without_quotes(",".join(line.fields[needed:]).strip())
    return Word(f"{line.number:04d}", polygon, text or None, text in IGNORED_TEXTS)


def _box_corners(left: float, top: float, right: float, bottom: float) -> Points:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def _without_quotes(text: str) -> str:
    if len(text) > 1 and text[0] == '"' and text[-1] == '"':
        return text[1:-1]
    return text
