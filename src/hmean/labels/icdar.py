"""A folder of text files, one an image, as of ICDAR 2013, ICDAR 2015 and SROIE."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.labels.decode import decode_text, read_bytes
from hmean.labels.image_names import ImageNames
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.label_set import LabelSet
from hmean.labels.peek import Peek
from hmean.labels.words import IGNORED_TEXT, Word, are_convex_quads, check_polygon, make_page, shown
from hmean.labels.writers import FileForEachPage
from hmean.labels.yolo import is_yolo_line
from hmean.types import Page, Points

_PREFIX = re.compile(r"^(gt|res)_")
_QUOTED = re.compile(r'\s*"(.*)"\s*')
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

    def __init__(self, path: Path, image_path: Path) -> None:
        self.source = path
        self.names: list[str] = []
        self._images = ImageNames(image_path, path)
        self._files: list[Path] = []
        missing = []
        for file in Peek.of(path).files(".txt"):
            stem = file.relative_to(path).with_suffix("")
            bare = stem.with_name(_PREFIX.sub("", stem.name))
            name = self._images.of_stem(stem.as_posix()) or self._images.of_stem(bare.as_posix())
            if name is None:
                missing.append(f"{file.name}: no image {bare}.* in {image_path}")
                continue
            self._files.append(file)
            self.names.append(name)
        if missing:
            raise InputError.listing(f"{path}: labels without an image:", missing)
        if not self.names:
            raise InputError(f"{path}: holds no .txt label files")
        self.groups: list[str | None] = [None] * len(self.names)

    def file_of(self, index: int) -> Path:
        """See ``LabelSet.file_of``."""
        return self._files[index]

    def read_page(self, index: int, faults: list[str]) -> Page:
        """See ``LabelSet.read_page``."""
        name = self.names[index]
        file = self._files[index]
        width, height = self._images.size(name)
        try:
            text = decode_text(read_bytes(file), file.name)
        except InputError as error:
            faults.append(str(error))
            text = ""
        return make_page(name, width, height, _parse_words(name, text, width, height, faults))


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
            faults.append(f"{name}: line {line.number}: {shown(line.content.strip())} {fault}")
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
            faults.append(f"{where}: the text is {shown(text)}; remove the spaces, as only {IGNORED_TEXT!r} is ignored")
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


# --- format -----------------------------------------------------------------------------------------------------------


def _recognises(peek: Peek) -> bool:
    """A folder of .txt files whose lines begin with numbers, but not with those of YOLO."""
    if not peek.is_folder or not peek.files(".txt"):
        return False
    samples = peek.samples(".txt")
    return not samples or any(_is_icdar_line(sample.lines[0]) for sample in samples)


def _is_icdar_line(content: str) -> bool:
    lines = _split_lines(content)
    return bool(lines[0].numbers) and not is_yolo_line(content)


def _open(path: Path, image_path: Path) -> LabelSet:
    return IcdarLabels(path, image_path)


def _holds_text(text: str) -> bool:
    """A line ends the word, and ``###`` with spaces around it is refused."""
    return not ("\n" in text or "\r" in text or text.strip() == IGNORED_TEXT)


def _render(page: Page) -> bytes:
    lines = []
    for polygon, text in zip(page.polygons, page.texts, strict=True):
        corners = _clear_start(polygon).flatten().tolist()
        fields = [f"{value:.0f}" for value in corners]
        fields.append(_quoted(text or ""))
        lines.append(",".join(fields) + "\n")
    return "".join(lines).encode()


def _clear_start(quad: Points) -> Points:
    """The corners from one on from which they cannot be taken for a box and a text of numbers."""
    for start in range(len(quad)):
        turned = np.roll(quad, -start, axis=0)
        if not (turned[0] < turned[1]).all():
            return turned
    return quad


def _quoted(text: str) -> str:
    """A text as ``_Line.text`` reads it again."""
    if '"' not in text and "\\" not in text and text == text.strip():
        return text
    escaped = text.replace('"', '\\"').replace("\\", "\\\\")
    return f'"{escaped}"'


FORMAT = LabelFormat(
    name="icdar",
    title="a folder of ICDAR 2013/2015 or SROIE .txt files",
    layout="a `.txt` file for each image, with lines `x1,y1,...,x4,y4,text` or `left,top,right,bottom,text`",
    recognises=_recognises,
    keeps=Keeps(outline="quad", ignore="text", whole_pixels=True, holds_text=_holds_text),
    open=_open,
    write=FileForEachPage(".txt", _render),
    notes=(
        "[Data](data.md) describes it. Written are ICDAR 2015 lines in whole pixels; texts that could be "
        "misread are put in quotes."
    ),
)
