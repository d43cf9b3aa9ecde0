"""XML label files: taken apart and written with lxml, without entities, document type definitions or the network."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from hmean.errors import InputError
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, numbers

XML_NOTE = "XML is read without entities, document type definitions and the network."

# What may stand before the first element: the XML declaration, comments, instructions, a document type definition.
_BEFORE_ROOT = re.compile(r"\s*(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>)", re.DOTALL)
_ROOT = re.compile(r"\s*<(?:[\w.-]+:)?([\w.-]+)")
_NO_CHARACTER_OF_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_LONGEST_REASON = 200
# Without huge_tree, libxml2 stops at 256 elements in each other and at 10 MB of one text.
_SAFE = {"resolve_entities": False, "load_dtd": False, "no_network": True, "huge_tree": False}


def root_name(peek: Peek) -> str:
    """The name of a file's outermost element, without its namespace; empty if the file does not begin like XML."""
    if not peek.text.lstrip().startswith("<"):
        return ""
    at = 0
    before = _BEFORE_ROOT.match(peek.text, at)
    while before is not None:
        at = before.end()
        before = _BEFORE_ROOT.match(peek.text, at)
    root = _ROOT.match(peek.text, at)
    if root is None:
        return ""
    return root[1]


def whole_tree(file: LabelFile) -> Any:
    """The outermost element of a file, with all that is in it.

    Raises:
        InputError: if the file is no XML, or declares a document type.
    """
    root = None
    for element in _parsed(file, ("start",)):
        if root is None:
            root = element
    return root


def elements(file: LabelFile, *names: str) -> Iterator[Any]:
    """The elements of some names, one by one; each is emptied when the next is asked for, so that memory holds one.

    Args:
        file: that is taken apart.
        names: of the elements, without a namespace.

    Raises:
        InputError: if the file is no XML, or declares a document type.
    """
    for element in _parsed(file, ("end",), [f"{{*}}{name}" for name in names]):
        yield element
        element.clear()
        while element.getprevious() is not None:
            element.getparent().remove(element.getprevious())


def _parsed(file: LabelFile, events: tuple[str, ...], tags: list[str] | None = None) -> Iterator[Any]:
    """The elements of a file as they begin or end."""
    is_checked = False
    parser = etree.iterparse(io.BytesIO(file.content()), events=events, tag=tags, **_SAFE)
    try:
        for _event, element in parser:
            if not is_checked:
                _refuse_dtd(file, element)
                is_checked = True
            yield element
    except etree.XMLSyntaxError as error:
        raise file.fault(f"it is not XML that can be read ({reason(error.msg)})") from None


def _refuse_dtd(file: LabelFile, element: Any) -> None:
    if element.getroottree().docinfo.internalDTD is not None:
        raise file.fault("it declares a document type (<!DOCTYPE ...>), which hmean does not read; remove it")


def reason(message: str | None) -> str:
    """What libxml2 says, without what may be a long name."""
    first, _, _ = (message or "it is empty").partition("\n")
    if len(first) > _LONGEST_REASON:
        return f"{first[:_LONGEST_REASON]}..."
    return first


def local_name(element: Any) -> str:
    """The name of an element without its namespace; empty for comments and the like."""
    if not isinstance(element.tag, str):
        return ""
    return element.tag.rpartition("}")[2]


def children(element: Any, name: str) -> Iterator[Any]:
    """The elements of a name right in another one, whatever their namespace."""
    yield from element.iterchildren(f"{{*}}{name}")


def child(element: Any, name: str) -> Any | None:
    """The first of ``children``; None if there is none."""
    return next(children(element, name), None)


def number(text: str | None) -> Any:
    """The number that an attribute holds; whatever is none stays as it is, to be shown in a message."""
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        return text
    return float(text)


def box_corners(left: Any, top: Any, width: Any, height: Any) -> list[list[Any]] | None:
    """The corners of a box; None if one of the values is no number."""
    values = [number(value) for value in (left, top, width, height)]
    found = numbers(values, 4)
    if found is None:
        return None
    x, y, w, h = found
    return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]


def number_list(text: str | None) -> list[float] | None:
    """Numbers with commas, semicolons or white space between them; None if there is something else among them."""
    found = []
    for part in re.split(r"[\s,;]+", (text or "").strip(" \t\r\n,;")):
        value = number(part)
        if not isinstance(value, float):
            return None
        found.append(value)
    return found


def image_of(file: LabelFile, written: str | None) -> str:
    """The image of a file that is about one image: the one that it names, or the one that is named like it.

    Raises:
        InputError: if it names none, and there is none.
    """
    if not written:
        return file.own_image()
    name = file.image(written)
    if file.images.exists(name):
        return name
    return file.images.of_stem(file.key) or name


# --- writing ----------------------------------------------------------------------------------------------------------


def holds_text(text: str) -> bool:
    """Whether XML can hold a text: it has no place for control characters and halves of characters."""
    return _NO_CHARACTER_OF_XML.search(text) is None


def add(parent: Any, name: str, text: str | None = None, /, **attributes: str) -> Any:
    """A new element in another one, in its namespace."""
    namespace = etree.QName(parent).namespace
    if namespace is not None:
        name = f"{{{namespace}}}{name}"
    element = etree.SubElement(parent, name)
    for key, value in attributes.items():
        element.set(key, value)
    element.text = text
    return element


def render(root: Any) -> bytes:
    """A whole file."""
    content: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return content


def require_name(name: str) -> str:
    """The name of an image, for an attribute.

    Raises:
        InputError: if XML cannot hold it.
    """
    if not holds_text(name):
        raise InputError(f"{name!r}: has a character that XML cannot hold; rename the image")
    return name
