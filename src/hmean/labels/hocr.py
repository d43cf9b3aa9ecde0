"""hOCR, the HTML of OCR programs: a file for each image, or for each document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from lxml import etree

from hmean import geometry
from hmean.labels.decode import to_utf8
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, pairs
from hmean.labels.words import shown
from hmean.labels.writers import FileForEachPage
from hmean.labels.xml_files import add, holds_text, image_of, number_list, reason, render, require_name
from hmean.types import Page, Points

_NAMESPACE = "http://www.w3.org/1999/xhtml"
_WORD = frozenset({"ocrx_word", "ocr_word"})
_LINE = frozenset({"ocr_line", "ocrx_line", "ocr_header", "ocr_footer", "ocr_caption", "ocr_textfloat", "ocr_display"})
SUFFIXES = (".hocr", ".html", ".htm", ".xhtml")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_PIECE = re.compile(r'"[^"]*"?|[^;"]+|;')


def _recognises(peek: Peek) -> bool:
    return peek.text.lstrip().startswith("<") and "ocr_page" in peek.text


def _read(file: LabelFile) -> Iterator[RawPage]:
    seen: dict[str, int] = {}
    pages = []
    for element in _tree(file).iter():
        if "ocr_page" in _classes(element):
            properties = _properties(element)
            name = image_of(file, properties.get("image", "").strip("\"'"))
            seen[name] = seen.get(name, 0) + 1
            pages.append((element, properties, name, seen[name]))
    if not pages:
        raise file.fault("it has no element of the class ocr_page")
    for element, properties, name, place in pages:
        width: Any = None
        height: Any = None
        sides = number_list(properties.get("bbox"))
        if sides is not None and len(sides) == 4:
            width, height = sides[2:]
        if seen[name] > 1:
            name = f"{name}#page={place}"
        yield RawPage(name, _parse_words(element), width, height)


def _tree(file: LabelFile) -> Any:
    """The outermost element of a file. It is read like a browser reads it, but not beyond a fault that loses words."""
    content = file.content()
    try:
        content = to_utf8(content)
        content.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None  # the file says it, in a <meta>
    parser = etree.HTMLParser(encoding=encoding, no_network=True, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise file.fault(f"it is not HTML that can be read ({reason(error.msg)})") from None
    if root is None:
        raise file.fault("it is empty")
    for entry in parser.error_log:
        if entry.level_name == "FATAL":
            raise file.fault(f"it is not HTML that can be read ({reason(entry.message)})")
    if b"<html" in content and b"</html" not in content:
        raise file.fault("it ends before </html>: is it cut off?")
    return root


def _parse_words(page: Any) -> list[RawWord]:
    """The words; a line that is not divided into words stands for itself."""
    words = []
    for element in page.iter():
        classes = _classes(element)
        if classes & _WORD or (classes & _LINE and not _has_words(element)):
            words.append(_parse_word(element))
    return words


def _has_words(line: Any) -> bool:
    return any(_classes(element) & _WORD for element in line.iter())


def _parse_word(element: Any) -> RawWord:
    word_id = element.get("id") or ""
    title = element.get("title") or ""
    properties = _properties(element)
    text = collapsed("".join(element.itertext()))
    outline = number_list(properties.get("poly"))
    if outline is not None and len(outline) >= 6 and len(outline) % 2 == 0:
        return RawWord(pairs(outline), text, id=word_id)
    box = number_list(properties.get("bbox"))
    if box is None or len(box) != 4:
        return RawWord(None, fault=f"title is {shown(title)}, without bbox left top right bottom", id=word_id)
    left, top, right, bottom = box
    return RawWord([[left, top], [right, top], [right, bottom], [left, bottom]], text, id=word_id)


def _classes(element: Any) -> frozenset[str]:
    if not isinstance(element.tag, str):
        return frozenset()
    return frozenset((element.get("class") or "").split())


def _properties(element: Any) -> dict[str, str]:
    """What an element's title says, ``NAME VALUE; NAME VALUE``; a semicolon in quotes ends nothing."""
    found: dict[str, str] = {}
    pieces: list[str] = []
    for piece in [*_PIECE.findall(element.get("title") or ""), ";"]:
        if piece != ";":
            pieces.append(piece)
            continue
        name, _, value = "".join(pieces).strip().partition(" ")
        found.setdefault(name, value.strip())
        pieces = []
    return found


def collapsed(text: str) -> str:
    """A text with single spaces, as HTML shows it."""
    return _SPACES.sub(" ", text).strip(" ")


def _holds_text(text: str) -> bool:
    return holds_text(text) and text == collapsed(text)


def _render(page: Page) -> bytes:
    root = etree.Element(f"{{{_NAMESPACE}}}html", nsmap={None: _NAMESPACE})
    head = add(root, "head")
    add(head, "title", "hmean")
    add(head, "meta", charset="utf-8")
    add(head, "meta", name="ocr-system", content="hmean")
    add(head, "meta", name="ocr-capabilities", content="ocr_page ocr_line ocrx_word ocrp_poly")
    image = f'image "{require_name(page.name)}"; bbox 0 0 {page.width} {page.height}; ppageno 0'
    content = _add_part(add(root, "body"), "div", "ocr_page", "page_1", image)
    for number, (polygon, text) in enumerate(zip(page.polygons, page.texts, strict=True), start=1):
        line = _add_part(content, "span", "ocr_line", f"line_{number}", _place(polygon))
        word = _add_part(line, "span", "ocrx_word", f"word_{number}", _place(polygon))
        word.text = text or ""
    return render(root)


def _add_part(parent: Any, tag: str, part: str, part_id: str, title: str) -> Any:
    element = add(parent, tag, id=part_id, title=title)
    element.set("class", part)
    return element


def _place(polygon: Points) -> str:
    box = geometry.box_around(polygon)
    place = f"bbox {_numbers(box[[0, 2]])}"
    if not np.array_equal(polygon, box):
        place += f"; poly {_numbers(polygon)}"
    return place


def _numbers(points: Points) -> str:
    return " ".join(f"{value:.0f}" for value in points.flatten().tolist())


FORMAT = LabelFormat(
    name="hocr",
    title="an hOCR file",
    layout="an HTML file for each image; an `ocrx_word` is a word, and so is an `ocr_line` without words",
    notes=(
        "It is about the image that it names; if there is none of this name, the one that is named like the file. "
        "Page 2 of a file with several pages of one image is `NAME#page=2`. A file without words gives lines, with "
        "their texts; white space in a text is one space. Outlines are `poly`, else `bbox`."
    ),
    recognises=_recognises,
    keeps=Keeps(ignore="text", whole_pixels=True, on_page=True, holds_text=_holds_text),
    read=_read,
    write=FileForEachPage(".hocr", _render),
    one_page_a_file=True,
    suffix=SUFFIXES,
)
