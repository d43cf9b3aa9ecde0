"""The ``metadata.jsonl`` or ``metadata.csv`` of a Hugging Face image folder: a row for each image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.labels.decode import decode_json
from hmean.labels.hf_rows import LABEL_COLUMNS, Row, columns_of, has_boxes, is_utf8, pages_of, row_of
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage
from hmean.labels.writers import OneFile
from hmean.types import Page

_NAME = "file_name"
_LONGEST_FIELD = 1 << 30  # characters


def _recognises(peek: Peek) -> bool:
    if _NAME in peek.keys:
        return has_boxes(peek.keys)
    header = _header(peek.lines[:1])
    return _NAME in header and has_boxes(header)


def _header(lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [name.strip().strip('"') for name in lines[0].split(",")]


def _read(file: LabelFile) -> Iterator[RawPage]:
    rows = _json_rows
    if not file.text().lstrip().startswith("{"):
        rows = _csv_rows
    yield from pages_of(file, lambda: (_row_of(file, place, values) for place, values in rows(file)))


def _json_rows(file: LabelFile) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in file.lines():
        content: dict[str, Any] = decode_json(line.encode(), f"{file.path}: line {number}", dict[str, Any], file.title)
        yield f"line {number}", content


def _csv_rows(file: LabelFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file; lists and flags in it are written as JSON."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(io.StringIO(file.text()), skipinitialspace=True)
    try:
        for values in reader:
            place = f"line {reader.line_num}"
            row: dict[str, Any] = {}
            for key, value in values.items():
                row[key] = value
                if key in LABEL_COLUMNS and isinstance(value, str) and value.strip():
                    row[key] = _cell(f"{file.path}: {place}: {key}", value)
            yield place, row
    except csv.Error as error:
        raise file.fault(f"it is not CSV that can be read ({error})") from None


def _cell(source: str, value: str) -> Any:
    if value.lstrip()[:1] in ("[", "{"):
        return decode_json(value.encode(), source, object)
    if value.strip().isdecimal():
        return float(value)
    return value


def _row_of(file: LabelFile, place: str, values: dict[str, Any]) -> Row:
    written = values.get(_NAME)
    if not isinstance(written, str) or not written:
        raise file.fault(f"{place} has no {_NAME}")
    return row_of(place, _image_of(file, written), values)


def _image_of(file: LabelFile, written: str) -> str:
    """The name of an image whose path is written from the file's own folder on."""
    try:
        nearby = (file.path.parent / written).resolve().relative_to(file.images.folder.resolve())
    except (ValueError, OSError):
        return file.image(written)
    if file.images.exists(nearby.as_posix()):
        return nearby.as_posix()
    return file.image(written)


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    for page in pages:
        yield msgspec.json.encode(columns_of(page)) + b"\n"


FORMAT = LabelFormat(
    name="hf",
    title="a Hugging Face metadata file",
    layout="the `metadata.jsonl` or `metadata.csv` of an image folder: `file_name`, `words` and `bboxes` of each image",
    notes=(
        "Places of words are `polygons`, `quads`, `bboxes`, `boxes`, `word_boxes`, `normalized_bboxes` or `bbox`, "
        "their texts `words`, `tokens`, `texts`, `transcriptions` or `text`; all of them may also be in `objects`. The "
        "numbers themselves say whether a box is [left, top, right, bottom] or [left, top, width, height], and whether "
        "it is in pixels, shares or thousandths of the page (as of LayoutLM); `hmean data check` says what was taken. "
        "Pixels and thousandths cannot always be told apart on pages of 1000 to 1300 pixels: look at them. Words with "
        "the same box, one after another, are one word. In CSV, lists are written as JSON. Written are `file_name`, "
        "`width`, `height`, `group`, `words`, `bboxes` (left, top, right, bottom in pixels), `polygons` and `ignore`."
    ),
    recognises=_recognises,
    keeps=Keeps(groups=True, unlabelled=True, holds_text=is_utf8),
    read=_read,
    write=OneFile(".jsonl", _render),
)
