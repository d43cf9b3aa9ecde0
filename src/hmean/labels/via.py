"""VIA (VGG Image Annotator) 1 and 2: a JSON project, or the annotations that it exports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek, first_object
from hmean.labels.whole_file import (
    TEXT_KEYS,
    LabelFile,
    RawPage,
    RawWord,
    box_word,
    first_text,
    is_ignored,
    numbers,
)
from hmean.labels.words import shown
from hmean.labels.writers import OneFile
from hmean.types import Page

_IMAGES_KEY = "_via_img_metadata"
# The text is what an annotator called it.
_TEXT_KEYS = (*TEXT_KEYS, "label", "name")


class _Region(msgspec.Struct):
    shape_attributes: dict[str, Any]
    region_attributes: Any = None


class _Image(msgspec.Struct):
    filename: str
    regions: list[_Region] | dict[str, _Region] = msgspec.field(default_factory=list)
    file_attributes: Any = None


class _Project(msgspec.Struct):
    images: dict[str, _Image] = msgspec.field(name=_IMAGES_KEY)


def _recognises(peek: Peek) -> bool:
    if _IMAGES_KEY in peek.keys or "_via_settings" in peek.keys:
        return True
    first = first_object(peek.keys)
    return "regions" in first and "filename" in first


def _read(file: LabelFile) -> Iterator[RawPage]:
    for image in _images(file):
        regions = image.regions
        if isinstance(regions, dict):  # as of VIA 1
            regions = list(regions.values())
        words = [_parse_word(region) for region in regions]
        group = first_text(image.file_attributes, ("group",))
        yield RawPage(file.image(image.filename), words, group=group)


def _images(file: LabelFile) -> Iterable[_Image]:
    keys = file.json(dict[str, msgspec.Raw])
    if any(key.startswith("_via_") for key in keys):
        return file.json(_Project).images.values()
    return file.json(dict[str, _Image]).values()


def _parse_word(region: _Region) -> RawWord:
    word = _outline(region.shape_attributes)
    attributes = region.region_attributes
    word.text = first_text(attributes, _TEXT_KEYS)
    word.ignore = is_ignored(attributes)
    return word


def _outline(shape: dict[str, Any]) -> RawWord:
    kind = shape.get("name")
    if kind in ("polygon", "polyline"):
        x = shape.get("all_points_x")
        y = shape.get("all_points_y")
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            return RawWord(None, fault="all_points_x and all_points_y are not two lists of one length")
        return RawWord([list(point) for point in zip(x, y, strict=True)])
    if kind == "rect":
        sides = [shape.get(key) for key in ("x", "y", "width", "height")]
        found = numbers(sides, 4)
        if found is None:
            return RawWord(None, fault=f"x, y, width and height are {shown(sides)}")
        left, top, width, height = found
        return box_word([left, top, left + width, top + height], "rect")
    return RawWord(None, fault=f"is of the shape {shown(kind)}; hmean reads polygons and rectangles")


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    settings = {"ui": {}, "core": {}, "project": {"name": "hmean"}}
    yield b'{"_via_settings": ' + msgspec.json.encode(settings) + b',\n"' + _IMAGES_KEY.encode() + b'": {'
    keys: list[str] = []
    separator = b"\n"
    for page in pages:
        keys.append(f"{page.name}-1")  # name and size of the file; VIA writes -1 where it does not know that
        yield separator + msgspec.json.encode(keys[-1]) + b": " + msgspec.json.encode(_image(page))
        separator = b",\n"
    yield b"\n}," + b'\n"_via_attributes": ' + msgspec.json.encode(_ATTRIBUTES)
    yield b',\n"_via_data_format_version": "2.0.10",\n"_via_image_id_list": ' + msgspec.json.encode(keys) + b"}\n"


# What VIA asks for beside each region.
_ATTRIBUTES = {
    "region": {
        "text": {"type": "text", "description": "", "default_value": ""},
        "ignore": {"type": "text", "description": "true: an ignore region", "default_value": ""},
    },
    "file": {"group": {"type": "text", "description": "", "default_value": ""}},
}


def _image(page: Page) -> dict[str, Any]:
    regions = []
    for polygon, text, ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
        x, y = polygon.T.tolist()
        attributes: dict[str, Any] = {}
        if text is not None:
            attributes["text"] = text
        if ignored:
            attributes["ignore"] = "true"
        shape = {"name": "polygon", "all_points_x": x, "all_points_y": y}
        regions.append({"shape_attributes": shape, "region_attributes": attributes})
    file_attributes = {}
    if page.group is not None:
        file_attributes["group"] = page.group
    return {"filename": page.name, "size": -1, "regions": regions, "file_attributes": file_attributes}


FORMAT = LabelFormat(
    name="via",
    title="a VIA file",
    layout="a JSON project of VIA 2, or the annotations that VIA 1 or 2 exports",
    recognises=_recognises,
    keeps=Keeps(groups=True),
    read=_read,
    write=OneFile(".json", _render),
    notes=(
        "The text is an attribute `transcription`, `text`, `caption`, `word`, `value`, `label` or `name` of a "
        "region, and the attribute `ignore` (or `illegible`, `difficult`) marks an ignore region. Page sizes "
        "are those of the images. Written is a project of VIA 2."
    ),
)
