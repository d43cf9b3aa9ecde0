"""ALTO XML, of libraries and OCR programs: a file for each image, or for each document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from lxml import etree

from hmean import geometry
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, Unit, numbers, pairs
from hmean.labels.words import shown
from hmean.labels.writers import FileForEachPage
from hmean.labels.xml_files import (
    XML_NOTE,
    add,
    box_corners,
    children,
    holds_text,
    image_of,
    number,
    number_list,
    render,
    require_name,
    root_name,
    whole_tree,
)
from hmean.types import Page, Points

_NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
_PLACE = ("HPOS", "VPOS", "WIDTH", "HEIGHT")


def _recognises(peek: Peek) -> bool:
    return root_name(peek) == "alto"


def _read(file: LabelFile) -> Iterator[RawPage]:
    root = whole_tree(file)
    written = root.findtext(".//{*}sourceImageInformation/{*}fileName")
    unit = (root.findtext(".//{*}MeasurementUnit") or "pixel").strip()
    pages = list(root.iter("{*}Page"))
    if not pages:
        raise file.fault("it has no Page")
    image = image_of(file, (written or "").strip())
    for place, page in enumerate(pages, start=1):
        name = image
        if len(pages) > 1:
            name = f"{image}#page={place}"
        size = [number(page.get("WIDTH")), number(page.get("HEIGHT"))]
        words = _parse_words(page)
        if unit == "pixel":
            yield RawPage(name, words, *size)
        else:
            yield _with_shares(file, name, words, size, unit)


def _with_shares(file: LabelFile, name: str, words: list[RawWord], size: list[Any], unit: str) -> RawPage:
    """A page in millimetres or inches: its words are shares of its size, and its image says how many pixels that is."""
    sides = numbers(size, 2)
    if sides is None or min(sides) <= 0:
        raise file.fault(f"WIDTH and HEIGHT of a Page are {shown(size)}, in {unit}; they are needed to find pixels")
    shares: Unit = "page"
    for word in words:
        if not word.fault:
            word.points = [_share(point, sides) for point in word.points]
    return RawPage(name, words, unit=shares)


def _share(point: list[float], sides: list[float]) -> list[float]:
    return [point[0] / sides[0], point[1] / sides[1]]


def _parse_words(page: Any) -> list[RawWord]:
    """The words; a line without words stands for itself, and a block of text without lines is an ignore region."""
    words = []
    for block in page.iter("{*}TextBlock"):
        lines = list(children(block, "TextLine"))
        for line in lines:
            strings = list(children(line, "String"))
            words += [_parse_word(element) for element in strings or [line]]
        if not lines and block.get("HPOS") is not None:
            ignored = _parse_word(block)
            ignored.ignore = True
            words.append(ignored)
    return words


def _parse_word(element: Any) -> RawWord:
    word_id = element.get("ID") or ""
    text = element.get("CONTENT")
    outline = element.find("{*}Shape/{*}Polygon")
    points: Any
    if outline is not None:
        found = number_list(outline.get("POINTS"))
        if found is None or len(found) % 2:
            return RawWord(None, fault=f"POINTS is {shown(outline.get('POINTS'))}, not x,y x,y ...", id=word_id)
        points = pairs(found)
    else:
        place = [element.get(key) for key in _PLACE]
        points = box_corners(*place)
        if points is None:
            return RawWord(None, fault=f"HPOS, VPOS, WIDTH and HEIGHT are {shown(place)}", id=word_id)
    return RawWord(points, text, id=word_id)


def _render(page: Page) -> bytes:
    root = etree.Element(f"{{{_NAMESPACE}}}alto", nsmap={None: _NAMESPACE})
    description = add(root, "Description")
    add(description, "MeasurementUnit", "pixel")
    source = add(description, "sourceImageInformation")
    add(source, "fileName", require_name(page.name))
    size = {"WIDTH": str(page.width), "HEIGHT": str(page.height)}
    content = add(add(root, "Layout"), "Page", ID="page_1", PHYSICAL_IMG_NR="1", **size)
    space = add(content, "PrintSpace", HPOS="0", VPOS="0", **size)
    if len(page.polygons) == 0:
        return render(root)
    block = add(space, "TextBlock", ID="block_1", **_place(page.polygons.points))
    for number_of_word, (polygon, text) in enumerate(zip(page.polygons, page.texts, strict=True), start=1):
        line = add(block, "TextLine", ID=f"line_{number_of_word}", **_place(polygon))
        word = add(line, "String", ID=f"string_{number_of_word}", CONTENT=text or "", **_place(polygon))
        if not np.array_equal(polygon, geometry.box_around(polygon)):
            points = " ".join(f"{x!r},{y!r}" for x, y in polygon.tolist())
            add(add(word, "Shape"), "Polygon", POINTS=points)
    return render(root)


def _place(points: Points) -> dict[str, str]:
    least = points.min(axis=0)
    most = points.max(axis=0)
    values = [*least.tolist(), *(most - least).tolist()]
    return {key: repr(value) for key, value in zip(_PLACE, values, strict=True)}


FORMAT = LabelFormat(
    name="alto",
    title="an ALTO file",
    layout="an XML file for each image; a `String` is a word, and so is a `TextLine` without strings",
    notes=(
        "It is about the image that it names; if there is none of this name, the one that is named like the file. "
        "Page 2 of a file with several pages is `NAME#page=2`. A line without strings has no text. A `TextBlock` "
        "without lines is an ignore region: there is text in it, and the file does not say where. Tenths of a "
        "millimetre and 1/1200 inch are scaled to the image. " + XML_NOTE
    ),
    recognises=_recognises,
    keeps=Keeps(ignore="text", holds_text=holds_text),
    read=_read,
    write=FileForEachPage(".xml", _render),
    one_page_a_file=True,
    suffix=".xml",
    companions=frozenset({"mets.xml", "METS.xml", "metadata.xml"}),
)
