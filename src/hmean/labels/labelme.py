"""LabelMe: a JSON file for each image, with shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec

from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek
from hmean.labels.whole_file import LabelFile, RawPage, RawWord, is_ignored, is_true
from hmean.labels.words import shown
from hmean.labels.writers import FileForEachPage
from hmean.types import Page

# Labels that say what a shape is, and not what it reads.
_CLASSES = ("text", "word", "line", "textline", "text_line", "text-line", "region")
_WRONG_SHAPES = ("circle", "line", "linestrip", "point", "points", "mask", "ai_mask")


class _Shape(msgspec.Struct):
    points: Any = None
    label: Any = None
    description: Any = None
    shape_type: Any = "polygon"
    flags: Any = None
    difficult: Any = False


class _LabelMeFile(msgspec.Struct, rename="camel"):
    shapes: list[_Shape]
    image_path: str
    image_width: Any = None
    image_height: Any = None
    group: Any = None


def _recognises(peek: Peek) -> bool:
    return isinstance(peek.keys.get("shapes"), list)


def _read(file: LabelFile) -> Iterator[RawPage]:
    content = file.json(_LabelMeFile)
    words = [_parse_word(shape) for shape in content.shapes]
    name = file.image(content.image_path)
    yield RawPage(name, words, content.image_width, content.image_height, content.group)


def _parse_word(shape: _Shape) -> RawWord:
    ignore = is_ignored(shape.flags) or is_true(shape.difficult)
    if shape.shape_type in _WRONG_SHAPES:
        return RawWord(None, fault=f"is a {shape.shape_type}; hmean reads polygons and rectangles")
    text = shape.description
    if not text and shape.label not in _CLASSES:
        text = shape.label
    points = shape.points
    if shape.shape_type == "rectangle" and isinstance(points, list) and len(points) == 2:
        points = _rectangle(points)
    if points is None:
        return RawWord(None, fault=f"points of the shape {shown(shape.label)} are missing")
    return RawWord(points, text, ignore)


def _rectangle(points: list[Any]) -> Any:
    """Four corners from two opposite ones."""
    first, second = points
    if not isinstance(first, list) or not isinstance(second, list) or len(first) != 2 or len(second) != 2:
        return points
    return [first, [second[0], first[1]], second, [first[0], second[1]]]


def _render(page: Page) -> bytes:
    shapes = []
    for polygon, text, ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
        flags = {}
        if ignored:
            flags["ignore"] = True
        shapes.append(
            {
                "label": "text",
                "points": polygon.tolist(),
                "group_id": None,
                "description": text or "",
                "shape_type": "polygon",
                "flags": flags,
            }
        )
    content: dict[str, Any] = {"version": "5.5.0", "flags": {}, "shapes": shapes}
    content["imagePath"] = PurePosixPath(page.name).name
    content["imageData"] = None
    content["imageHeight"] = page.height
    content["imageWidth"] = page.width
    if page.group is not None:
        content["group"] = page.group
    return msgspec.json.format(msgspec.json.encode(content), indent=1)


FORMAT = LabelFormat(
    name="labelme",
    title="a LabelMe file",
    layout="a JSON file for each image, with `shapes`; the text is a shape's `description`, else its `label`",
    recognises=_recognises,
    keeps=Keeps(groups=True),
    read=_read,
    write=FileForEachPage(".json", _render),
    one_page_a_file=True,
    notes=(
        "The text is the `description` of a shape; without one, its `label`, unless that only says what the "
        "shape is (text, word, line, region). The flag `ignore` (or `difficult`, `illegible`) marks an ignore "
        "region. Circles, points and lines are faults. Written: the text as `description`, ignore regions by "
        "the flag `ignore`."
    ),
)
