"""Label Studio: the JSON that it exports, or tasks as it imports them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import msgspec
import numpy as np

from hmean import geometry
from hmean.errors import InputError
from hmean.images import SUFFIXES
from hmean.labels.label_format import Keeps, LabelFormat
from hmean.labels.peek import Peek, first_object
from hmean.labels.whole_file import IGNORE_KEYS, LabelFile, RawPage, RawWord, numbers
from hmean.labels.words import shown
from hmean.labels.writers import OneFile, json_list
from hmean.types import Page

_PREFIX = re.compile(r"^[0-9a-f]{8}-")  # that Label Studio puts before the name of an uploaded file
_IMAGE_KEYS = ("image", "ocr", "img")
_SHAPES = ("rectangle", "polygon")
_OTHER_SHAPES = ("ellipse", "brush", "keypoint", "bitmask", "vector")
_QUARTER_TURNS = (90, 180, 270)


class _Result(msgspec.Struct):
    """A region, or something that is said about it; those of one region have one id."""

    type: Any = None
    id: Any = None
    value: Any = None
    original_width: Any = None
    original_height: Any = None
    image_rotation: Any = 0


class _Annotation(msgspec.Struct):
    result: list[_Result] | None = None
    was_cancelled: Any = False


class _Task(msgspec.Struct):
    data: dict[str, Any]
    annotations: list[_Annotation] | None = None
    completions: list[_Annotation] | None = None  # the name in versions before 1.0


def _recognises(peek: Peek) -> bool:
    task = peek.keys
    if isinstance(peek.json, list):
        task = first_object(peek.json)
    return isinstance(task.get("data"), dict)


def _read(file: LabelFile) -> Iterator[RawPage]:
    tasks: list[_Task] | _Task
    if file.content().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        tasks = [file.json(_Task)]
    else:
        tasks = file.json(list[_Task])
    for number, task in enumerate(tasks):
        written = _image_of(task.data)
        if written is None:
            raise file.fault(f"the data of task {number + 1} names no image: {shown(task.data)}")
        yield _parse_page(file, _name_of(file, written), task)


def _image_of(data: dict[str, Any]) -> str | None:
    """The value that names the image: under a usual key, or the first that ends like an image's name."""
    for key in _IMAGE_KEYS:
        if isinstance(data.get(key), str):
            return str(data[key])
    for value in data.values():
        if isinstance(value, str) and value.lower().endswith(tuple(SUFFIXES)):
            return value
    return None


def _name_of(file: LabelFile, written: str) -> str:
    """The name of an image that is a path, ``/data/local-files/?d=PATH``, ``/data/upload/1/0a1b2c3d-NAME`` or a URL."""
    path = written
    if "://" in written or written.startswith("/data/"):
        parts = urlsplit(written)
        path = unquote(parts.path)
        local = parse_qs(parts.query).get("d")
        if local:
            path = local[0]
    name = file.images.name_of(path)
    folder, slash, last = name.rpartition("/")
    without_prefix = folder + slash + _PREFIX.sub("", last)
    if not file.images.exists(name) and without_prefix != name:
        return file.images.name_of(without_prefix)
    return name


def _parse_page(file: LabelFile, name: str, task: _Task) -> RawPage:
    group = task.data.get("group")
    done = []
    for annotation in task.annotations or task.completions or ():
        if annotation.was_cancelled is not True and annotation.result is not None:
            done.append(annotation.result)
    if not done:
        return RawPage(name, None, group=group)
    results = done[-1]
    width: Any = None
    height: Any = None
    for result in results:
        if result.original_width is not None and result.original_height is not None:
            width = result.original_width
            height = result.original_height
    size = numbers([width, height], 2)
    if size is None:
        width = None
        height = None
        size = _size_of(file, name)
    return RawPage(name, _parse_words(results, size), width, height, group, unit="page")


def _size_of(file: LabelFile, name: str) -> list[float]:
    """The size of an image; of one that cannot be read, which is told when its page is read, a square's."""
    try:
        return list(file.images.size(name))
    except InputError:
        return [1, 1]


def _parse_words(results: list[_Result], size: list[float]) -> list[RawWord]:
    by_id: dict[str, list[_Result]] = {}
    for number, result in enumerate(results):
        key = result.id
        if not isinstance(key, str):
            key = f"{number}"
        by_id.setdefault(key, []).append(result)
    words = []
    for key, of_region in by_id.items():
        word = _parse_word(of_region, size)
        if word is not None:
            word.id = key
            words.append(word)
    return words


def _parse_word(of_region: list[_Result], size: list[float]) -> RawWord | None:
    """A region; None for what is no region, such as a choice for the whole page."""
    word: RawWord | None = None
    text = None
    labels: list[Any] = []
    for result in of_region:
        kind = str(result.type)
        value = result.value
        if not isinstance(value, dict):
            continue
        if "text" in value:
            text = _joined_text(value["text"])
        for shape in _SHAPES:
            labels += _as_list(value.get(f"{shape}labels"))
        labels += _as_list(value.get("labels"))
        if word is None and kind.removesuffix("labels") in _OTHER_SHAPES:
            word = RawWord(None, fault=f"is of the type {kind}; hmean reads rectangles and polygons")
        elif word is None and ("points" in value or "width" in value):
            word = _outline(value, size)
            if result.image_rotation in _QUARTER_TURNS:
                word = RawWord(None, fault="was drawn on a turned image (image_rotation); turn the image file instead")
    if word is not None:
        word.text = text
        word.ignore = any(str(label).strip().lower() in IGNORE_KEYS for label in labels)
    return word


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return []


def _joined_text(value: Any) -> Any:
    """The text of a text area, which may be a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return value


def _outline(value: dict[str, Any], size: list[float]) -> RawWord:
    """A polygon or a rectangle in percent of the page; a rectangle is turned about its first corner."""
    if "points" in value:
        try:
            return RawWord((np.asarray(value["points"], dtype=np.float64) / 100).tolist())
        except (TypeError, ValueError, OverflowError):
            return RawWord(None, fault=f"points is {shown(value['points'])}, not a list of [x, y]")
    sides = [value.get(key) for key in ("x", "y", "width", "height")]
    found = numbers([*sides, value.get("rotation") or 0], 5)
    if found is None:
        return RawWord(None, fault=f"x, y, width and height are {shown(sides)}")
    x, y, width, height, degrees = found
    corners = geometry.corners(width, height) * size / 100
    turn = math.radians(degrees)
    along = np.array([math.cos(turn), math.sin(turn)])
    down = np.array([-math.sin(turn), math.cos(turn)])
    turned = corners[:, :1] * along + corners[:, 1:] * down
    return RawWord((turned / size + [x / 100, y / 100]).tolist())


def _render(pages: Iterable[Page]) -> Iterator[bytes]:
    yield from json_list(b"", (task_of(page) for page in pages), b"\n")


def task_of(page: Page) -> dict[str, Any]:
    """A task for Label Studio with a page's words as its annotation, for the labelling config of the reference page."""
    data = {"image": f"/data/local-files/?d={quote(page.name)}"}
    if page.group is not None:
        data["group"] = page.group
    task: dict[str, Any] = {"data": data}
    if page.words_known:
        task["annotations"] = [{"result": results_of(page)}]
    return task


def results_of(page: Page) -> list[dict[str, Any]]:
    """The words of a page as Label Studio's regions: each a polygon with a label, and its text."""
    results: list[dict[str, Any]] = []
    size = (page.width, page.height)
    words = zip(page.ids, page.polygons, page.texts, page.ignored.tolist(), strict=True)
    for word_id, polygon, text, ignored in words:
        region = {
            "id": word_id,
            "to_name": "image",
            "original_width": page.width,
            "original_height": page.height,
            "image_rotation": 0,
        }
        outline = {"points": (polygon / size * 100).tolist(), "closed": True}
        label = "Text"
        if ignored:
            label = "Ignore"
        labelled = {**outline, "polygonlabels": [label]}
        results.append({**region, "from_name": "label", "type": "polygonlabels", "value": labelled})
        if text is not None:
            read = {**outline, "text": [text]}
            results.append({**region, "from_name": "transcription", "type": "textarea", "value": read})
    return results


FORMAT = LabelFormat(
    name="labelstudio",
    title="a Label Studio file",
    layout="the JSON export, or tasks: a list of `data` and `annotations`, in percent of the page",
    recognises=_recognises,
    keeps=Keeps(groups=True, unlabelled=True),
    read=_read,
    in_shares=True,
    write=OneFile(".json", _render),
    notes=(
        "Read are polygons and rectangles, also turned ones, with the text area of the same id; the last "
        "annotation of a task that was not cancelled counts, and predictions do not. A label Ignore (or "
        "Illegible, Difficult) marks an ignore region. The image is found from an upload "
        "(`/data/upload/1/0a1b2c3d-a.jpg`), from local files (`/data/local-files/?d=a.jpg`) or by the end of "
        'a URL. Written are tasks with annotations for a labelling config with `PolygonLabels name="label"` '
        '(Text, Ignore), `TextArea name="transcription" perRegion="true"` and `Image name="image" '
        'value="$image"`, whose images are local files.'
    ),
)
