"""JSON lines: a page of UFO on each line, with its name; also the journals of a prediction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.labels.decode import decode_json
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.partial_json import read_start
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord
from hmean.labels.writers import OneFile
from hmean.types import Page


class _Word(msgspec.Struct):
    points: Any = None
    transcription: Any = None
    illegibility: Any = False


class _Line(msgspec.Struct):
    """A page; the first line of a journal is none, and neither is that of an image which could not be read."""

    name: str | None = None
    page: Any = None
    img_w: Any = None
    img_h: Any = None
    group: Any = None
    words: dict[str, _Word] | None = None

    def image(self) -> str | None:
        """The name of the page: ``name``, or the first item of a journal's ``page``."""
        if self.name is not None:
            return self.name
        if isinstance(self.page, list) and self.page and isinstance(self.page[0], str):
            return self.page[0]
        return None


def _recognises(peek: Peek) -> bool:
    for line in peek.lines[:2]:
        first = read_start(line)
        if isinstance(first, dict) and "img_w" in first and ("name" in first or "page" in first):
            return True
    return False


def _read(file: LabelFile) -> Iterator[RawPage]:
    for number, text in file.lines():
        line: _Line = decode_json(text.encode(), f"{file.path}: line {number}", _Line, file.title)
        name = line.image()
        if name is None and number > 1:
            raise file.fault(f"line {number} has no name")
        if name is None or line.img_w is None:
            continue
        words = None
        if line.words is not None:
            words = [_parse_word(word_id, word) for word_id, word in line.words.items()]
        yield RawPage(file.image(name), words, line.img_w, line.img_h, line.group)


def _parse_word(word_id: str, word: _Word) -> RawWord:
    return RawWord(word.points, word.transcription, bool(word.illegibility), word_id)


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    for page in pages:
        yield msgspec.json.encode({"name": page.name, **page.to_ufo()}) + b"\n"


FORMAT = LabelFormat(
    name="jsonl",
    title="a file of JSON lines",
    layout='a text file with a line `{"name", "img_w", "img_h", "words": {...}}` for each image, as of UFO',
    recognises=_recognises,
    keeps=Keeps(groups=True, unlabelled=True),
    read=_read,
    write=OneFile(".jsonl", _render),
    notes=("The words are as in UFO. Journals of a prediction (`journal/*.jsonl`) are read, too."),
)
