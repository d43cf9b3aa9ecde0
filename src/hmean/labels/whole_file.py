"""Label files that are read whole when they are opened, one or many; their pages are kept in little memory.

A format of this kind is one function from a ``LabelFile`` to ``RawPage`` records. Words are checked when their page is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np

from hmean.errors import InputError
from hmean.labels.decode import decode_json, decode_text, read_bytes
from hmean.labels.image_names import ImageNames
from hmean.labels.label_set import LabelSet
from hmean.labels.words import (
    IGNORED_TEXT,
    LONGEST_SIDE,
    Word,
    are_sound,
    check_polygon,
    check_side,
    make_page,
    shown,
)
from hmean.types import Page, Polygons

T = TypeVar("T")

TEXT_KEYS = ("transcription", "text", "caption", "utf8_string", "word", "value")
IGNORE_KEYS = ("ignore", "illegible", "illegibility", "difficult", "dontcare", "unreadable")
_LARGEST = 1e15  # of a coordinate that is computed with

_LONGEST_NAME = 4096  # characters; no file system has longer paths

# Of a coordinate: pixels, or a share of the page's width or height.
Unit = Literal["pixel", "page"]


class RawWord(msgspec.Struct, array_like=True):
    """A word as it stands in the file; nothing of it is checked yet.

    Attributes:
        points: corners [x, y] around the word, in the unit of its page.
        text: its text; None or empty: not known.
        ignore: whether it is an ignore region; a word with the text ``###`` is one, too.
        id: its name in messages and UFO files; empty: its number on the page, such as 0001.
        fault: what is wrong with it, a part of a sentence; empty: nothing that is known yet.
    """

    points: Any
    text: Any = None
    ignore: bool = False
    id: str = ""
    fault: str = ""


class RawPage(msgspec.Struct, array_like=True):
    """A page as it stands in the file.

    Attributes:
        name: of the image, as ``ImageNames.name_of`` gives it.
        words: those of the page; None: it has no labels.
        width: of the upright image in pixels, whatever the file has in its place; None: the image's header says.
        height: likewise.
        group: its group, as the file has it; None or empty: it has none.
        unit: of its words' points.
    """

    name: str
    words: list[RawWord] | None
    width: Any = None
    height: Any = None
    group: Any = None
    unit: Unit = "pixel"


@dataclass(frozen=True)
class LabelFile:
    """A label file that is being read.

    Attributes:
        path: of the file.
        images: names of the images that it may speak of.
        title: the format in words, such as "a COCO file", for messages.
        key: the file's own path in the folder that was opened, without its suffix, such as ``a`` or ``shop/a``; of a
            file that was opened itself: its stem.
        remarks: sentences that a user should know, such as what was taken for granted.
    """

    path: Path
    images: ImageNames
    title: str
    key: str
    remarks: list[str] = field(default_factory=list)

    def content(self) -> bytes:
        """The bytes of the file."""
        return read_bytes(self.path)

    def text(self) -> str:
        """The whole file as text.

        Raises:
            InputError: if it is no text.
        """
        return decode_text(self.content(), self.path)

    def json(self, kind: type[T]) -> T:
        """The file as one JSON value of a type that msgspec knows.

        Raises:
            InputError: if it is no JSON, or not of this type.
        """
        return decode_json(self.content(), self.path, kind, self.title)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number, counted from 1, and content of each line that is not blank."""
        for number, line in enumerate(self.text().split("\n"), start=1):
            if line.strip():
                yield number, line

    def own_image(self) -> str:
        """The image that is named like the file.

        Raises:
            InputError: if there is none.
        """
        name = self.images.of_stem(self.key) or self.images.of_stem(Path(self.key).name)
        if name is None:
            raise InputError(f"{self.path}: no image {self.key}.* in {self.images.folder}")
        return name

    def image(self, written: str) -> str:
        """The name of an image whose path is written in the file, from the file's own folder or another place."""
        nearby = Path(self.key).parent / written
        if self.images.exists(nearby.as_posix()):
            return nearby.as_posix()
        return self.images.name_of(written)

    def fault(self, message: str) -> InputError:
        """The error of a file that looks like its format but for a fault, such as "image 17 has no file_name"."""
        return InputError(f"{self.path}: looks like {self.title}, but {message}")


Reader = Callable[[LabelFile], Iterable[RawPage]]


class WholeFileLabels(LabelSet):
    """Pages of files that were read whole.

    Args:
        source: the file, or the folder that the files are in.
        files: the files.
        images: names of the images.
        read: takes a file apart.
        title: the format in words, for messages.

    Raises:
        InputError: if a file cannot be read, or an image is listed twice; of several files every fault is listed.
    """

    def __init__(self, source: Path, files: Sequence[Path], images: ImageNames, read: Reader, title: str) -> None:
        self.source = source
        self.names: list[str] = []
        self.groups: list[str | None] = []
        self.remarks: list[str] = []
        self._images = images
        self._files: list[Path] = []
        self._file_of: list[int] = []
        pages: list[bytes] = []
        faults: list[str] = []
        for file in files:
            try:
                for page in read(LabelFile(file, images, title, key_of(source, file), self.remarks)):
                    _check_name(file, page.name)
                    self.names.append(page.name)
                    self.groups.append(_group_name(page.group))
                    self._file_of.append(len(self._files))
                    pages.append(_encode(page))
            except InputError as error:
                faults += error.faults
            self._files.append(file)
        if len(faults) == 1:
            raise InputError(faults[0])
        if faults:
            raise InputError.listing(f"{source}: {len(faults)} of its files have faults:", faults)
        self._starts = np.cumsum([0, *map(len, pages)], dtype=np.int64)
        self._pages = b"".join(pages)
        require_single(source, self.names)

    def file_of(self, index: int) -> Path:
        """See ``LabelSet.file_of``."""
        return self._files[self._file_of[index]]

    def read_page(self, index: int, faults: list[str]) -> Page:
        """See ``LabelSet.read_page``."""
        start, end = self._starts[index : index + 2].tolist()
        content = self._pages[start:end]
        page = _sound_page(content, self.groups[index])
        if page is not None:
            return page
        raw = _DECODER.decode(content)
        if raw.width is None or raw.height is None:
            try:
                raw.width, raw.height = self._images.size(raw.name)
            except InputError as error:
                faults.append(str(error))
                return make_page(raw.name, 1, 1, [], group=self.groups[index], words_known=False)
        return _check_page(raw, self.groups[index], faults)


class _SoundWord(msgspec.Struct, array_like=True):
    """A ``RawWord`` in which nothing is wrong but, perhaps, its outline."""

    points: Annotated[list[tuple[float, float]], msgspec.Meta(min_length=3)]
    text: str | None
    ignore: bool
    id: str
    fault: Annotated[str, msgspec.Meta(max_length=0)]


class _SoundPage(msgspec.Struct, array_like=True):
    """A ``RawPage`` in which nothing is wrong but, perhaps, its size and outlines."""

    name: str
    words: list[_SoundWord] | None
    width: int
    height: int
    group: Any
    unit: Unit


_DECODER = msgspec.msgpack.Decoder(RawPage)
_SOUND_DECODER = msgspec.msgpack.Decoder(_SoundPage)


def _sound_page(content: bytes, group: str | None) -> Page | None:
    """A page without a fault, read in a fraction of the time of ``_check_page``; None if it may have one.

    All points of the page are one array, and its polygons are checked together.
    """
    try:
        raw = _SOUND_DECODER.decode(content)
        polygons = Polygons.joined([word.points for word in raw.words or ()])
    except ValueError:  # of msgspec, or of a coordinate that is not finite
        return None
    if not (1 <= raw.width < LONGEST_SIDE and 1 <= raw.height < LONGEST_SIDE):
        return None
    words = raw.words or []
    if raw.unit == "page":
        with np.errstate(over="ignore"):
            points = polygons.points * (raw.width, raw.height)
        if not np.isfinite(points).all():
            return None
        polygons = polygons.with_points(points)
    if not are_sound(polygons, raw.width, raw.height):
        return None
    return Page(
        raw.name,
        raw.width,
        raw.height,
        polygons,
        tuple(word.id or f"{number:04d}" for number, word in enumerate(words, start=1)),
        tuple(word.text or None for word in words),
        np.array([word.ignore or word.text == IGNORED_TEXT for word in words], dtype=np.bool_),
        group,
        words_known=raw.words is not None,
    )


def key_of(source: Path, file: Path) -> str:
    """``LabelFile.key`` of a file that was opened itself, or in a folder."""
    if file == source:
        return file.stem
    return file.relative_to(source).with_suffix("").as_posix()


def _check_name(file: Path, name: str) -> None:
    if not name:
        raise InputError(f"{file}: names an image with an empty text")
    if len(name) > _LONGEST_NAME:
        raise InputError(f"{file}: names an image with {len(name):,} characters: {shown(name)}")


def _encode(page: RawPage) -> bytes:
    try:
        return msgspec.msgpack.encode(page)
    except OverflowError:  # a whole number of more than 64 bits
        values = _with_small_numbers(msgspec.to_builtins(page))
        return msgspec.msgpack.encode(values)


def _with_small_numbers(value: Any) -> Any:
    """The same value with infinity for whole numbers of more than 64 bits."""
    if isinstance(value, list | tuple):
        return [_with_small_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_small_numbers(item) for key, item in value.items()}
    if isinstance(value, int) and value.bit_length() > 63:
        return float("inf")
    return value


def _group_name(group: Any) -> str | None:
    if group is None or group == "":
        return None
    if isinstance(group, str):
        return group
    return shown(group)


def require_single(source: Path, names: Sequence[str]) -> None:
    """Refuse labels that list an image twice.

    Raises:
        InputError: naming the file and an image.
    """
    if len(set(names)) == len(names):
        return
    ordered = sorted(names)
    doubled = [a for a, b in pairwise(ordered) if a == b]
    raise InputError(
        f"{source}: {len(doubled)} images are listed twice, first {doubled[0]}; each may have one entry only"
    )


def _check_page(raw: RawPage, group: str | None, faults: list[str]) -> Page:
    width = check_side(raw.name, "width", raw.width, faults)
    height = check_side(raw.name, "height", raw.height, faults)
    words: list[Word] = []
    for number, raw_word in enumerate(raw.words or (), start=1):
        word = _check_word(raw, raw_word, number, (width, height), faults)
        if word is not None:
            words.append(word)
    return make_page(raw.name, width, height, words, group=group, words_known=raw.words is not None)


def _check_word(
    page: RawPage,
    word: RawWord,
    number: int,
    size: tuple[int, int],
    faults: list[str],
) -> Word | None:
    name = word.id or f"{number:04d}"
    where = f"{page.name}: word {name}"
    if word.fault:
        faults.append(f"{where}: {word.fault}")
        return None
    points = word.points
    if page.unit == "page":
        points = _to_pixels(points, size)
    polygon = check_polygon(where, points, *size, faults)
    if word.text is not None and not isinstance(word.text, str):
        faults.append(f"{where}: its text is {shown(word.text)}, not a text")
        return None
    if polygon is None:
        return None
    text = word.text or None
    return Word(name, polygon, text, word.ignore or text == IGNORED_TEXT)


def _to_pixels(points: Any, size: tuple[int, int]) -> Any:
    """Points as shares of the page in pixels; whatever is no such points stays as it is."""
    try:
        shares = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return points
    if shares.ndim != 2 or shares.shape[1] != 2:
        return points
    with np.errstate(over="ignore", invalid="ignore"):  # the check of the polygon refuses such points
        return shares * size


def numbers(value: Any, count: int) -> list[float] | None:
    """A list of so many finite numbers; None if the value is something else."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    found: list[float] = []
    for item in value:
        if not isinstance(item, int | float) or isinstance(item, bool):
            return None
        if not -_LARGEST < item < _LARGEST:
            return None
        found.append(item)
    return found


def box_word(value: Any, key: str, text: Any = None, *, ignore: bool = False) -> RawWord:
    """A word whose place is [left, top, right, bottom]; ``key`` is its name in the file, for the message."""
    found = numbers(value, 4)
    if found is None:
        return RawWord(None, fault=f"{key} is {shown(value)}, not [left, top, right, bottom]")
    left, top, right, bottom = found
    return RawWord([[left, top], [right, top], [right, bottom], [left, bottom]], text, ignore)


def is_true(value: Any) -> bool:
    """Whether the value of a flag stands for yes, in whatever way a tool writes it."""
    if isinstance(value, str):
        return value.strip().lower() in ("true", "yes", "1")
    return value is True or value == 1


def first_text(values: Any, keys: Iterable[str]) -> Any:
    """What an object has at the first of these keys that it has at all; None if it has none of them."""
    if not isinstance(values, dict):
        return None
    for key in keys:
        if values.get(key) not in (None, ""):
            return values[key]
    return None


def is_ignored(flags: Any) -> bool:
    """Whether an object of flags marks an ignore region, under any of the usual names."""
    if not isinstance(flags, dict):
        return False
    return any(is_true(flags.get(key)) for key in IGNORE_KEYS)


def pairs(value: Any) -> Any:
    """[x, y, x, y, ...] as [[x, y], ...]; whatever is no such list stays as it is, for ``check_polygon`` to refuse."""
    if not isinstance(value, list | tuple) or len(value) % 2:
        return value
    return [[value[i], value[i + 1]] for i in range(0, len(value), 2)]
