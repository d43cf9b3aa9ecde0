"""Journals of a prediction: each page is on the disk before the next one, so that a killed command can continue.

A journal is a file of JSON lines: first what made the predictions, then a line for each page. Every shard has its own;
``JournalReader`` reads all journals of a folder. A last line that was cut off counts as not written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from pydantic import Field

from hmean.errors import InputError
from hmean.records import Record
from hmean.runs.predictions import PredictedPage
from hmean.types import Detections


class PageKey(NamedTuple):
    """A page by name, and the size and time of its file, so that a page whose file has changed is done again."""

    name: str
    size: int
    time: int


class FoundLine(PredictedPage):
    """A page that was read: a line of a journal."""

    page: PageKey = Field(description="name of the page; size in bytes and time (seconds) of its file")


class SkippedLine(Record):
    """A page that could not be read: a line of a journal."""

    page: PageKey = Field(description="name of the page; size in bytes and time (seconds) of its file")
    why: str = Field(description="why it could not be read")


class _Closing:
    """What is closed at the end of a ``with`` block."""

    def close(self) -> None:
        """Close the files."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Journal(_Closing):
    """The journal that one command writes.

    Args:
        path: its file; what is there is kept and continued.
        made_by: what makes the predictions, plain JSON values.
        overwrite: drop what other models or values have begun in this folder.

    Raises:
        InputError: if the folder holds an unfinished prediction by something else.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any], *, overwrite: bool = False) -> None:
        _check_journals(path.parent, made_by, overwrite=overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.path = path
        self._file = path.open("r+b")
        lines = 0
        whole = 0
        for line in self._file:
            if line.endswith(b"\n"):
                lines += 1
                whole += len(line)
        self._file.seek(whole)
        self._file.truncate()
        self.is_empty = lines < 2
        if lines == 0:
            self._write_line(made_by)

    def write(self, page: PageKey, found: Detections, width: int, height: int) -> None:
        """Add what was found on a page of this size."""
        self._write_line({"page": page, **found.to_ufo(width, height)})
        self.is_empty = False

    def skip(self, page: PageKey, why: str) -> None:
        """Add a page that cannot be read."""
        self._write_line({"page": page, "why": why})
        self.is_empty = False

    def close(self) -> None:
        """Close the file. A journal without a page, as when the model could not be started, is removed."""
        self._file.close()
        if self.is_empty:
            self.path.unlink()

    def _write_line(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
        self._file.flush()


def _check_journals(folder: Path, made_by: Mapping[str, Any], *, overwrite: bool) -> None:
    """Refuse journals of another model or other values, or remove those."""
    for path in folder.glob("*.jsonl"):
        try:
            with path.open("rb") as lines:
                first = lines.readline()
        except FileNotFoundError:  # another shard, which overwrites as well, was quicker
            continue
        if not first.endswith(b"\n") or _read_line(first) == made_by:
            continue
        if not overwrite:
            raise InputError(
                f"{folder.parent}: holds an unfinished prediction by another model or with other values; set "
                "overwrite=true to drop it, or choose another output"
            )
        path.unlink(missing_ok=True)  # this one alone: other shards may already have begun theirs anew


class _Line(NamedTuple):
    """Where the line of a page stands, and whether the page was read."""

    path: Path
    start: int
    is_found: bool


class JournalReader(_Closing):
    """All journals of a folder, as they were when it was opened. Of each page only the place of its line is kept.

    ``key in reader`` says whether a page is done; one that was skipped is not.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {}
        self._lines: dict[PageKey, _Line] = {}
        for path in sorted(folder.glob("*.jsonl")):
            self._files[path] = path.open("rb")
            self._index(path)

    def _index(self, path: Path) -> None:
        file = self._files[path]
        start = len(file.readline())
        for line in file:
            value = _read_line(line)
            if line.endswith(b"\n") and "page" in value:
                page = PageKey(*value["page"])
                is_found = "why" not in value
                if is_found or page not in self:
                    self._lines[page] = _Line(path, start, is_found)
            start += len(line)

    def __contains__(self, page: PageKey) -> bool:
        return page in self._lines and self._lines[page].is_found

    def __getitem__(self, page: PageKey) -> FoundLine | SkippedLine:
        """The line of a page."""
        line = self._lines[page]
        file = self._files[line.path]
        file.seek(line.start)
        value = json.loads(file.readline())
        if line.is_found:
            return FoundLine.parse(value, line.path)
        return SkippedLine.parse(value, line.path)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def _read_line(line: bytes) -> dict[str, Any]:
    """The values of a line; none if it is damaged, so that its page is done again."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}
