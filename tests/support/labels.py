"""Pages with everything that labels can hold, and their images, for tests of label formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import PIL.Image

from hmean.labels.label_set import LabelSet
from hmean.types import Page, Polygons

QUAD = [[12, 20], [90.5, 21], [90, 44.25], [12, 43]]
BOX = [[10, 60], [70, 60], [70, 80], [10, 80]]
SIX = [[100, 10], [120, 4], [140, 10], [140, 20], [120, 14], [100, 20]]
TRIANGLE = [[100, 60], [130, 60], [115, 90]]


def some_pages() -> list[Page]:
    """A page with words of all kinds, one without text, and one without labels."""
    words = Polygons.of([QUAD, BOX, SIX, TRIANGLE])
    texts = ('TOTAL, "RM" \\ 5', "é한글", "###", None)
    ignore = np.array([False, False, True, False])
    return [
        Page("a.png", 160, 100, words, texts=texts, ignore=ignore, group="shop 7"),
        Page("shop/b b.png", 80, 120, Polygons.of([BOX]), texts=("12,5",)),
        Page("empty.png", 64, 48, Polygons.of([])),
        Page("unlabelled.png", 64, 48, Polygons.of([]), words_known=False),
    ]


def draw_images(folder: Path, pages: Iterable[Page]) -> None:
    """White images of the pages' sizes."""
    for page in pages:
        path = folder / page.name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (page.width, page.height), 255).save(path)


def require_same(labels: LabelSet, pages: Iterable[Page]) -> None:
    """Assert that labels hold these pages: in any order of pages and words, outlines from any of their corners on."""
    found = {name: labels.page(index) for index, name in enumerate(labels.names)}
    expected = {page.name: page for page in pages}
    assert sorted(found) == sorted(expected)
    for index, name in enumerate(labels.names):
        assert labels.groups[index] == expected[name].group
    for name, page in expected.items():
        other = found[name]
        assert (other.width, other.height) == (page.width, page.height)
        assert (other.group, other.words_known) == (page.group, page.words_known)
        assert _words(other) == _words(page)


def _words(page: Page) -> list[tuple[list[tuple[float, float]], str, bool]]:
    words = []
    for polygon, text, is_ignored in zip(page.polygons, page.texts, page.ignored.tolist(), strict=True):
        corners = sorted((round(x, 4), round(y, 4)) for x, y in polygon.tolist())
        words.append((corners, text or "", is_ignored))
    return sorted(words)
