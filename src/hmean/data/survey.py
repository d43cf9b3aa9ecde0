"""One look at every page of a data set, over many processes: its faults, what its image shows, what its words are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean import geometry
from hmean.data.check import check_page
from hmean.data.likeness import Print, print_of
from hmean.data.pages import LabelledImages
from hmean.data.scripts import count_scripts
from hmean.data.views import TextPlace
from hmean.errors import InputError
from hmean.progress import track
from hmean.types import Page

Floats = NDArray[np.float64]

_PAGES_A_PROCESS = 32  # fewer are read sooner than a further process starts
_PAGES_A_MESSAGE = 8


@dataclass(frozen=True, eq=False)
class NamedPages:
    """The pages of one split.

    Attributes:
        name: train, val or test; of labels that are no split, the name of their file.
        pages: its pages.
    """

    name: str
    pages: LabelledImages


@dataclass(frozen=True, eq=False)
class WordShapes:
    """The K words of a page.

    Attributes:
        heights: shorter side of the smallest rectangle around each word, pixels (K,).
        lengths: its longer side (K,).
        slopes: angle of that side to the horizontal, degrees from 0 to 90 (K,).
        areas: of the words, square pixels (K,).
        ignored: which of them are ignore regions (K,).
    """

    heights: Floats
    lengths: Floats
    slopes: Floats
    areas: Floats
    ignored: NDArray[np.bool_]

    @classmethod
    def of(cls, page: Page) -> WordShapes:
        """Of the labels of a page."""
        heights = np.zeros(len(page.polygons))
        lengths = np.zeros(len(page.polygons))
        slopes = np.zeros(len(page.polygons))
        areas = np.zeros(len(page.polygons))
        for k, polygon in enumerate(page.polygons):
            rectangle = geometry.min_area_rect(polygon)
            heights[k] = min(rectangle.size)
            lengths[k] = max(rectangle.size)
            slopes[k] = rectangle.slope
            areas[k] = geometry.area(polygon)
        return cls(heights, lengths, slopes, areas, page.ignored)


@dataclass(frozen=True, eq=False)
class SurveyedPage:
    """What one look at a page found.

    Attributes:
        name: of the image, as the labels give it.
        group: of the page.
        width: of the upright image, pixels; of one that could not be read, what the labels say.
        height: likewise.
        is_labelled: False for a page without labels.
        faults: of labels and image, one sentence each.
        words: their shapes, without those that have faults.
        texts: number of words with a text.
        scripts: number of characters of each script.
        place: where its text is; None: it has none.
        print: what its image looks like; None if the image could not be read.
    """

    name: str
    group: str | None
    width: int
    height: int
    is_labelled: bool
    faults: Sequence[str]
    words: WordShapes
    texts: int
    scripts: dict[str, int]
    place: TextPlace | None
    print: Print | None

    @property
    def long_side(self) -> int:
        """Of the page, pixels."""
        return max(self.width, self.height)


@dataclass(frozen=True, eq=False)
class SurveyedPages:
    """All pages of one split.

    Attributes:
        name: of the split.
        pages: in the order of the labels.
    """

    name: str
    pages: Sequence[SurveyedPage]


def survey(splits: Sequence[NamedPages], workers: int | None = None) -> list[SurveyedPages]:
    """Read every label, and every image whole.

    Args:
        splits: what is looked at.
        workers: number of processes; None: one for each processor that this one may use, but no more than are worth
            their start.

    Raises:
        InputError: if a process is killed, which happens where the memory is short.
    """
    places: list[tuple[int, int]] = []
    for number, split in enumerate(splits):
        for position in range(len(split.pages)):
            places.append((number, position))
    if workers is None:
        workers = min(_processors(), len(places) // _PAGES_A_PROCESS)
    found: list[list[SurveyedPage]] = [[] for _ in splits]
    with track("reading pages", len(places)) as advance:
        for (number, _), page in zip(places, _look_at_all(splits, places, workers), strict=True):
            found[number].append(page)
            advance()
    return [SurveyedPages(split.name, pages) for split, pages in zip(splits, found, strict=True)]


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux: what a container or a queue leaves to this process
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _look_at_all(
    splits: Sequence[NamedPages], places: Sequence[tuple[int, int]], workers: int
) -> Iterator[SurveyedPage]:
    """Every page, in order, read by so many processes; fewer than two: by this one."""
    if workers < 2:
        for number, position in places:
            yield look_at(splits[number].pages, position)
        return
    # New processes, since a fork of one that has threads may hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(splits,))
    try:
        yield from pool.map(_look_at_place, places, chunksize=_PAGES_A_MESSAGE)
    except BrokenProcessPool as error:
        raise InputError(
            "A process that read pages was ended from outside, as it is where the memory is short; "
            "use fewer with --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_SPLITS: list[NamedPages] = []  # in a process of the pool: sent once, and not with every page


def _begin(splits: Sequence[NamedPages]) -> None:
    cv2.setNumThreads(1)  # the processes share the machine
    _SPLITS[:] = splits


def _look_at_place(place: tuple[int, int]) -> SurveyedPage:
    number, position = place
    return look_at(_SPLITS[number].pages, position)


def look_at(pages: LabelledImages, position: int) -> SurveyedPage:
    """Look at one page."""
    checked = check_page(pages, position, decode=True)
    page = checked.page
    found_print = None
    width = page.width
    height = page.height
    if checked.image is not None:
        found_print = print_of(checked.image)
        height, width = checked.image.shape[:2]
    return SurveyedPage(
        name=pages.name(position),
        group=page.group,
        width=width,
        height=height,
        is_labelled=page.words_known,
        faults=checked.faults,
        words=WordShapes.of(page),
        texts=sum(bool(text) for text in page.texts),
        scripts=count_scripts(page.texts),
        place=TextPlace.of(list(page.polygons)),
        print=found_print,
    )
