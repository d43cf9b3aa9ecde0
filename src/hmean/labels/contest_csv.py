"""The table that receipt contests take as a submission, ``filename,polygons``, as ``hmean predict`` writes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord
from hmean.labels.words import shown
from hmean.labels.writers import OneFile
from hmean.types import Page

_COLUMNS = ["filename", "polygons"]
_LONGEST_FIELD = 1 << 30  # characters; a page's polygons are one field


def _recognises(peek: Peek) -> bool:
    if not peek.lines:
        return False
    header = [column.strip(' "\r') for column in peek.lines[0].split(",")]
    return header[:2] == _COLUMNS


def _read(file: LabelFile) -> Iterator[RawPage]:
    rows = csv.reader(io.StringIO(file.text()))
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        for number, row in enumerate(rows):
            if number == 0 or not row:
                continue
            if len(row) < len(_COLUMNS):
                raise file.fault(f"line {rows.line_num} has no polygons: {shown(row)}")
            yield RawPage(file.image(row[0]), _parse_words(row[1]))
    except csv.Error as error:
        raise file.fault(f"line {rows.line_num} is no line of a table ({error})") from None


def _parse_words(text: str) -> list[RawWord]:
    words = []
    for polygon in text.split("|"):
        fields = polygon.split()
        if not fields:
            continue
        try:
            values = [float(field) for field in fields]
        except ValueError:
            words.append(RawWord(None, fault=f"is {shown(polygon)}, not x y x y ..."))
            continue
        if len(values) % 2:
            words.append(RawWord(None, fault=f"has {len(values)} numbers, not pairs x y"))
        else:
            words.append(RawWord([values[i : i + 2] for i in range(0, len(values), 2)]))
    return words


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    yield ",".join(_COLUMNS).encode() + b"\n"
    for page in pages:
        polygons = []
        for polygon in page.polygons:
            polygons.append(" ".join(f"{value:.0f}" for value in polygon.flatten().tolist()))
        row = io.StringIO()
        csv.writer(row, lineterminator="\n").writerow([page.name, "|".join(polygons)])
        yield row.getvalue().encode()


FORMAT = LabelFormat(
    name="csv",
    title="a table of polygons",
    layout="a CSV file `filename,polygons`, with `x y x y ...|x y ...` in whole pixels (`submission.csv`)",
    recognises=_recognises,
    keeps=Keeps(texts=False, ignore="none", whole_pixels=True),
    read=_read,
    write=OneFile(".csv", _render),
    notes=("Page sizes are those of the images. `hmean predict` writes it, the best text polygons first."),
)
