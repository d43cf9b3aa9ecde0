"""What a data set is made of, in numbers: pages, words, groups, scripts, and what a model will see of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.data.leaks import Leaks, find_leaks
from hmean.data.survey import SurveyedPage, SurveyedPages
from hmean.data.views import letterbox, text_view
from hmean.metrics.breakdown import SQUARE
from hmean.metrics.groups import Grouping, PageGroups
from hmean.records import Record
from hmean.types import TextView, View

Floats = NDArray[np.float64]

SMALL = 8.0  # pixels: of text that is less high in its view, a detector misses much
LONG_SIDES = (480, 640, 800, 960, 1120, 1280, 1600, 1920, 2240, 2560)
ALL = "all"  # the splits together


class Spread(Record):
    """How a quantity is distributed."""

    least: float = Field(description="the smallest value")
    p5: float = Field(description="5 % of the values are smaller")
    median: float = Field(description="the value in the middle")
    p95: float = Field(description="5 % of the values are larger")
    most: float = Field(description="the largest value")

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[Any]) -> Spread | None:
        """Of any number of values; None if there are none."""
        if len(values) == 0:
            return None
        quantiles = np.quantile(values, [0, 0.05, 0.5, 0.95, 1])
        least, p5, median, p95, most = quantiles.round(4).tolist()
        return cls(least=least, p5=p5, median=median, p95=p95, most=most)


class SeenText(Record):
    """The text of some pages in the views that a model gets."""

    height: Spread | None = Field(description="height of the words in the view, pixels; null: there are no words")
    small: float | None = Field(description=f"share of the words that are less than {SMALL:g} pixels high there")
    pixels: float = Field(description="pixels of a view, on average, in megapixels: what a page costs")

    @classmethod
    def of(cls, heights: Floats, pixels: Sequence[float]) -> SeenText:
        """From the heights of all words, and the number of pixels of all views."""
        small = None
        if len(heights) > 0:
            small = float((heights < SMALL).mean())
        return cls(height=Spread.of(heights), small=small, pixels=float(np.mean(pixels)) / 1e6)


class SplitStatistics(Record):
    """The pages of one split."""

    name: str = Field(description="train, val, test; all: these together; of other labels, the name of their file")
    pages: int = Field(description="number of pages whose image can be read; what follows is of them")
    faults: int = Field(description="number of faults of labels and images (hmean data check names them)")
    unlabelled: int = Field(description="pages without labels")
    empty: int = Field(description="labelled pages without words")
    words: int = Field(description="number of words that count, without ignore regions; sizes below are of them")
    ignored: int = Field(description="number of ignore regions")
    texts: int = Field(description="number of words and ignore regions with a text")
    long_side: Spread | None = Field(description="longest side of a page, pixels")
    page_aspect: Spread | None = Field(description="height of a page / its width")
    words_of_page: Spread | None = Field(description="words of a labelled page")
    density: Spread | None = Field(description="words of a labelled page for each megapixel of it")
    covered: Spread | None = Field(description="share of a labelled page that its words cover")
    height: Spread | None = Field(description="height of a word (shorter side of the smallest rectangle), pixels")
    aspect: Spread | None = Field(description="longer side of a word / its shorter side")
    slope: Spread | None = Field(description="angle of a word's longer side to the horizontal, 0 to 90 degrees")
    upright: float | None = Field(
        description="share of words whose longer side is nearer to the vertical, such as a narrow 1"
    )
    grouping: Grouping | None = Field(description="how the pages lie in groups")
    groups: dict[str, int] = Field(description="pages of each group, the largest first")
    ungrouped: int = Field(description="pages without a group, each taken as one of its own")
    scripts: dict[str, int] = Field(description="characters of each script in the texts, the most frequent first")
    page_view: SeenText | None = Field(description="text in a view of the whole page at transforms.long_side")
    text_view: SeenText | None = Field(
        description="text in a view of the text (transforms.view=text), cut where the labels say that text is"
    )
    small_at: dict[int, float] = Field(
        description=f"share of the words that are less than {SMALL:g} pixels high if a page's longest side is so long"
    )


class DataStatistics(Record):
    """``hmean data stats --json``: what a data set is made of, and what a model will see of it."""

    view: str = Field(description="how the settings show pages: page or text")
    long_side: int = Field(description="transforms.long_side of the settings, pixels")
    text_height: float = Field(description="transforms.text_height of the settings, pixels")
    splits: list[SplitStatistics] = Field(description="each split; with several, also all of them together")
    leaks: Leaks = Field(description="what the splits share")


@dataclass(frozen=True, eq=False)
class WordValues:
    """The words of some pages that count, without ignore regions.

    Attributes:
        heights: pixels (K,).
        aspects: longer side / shorter side (K,).
        slopes: degrees, 0 to 90 (K,); of a word that is nearly square, of the side nearer to the horizontal.
        shares: height / longest side of the page (K,).
    """

    heights: Floats
    aspects: Floats
    slopes: Floats
    shares: Floats

    @classmethod
    def of(cls, pages: Sequence[SurveyedPage]) -> WordValues:
        """Of all words of these pages."""
        heights = [np.zeros(0)]
        aspects = [np.zeros(0)]
        slopes = [np.zeros(0)]
        shares = [np.zeros(0)]
        for page in pages:
            counts = ~page.words.ignored
            height = page.words.heights[counts]
            heights.append(height)
            aspects.append(page.words.lengths[counts] / np.maximum(height, 1e-6))
            slopes.append(page.words.slopes[counts])
            shares.append(height / page.long_side)
        aspect = np.concatenate(aspects)
        slope = np.concatenate(slopes)
        is_square = aspect < SQUARE
        slope[is_square] = np.minimum(slope, 90 - slope)[is_square]
        return cls(np.concatenate(heights), aspect, slope, np.concatenate(shares))


def readable(split: SurveyedPages) -> list[SurveyedPage]:
    """The pages whose image could be read, and whose size is known with it."""
    return [page for page in split.pages if page.print is not None]


def with_all(splits: Sequence[SurveyedPages]) -> list[SurveyedPages]:
    """The splits, and behind several all of them together."""
    found = list(splits)
    if len(found) > 1:
        found.append(SurveyedPages(ALL, [page for split in splits for page in split.pages]))
    return found


def data_statistics(splits: Sequence[SurveyedPages], view: View) -> DataStatistics:
    """The numbers of a surveyed data set.

    Args:
        splits: what was surveyed.
        view: how the model is shown pages.
    """
    text = view.text or TextView()
    return DataStatistics(
        view="page" if view.text is None else "text",
        long_side=view.long_side,
        text_height=text.height,
        splits=[_split_statistics(split, view, text.height) for split in with_all(splits)],
        leaks=find_leaks(splits),
    )


def _split_statistics(split: SurveyedPages, view: View, text_height: float) -> SplitStatistics:
    pages = readable(split)
    labelled = [page for page in pages if page.is_labelled]
    words = WordValues.of(pages)
    counts = [int((~page.words.ignored).sum()) for page in labelled]
    megapixels = [page.width * page.height / 1e6 for page in labelled]
    covered = [float(page.words.areas.sum()) / (page.width * page.height) for page in labelled]
    groups = Counter(page.group for page in pages if page.group is not None)
    scripts: Counter[str] = Counter()
    for page in pages:
        scripts.update(page.scripts)
    upright = None
    small_at: dict[int, float] = {}
    if len(words.heights) > 0:
        upright = float((words.slopes > 45).mean())
        for side in LONG_SIDES:
            small_at[side] = float((words.shares * side < SMALL).mean())
    return SplitStatistics(
        name=split.name,
        pages=len(pages),
        faults=sum(len(page.faults) for page in split.pages),
        unlabelled=len(pages) - len(labelled),
        empty=counts.count(0),
        words=len(words.heights),
        ignored=sum(int(page.words.ignored.sum()) for page in pages),
        texts=sum(page.texts for page in pages),
        long_side=Spread.of([page.long_side for page in pages]),
        page_aspect=Spread.of([page.height / page.width for page in pages]),
        words_of_page=Spread.of(counts),
        density=Spread.of(np.array(counts) / np.array(megapixels)),
        covered=Spread.of(covered),
        height=Spread.of(words.heights),
        aspect=Spread.of(words.aspects),
        slope=Spread.of(words.slopes),
        upright=upright,
        grouping=_grouping(pages),
        groups=dict(groups.most_common()),
        ungrouped=sum(page.group is None for page in pages),
        scripts=dict(scripts.most_common()),
        page_view=_seen_in_page_views(pages, view),
        text_view=_seen_in_text_views(pages, view, text_height),
        small_at=small_at,
    )


def _grouping(pages: Sequence[SurveyedPage]) -> Grouping | None:
    if not pages:
        return None
    numbers = [str(i) for i in range(len(pages))]  # two splits may have pages of one name
    return PageGroups.of(numbers, [page.group for page in pages]).grouping()


def _seen_in_page_views(pages: Sequence[SurveyedPage], view: View) -> SeenText | None:
    if not pages:
        return None
    heights = [np.zeros(0)]
    pixels = []
    for page in pages:
        shown = letterbox(page.width, page.height, view.long_side, view.pad)
        heights.append(page.words.heights[~page.words.ignored] * shown.scale)
        pixels.append(shown.width * shown.height)
    return SeenText.of(np.concatenate(heights), pixels)


def _seen_in_text_views(pages: Sequence[SurveyedPage], view: View, text_height: float) -> SeenText | None:
    heights = []
    pixels = []
    for page in pages:
        if page.place is None:
            continue
        shown = text_view(page.width, page.height, page.place, text_height, view.long_side)
        heights.append(page.words.heights[~page.words.ignored] * shown.scale)
        pixels.append(shown.width * shown.height)
    if not pixels:
        return None
    return SeenText.of(np.concatenate(heights), pixels)
