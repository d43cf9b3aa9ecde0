"""The two ways in which label formats are written: one file for all pages, or a folder with a file for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hmean.errors import InputError
from hmean.types import Page


@dataclass(frozen=True)
class OneFile:
    """A writer of one file.

    Attributes:
        suffix: of the file.
        render: the bytes of the file, piece by piece.
    """

    suffix: str
    render: Callable[[Iterable[Page]], Iterator[bytes]]
    is_folder: bool = False

    def __call__(self, path: Path, pages: Iterable[Page]) -> None:
        """See ``Writer``."""
        with path.open("wb") as file:
            for piece in self.render(pages):
                file.write(piece)


@dataclass(frozen=True)
class FileForEachPage:
    """A writer of a folder with a file for each page, named like its image.

    Attributes:
        suffix: of the files.
        render: the bytes of one file.
    """

    suffix: str
    render: Callable[[Page], bytes]
    is_folder: bool = True

    def __call__(self, path: Path, pages: Iterable[Page]) -> None:
        """See ``Writer``.

        Raises:
            InputError: if the files of two pages would have one name.
        """
        image_of: dict[str, str] = {}
        path.mkdir()
        for page in pages:
            name = file_name(page.name, self.suffix)
            other = image_of.setdefault(name, page.name)
            if other != page.name:
                raise InputError(f"{page.name}, {other}: the labels of both would be {name}; rename one of the images")
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.render(page))


def file_name(image: str, suffix: str) -> str:
    """The name of the label file of an image: its own with another suffix.

    Raises:
        InputError: if it would not lie in the folder.
    """
    relative = Path(image.lstrip("/"))
    if not relative.name or ".." in relative.parts or "\0" in image:
        raise InputError(f"{image!r}: is no name that a label file can have; rename the image")
    return relative.with_suffix(suffix).as_posix()


def json_list(head: bytes, items: Iterable[Any], tail: bytes) -> Iterator[bytes]:
    """A JSON list, an item on each line, between a head and a tail."""
    yield head + b"["
    separator = b"\n"
    for item in items:
        yield separator + msgspec.json.encode(item)
        separator = b",\n"
    yield b"\n]" + tail
