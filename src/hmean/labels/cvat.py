"""CVAT: "CVAT for images 1.1", one XML file for all pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from lxml import etree

from hmean import geometry
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import (
    IGNORE_KEYS,
    TEXT_KEYS,
    LabelFile,
    RawPage,
    RawWord,
    first_text,
    is_ignored,
    numbers,
    pairs,
)
from hmean.labels.words import shown
from hmean.labels.writers import OneFile
from hmean.labels.xml_files import (
    XML_NOTE,
    add,
    children,
    elements,
    holds_text,
    local_name,
    number,
    number_list,
    require_name,
    root_name,
)
from hmean.types import Page, Points

_OTHER_SHAPES = ("polyline", "points", "mask", "ellipse", "cuboid", "skeleton")
_LABEL = "text"
_TEXT = "transcription"
_IGNORE = "ignore"


def _recognises(peek: Peek) -> bool:
    return root_name(peek) == "annotations" and ("<image" in peek.text or "<meta" in peek.text)


def _read(file: LabelFile) -> Iterator[RawPage]:
    count = 0
    for found in elements(file, "image", "track"):
        count += 1
        if local_name(found) == "track":
            raise file.fault("it is for a video; export it as CVAT for images 1.1")
        written = found.get("name")
        if not written:
            raise file.fault(f"image {count} has no name")
        words = []
        for shape in found:
            word = _parse_shape(shape)
            if word is not None:
                words.append(word)
        yield RawPage(file.image(written), words, number(found.get("width")), number(found.get("height")))
    if count == 0:
        raise file.fault("it has no image")


def _parse_shape(shape: Any) -> RawWord | None:
    """A word; None for what is no shape, such as a tag of the whole image."""
    kind = local_name(shape)
    if kind in _OTHER_SHAPES:
        return RawWord(None, fault=f"is a {kind}; hmean reads polygons and boxes")
    points: Any = None
    if kind == "polygon":
        points = pairs(number_list(shape.get("points")))
        if points is None:
            return RawWord(None, fault=f"points is {shown(shape.get('points'))}, not x,y;x,y;...")
    elif kind == "box":
        sides = [shape.get(key) for key in ("xtl", "ytl", "xbr", "ybr", "rotation")]
        points = _box(sides)
        if points is None:
            return RawWord(None, fault=f"xtl, ytl, xbr, ybr and rotation are {shown(sides)}")
    else:
        return None
    attributes = {(found.get("name") or "").lower(): found.text for found in children(shape, "attribute")}
    ignore = is_ignored(attributes) or (shape.get("label") or "").lower() in IGNORE_KEYS
    return RawWord(points, first_text(attributes, TEXT_KEYS), ignore)


def _box(sides: list[str | None]) -> Any:
    """The corners of a box, turned clockwise about its centre; None if one of its sides is no number."""
    found = numbers([number(side) for side in [*sides[:4], sides[4] or "0"]], 5)
    if found is None:
        return None
    left, top, right, bottom, degrees = found
    corners: Points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    if degrees != 0:
        turn = geometry.about(geometry.rotation(degrees), (left + right) / 2, (top + bottom) / 2)
        corners = geometry.transform(turn, corners)
    return corners.tolist()


_HEAD = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <labels>
        <label>
          <name>{_LABEL}</name>
          <type>any</type>
          <attributes>
            <attribute>
              <name>{_TEXT}</name>
              <mutable>False</mutable>
              <input_type>text</input_type>
              <default_value></default_value>
              <values></values>
            </attribute>
            <attribute>
              <name>{_IGNORE}</name>
              <mutable>False</mutable>
              <input_type>checkbox</input_type>
              <default_value>false</default_value>
              <values>false</values>
            </attribute>
          </attributes>
        </label>
      </labels>
    </task>
  </meta>
"""


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    yield _HEAD.encode()
    for number_of_page, page in enumerate(pages):
        content: bytes = etree.tostring(_image(number_of_page, page), encoding="UTF-8", pretty_print=True)
        yield content
    yield b"</annotations>\n"


def _image(image_id: int, page: Page) -> Any:
    image = etree.Element("image", id=str(image_id), name=require_name(page.name))
    image.set("width", str(page.width))
    image.set("height", str(page.height))
    for polygon, text, ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
        points = ";".join(f"{x!r},{y!r}" for x, y in polygon.tolist())
        shape = add(image, "polygon", label=_LABEL, source="manual", occluded="0", points=points, z_order="0")
        add(shape, "attribute", text or "", name=_TEXT)
        add(shape, "attribute", str(ignored).lower(), name=_IGNORE)
    return image


FORMAT = LabelFormat(
    name="cvat",
    title="a CVAT file",
    layout="the XML of CVAT for images 1.1: `<image>` with `<polygon>` and `<box>`; the text is an attribute of these",
    notes=(
        'Export as "CVAT for images 1.1". Boxes may be turned (`rotation`); shapes other than polygons and boxes are '
        "faults. The text is the attribute `transcription`, `text`, `caption`, `utf8_string`, `word` or `value` of a "
        "shape. An ignore region has the attribute `ignore`, `illegible`, `illegibility`, `difficult`, `dontcare` or "
        "`unreadable` set, or one of these as its label. Written labels are for a task whose label `text` has the "
        "attributes `transcription` (text) and `ignore` (checkbox). " + XML_NOTE
    ),
    recognises=_recognises,
    keeps=Keeps(holds_text=holds_text),
    read=_read,
    write=OneFile(".xml", _render),
)
