"""The score of a set of pages: CLEval, macro and pooled, and IoU at 0.5 and 0.7."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hmean.metrics.cleval import Counts, count_array
from hmean.metrics.iou import MatchCounts, match_array
from hmean.metrics.statistics import IOU_THRESHOLDS
from hmean.types import PRH, Characters, Detections, Page, Score

T = TypeVar("T")

NOT_COUNTED = MatchCounts()
PAGES_AT_ONCE = 8  # enough for a kernel to run long without the GIL, few enough to share among threads


@dataclass(frozen=True)
class PageScore:
    """The counts of one page: everything that the score of a set, its intervals and a report of faults need.

    Attributes:
        name: of the page's image.
        counts: of CLEval.
        iou50: matches at IoU 0.5.
        iou70: matches at IoU 0.7.
        group: that the page belongs to (a shop, a document); None: it is one of its own.
        single: words of one character and how many are found, where ``single_characters.with_single`` has counted them.
    """

    name: str
    counts: Counts
    iou50: MatchCounts
    iou70: MatchCounts
    group: str | None = None
    single: MatchCounts = NOT_COUNTED

    @property
    def prh(self) -> PRH:
        """CLEval of this page alone; all 0 for a page without text and detections, as in the official program."""
        return self.counts.prh


def choose_characters(pages: Iterable[Page]) -> Characters:
    """``transcription`` if every word that is not ignored has a text, else ``aspect``."""
    for page in pages:
        for text, ignored in zip(page.texts, page.ignored, strict=True):
            if not text and not ignored:
                return "aspect"
    return "transcription"


def score_pages(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    characters: Characters,
    *,
    min_scores: Sequence[float] = (0.0,),
    threads: int = 1,
) -> list[list[PageScore]]:
    """Score each page (N) with the detections that have at least each score (T): N lists of T scores.

    Overlaps are found once for all T; ``threads`` share the pages.

    Raises:
        ValueError: if a page has no labels.
    """
    for page in pages:
        if not page.words_known:
            raise ValueError(f"{page.name} has no labels to score against")

    def score(some: slice) -> list[list[PageScore]]:
        counts, matches = score_arrays(pages[some], detections[some], characters, min_scores)
        return page_scores(pages[some], counts, matches)

    return [page for some in over_pages(score, len(pages), threads) for page in some]


def page_scores(pages: Sequence[Page], counts: NDArray[np.int64], matches: NDArray[np.int64]) -> list[list[PageScore]]:
    """The records of N pages at T settings from arrays (N, T, 8) and (N, T, 2, 3)."""
    scored = []
    for page, of_page, matched in zip(pages, counts.tolist(), matches.tolist(), strict=True):
        at_settings = []
        for at_setting in zip(of_page, matched, strict=True):
            at_settings.append(page_score(page.name, *at_setting, group=page.group))
        scored.append(at_settings)
    return scored


def page_score(name: str, counts: Sequence[int], matches: Sequence[Sequence[int]], *, group: str | None) -> PageScore:
    """The record of one page from its rows of counts (8) and matches (2, 3)."""
    at50, at70 = matches
    return PageScore(name, Counts(*counts), MatchCounts(*at50), MatchCounts(*at70), group)


def score_arrays(
    pages: Sequence[Page], detections: Sequence[Detections], characters: Characters, min_scores: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """CLEval's counts (N, T, 8) and IoU matches at ``IOU_THRESHOLDS`` (N, T, 2, 3); arguments as ``score_pages``."""
    counts = count_array(pages, detections, characters, min_scores=min_scores)
    matches = match_array(pages, detections, IOU_THRESHOLDS, min_scores=min_scores)
    return counts, matches


def over_pages(work: Callable[[slice], T], count: int, threads: int) -> list[T]:
    """``work`` on a few of ``count`` pages at a time, shared by threads; its results are in the order of the pages."""
    slices = [slice(start, start + PAGES_AT_ONCE) for start in range(0, count, PAGES_AT_ONCE)]
    if threads == 1 or len(slices) == 1:
        return [work(some) for some in slices]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, slices))


class Scorer:
    """Adds up pages; ``characters`` holds for all of them, so choose it first (``choose_characters``)."""

    def __init__(self, characters: Characters = "transcription", pages: Iterable[PageScore] = ()) -> None:
        if characters not in ("transcription", "aspect"):
            raise ValueError(f"characters must be 'transcription' or 'aspect', got {characters!r}")
        self.characters: Characters = characters
        self.pages: list[PageScore] = list(pages)

    def update(self, page: Page, detections: Detections) -> PageScore:
        """Score one page, keep the result and return it.

        Raises:
            ValueError: if the page has no labels.
        """
        ((scored,),) = score_pages([page], [detections], self.characters)
        self.pages.append(scored)
        return scored

    def compute(self) -> Score:
        """The score of all pages so far.

        ``macro`` is the mean over pages of their P, R and H (so H is not 2PR / (P + R) of it); a page without text and
        without detections counts in it with 0. ``pooled`` and both IoU scores come from counts summed over pages.

        Raises:
            ValueError: if there is no page.
        """
        if not self.pages:
            raise ValueError("no page has been scored")
        of_pages = [astuple(page.prh) for page in self.pages]
        p, r, h = np.mean(of_pages, axis=0).tolist()
        return Score(
            images=len(self.pages),
            macro=PRH(p, r, h),
            pooled=sum((page.counts for page in self.pages), Counts()).prh,
            characters=self.characters,
            iou50=sum((page.iou50 for page in self.pages), MatchCounts()).prh,
            iou70=sum((page.iou70 for page in self.pages), MatchCounts()).prh,
        )
