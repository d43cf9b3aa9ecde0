"""Rows of Hugging Face data sets of documents: one a page, with its image, words and boxes, under any usual names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from hmean.errors import InputError
from hmean.labels.whole_file import IGNORE_KEYS, LabelFile, RawPage, RawWord, is_true, numbers, pairs
from hmean.labels.words import shown
from hmean.types import Page, Points

OBJECTS = "objects"  # a column of records, or a record of lists
BOX_KEYS = (
    "polygons",
    "polygon",
    "quads",
    "quad",
    "word_polygons",
    "bboxes",
    "boxes",
    "word_boxes",
    "normalized_bboxes",
    "bbox",
)
TEXT_KEYS = ("words", "tokens", "texts", "transcriptions", "text", "transcription", "word", "token")
SIZE_KEYS = (("width", "height"), ("image_width", "image_height"), ("img_w", "img_h"))
LABEL_COLUMNS = (OBJECTS, *BOX_KEYS, *TEXT_KEYS, *IGNORE_KEYS, *sum(SIZE_KEYS, ()), "group")
_SAMPLED = 200  # pages whose sizes are looked at
_MOST_EXCEPTIONS = 0.05  # share of the boxes, or pages, that may be wrong in the reading that is taken

Unit = Literal["pixels", "thousandths of the page", "shares of the page"]


@dataclass(frozen=True)
class Row:
    """A page as it stands in a row; nothing of it is checked yet.

    Attributes:
        place: of the row in its file, for messages.
        name: of the image.
        boxes: or polygons of the words; None: the page has no labels.
        texts: of the words; None: they are not known.
        ignore: which words are ignore regions; None: none of them.
        width: of the page in pixels; None: the image says.
        height: likewise.
        group: of the page.
    """

    place: str
    name: str
    boxes: list[Any] | None
    texts: list[Any] | None = None
    ignore: list[Any] | None = None
    width: Any = None
    height: Any = None
    group: Any = None


def has_boxes(columns: Any) -> bool:
    """Whether there is a column that may hold places of words."""
    return OBJECTS in columns or any(key in columns for key in BOX_KEYS)


def _stated_size(values: dict[str, Any]) -> tuple[Any, Any]:
    """Width and height as they stand in a row; None where it has none."""
    for width, height in SIZE_KEYS:
        if width in values and height in values:
            return values[width], values[height]
    return None, None


def row_of(place: str, name: str, values: dict[str, Any]) -> Row:
    """The row of these columns."""
    width, height = _stated_size(values)
    words = values
    if values.get(OBJECTS) is not None:
        words = _as_lists(values[OBJECTS])
    return Row(
        place,
        name,
        _first_list(words, BOX_KEYS),
        _first_list(words, TEXT_KEYS),
        _first_list(words, IGNORE_KEYS),
        width,
        height,
        values.get("group"),
    )


def _as_lists(objects: Any) -> dict[str, Any]:
    """Objects as a record of lists, whichever way round they are."""
    if isinstance(objects, dict):
        return objects
    if not isinstance(objects, list):
        return {}
    records = [found if isinstance(found, dict) else {} for found in objects]
    keys = {key for found in records for key in found}
    lists: dict[str, Any] = {key: [found.get(key) for found in records] for key in keys}
    if not records:
        lists[BOX_KEYS[0]] = []
    return lists


def _first_list(values: dict[str, Any], keys: tuple[str, ...]) -> list[Any] | None:
    for key in keys:
        if isinstance(values.get(key), list):
            return list(values[key])
    return None


# --- what the numbers of a box mean -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """How the boxes of a data set are written.

    Attributes:
        is_corners: [left, top, right, bottom]; else [left, top, width, height].
        unit: of the numbers.
    """

    is_corners: bool = True
    unit: Unit = "pixels"

    def sentence(self) -> str:
        """What a user is told."""
        names = "left, top, width, height"
        if self.is_corners:
            names = "left, top, right, bottom"
        return f"boxes are read as [{names}] in {self.unit}"


@dataclass
class _Seen:
    """What the boxes of a file say about how they are written.

    Attributes:
        boxes: how many there are.
        misordered: how many of them end before they begin, if they are corners.
        most: the largest number.
        sizes: (width, height) of the first pages with boxes, as far as they are known.
        corners: the farthest [x, y] on each of these, if boxes are corners.
        sums: the same if they have sizes.
    """

    boxes: int = 0
    misordered: int = 0
    most: float = 0.0
    sizes: list[list[float]] = field(default_factory=list)
    corners: list[list[float]] = field(default_factory=list)
    sums: list[list[float]] = field(default_factory=list)

    def look_at(self, file: LabelFile, row: Row) -> None:
        """Take a page into account."""
        boxes = np.array([box for box in row.boxes or () if numbers(box, 4) is not None], dtype=np.float64)
        boxes = boxes.reshape(-1, 4)
        for outline in row.boxes or ():
            self.most = max(self.most, _most_of(outline))
        if len(boxes) == 0:
            return
        self.boxes += len(boxes)
        self.misordered += int((boxes[:, 2:] < boxes[:, :2]).any(axis=1).sum())
        size = None
        if len(self.sizes) < _SAMPLED:
            size = _size_of(file, row)
        if size is not None:
            self.sizes.append(size)
            self.corners.append(boxes[:, 2:].max(axis=0).tolist())
            self.sums.append((boxes[:, :2] + boxes[:, 2:]).max(axis=0).tolist())

    def form(self) -> Form:
        """How the boxes are written.

        A text is not as wide as its distance from the left and not as high as that from the top, but for a few at
        the page's corner, so boxes of sizes would be misordered corners. Numbers up to 1 are shares. Above 1000 they
        are pixels, and so are outlines of more than a box. Else thousandths (as of LayoutLM) would leave the page if
        they were pixels; if they would not, that reading is taken in which the text fills more of the pages.
        """
        is_corners = self.misordered <= self.boxes * _MOST_EXCEPTIONS
        far = self.sums
        if is_corners:
            far = self.corners
        if self.most <= 1:
            return Form(is_corners, "shares of the page")
        if self.most > 1000 or not self.sizes:
            return Form(is_corners)
        filled = np.array(far) / np.array(self.sizes)
        outside = (filled > 1.01).any(axis=1).mean()
        if outside > _MOST_EXCEPTIONS or np.max(far) / 1000 > filled.max():
            return Form(is_corners, "thousandths of the page")
        return Form(is_corners)


def _size_of(file: LabelFile, row: Row) -> list[float] | None:
    size = numbers([row.width, row.height], 2)
    if size is not None and min(size) >= 1:
        return size
    try:
        return list(file.images.size(row.name))
    except InputError:
        return None


def _most_of(outline: Any) -> float:
    """The largest number in a box or an outline; 0 if there is something else in its place."""
    try:
        most = float(np.max(np.array(outline, dtype=np.float64), initial=0))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return 0.0
    if not np.isfinite(most):
        return 0.0
    return most


def _as_points(outline: Any) -> Any:
    """[x, y, x, y, ...] and [[x, y], ...] as the latter."""
    if isinstance(outline, list) and outline and not isinstance(outline[0], list):
        return pairs(outline)
    return outline


# --- pages ------------------------------------------------------------------------------------------------------------


def pages_of(file: LabelFile, rows: Callable[[], Iterator[Row]]) -> Iterator[RawPage]:
    """The pages of rows, which are gone through twice: first to see how the boxes are written."""
    seen = _Seen()
    for row in rows():
        seen.look_at(file, row)
    form = seen.form()
    if seen.boxes:
        file.remarks.append(f"{file.path}: {form.sentence()}")
    for row in rows():
        yield _page_of(row, form)


def _page_of(row: Row, form: Form) -> RawPage:
    if row.boxes is None:
        return RawPage(row.name, None, row.width, row.height, row.group)
    words: list[RawWord] = []
    texts = _of_words(row.texts, row.boxes)
    ignore = _of_words(row.ignore, row.boxes)
    if texts is None or ignore is None:
        counts = f"{len(row.boxes)} boxes and {len(row.texts or row.ignore or ())} texts or flags"
        words.append(RawWord(None, fault=f"{row.place} has {counts}"))
        return RawPage(row.name, words, row.width, row.height, row.group)
    last: Any = None
    for box, text, is_ignored in zip(row.boxes, texts, ignore, strict=True):
        is_box = numbers(box, 4) is not None
        if is_box and box == last and words and isinstance(words[-1].text, str) and isinstance(text, str):
            words[-1].text += f" {text}"
            continue
        last = box
        if not is_box or any(box):  # LayoutLM has [0, 0, 0, 0] for what lies nowhere
            words.append(_word_of(box, text, form, ignore=is_true(is_ignored)))
    if form.unit == "pixels":
        return RawPage(row.name, words, row.width, row.height, row.group)
    return RawPage(row.name, words, row.width, row.height, row.group, unit="page")


def _of_words(values: list[Any] | None, boxes: list[Any]) -> list[Any] | None:
    """A value for each box; None if there are more or fewer."""
    if values is None:
        return [None] * len(boxes)
    if len(values) != len(boxes):
        return None
    return values


def _word_of(box: Any, text: Any, form: Form, *, ignore: bool) -> RawWord:
    found = numbers(box, 4)
    if found is None:
        points = _as_points(box)
    else:
        points = _corners_of(found, form)
    if form.unit == "thousandths of the page":
        try:
            points = (np.array(points, dtype=np.float64) / 1000).tolist()
        except (TypeError, ValueError, OverflowError, RecursionError):
            return RawWord(None, fault=f"its outline is {shown(box)}")
    return RawWord(points, text, ignore)


def _corners_of(box: list[float], form: Form) -> list[list[float]]:
    left, top, right, bottom = box
    if not form.is_corners:
        right += left
        bottom += top
    if form.unit == "thousandths of the page":  # they were cut to whole ones, thin words to none
        right = max(right, left + 1)
        bottom = max(bottom, top + 1)
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def is_utf8(text: str) -> bool:
    """Whether a text can be written at all: halves of characters cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _box_of(points: Points) -> list[float]:
    """Left, top, right and bottom of a polygon (n, 2)."""
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return [left, top, right, bottom]


def columns_of(page: Page) -> dict[str, Any]:
    """A page as a row: words, and for each its text, box, polygon and flag; without labels these are null."""
    row: dict[str, Any] = {"file_name": page.name, "width": page.width, "height": page.height, "group": page.group}
    row |= {"words": None, "bboxes": None, "polygons": None, "ignore": None}
    if page.words_known:
        row["words"] = [text or "" for text in page.texts]
        row["bboxes"] = [_box_of(points) for points in page.polygons]
        row["polygons"] = [points.tolist() for points in page.polygons]
        row["ignore"] = page.ignored.tolist()
    return row
