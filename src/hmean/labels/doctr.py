"""docTR: the ``labels.json`` of a detection data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek, first_object
from hmean.labels.whole_file import LabelFile, RawPage, RawWord
from hmean.labels.writers import OneFile
from hmean.types import Page


class _Image(msgspec.Struct):
    """``img_dimensions`` is written by some as (height, width), by others as (width, height): the image says it."""

    polygons: list[Any] | dict[str, list[Any]]


def _recognises(peek: Peek) -> bool:
    return "polygons" in first_object(peek.keys)


def _read(file: LabelFile) -> Iterator[RawPage]:
    for name, image in file.json(dict[str, _Image]).items():
        polygons = image.polygons
        if isinstance(polygons, dict):  # by class
            polygons = [polygon for of_class in polygons.values() for polygon in of_class]
        yield RawPage(file.image(name), [_parse_word(polygon) for polygon in polygons])


def _parse_word(polygon: Any) -> RawWord:
    """A polygon; a box is two corners of it."""
    if isinstance(polygon, list) and len(polygon) == 4 and all(isinstance(value, int | float) for value in polygon):
        left, top, right, bottom = polygon
        return RawWord([[left, top], [right, top], [right, bottom], [left, bottom]])
    return RawWord(polygon)


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    yield b"{"
    separator = b"\n"
    for page in pages:
        image = {
            "img_dimensions": [page.height, page.width],
            "polygons": [polygon.tolist() for polygon in page.polygons],
        }
        yield separator + msgspec.json.encode(page.name) + b": " + msgspec.json.encode(image)
        separator = b",\n"
    yield b"\n}\n"


FORMAT = LabelFormat(
    name="doctr",
    title="a docTR label file",
    layout='a JSON file (`labels.json`) `{IMAGE: {"img_dimensions", "polygons": [[[x, y], ...], ...]}}`',
    recognises=_recognises,
    keeps=Keeps(outline="quad", texts=False, ignore="none"),
    read=_read,
    write=OneFile(".json", _render),
    notes=("Page sizes are those of the images, because `img_dimensions` is written in both orders."),
)
