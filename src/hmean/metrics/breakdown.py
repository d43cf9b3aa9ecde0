"""Where the errors are: what CLEval's P and R lack, by page and by traits of words and detections.

In characters: R lacks those ``missed``, and one for each further detection of a word (``split``); P lacks ``false``
ones, characters that another detection had found before (``doubled``), and one for each further word of a detection
(``merged``). Nothing else lowers them: P = 1 - (false + doubled + merged) / claimed,
R = 1 - (missed + split) / characters, where detections claim what they find and, if they find nothing, what they stand
for.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from hmean.geometry import min_area_rect
from hmean.metrics.cleval import attribute
from hmean.metrics.kernels import (
    DETECTION_FALSE,
    DETECTION_HITS,
    DETECTION_WORDS,
    WORD_CHARACTERS,
    WORD_DETECTIONS,
    WORD_FOUND,
    WORD_HITS,
    Ints,
)
from hmean.records import Record
from hmean.types import Characters, Detections, Page, Points

# Edges of the bins of each trait that is measured.
EDGES = {
    "height": (8, 12, 16, 24, 40),
    "aspect": (1.5, 3, 6, 12),
    "angle": (1, 3, 10, 30, 80),
}
PLACES = (
    "top left",
    "top centre",
    "top right",
    "middle left",
    "middle centre",
    "middle right",
    "bottom left",
    "bottom centre",
    "bottom right",
)
SQUARE = 1.5  # below this aspect the longer side does not tell the direction of the text

# --- records --------------------------------------------------------------------------------------------------------


class Faults(Record):
    """Sums over words and detections."""

    words: int = Field(description="words that are not ignored")
    characters: int = Field(description="their characters")
    missed: int = Field(description="characters that no detection finds")
    split: int = Field(description="further detections of a word, beyond the first")
    doubled: int = Field(description="characters found again after another detection had found them")
    detections: int = Field(
        description="detections that are not in ignored words", validation_alias=AliasChoices("detections", "regions")
    )
    claimed: int = Field(description="characters that detections find, or stand for if they find none")
    false: int = Field(description="characters that detections without a word stand for")
    merged: int = Field(description="further words of a detection, beyond the first")


class Bin(Faults):
    """The faults of all words and detections with one trait."""

    bin: str = Field(description="the trait")
    recall_lost: float = Field(description="what pooled recall lacks because of them")
    precision_lost: float = Field(description="what pooled precision lacks because of them")
    excess: float = Field(description="by how much both are more than their share of the text lets expect")


class WordFaults(Record):
    """What is wrong with one word."""

    characters: int = Field(description="its characters")
    missed: int = Field(description="those that no detection finds")
    split: int = Field(description="further detections of it, beyond the first")
    doubled: int = Field(description="characters found again after another detection had found them")


class DetectionFaults(Record):
    """What is wrong with one detection."""

    claimed: int = Field(description="characters that it finds, or stands for if it finds none")
    false: int = Field(description="characters that it stands for if it finds none")
    merged: int = Field(description="further words in it, beyond the first")


class PageErrors(Faults):
    """The faults of one page."""

    name: str = Field(description="image file name")
    group: str | None = Field(description="group of the page")
    faulty_words: dict[str, WordFaults] = Field(description="by the ids of the labels")
    faulty_detections: dict[str, DetectionFaults] = Field(
        description="by the ids of predictions.json",
        validation_alias=AliasChoices("faulty_detections", "faulty_regions"),
    )


class Breakdown(Record):
    """The content of ``errors.json``."""

    characters: Characters = Field(description="how characters were counted")
    long_side: int = Field(description="of the network's view, in whose pixels the text height is measured")
    total: Faults = Field(description="of all pages")
    by: dict[str, list[Bin]] = Field(description="for each trait its bins: height, aspect, angle, position, group")
    pages: list[PageErrors] = Field(description="of each page")


# --- counting -------------------------------------------------------------------------------------------------------

# Columns of arrays of faults, in the order of the fields of ``Faults``.
COLUMNS = tuple(Faults.model_fields)
WORDS = COLUMNS.index("words")
CHARACTERS = COLUMNS.index("characters")
MISSED = COLUMNS.index("missed")
SPLIT = COLUMNS.index("split")
DOUBLED = COLUMNS.index("doubled")
DETECTIONS = COLUMNS.index("detections")
CLAIMED = COLUMNS.index("claimed")
FALSE = COLUMNS.index("false")
MERGED = COLUMNS.index("merged")
FAULTS_OF_WORDS = [MISSED, SPLIT, DOUBLED]
FAULTS_OF_DETECTIONS = [FALSE, MERGED]
LOWER_RECALL = [MISSED, SPLIT]
LOWER_PRECISION = [FALSE, DOUBLED, MERGED]


@dataclass(frozen=True, eq=False)
class PageFaults:
    """The faults of each word and each detection of a page.

    Attributes:
        words: (K, 9), columns ``COLUMNS``; zeros for ignored words, and in the columns that are of detections.
        detections: (D, 9), the same for detections.
    """

    words: Ints
    detections: Ints

    def of_words(self) -> NDArray[np.str_]:
        """The fault of each word (K,): ``missed``, ``split`` (in several detections, at a cost or not), or empty."""
        in_several = (self.words[:, SPLIT] > 0) | (self.words[:, DOUBLED] > 0)
        split_or_none = np.where(in_several, "split", "")
        return np.where(self.words[:, MISSED] > 0, "missed", split_or_none)

    def of_detections(self) -> NDArray[np.str_]:
        """The fault of each detection (D,): ``false``, ``merged``, or empty."""
        merged_or_none = np.where(self.detections[:, MERGED] > 0, "merged", "")
        return np.where(self.detections[:, FALSE] > 0, "false", merged_or_none)

    def total(self) -> Ints:
        """The sum of both (9,)."""
        total: Ints = self.words.sum(axis=0) + self.detections.sum(axis=0)
        return total


def page_faults(page: Page, detections: Detections, characters: Characters) -> PageFaults:
    """Find the faults of each word and each detection of a page."""
    counted_words, counted_detections = attribute(page, detections, characters)
    words = np.zeros((len(counted_words), len(COLUMNS)), dtype=np.int64)
    words[:, WORDS] = ~page.ignored
    words[:, CHARACTERS] = counted_words[:, WORD_CHARACTERS]
    words[:, MISSED] = counted_words[:, WORD_CHARACTERS] - counted_words[:, WORD_FOUND]
    words[:, SPLIT] = np.maximum(counted_words[:, WORD_DETECTIONS] - 1, 0)
    words[:, DOUBLED] = counted_words[:, WORD_HITS] - counted_words[:, WORD_FOUND]

    hits = counted_detections[:, DETECTION_HITS]
    words_found = counted_detections[:, DETECTION_WORDS]
    false = counted_detections[:, DETECTION_FALSE]
    found = np.zeros((len(counted_detections), len(COLUMNS)), dtype=np.int64)
    found[:, DETECTIONS] = (words_found > 0) | (false > 0)
    found[:, CLAIMED] = hits + false
    found[:, FALSE] = false
    found[:, MERGED] = np.maximum(words_found - 1, 0)
    return PageFaults(words, found)


def break_down(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    characters: Characters,
    long_side: int,
    scales: Sequence[float] | None = None,
) -> Breakdown:
    """The faults of pages in total, by traits of words and detections, and of each page.

    Args:
        pages: with labels.
        detections: of each page, in falling order of score.
        characters: how the words' characters are counted.
        long_side: of the network's view, in whose pixels the text height is measured.
        scales: pixels of the network's view of each page for one of the page's; None: each has this ``long_side``.

    Returns:
        The bins of each trait sum to the total; their ``recall_lost`` and ``precision_lost`` sum to 1 - R and 1 - P of
        pooled CLEval.
    """
    bins = _Bins()
    rows = []
    if scales is None:
        scales = [long_side / max(page.width, page.height) for page in pages]
    for page, found, scale in zip(pages, detections, scales, strict=True):
        faults = page_faults(page, found, characters)
        for i in np.flatnonzero(faults.words.any(axis=1)).tolist():
            bins.add(traits(page.polygons[i], page, scale), faults.words[i])
        for i in np.flatnonzero(faults.detections.any(axis=1)).tolist():
            bins.add(traits(found.polygons[i], page, scale), faults.detections[i])
        rows.append(_page_errors(page, faults))
    total = np.zeros(len(COLUMNS), dtype=np.int64)
    for row in rows:
        total += [getattr(row, name) for name in COLUMNS]
    return Breakdown(
        characters=characters,
        long_side=long_side,
        total=Faults(**_named(total)),
        by=bins.records(total),
        pages=rows,
    )


def _named(faults: Ints) -> dict[str, int]:
    return dict(zip(COLUMNS, faults.tolist(), strict=True))


def _page_errors(page: Page, faults: PageFaults) -> PageErrors:
    faulty_words = {}
    has_fault = faults.words[:, FAULTS_OF_WORDS].any(axis=1)
    for i in np.flatnonzero(has_fault):
        faulty_words[page.ids[i]] = WordFaults.model_validate(_named(faults.words[i]))
    faulty_detections = {}
    has_fault = faults.detections[:, FAULTS_OF_DETECTIONS].any(axis=1)
    for i in np.flatnonzero(has_fault):
        faulty_detections[f"{i + 1:04d}"] = DetectionFaults.model_validate(_named(faults.detections[i]))
    return PageErrors(
        name=page.name,
        group=page.group,
        faulty_words=faulty_words,
        faulty_detections=faulty_detections,
        **_named(faults.total()),
    )


# --- traits ---------------------------------------------------------------------------------------------------------


def traits(polygon: Points, page: Page, scale: float) -> dict[str, str]:
    """The bin of a polygon for each trait; its height is the shorter side in pixels of the view."""
    rectangle = min_area_rect(polygon)
    x, y = rectangle.centre
    long_side = max(rectangle.size)
    short_side = min(rectangle.size)
    aspect = long_side / max(short_side, 1e-6)
    angle = rectangle.slope
    if aspect < SQUARE:
        angle = min(angle, 90 - angle)
    row = int(np.clip(y / page.height * 3, 0, 2))
    column = int(np.clip(x / page.width * 3, 0, 2))
    return {
        "height": _bin_of("height", short_side * scale),
        "aspect": _bin_of("aspect", aspect),
        "angle": _bin_of("angle", angle),
        "position": PLACES[3 * row + column],
        "group": str(page.group),
    }


def _bin_of(trait: str, value: float) -> str:
    return _bin_names(trait)[bisect(EDGES[trait], value)]


def _bin_names(trait: str) -> list[str]:
    edges = EDGES[trait]
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} and more"]


class _Bins:
    """Sums of faults by trait and bin."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, Ints]] = {}
        for trait in (*EDGES, "position", "group"):
            self._sums[trait] = {}

    def add(self, of: dict[str, str], faults: Ints) -> None:
        """Add the faults (9,) of one word or detection to its bin of each trait."""
        for trait, name in of.items():
            bins = self._sums[trait]
            if name not in bins:
                bins[name] = np.zeros(len(COLUMNS), dtype=np.int64)
            bins[name] += faults

    def records(self, total: Ints) -> dict[str, list[Bin]]:
        """The bins of each trait that hold anything, in their natural order; ``total`` (9,) is of all pages."""
        found = {}
        for trait, sums in self._sums.items():
            if trait == "group":
                names = sorted(sums)
            elif trait == "position":
                names = list(PLACES)
            else:
                names = _bin_names(trait)
            found[trait] = [_bin(name, sums[name], total) for name in names if name in sums]
        return found


def _bin(name: str, sums: Ints, total: Ints) -> Bin:
    recall_lost, recall_excess = _lost(sums, total, LOWER_RECALL, CHARACTERS)
    precision_lost, precision_excess = _lost(sums, total, LOWER_PRECISION, CLAIMED)
    return Bin(
        bin=name,
        recall_lost=recall_lost,
        precision_lost=precision_lost,
        excess=recall_excess + precision_excess,
        **_named(sums),
    )


def _lost(sums: Ints, total: Ints, faults: list[int], whole: int) -> tuple[float, float]:
    """What a bin's faults take from the whole, and by how much that is more than the bin's share lets expect."""
    size = max(int(total[whole]), 1)
    lost = int(sums[faults].sum())
    expected = int(total[faults].sum()) * int(sums[whole]) / size
    return lost / size, (lost - expected) / size
