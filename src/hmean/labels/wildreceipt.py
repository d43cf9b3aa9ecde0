"""WildReceipt: a text file with a JSON object on each line, one an image, as older versions of MMOCR read it, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.labels.coco import outline_word
from hmean.labels.decode import decode_json
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.partial_json import read_start
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, is_true, pairs
from hmean.labels.writers import OneFile
from hmean.types import Page

_OTHER = 25  # WildReceipt's class of text that is nothing special


class _Annotation(msgspec.Struct):
    box: Any = None
    text: Any = None
    segmentation: Any = None
    bbox: Any = None
    iscrowd: Any = 0


class _Line(msgspec.Struct):
    file_name: str
    annotations: list[_Annotation]
    height: Any = None
    width: Any = None


def _recognises(peek: Peek) -> bool:
    if not peek.lines:
        return False
    first = read_start(peek.lines[0])
    return isinstance(first, dict) and "file_name" in first and isinstance(first.get("annotations"), list)


def _read(file: LabelFile) -> Iterator[RawPage]:
    for number, text in file.lines():
        line: _Line = decode_json(text.encode(), f"{file.path}: line {number}", _Line, file.title)
        words = [_parse_word(annotation) for annotation in line.annotations]
        yield RawPage(file.image(line.file_name), words, line.width, line.height)


def _parse_word(annotation: _Annotation) -> RawWord:
    if annotation.box is not None:
        return RawWord(pairs(annotation.box), annotation.text)
    word = outline_word(annotation.segmentation, annotation.bbox, is_crowd=is_true(annotation.iscrowd))
    word.text = annotation.text
    word.ignore = is_true(annotation.iscrowd)
    return word


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    for page in pages:
        words = []
        for polygon, text in zip(page.polygons, page.texts, strict=True):
            words.append({"box": polygon.flatten().tolist(), "text": text or "", "label": _OTHER})
        line = {"file_name": page.name, "height": page.height, "width": page.width, "annotations": words}
        yield msgspec.json.encode(line) + b"\n"


FORMAT = LabelFormat(
    name="wildreceipt",
    title="a WildReceipt file",
    layout='a text file with a line for each image, `{"file_name", "annotations": [{"box", "text", "label"}]}`',
    recognises=_recognises,
    keeps=Keeps(outline="quad", ignore="text"),
    read=_read,
    write=OneFile(".txt", _render),
    notes=(
        "Lines with `bbox` and `segmentation`, as older versions of MMOCR have them, are read, too. Written: "
        "every word has the class 25 (others)."
    ),
)
