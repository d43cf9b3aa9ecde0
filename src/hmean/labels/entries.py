"""Where each entry of ``images`` stands in a JSON file: pages are read one at a time, whatever the size of the file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError

_BLOCK = 1 << 18  # bytes read at once
_ESCAPE = re.compile(rb"\\.", re.DOTALL)  # an escaped quote does not end a text
_ENTRY_DEPTH = 3  # of objects: the file, its "images", an entry


class _Name:
    """A key of ``images``. Two keys of the same text stay two, so that a page which is listed twice is noticed."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Outline(msgspec.Struct):
    """The file with ``{"place": N}`` where its N-th entry was."""

    images: dict[_Name, Any]


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of a file ``{"images": {NAME: ENTRY, ...}}``, in its order.

    Attributes:
        source: the file.
        names: of the entries (N).
        starts: first byte of each entry that is an object (N,).
        ends: the byte behind it (N,).
        others: position and value of the entries that are no objects, which is a fault of theirs.
    """

    source: Path
    names: list[str]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    others: dict[int, Any]

    @classmethod
    def of(cls, path: Path) -> Entries:
        """Find the entries of a file; what is in them is not checked.

        Raises:
            OSError: if it cannot be read.
            msgspec.DecodeError: if it is not JSON, or not of this form; the bytes that the message names are not those
                of the file.
            UnicodeDecodeError: if a name is not UTF-8.
        """
        outline, places = _read_outline(path)
        decoder = msgspec.json.Decoder(_Outline, dec_hook=lambda _kind, text: _Name(text))
        images = decoder.decode(outline).images
        starts = np.zeros(len(images), dtype=np.int64)
        ends = np.zeros(len(images), dtype=np.int64)
        others: dict[int, Any] = {}
        for i, value in enumerate(images.values()):
            if isinstance(value, dict):
                starts[i], ends[i] = places[value["place"]]
            else:
                others[i] = value
        return cls(path, [name.text for name in images], starts, ends, others)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> bytes:
        """The JSON text of one entry."""
        with self.source.open("rb") as file:
            return self._read_from(file, index)

    def __iter__(self) -> Iterator[bytes]:
        """The JSON text of each entry, in one go through the file."""
        with self.source.open("rb") as file:
            for i in range(len(self)):
                yield self._read_from(file, i)

    def require_single(self) -> None:
        """Refuse a file that lists an image twice.

        Raises:
            InputError: naming the file.
        """
        doubled = len(self.names) - len(set(self.names))
        if doubled:
            raise InputError(f"{self.source}: {doubled} images are listed twice; each may have one entry only")

    def _read_from(self, file: IO[bytes], index: int) -> bytes:
        if index in self.others:
            return msgspec.json.encode(self.others[index])
        start = int(self.starts[index])
        file.seek(start)
        return file.read(int(self.ends[index]) - start)


class _Place(NamedTuple):
    """The first byte of an entry, and the byte behind it."""

    start: int
    end: int


def _read_outline(path: Path) -> tuple[bytes, list[_Place]]:
    """The file without its entries, and where these are. Every object three deep is taken for an entry.

    If outline and entries are JSON, then so is the file.
    """
    kept: list[bytes] = []
    places: list[_Place] = []
    depth = 0
    offset = 0  # of ``rest`` in the file
    rest = b""
    with path.open("rb") as file:
        # What is left over is looked through again, so an entry of many blocks wants ever larger ones.
        while block := file.read(max(_BLOCK, len(rest))):
            rest += block
            done = 0
            for start, end in _find_entries(rest, depth):
                kept.append(rest[done:start])
                kept.append(b'{"place":%d}' % len(places))
                places.append(_Place(offset + start, offset + end))
                done = end
                depth = _ENTRY_DEPTH - 1
            rest = rest[done:]
            offset += done
    kept.append(rest)
    return b"".join(kept).removeprefix(codecs.BOM_UTF8), places


def _find_entries(text: bytes, depth: int) -> list[tuple[int, int]]:
    """The whole entries in a part of the file that begins outside of texts, at a depth of objects."""
    if b"\\" in text:
        text = _ESCAPE.sub(b"__", text)
    data = np.frombuffer(text, dtype=np.uint8)
    at = np.flatnonzero((data == ord('"')) | (data == ord("{")) | (data == ord("}")))
    mark = data[at]
    is_quote = mark == ord('"')
    is_brace = ~is_quote & (np.cumsum(is_quote) % 2 == 0)
    at = at[is_brace]
    opens = mark[is_brace] == ord("{")
    level = depth + np.cumsum(np.where(opens, 1, -1))
    starts = at[opens & (level == _ENTRY_DEPTH)].tolist()
    ends = (at[~opens & (level == _ENTRY_DEPTH - 1)] + 1).tolist()
    return list(zip(starts, ends, strict=False))  # the last one may end in the next block
