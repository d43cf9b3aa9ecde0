"""The score of a set of pages: CLEval macro and pooled, IoU 0.5 and 0.7, and bootstrap intervals of each hmean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hmean.metrics.cleval import Counts, count_array
from hmean.metrics.iou import MatchCounts, match_array
from hmean.types import PRH, Characters, Detections, Page, Score, Statistic

Compared = Statistic | Literal["macro_p", "macro_r"]
Floats = NDArray[np.float64]
T = TypeVar("T")

PAGES_AT_ONCE = 8  # enough for a kernel to run long without the GIL, few enough to share among threads
BLOCK = 4_000_000  # resampled page indices held at once: 32 MB


@dataclass(frozen=True)
class PageScore:
    """What one page scored: everything a set's score, its intervals and a report of faults need."""

    name: str
    counts: Counts
    iou50: MatchCounts
    iou70: MatchCounts

    @property
    def prh(self) -> PRH:
        """CLEval of this page alone; all 0 for a page without text and without regions, as in the official program."""
        return self.counts.prh


def choose_characters(pages: Iterable[Page]) -> Characters:
    """``transcription`` if every word that is not ignored has a text, else ``aspect``."""
    read = (bool(text) or bool(skip) for page in pages for text, skip in zip(page.texts, page.ignored, strict=True))
    return "transcription" if all(read) else "aspect"


def score_pages(
    pages: Sequence[Page],
    detections: Sequence[Detections],
    characters: Characters,
    *,
    min_scores: Sequence[float] = (0.0,),
    threads: int = 1,
) -> list[list[PageScore]]:
    """Score each page (N), keeping the regions of at least each score (T).

    Overlaps are found once for all T; ``threads`` share the pages.

    Raises:
        ValueError: if a page has no labels.
    """
    for page in pages:
        if not page.words_known:
            raise ValueError(f"{page.name} has no labels to score against")

    def score(part: slice) -> list[list[PageScore]]:
        counts, ious = score_arrays(pages[part], detections[part], characters, min_scores)
        rows = zip(pages[part], counts.tolist(), ious.tolist(), strict=True)
        return [[_page_score(page.name, *at) for at in zip(count, iou, strict=True)] for page, count, iou in rows]

    return [page for part in over_pages(score, len(pages), threads) for page in part]


def _page_score(name: str, counts: Sequence[int], ious: Sequence[Sequence[int]]) -> PageScore:
    return PageScore(name, Counts(*counts), *(MatchCounts(*at) for at in ious))


def score_arrays(
    pages: Sequence[Page], detections: Sequence[Detections], characters: Characters, min_scores: Sequence[float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fields of ``Counts`` (N, T, 8) and of ``MatchCounts`` at 0.5 and 0.7 (N, T, 2, 3)."""
    counts = count_array(pages, detections, characters, min_scores=min_scores)
    return counts, match_array(pages, detections, (0.5, 0.7), min_scores=min_scores)


def over_pages(work: Callable[[slice], T], count: int, threads: int) -> list[T]:
    """``work`` on parts of so many pages, in order, shared by threads."""
    parts = [slice(start, start + PAGES_AT_ONCE) for start in range(0, count, PAGES_AT_ONCE)]
    if threads == 1 or len(parts) == 1:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, parts))


class Scorer:
    """Adds up pages; ``characters`` holds for all of them, so choose it first (``choose_characters``)."""

    def __init__(self, characters: Characters = "transcription") -> None:
        if characters not in ("transcription", "aspect"):
            raise ValueError(f"characters must be 'transcription' or 'aspect', got {characters!r}")
        self.characters: Characters = characters
        self.pages: list[PageScore] = []

    def update(self, page: Page, detections: Detections) -> PageScore:
        """Score one page, keep and return it.

        Raises:
            ValueError: if the page has no labels.
        """
        self.pages.append(score_pages([page], [detections], self.characters)[0][0])
        return self.pages[-1]

    def compute(self) -> Score:
        """The score of all pages so far.

        ``macro`` is the mean over pages of their P, R and H (so H is not 2PR / (P + R) of it); a page without text and
        without regions counts in it with 0. ``pooled`` and both IoU scores come from counts summed over pages.

        Raises:
            ValueError: if there is no page.
        """
        if not self.pages:
            raise ValueError("no page has been scored")
        p, r, h = np.mean([astuple(page.prh) for page in self.pages], axis=0).tolist()
        return Score(
            images=len(self.pages),
            macro=PRH(p, r, h),
            pooled=sum((page.counts for page in self.pages), Counts()).prh,
            characters=self.characters,
            iou50=sum((page.iou50 for page in self.pages), MatchCounts()).prh,
            iou70=sum((page.iou70 for page in self.pages), MatchCounts()).prh,
        )


def bootstrap_interval(
    pages: Sequence[PageScore],
    statistic: Compared,
    *,
    minus: Sequence[PageScore] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """``bootstrap_intervals`` of one statistic."""
    return bootstrap_intervals(pages, [statistic], minus=minus, draws=draws, seed=seed)[statistic]


def bootstrap_intervals(
    pages: Sequence[PageScore],
    statistics: Iterable[Compared],
    *,
    minus: Sequence[PageScore] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> dict[Compared, tuple[float, float]]:
    """95 % percentile bootstrap intervals of hmeans over pages, or, paired, of their differences to another result.

    Args:
        pages: N scored pages, drawn with replacement.
        statistics: which hmeans; or macro P or R.
        minus: another result on the same pages in the same order; each resample then gives H(pages) - H(minus).
        draws: number of resamples.
        seed: of the generator.

    Raises:
        ValueError: if there is no page or ``minus`` has other pages.
    """
    if not pages:
        raise ValueError("no page has been scored")
    results = [pages] if minus is None else [pages, minus]
    if any([page.name for page in result] != [page.name for page in pages] for result in results):
        raise ValueError("a paired interval needs both results on the same pages in the same order")
    arrays = [
        (
            np.array([astuple(page.counts) for page in result]),
            np.array([[astuple(page.iou50), astuple(page.iou70)] for page in result]),
        )
        for result in results
    ]
    summands = {of: [terms(counts, ious, of) for counts, ious in arrays] for of in statistics}
    values: dict[Compared, list[Floats]] = {of: [] for of in summands}
    n, generator = len(pages), np.random.default_rng(seed)
    for start in range(0, draws, max(1, BLOCK // n)):
        times = resamples(n, min(max(1, BLOCK // n), draws - start), generator)
        for of, parts in summands.items():
            h = [hmeans(times @ part) for part in parts]
            values[of].append(h[0] if minus is None else h[0] - h[1])
    ends = {of: np.quantile(np.concatenate(drawn), [0.025, 0.975]) for of, drawn in values.items()}
    return {of: (float(low), float(high)) for of, (low, high) in ends.items()}


def resamples(n: int, draws: int, seed: int | np.random.Generator) -> Floats:
    """How often each of n pages is drawn (draws, n), each draw n pages with replacement."""
    drawn = np.random.default_rng(seed).integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def page_prh(counts: NDArray[np.integer[Any]]) -> Floats:
    """P, R and H (..., 3) of CLEval's counts (..., 8): ``Counts.prh`` of many."""
    gt, tp, overlapped, fp, recall_penalty, precision_penalty = (counts[..., i] for i in range(6))
    p = _share(np.maximum(tp - precision_penalty, 0), tp + overlapped + fp)
    r = _share(np.maximum(tp - recall_penalty, 0), gt)
    return np.stack([p, r, _share(2 * p * r, p + r)], axis=-1)


def terms(counts: NDArray[np.integer[Any]], ious: NDArray[np.integer[Any]], statistic: Compared) -> Floats:
    """What to sum over pages (..., k): (H, 1) for a mean, else (found for P, P's total, found for R, R's total).

    Args:
        counts: fields of ``Counts`` (..., 8).
        ious: fields of ``MatchCounts`` at 0.5 and 0.7 (..., 2, 3).
        statistic: which hmean; or macro P or R.
    """
    if statistic.startswith("macro"):
        share = page_prh(counts)[..., ("macro_p", "macro_r", "macro").index(statistic)]
        return np.stack([share, np.ones_like(share)], axis=-1)
    if statistic == "pooled":
        gt, tp, overlapped, fp, recall_penalty, precision_penalty = (counts[..., i] for i in range(6))
        parts = (tp - precision_penalty, tp + overlapped + fp, tp - recall_penalty, gt)
    else:
        tp, gt, det = (ious[..., 0 if statistic == "iou50" else 1, i] for i in range(3))
        parts = (tp, det, tp, gt)
    return np.stack(parts, axis=-1).astype(np.float64)


def hmeans(sums: Floats) -> Floats:
    """Hmean (...) of summed ``terms`` (..., 2 or 4)."""
    shares = _share(np.maximum(sums[..., ::2], 0), sums[..., 1::2])
    if shares.shape[-1] == 1:
        only: Floats = shares[..., 0]
        return only
    p, r = shares[..., 0], shares[..., 1]
    return _share(2 * p * r, p + r)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    out: Floats = np.zeros(np.shape(whole))
    np.divide(part, whole, out=out, where=whole > 0)
    return out
