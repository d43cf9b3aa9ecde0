"""UFO JSON: one file for all pages (``docs/reference/data.md`` shows it)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import numpy as np

from hmean.errors import InputError
from hmean.files import write_with
from hmean.labels.decode import decode_json, read_bytes, to_utf8
from hmean.labels.entries import Entries
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.label_set import LabelSet
from hmean.labels.peek import Peek
from hmean.labels.words import IGNORED_TEXT, LONGEST_SIDE, Word, are_sound, check_polygon, check_side, make_page
from hmean.labels.writers import OneFile
from hmean.types import Page, Polygons

_TITLE = "a UFO file"


class UfoLabels(LabelSet):
    """A UFO file.

    Only names, groups and the place of each page in the file are held in memory, so that a hundred thousand pages take
    little of it in every loader process.

    Raises:
        InputError: if the file is not in this format, or lists an image twice.
    """

    def __init__(self, path: Path) -> None:
        self.source = path
        try:
            self._entries = Entries.of(path)
            self.groups: list[str | None] = [_read_group(entry) for entry in self._entries]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _file_fault(path) from None
        self.names: list[str] = self._entries.names
        self._entries.require_single()

    def read_page(self, index: int, faults: list[str]) -> Page:
        """See ``LabelSet.read_page``."""
        name = self.names[index]
        content = self._entries.read(index)
        page = _sound_page(name, content)
        if page is not None:
            return page
        try:
            entry = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            faults.append(f"{name}: its entry cannot be read ({error})")
            return make_page(name, 1, 1, [], words_known=False)
        return parse_page(name, entry, faults)


class _UfoFile(msgspec.Struct):
    images: dict[str, msgspec.Raw]


class _Group(msgspec.Struct):
    """The one key of an entry that is read when the file is opened."""

    group: Any = None


class _UfoWord(msgspec.Struct):
    points: Annotated[list[tuple[float, float]], msgspec.Meta(min_length=3)]
    transcription: str | None = None
    illegibility: Any = False


class _UfoEntry(msgspec.Struct):
    img_w: int
    img_h: int
    group: Any = None
    words: dict[str, _UfoWord] | None = None


_GROUP_DECODER = msgspec.json.Decoder(_Group)
_ENTRY_DECODER = msgspec.json.Decoder(_UfoEntry)


def _file_fault(path: Path) -> InputError:
    """Why a file cannot be opened; it is decoded whole, so that the message tells the place in it."""
    content = read_bytes(path)
    try:
        if not content.startswith(codecs.BOM_UTF8):
            to_utf8(content).decode()
            if to_utf8(content) != content:
                return InputError(f"{path}: is not UTF-8 text; save it as UTF-8")
        decode_json(content, path, _UfoFile, _TITLE)
    except UnicodeDecodeError as error:
        return InputError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8")
    except InputError as error:
        return error
    return InputError(f"{path}: is not JSON, or changed while it was read")


def _read_group(entry: bytes) -> str | None:
    try:
        return _group_name(_GROUP_DECODER.decode(entry).group)
    except (msgspec.ValidationError, RecursionError):
        return None  # reading the page will say what is wrong


def _group_name(group: Any) -> str | None:
    if group is None or group == "":
        return None
    return str(group)


def _sound_page(name: str, content: bytes) -> Page | None:
    """The page of an entry without a fault, read in a fraction of the time of ``parse_page``; None if it may have one.

    All points of the page are one array, and its polygons are checked together.
    """
    try:
        entry = _ENTRY_DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not (1 <= entry.img_w < LONGEST_SIDE and 1 <= entry.img_h < LONGEST_SIDE):
        return None
    words = entry.words or {}
    polygons = Polygons.joined([word.points for word in words.values()])
    if not are_sound(polygons, entry.img_w, entry.img_h):
        return None
    texts = tuple(word.transcription for word in words.values())
    ignored = [bool(word.illegibility) or word.transcription == IGNORED_TEXT for word in words.values()]
    return Page(
        name,
        entry.img_w,
        entry.img_h,
        polygons,
        tuple(words),
        texts,
        np.array(ignored, dtype=np.bool_),
        _group_name(entry.group),
        words_known=entry.words is not None,
    )


def parse_page(name: str, entry: Any, faults: list[str]) -> Page:
    """One entry of ``images``; words with a fault are left out and named in ``faults``."""
    if not isinstance(entry, dict):
        faults.append(f"{name}: the entry is not an object")
        return make_page(name, 1, 1, [], words_known=False)
    if _was_unreadable(entry):
        faults.append(f"{name}: has no size, because the image could not be read at prediction; remove the entry")
        return make_page(name, 1, 1, [], words_known=False)
    width = check_side(name, "img_w", entry.get("img_w"), faults)
    height = check_side(name, "img_h", entry.get("img_h"), faults)
    group = _group_name(entry.get("group"))
    entries = entry.get("words")
    words_known = entries is not None
    if entries is None:
        entries = {}
    if not isinstance(entries, dict):
        faults.append(f"{name}: words is not an object of word id -> word")
        entries = {}
    words: list[Word] = []
    for word_id, value in entries.items():
        word = _parse_word(name, word_id, value, width, height, faults)
        if word is not None:
            words.append(word)
    return make_page(name, width, height, words, group=group, words_known=words_known)


def _was_unreadable(entry: dict[str, Any]) -> bool:
    """Whether the entry is of a ``predictions.json``, and of an image that could not be read."""
    if "img_w" not in entry or "img_h" not in entry:
        return False
    return entry["img_w"] is None and entry["img_h"] is None


def _parse_word(
    name: str,
    word_id: str,
    word: Any,
    width: int,
    height: int,
    faults: list[str],
) -> Word | None:
    where = f"{name}: word {word_id}"
    if not isinstance(word, dict):
        faults.append(f"{where}: is not an object")
        return None
    polygon = check_polygon(where, word.get("points"), width, height, faults)
    text = word.get("transcription")
    if text is not None and not isinstance(text, str):
        faults.append(f"{where}: transcription is {text!r}, not a text")
        return None
    if polygon is None:
        return None
    illegible = bool(word.get("illegibility", False))
    return Word(word_id, polygon, text, illegible or text == IGNORED_TEXT)


def write_ufo(path: Path, entries: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write pairs of image name and UFO entry, one after another, atomically; memory does not grow with their number.

    ``Page.to_ufo`` and ``Detections.to_ufo`` make the entries.
    """

    def write(file: IO[bytes]) -> None:
        for piece in _render(entries):
            file.write(piece)

    write_with(path, write)


def _render(entries: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[bytes]:
    yield b'{"images": {'
    separator = "\n"
    for name, entry in entries:
        key = json.dumps(name, ensure_ascii=False)
        value = json.dumps(entry, ensure_ascii=False, allow_nan=False)
        yield f"{separator}{key}: {value}".encode()
        separator = ",\n"
    yield b"\n}}\n"


def _recognises(peek: Peek) -> bool:
    images = peek.keys.get("images")
    return isinstance(images, dict)


def _open(path: Path, image_path: Path) -> LabelSet:  # noqa: ARG001 - a UFO file states the size of a page
    return UfoLabels(path)


FORMAT = LabelFormat(
    name="ufo",
    title=_TITLE,
    layout='a JSON file `{"images": {NAME: {"img_w", "img_h", "words": {...}}}}`, as `predictions.json` is too',
    recognises=_recognises,
    keeps=Keeps(groups=True, unlabelled=True),
    open=_open,
    write=OneFile(".json", lambda pages: _render((page.name, page.to_ufo()) for page in pages)),
    notes=(
        "[Data](data.md) describes it. It is what hmean itself writes; `predictions.json` has a `score` for "
        "each word besides."
    ),
)
