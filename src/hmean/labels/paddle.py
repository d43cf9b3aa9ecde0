"""PaddleOCR: a text file with a line for each image, as PPOCRLabel writes it (``Label.txt``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.errors import InputError
from hmean.labels.decode import decode_json
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, is_true
from hmean.labels.words import IGNORED_TEXT
from hmean.labels.writers import OneFile
from hmean.types import Page

# PaddleOCR trains on no word with one of these texts.
_IGNORED_TEXTS = ("*", IGNORED_TEXT)


class _Word(msgspec.Struct):
    points: Any
    transcription: Any = None
    difficult: Any = False


def _recognises(peek: Peek) -> bool:
    if not peek.lines:
        return False
    name, tab, words = peek.lines[0].partition("\t")
    return bool(name.strip() and tab) and words.lstrip().startswith("[")


def _read(file: LabelFile) -> Iterator[RawPage]:
    for number, line in file.lines():
        name, tab, content = line.partition("\t")
        if not tab:
            raise file.fault(f"line {number} has no tab between the image and its words")
        words: list[_Word] = decode_json(content.encode(), f"{file.path}: line {number}", list[_Word], file.title)
        yield RawPage(file.image(name.strip()), [_parse_word(word) for word in words])


def _parse_word(word: _Word) -> RawWord:
    ignore = is_true(word.difficult) or word.transcription in _IGNORED_TEXTS
    return RawWord(word.points, word.transcription, ignore)


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    for page in pages:
        if "\t" in page.name or "\n" in page.name or "\r" in page.name:
            raise InputError(f"{page.name!r}: a PaddleOCR file cannot hold this name; rename the image")
        words = []
        for polygon, text, ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
            words.append({"transcription": text or "", "points": polygon.tolist(), "difficult": ignored})
        yield page.name.encode() + b"\t" + msgspec.json.encode(words) + b"\n"


FORMAT = LabelFormat(
    name="paddle",
    title="a PaddleOCR label file",
    layout='a text file (`Label.txt`) with a line `IMAGE<tab>[{"transcription", "points", "difficult"}]` an image',
    recognises=_recognises,
    keeps=Keeps(ignore="text", holds_text=lambda text: text not in _IGNORED_TEXTS),
    read=_read,
    write=OneFile(".txt", _render),
    companions=frozenset({"fileState.txt", "rec_gt.txt", "rec_gt_train.txt", "rec_gt_val.txt"}),
    notes=(
        "The texts `###` and `*` and the flag `difficult` mark ignore regions. PPOCRLabel leaves "
        "`fileState.txt` and `rec_gt.txt` in the same folder; they are not read."
    ),
)
