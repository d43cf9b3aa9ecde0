"""PAGE XML, of PRImA, Transkribus, eScriptorium and others: a file for each image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from lxml import etree

from hmean import geometry
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, pairs
from hmean.labels.words import shown
from hmean.labels.writers import FileForEachPage
from hmean.labels.xml_files import (
    XML_NOTE,
    add,
    child,
    children,
    holds_text,
    image_of,
    local_name,
    number,
    number_list,
    render,
    require_name,
    root_name,
    whole_tree,
)
from hmean.types import Page, Points

_NAMESPACE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_WRITTEN_AT = "1970-01-01T00:00:00"  # a date is required; the same labels are the same bytes


def _recognises(peek: Peek) -> bool:
    return root_name(peek) == "PcGts"


def _read(file: LabelFile) -> Iterator[RawPage]:
    root = whole_tree(file)
    page = child(root, "Page")
    if local_name(root) != "PcGts" or page is None:
        raise file.fault("it has no Page")
    width = number(page.get("imageWidth"))
    height = number(page.get("imageHeight"))
    yield RawPage(image_of(file, page.get("imageFilename")), _parse_words(page), width, height)


def _parse_words(page: Any) -> list[RawWord]:
    """The words; a line without words stands for itself, and a block of text without lines is an ignore region."""
    words = []
    for region in page.iter("{*}TextRegion"):
        lines = list(children(region, "TextLine"))
        for line in lines:
            own = list(children(line, "Word")) or [line]
            words += [_parse_word(element) for element in own]
        if not lines and child(region, "TextRegion") is None:
            block = _parse_word(region)
            block.ignore = True
            words.append(block)
    return words


def _parse_word(element: Any) -> RawWord:
    word_id = element.get("id") or ""
    outline = child(element, "Coords")
    if outline is None:
        return RawWord(None, fault="has no Coords", id=word_id)
    points: Any = pairs(number_list(outline.get("points")))
    if outline.get("points") is None:  # before 2013
        points = [[number(point.get("x")), number(point.get("y"))] for point in children(outline, "Point")]
    if points is None:
        return RawWord(None, fault=f"points is {shown(outline.get('points'))}, not x,y x,y ...", id=word_id)
    return RawWord(points, _text_of(element), id=word_id)


def _text_of(element: Any) -> str | None:
    """The text of an element: of several readings that with the lowest index."""
    best: str | None = None
    lowest = float("inf")
    for reading in children(element, "TextEquiv"):
        index = number(reading.get("index") or "0")
        text = child(reading, "Unicode")
        if text is not None and isinstance(index, float) and index < lowest:
            best = text.text
            lowest = index
    return best


def _render(page: Page) -> bytes:
    root = etree.Element(f"{{{_NAMESPACE}}}PcGts", nsmap={None: _NAMESPACE})
    metadata = add(root, "Metadata")
    add(metadata, "Creator", "hmean")
    add(metadata, "Created", _WRITTEN_AT)
    add(metadata, "LastChange", _WRITTEN_AT)
    size = {"imageWidth": str(page.width), "imageHeight": str(page.height)}
    content = add(root, "Page", imageFilename=require_name(page.name), **size)
    if len(page.polygons) == 0:
        return render(root)
    region = add(content, "TextRegion", id="r1")
    add(region, "Coords", points=_points(geometry.box_around(page.polygons.points)))
    for number_of_word, (polygon, text) in enumerate(zip(page.polygons, page.texts, strict=True), start=1):
        line = add(region, "TextLine", id=f"l{number_of_word}")
        add(line, "Coords", points=_points(polygon))
        word = add(line, "Word", id=f"w{number_of_word}")
        add(word, "Coords", points=_points(polygon))
        for element in (word, line):
            if text:
                add(add(element, "TextEquiv"), "Unicode", text)
    return render(root)


def _points(polygon: Points) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in np.asarray(polygon).tolist())


FORMAT = LabelFormat(
    name="page",
    title="a PAGE XML file",
    layout="an XML file for each image; a `Word` is a word, and so is a `TextLine` without words",
    notes=(
        "It is about the image that it names; if there is none of this name, the one that is named like the file. "
        "A file without words gives lines, with their texts. A `TextRegion` without lines is an ignore region: there "
        "is text in it, and the file does not say where. " + XML_NOTE
    ),
    recognises=_recognises,
    keeps=Keeps(ignore="text", whole_pixels=True, on_page=True, holds_text=holds_text),
    read=_read,
    write=FileForEachPage(".xml", _render),
    one_page_a_file=True,
    suffix=".xml",
    companions=frozenset({"mets.xml", "METS.xml", "metadata.xml"}),
)
