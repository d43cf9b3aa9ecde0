"""COCO JSON: one file with a list of images and a list of annotations, each with a polygon or a box."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import shapely

from hmean import geometry
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek, first_object
from hmean.labels.whole_file import (
    TEXT_KEYS,
    LabelFile,
    RawPage,
    RawWord,
    first_text,
    is_ignored,
    is_true,
    numbers,
    pairs,
)
from hmean.labels.words import shown
from hmean.labels.writers import OneFile, json_list
from hmean.types import Page

_IS_MASK = "is a mask (RLE), which hmean does not read; export polygons"


class _Image(msgspec.Struct):
    id: int | str
    file_name: str
    width: Any = None
    height: Any = None
    group: Any = None


class _Annotation(msgspec.Struct):
    image_id: int | str
    id: Any = None
    segmentation: Any = None
    bbox: Any = None
    iscrowd: Any = 0
    ignore: Any = False
    attributes: Any = None
    transcription: Any = None
    text: Any = None
    caption: Any = None
    utf8_string: Any = None


class _CocoFile(msgspec.Struct):
    """A file without annotations is a list of images that have no labels."""

    images: list[_Image]
    annotations: list[_Annotation] | None = None


def _recognises(peek: Peek) -> bool:
    if isinstance(peek.keys.get("images"), list):
        return True
    return "image_id" in first_object(peek.keys.get("annotations"))


def _read(file: LabelFile) -> Iterator[RawPage]:
    content = file.json(_CocoFile)
    words: dict[int | str, list[RawWord]] = {image.id: [] for image in content.images}
    if len(words) < len(content.images):
        raise file.fault("two of its images have the same id")
    for number, annotation in enumerate(content.annotations or ()):
        if annotation.image_id not in words:
            place = f"annotation {shown(annotation.id)} (annotations[{number}])"
            raise file.fault(f"{place} is of the image {annotation.image_id!r}, which images does not list")
        words[annotation.image_id].append(_parse_word(annotation))
    for image in content.images:
        own: list[RawWord] | None = words[image.id]
        if content.annotations is None:
            own = None
        yield RawPage(file.image(image.file_name), own, image.width, image.height, image.group)


def _parse_word(annotation: _Annotation) -> RawWord:
    ignore = is_true(annotation.iscrowd) or is_true(annotation.ignore) or is_ignored(annotation.attributes)
    values = {key: getattr(annotation, key, None) for key in TEXT_KEYS}
    text = first_text(values, TEXT_KEYS)
    if text is None:
        text = first_text(annotation.attributes, TEXT_KEYS)
    word = outline_word(annotation.segmentation, annotation.bbox, is_crowd=is_true(annotation.iscrowd))
    word.text = text
    word.ignore = ignore
    if annotation.id is not None:
        word.id = shown(annotation.id)
    return word


def outline_word(segmentation: Any, bbox: Any, *, is_crowd: bool = False) -> RawWord:
    """The place of a word.

    Args:
        segmentation: polygons [x, y, x, y, ...]; of several ones, parts of one word, the convex hull is taken.
        bbox: [left, top, width, height], which counts if there are no polygons.
        is_crowd: whether it is an ignore region, of which the box will do if its polygon is a mask.
    """
    if isinstance(segmentation, dict):
        if not is_crowd:
            return RawWord(None, fault=_IS_MASK)
        segmentation = None
    if isinstance(segmentation, list) and len(segmentation) == 1:
        return RawWord(pairs(segmentation[0]))
    if isinstance(segmentation, list) and segmentation:
        return _hull(segmentation)
    found = numbers(bbox, 4)
    if found is None:
        return RawWord(None, fault=f"bbox is {shown(bbox)}, not [left, top, width, height]")
    left, top, width, height = found
    right = left + width
    bottom = top + height
    return RawWord([[left, top], [right, top], [right, bottom], [left, bottom]])


def _hull(polygons: list[Any]) -> RawWord:
    """The convex hull of several polygons."""
    corners: list[Any] = []
    for polygon in polygons:
        found = pairs(polygon)
        if isinstance(found, list):
            corners += found
    try:
        points = np.asarray(corners, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        return RawWord(None, fault=f"segmentation is {shown(polygons)}, not polygons [x, y, x, y, ...]")
    hull = shapely.MultiPoint(points).convex_hull
    if not isinstance(hull, shapely.Polygon):
        return RawWord(None, fault=f"has no area: {shown(polygons)}")
    return RawWord(np.asarray(hull.exterior.coords)[:-1].tolist())


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    """Annotations first, so that only the images are held in memory."""
    images: list[dict[str, Any]] = []
    yield b'{"info": {"description": "text, written by hmean"},\n"categories": [{"id": 1, "name": "text"}],\n'
    yield from json_list(b'"annotations": ', _annotations(pages, images), b"")
    yield from json_list(b',\n"images": ', images, b"}\n")


def _annotations(pages: Iterable[Page], images: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The annotations of pages; these are added to ``images``."""
    number = 0
    for page in pages:
        image = {"id": len(images) + 1, "file_name": page.name, "width": page.width, "height": page.height}
        if page.group is not None:
            image["group"] = page.group
        images.append(image)
        for polygon, text, ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
            number += 1
            left, top = polygon.min(axis=0).tolist()
            width, height = np.ptp(polygon, axis=0).tolist()
            annotation = {
                "id": number,
                "image_id": image["id"],
                "category_id": 1,
                "segmentation": [polygon.flatten().tolist()],
                "bbox": [left, top, width, height],
                "area": geometry.area(polygon),
                "iscrowd": int(ignored),
            }
            if text is not None:
                annotation["transcription"] = text
            yield annotation


FORMAT = LabelFormat(
    name="coco",
    title="a COCO file",
    layout="a JSON file with `images` and `annotations`, whose words are polygons (`segmentation`) or boxes (`bbox`)",
    recognises=_recognises,
    keeps=Keeps(groups=True),
    read=_read,
    write=OneFile(".json", _render),
    notes=(
        "The text is `transcription`, `text`, `caption` or `utf8_string` of an annotation or of its "
        "`attributes`. Words with `iscrowd`, or with an attribute such as `ignore` or `illegible`, are ignore "
        "regions. Several polygons of one annotation are parts of one word: their convex hull is taken. Masks "
        "(RLE) are refused, but of `iscrowd` the box is taken. All categories are text. A file without "
        "`annotations` lists pages without labels. Written: the text as `transcription`, ignore regions as "
        "`iscrowd`, the group as `group` of the image."
    ),
)
