"""What can be seen of a label file or folder at a glance: every format says from it whether the labels are in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hmean.errors import InputError
from hmean.images import SUFFIXES
from hmean.labels.decode import to_utf8
from hmean.labels.partial_json import read_start

_GLANCE = 1 << 16  # bytes
_SAMPLES = 8  # files of a folder
IMAGE_SUFFIXES = SUFFIXES | {".pdf"}


@dataclass(frozen=True)
class Peek:
    """The start of a file, or the names of the files in a folder.

    Attributes:
        path: the file or folder.
        start: of a file: its first bytes.
        names: of a folder: paths of all visible files under it that are no images, from the folder, sorted.
    """

    path: Path
    start: bytes = b""
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, size: int = _GLANCE) -> Peek:
        """Look at a file or folder.

        Raises:
            InputError: if it cannot be read.
        """
        try:
            if path.is_dir():
                return cls(path, names=_label_files(path))
            with path.open("rb") as file:
                return cls(path, start=file.read(size))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error

    @cached_property
    def is_folder(self) -> bool:
        """Whether the path is a folder."""
        return self.path.is_dir()

    @cached_property
    def text(self) -> str:
        """The start of a file as text; bytes that are none are replaced."""
        for cut in range(4):  # the last character of UTF-16 or UTF-32 may not be there whole
            try:
                return to_utf8(self.start[: len(self.start) - cut]).decode(errors="replace")
            except UnicodeDecodeError:
                continue
        return self.start.decode(errors="replace")

    @cached_property
    def json(self) -> Any:
        """The value that the file begins with, as far as it is in the start; None if it is not JSON."""
        return read_start(self.text)

    @property
    def keys(self) -> dict[str, Any]:
        """``json`` if it is an object; else an empty one."""
        if isinstance(self.json, dict):
            return self.json
        return {}

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the start that are not blank; the last one may be cut off."""
        return [line for line in self.text.split("\n") if line.strip()]

    def files(self, suffix: str | tuple[str, ...]) -> list[Path]:
        """The files of a folder with this suffix, or one of these, in any case of its letters."""
        return [self.path / name for name in self.names if name.lower().endswith(suffix)]

    def samples(self, suffix: str) -> list[Peek]:
        """A glance at some files of a folder that are not empty."""
        found: list[Peek] = []
        for file in self.files(suffix):
            peek = Peek.of(file)
            if peek.lines:
                found.append(peek)
            if len(found) == _SAMPLES:
                break
        return found


def _label_files(folder: Path) -> tuple[str, ...]:
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() not in IMAGE_SUFFIXES:
                found.append(os.path.relpath(Path(parent) / name, folder))
    return tuple(sorted(found))


def first_object(value: Any) -> dict[str, Any]:
    """The first item of a list, or value of an object, that is an object itself; an empty object if there is none."""
    items: list[Any] = []
    if isinstance(value, list):
        items = value
    if isinstance(value, dict):
        items = list(value.values())
    for item in items:
        if isinstance(item, dict):
            return item
    return {}
