"""Label files in, ``Page`` records out, one page at a time.

A label set holds an index (names and byte offsets), never the labels themselves. A page is parsed again each time it is
asked for, which is cheaper than reading its image.

To add a format: a class with ``names`` and ``page``, and a line in ``open_labels``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import shapely

from hmean.data.images import image_size
from hmean.errors import InputError
from hmean.files import write_with
from hmean.geometry import area
from hmean.types import Page, Points, Polygons

IGNORED_TEXTS = frozenset({"###", "*"})
_CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")
_Word = tuple[str, Points, str | None, bool]  # id, polygon, text, whether it is ignored


class Labels(Protocol):
    """Pages by position. ``groups`` are the keys that folds keep together (None where a page has none)."""

    @property
    def source(self) -> Path:
        """The file or folder read."""

    @property
    def names(self) -> Sequence[str]:
        """Image file name of each page."""

    @property
    def groups(self) -> Sequence[str | None]:
        """Group of each page."""

    def page(self, index: int, faults: list[str] | None = None) -> Page:
        """Read one page; wrong words are left out and told in ``faults``, or, without a list, raise InputError."""


def open_labels(path: Path, image_path: Path) -> Labels:
    """Open a label set: a UFO JSON file, or a folder of ICDAR 2013/2015 or SROIE txt files (one per image).

    Raises:
        InputError: if there is none, or it is not in one of these formats.
    """
    if path.is_file():
        return UfoLabels(path)
    if path.is_dir():
        return TextLabels(path, image_path)
    raise InputError(
        f"{path}: there are no labels here. Lay a data set out as <dataset_base_path>/images/... and "
        "<dataset_base_path>/jsons/{train,val,test}.json (docs/reference/data.md), or draw one to try: "
        "hmean data synth data"
    )


def images_of(path: Path) -> Path:
    """Where the images of a label set are, if nothing says so: in ``images/`` beside it, or beside it."""
    beside = path.parent / "images"
    return beside if beside.is_dir() else path.parent


class UfoLabels:
    """A UFO JSON file, read by byte offsets (see ``docs/reference/data.md`` for the format)."""

    def __init__(self, path: Path) -> None:
        self.source = path
        self.names: list[str] = []
        self.groups: list[str | None] = []
        spans: list[tuple[int, int]] = []
        for name, start, end, value in _ufo_entries(path):
            group = value.get("group") if isinstance(value, dict) else None
            self.names.append(name)
            self.groups.append(str(group) if group not in (None, "") else None)
            spans.append((start, end))
        self._spans = np.array(spans, dtype=np.int64).reshape(-1, 2)
        doubled = len(self.names) - len(set(self.names))
        if doubled:
            raise InputError(f"{path}: {doubled} images are listed twice; each may have one entry only")

    def page(self, index: int, faults: list[str] | None = None) -> Page:
        """See ``Labels.page``."""
        start, end = (int(v) for v in self._spans[index])
        with self.source.open("rb") as file, _told(self.source, faults) as found:
            file.seek(start)
            return parse_ufo_page(self.names[index], json.loads(file.read(end - start)), found)


class TextLabels:
    """A folder of txt files, ``gt_NAME.txt``, ``NAME.txt`` or ``res_NAME.txt`` for the image ``NAME.*``.

    A line is ``x1,y1,...,x4,y4,text`` (ICDAR 2015, SROIE) or ``left,top,right,bottom,text`` (ICDAR 2013), as most
    lines of the file are: a text may itself begin with numbers. It may hold commas; quotes around it are taken off.
    """

    def __init__(self, path: Path, image_path: Path) -> None:
        self.source = path
        self._image_path = image_path
        by_stem = {p.stem: p.name for p in sorted(image_path.iterdir())} if image_path.is_dir() else {}
        self._files: list[Path] = []
        self.names: list[str] = []
        missing = []
        for file in sorted(path.glob("*.txt")):
            stem = re.sub(r"^(gt|res)_", "", file.stem)
            name = by_stem.get(file.stem) or by_stem.get(stem)
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

    def page(self, index: int, faults: list[str] | None = None) -> Page:
        """See ``Labels.page``."""
        name, file = self.names[index], self._files[index]
        width, height = image_size(self._image_path / name)
        with _told(file, faults) as found:
            try:
                lines = file.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError as error:
                found.append(f"{file.name}: is not UTF-8 ({error})")
                lines = []
            return _parse_text_page(name, width, height, lines, found)


@contextmanager
def _told(source: Path, faults: list[str] | None) -> Iterator[list[str]]:
    """A list for the faults of a page: the caller's, or one that is raised at the end."""
    found: list[str] = [] if faults is None else faults
    yield found
    if faults is None and found:
        raise InputError.listing(f"{source}: wrong labels:", found)


def parse_ufo_page(name: str, value: Any, faults: list[str]) -> Page:
    """One entry of a UFO file's ``images``; wrong words are left out and told in ``faults``."""
    if not isinstance(value, dict):
        faults.append(f"{name}: the entry is not an object")
        return Page(name, 1, 1, Polygons.of([]), words_known=False)
    if value.get("img_w", 0) is value.get("img_h", 0) is None:
        faults.append(f"{name}: has no size, since it could not be read when this was predicted; leave it out")
        return Page(name, 1, 1, Polygons.of([]), words_known=False)
    size = []
    for key in ("img_w", "img_h"):
        side = value.get(key)
        if isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side < 1e6 or side != int(side):
            faults.append(f"{name}: {key} is {side!r}, not the image's size in whole pixels")
            side = 1e6  # the words are still checked
        size.append(int(side))
    words = value.get("words")
    if words is not None and not isinstance(words, dict):
        faults.append(f"{name}: words is not an object of word id -> word")
        words = {}
    kept: list[_Word] = []
    for key, word in (words or {}).items():
        where = f"{name}: word {key}"
        if not isinstance(word, dict):
            faults.append(f"{where}: is not an object")
            continue
        polygon = _check_points(where, word.get("points"), size[0], size[1], faults)
        text = word.get("transcription")
        if text is not None and not isinstance(text, str):
            faults.append(f"{where}: transcription is {text!r}, not a text")
            continue
        if polygon is not None:
            kept.append((key, polygon, text, bool(word.get("illegibility", False)) or text in IGNORED_TEXTS))
    group = value.get("group")
    return _make_page(name, size[0], size[1], kept, None if group is None else str(group), known=words is not None)


def _parse_text_page(name: str, width: int, height: int, lines: Sequence[str], faults: list[str]) -> Page:
    kept: list[_Word] = []
    numbered = [(number, line.strip().split(",")) for number, line in enumerate(lines, start=1) if line.strip()]
    leading = [_leading_numbers(fields) for _, fields in numbered]
    needed = 8 if 2 * sum(len(numbers) == 8 for numbers in leading) > len(leading) else 4
    for (number, fields), numbers in zip(numbered, leading, strict=True):
        where = f"{name}: line {number}"
        if len(numbers) < needed:
            form = "x1,y1,...,x4,y4,text" if needed == 8 else "left,top,right,bottom,text"
            faults.append(f"{where}: {','.join(fields)!r} is not {form}, as most lines of the file are")
            continue
        corners: Any = np.reshape(numbers[:8], (-1, 2))
        if needed == 4:
            left, top, right, bottom = numbers[:4]
            corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
        polygon = _check_points(where, corners, width, height, faults)
        text = ",".join(fields[needed:]).strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        if polygon is not None:
            kept.append((f"{number:04d}", polygon, text or None, text in IGNORED_TEXTS))
    return _make_page(name, width, height, kept, None, known=True)


def _leading_numbers(fields: Sequence[str]) -> list[float]:
    """The first fields that are numbers, at most 8."""
    numbers: list[float] = []
    for field in fields[:8]:
        try:
            numbers.append(float(field))
        except ValueError:
            break
    return numbers


def _make_page(name: str, width: int, height: int, words: list[_Word], group: str | None, *, known: bool) -> Page:
    ids, polygons, texts, ignore = zip(*words, strict=True) if words else ((), (), (), ())
    skip = np.array(ignore, dtype=np.bool_)
    return Page(name, width, height, Polygons.of(polygons), ids, texts, skip, group, words_known=known)


def _is_good_quad(points: Any, width: int, height: int) -> bool:
    """Whether these are the corners of a convex quad on the page, as of most words: quicker than the full check."""
    try:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
        turns = (
            (bx - ax) * (cy - by) - (by - ay) * (cx - bx),
            (cx - bx) * (dy - cy) - (cy - by) * (dx - cx),
            (dx - cx) * (ay - dy) - (dy - cy) * (ax - dx),
            (ax - dx) * (by - ay) - (ay - dy) * (bx - ax),
        )  # four turns to the same side go round once: convex, so nothing crosses
        convex = bool(min(turns) > 0 or max(turns) < 0) and all(math.isfinite(turn) for turn in turns)
        on_page = max(ax, bx, cx, dx) > 0 and max(ay, by, cy, dy) > 0
        return convex and on_page and min(ax, bx, cx, dx) < width and min(ay, by, cy, dy) < height
    except (TypeError, ValueError):
        return False


def _check_points(where: str, points: Any, width: int, height: int, faults: list[str]) -> Points | None:
    """The polygon (n, 2), or None and a line in ``faults``."""
    if _is_good_quad(points, width, height):
        return np.array(points, dtype=np.float64)
    try:
        polygon = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        polygon = np.zeros(0)
    if polygon.ndim != 2 or polygon.shape[1:] != (2,):
        faults.append(f"{where}: points is not a list of [x, y] pairs")
    elif len(polygon) < 3:
        faults.append(f"{where}: has {len(polygon)} points, a polygon needs 3 or more")
    elif not np.isfinite(polygon).all():
        faults.append(f"{where}: has a coordinate that is not a finite number")
    elif polygon.max(axis=0).min() <= 0 or polygon[:, 0].min() >= width or polygon[:, 1].min() >= height:
        faults.append(f"{where}: lies outside of the page ({width} x {height}): {polygon.round(1).tolist()}")
    elif area(polygon) <= 0:
        faults.append(f"{where}: has no area: {polygon.round(1).tolist()}")
    elif not shapely.LinearRing(polygon).is_simple:
        faults.append(f"{where}: its outline crosses itself (corners in a wrong order?): {polygon.round(1).tolist()}")
    else:
        return polygon
    return None


# --- writing --------------------------------------------------------------------------------------------------------


def write_ufo(path: Path, pages: Iterator[tuple[str, dict[str, Any]]]) -> None:
    """Write (name, UFO entry) pairs one after another, atomically; memory use does not grow with their number."""

    def write(file: Any) -> None:
        file.write(b'{"images": {')
        for i, (name, entry) in enumerate(pages):
            text = f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(entry, ensure_ascii=False, allow_nan=False)}"
            file.write((",\n" if i else "\n").encode() + text.encode())
        file.write(b"\n}}\n")

    write_with(path, write)


# --- reading a JSON file without holding it -------------------------------------------------------------------------


@dataclass
class _Window:
    """The part of a UTF-8 file under the reader: ``text[at:]`` is unread."""

    file: TextIO
    text: str = ""
    at: int = 0
    _counted: int = 0  # text[_counted] is byte _byte of the file
    _byte: int = 0

    def byte(self) -> int:
        """Where in the file ``text[at]`` stands."""
        self._byte += len(self.text[self._counted : self.at].encode())
        self._counted = self.at
        return self._byte

    def grow(self) -> bool:
        """Read on, as much again as is unread, so that a long value is not joined together piece by piece."""
        block = self.file.read(max(_CHUNK, len(self.text) - self.at))
        if block:
            self.byte()
            self.text, self.at, self._counted = self.text[self.at :] + block, 0, 0
        return bool(block)

    def peek(self) -> str:
        """The next character that is not white space; '' at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.grow():
                return ""

    def value(self) -> Any:
        """The JSON value that starts here; afterwards ``at`` is behind it."""
        self.peek()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.grow():
                    raise
                continue
            if end == len(self.text) and self.grow():  # a number may go on in the next block
                continue
            self.at = end
            return value


def _ufo_entries(path: Path) -> Iterator[tuple[str, int, int, Any]]:
    """(name, first byte, end byte, value) of each entry of ``images``."""
    with path.open(encoding="utf-8", newline="") as file:
        window, seen = _Window(file), False
        try:
            window.at += window.peek() == "\ufeff"
            for key in _members(window):
                if key != "images":
                    window.value()
                    continue
                seen = True
                if window.peek() != "{":
                    raise InputError(f'{path}: "images" is not an object of image name -> page')
                for name in _members(window):
                    window.peek()
                    begin = window.byte()
                    value = window.value()
                    yield name, begin, window.byte(), value
            if window.peek():
                raise InputError(f"{path}: something follows the end of the JSON object")
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: is not JSON (near byte {window.byte()}: {error})") from error
        if not seen:
            raise InputError(f'{path}: has no key "images"; a UFO file is {{"images": {{name: {{...}}}}}}')


def _members(window: _Window) -> Iterator[str]:
    """Keys of the object that starts here; the caller reads each one's value before asking for the next."""
    _expect(window, "{")
    more = window.peek() != "}"
    while more:
        if window.peek() != '"':
            raise json.JSONDecodeError("a key in quotes is expected", window.text, window.at)
        key = window.value()
        _expect(window, ":")
        yield key
        more = window.peek() == ","
        window.at += more
    _expect(window, "}")


def _expect(window: _Window, character: str) -> None:
    if window.peek() != character:
        raise json.JSONDecodeError(f"{character!r} is expected", window.text, window.at)
    window.at += 1
