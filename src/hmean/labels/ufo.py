"""UFO JSON: one file for all pages (``docs/reference/data.md`` shows it)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.files import write_with
from hmean.labels.label_set import LabelSet
from hmean.labels.words import IGNORED_TEXTS, Word, check_polygon, make_page
from hmean.types import Page

_LONGEST_SIDE = 10**6  # pixels


class UfoLabels(LabelSet):
    """A UFO file.

    Only names, groups and the place of each page in the file are held in memory, so that a hundred thousand pages take
    little of it in every loader process.

    Raises:
        InputError: if the file is not in this format, or lists an image twice.
    """

    format_name = "a UFO JSON file"

    def __init__(self, path: Path) -> None:
        self.source = path
        content = path.read_bytes()
        entries = _read_entries(path, content)
        self.names: list[str] = []
        self.groups: list[str | None] = []
        self._starts = np.zeros(len(entries), dtype=np.int64)
        self._ends = np.zeros(len(entries), dtype=np.int64)
        for i, (name, entry) in enumerate(entries.items()):
            self.names.append(name.text)
            self.groups.append(_read_group(entry))
            self._starts[i] = _offset_in(content, entry)
            self._ends[i] = self._starts[i] + len(memoryview(entry))
        doubled = len(self.names) - len(set(self.names))
        if doubled:
            raise InputError(f"{path}: {doubled} images are listed twice; each may have one entry only")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any file: it stands behind the other formats that are one file for all pages."""
        return path.is_file()

    @classmethod
    def open(cls, path: Path, image_path: Path) -> Self:  # noqa: ARG003 - a UFO file states the size of a page
        """See ``LabelSet.open``."""
        return cls(path)

    def read_page(self, index: int, faults: list[str]) -> Page:
        """See ``LabelSet.read_page``."""
        name = self.names[index]
        start = int(self._starts[index])
        end = int(self._ends[index])
        with self.source.open("rb") as file:
            file.seek(start)
            content = file.read(end - start)
        try:
            entry = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.append(f"{name}: its entry cannot be read ({error})")
            return make_page(name, 1, 1, [], words_known=False)
        return parse_page(name, entry, faults)


class _Name:
    """A key of ``images``. Two keys of the same text stay two, so that a page which is listed twice is noticed."""

    def __init__(self, text: str) -> None:
        self.text = text


class _UfoFile(msgspec.Struct):
    images: dict[_Name, msgspec.Raw]  # Raw is a view of the file's bytes: checked to be JSON, but not decoded


class _Group(msgspec.Struct):
    """The one key of an entry that is read when the file is opened."""

    group: Any = None


def _read_entries(path: Path, content: bytes) -> dict[_Name, msgspec.Raw]:
    decoder = msgspec.json.Decoder(_UfoFile, dec_hook=lambda _kind, text: _Name(text))
    json_text = memoryview(content)
    if content.startswith(codecs.BOM_UTF8):
        json_text = json_text[len(codecs.BOM_UTF8) :]
    try:
        return decoder.decode(json_text).images
    except msgspec.ValidationError as error:
        raise InputError(f'{path}: is not a UFO file, {{"images": {{NAME: {{...}}}}}} ({error})') from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not JSON ({error}); NaN and Infinity are not numbers of JSON") from error


def _read_group(entry: msgspec.Raw) -> str | None:
    try:
        group = msgspec.json.decode(entry, type=_Group).group
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None  # reading the page will say what is wrong with the entry
    if group is None or group == "":
        return None
    return str(group)


def _offset_in(content: bytes, view: msgspec.Raw) -> int:
    """Where in ``content`` a view of a part of it begins."""
    return _address(view) - _address(content)


def _address(buffer: Any) -> int:
    as_bytes: NDArray[np.uint8] = np.frombuffer(buffer, dtype=np.uint8)
    return as_bytes.ctypes.data


def parse_page(name: str, entry: Any, faults: list[str]) -> Page:
    """One entry of ``images``; words with a fault are left out and named in ``faults``."""
    if not isinstance(entry, dict):
        faults.append(f"{name}: the entry is not an object")
        return make_page(name, 1, 1, [], words_known=False)
    if _was_unreadable(entry):
        faults.append(f"{name}: has no size, because the image could not be read at prediction; remove the entry")
        return make_page(name, 1, 1, [], words_known=False)
    width = _parse_side(name, "img_w", entry, faults)
    height = _parse_side(name, "img_h", entry, faults)
    group = entry.get("group")
    if group is not None:
        group = str(group)
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


def _parse_side(
    name: str,
    key: str,
    entry: dict[str, Any],
    faults: list[str],
) -> int:
    side: Any = entry.get(key)
    is_number = isinstance(side, int | float) and not isinstance(side, bool)
    if is_number and 1 <= side < _LONGEST_SIDE and side == int(side):
        return int(side)
    faults.append(f"{name}: {key} is {side!r}, not the image's size in whole pixels")
    return _LONGEST_SIDE  # so that the words can still be checked


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
    return Word(word_id, polygon, text, illegible or text in IGNORED_TEXTS)


def write_ufo(path: Path, entries: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write pairs of image name and UFO entry, one after another, atomically; memory does not grow with their number.

    ``Page.to_ufo`` and ``Detections.to_ufo`` make the entries.
    """

    def write(file: IO[bytes]) -> None:
        file.write(b'{"images": {')
        separator = "\n"
        for name, entry in entries:
            key = json.dumps(name, ensure_ascii=False)
            value = json.dumps(entry, ensure_ascii=False, allow_nan=False)
            file.write(f"{separator}{key}: {value}".encode())
            separator = ",\n"
        file.write(b"\n}}\n")

    write_with(path, write)
