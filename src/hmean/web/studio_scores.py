"""What the studio shows: text polygons, faults and scores of labelled pages at any parameters, from cached maps.

No network runs, and maps stay in memory as far as they fit, so that a page follows a slider at once, and the scores of
all pages follow when it rests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmean.data.views import text_heights
from hmean.metrics.breakdown import page_faults
from hmean.metrics.cleval import Counts
from hmean.metrics.kernels import Floats
from hmean.metrics.scorer import score_pages
from hmean.metrics.statistics import page_prh
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.scores import SettingScores, score_settings
from hmean.types import PRH, Characters, Detections, Page

CURVE_BOX_THRESHOLDS = tuple(i / 20 for i in range(20))  # at which P and R are drawn
FAULTS = ("missed", "split", "false", "doubled", "merged")  # of a page, in characters
MAX_MAP_BYTES = 2**30  # of maps in memory; those beyond are read again each time
MAX_RESULTS = 8  # of the whole set that are kept: the saved values, and the way back


class SupersededError(Exception):
    """Nobody waits for the result any more: a newer request has taken the place of this one."""


@dataclass(frozen=True, eq=False)
class PageResult:
    """One page at one setting of the parameters.

    Attributes:
        found: the text polygons.
        word_faults: the fault of each word (K,), empty where there is none.
        found_faults: the fault of each text polygon (D,), likewise.
        prh: CLEval of the page.
        iou50: P, R, H at IoU 0.5.
        iou70: P, R, H at IoU 0.7.
    """

    found: Detections
    word_faults: NDArray[np.str_]
    found_faults: NDArray[np.str_]
    prh: PRH
    iou50: PRH
    iou70: PRH


@dataclass(frozen=True, eq=False)
class SetResult:
    """All N pages at one setting, first in ``scores``, and then with each box threshold of the curve."""

    scores: SettingScores

    def at_setting(self) -> SettingScores:
        """Scores of the setting alone."""
        return self.scores.of_settings(0)

    def page_prh(self) -> Floats:
        """P, R, H (N, 3) of each page."""
        prh: Floats = page_prh(self._counts())
        return prh

    def page_faults(self) -> dict[str, NDArray[np.int64]]:
        """Number of characters (N,) of each page with each fault of ``FAULTS``."""
        counts = self._counts()
        column = {name: counts[:, i] for i, name in enumerate(Counts.__dataclass_fields__)}
        return {
            "missed": column["gt"] - column["tp"],
            "split": column["recall_penalty"],
            "false": column["fp"],
            "doubled": column["overlapped"],
            "merged": column["precision_penalty"],
        }

    def curve(self) -> Floats:
        """Box threshold, macro P and macro R (T, 3), the setting's own threshold among them, in rising order."""
        p, r = self.scores.macro_pr()
        thresholds = [setting.box_thresh for setting in self.scores.settings]
        rows = np.stack([thresholds, p, r], axis=1)
        _, first = np.unique(rows[:, 0], return_index=True)
        curve: Floats = rows[first]
        return curve

    def _counts(self) -> NDArray[np.int64]:
        counts: NDArray[np.int64] = self.scores.counts[0].astype(np.int64)
        return counts


def never() -> bool:
    """No: the result is always wanted."""
    return False


class ModelScores:
    """What one model finds on N labelled pages, and what that scores, at any parameters.

    Args:
        truth: the pages.
        read_map: the map of the page of a name.
        characters: how the characters of words are counted.
        threads: that share the pages of the whole set.
    """

    def __init__(
        self,
        truth: Sequence[Page],
        read_map: Callable[[str], PageMap],
        characters: Characters,
        *,
        threads: int = 1,
    ) -> None:
        self.truth = truth
        self.characters: Characters = characters
        self._read_map = read_map
        self._threads = threads
        self._maps: dict[str, PageMap] = {}
        self._map_bytes = 0
        self._results: dict[PostprocessParams, SetResult] = {}

    def map(self, page: Page) -> PageMap:
        """The map of a page. It is read once, if there is memory for it."""
        kept = self._maps.get(page.name)
        if kept is not None:
            return kept
        read = self._read_map(page.name)
        size = read.probability.nbytes
        if self._map_bytes + size <= MAX_MAP_BYTES:
            self._maps[page.name] = read
            self._map_bytes += size
        return read

    def page(self, index: int, params: PostprocessParams) -> PageResult:
        """Text polygons, faults and scores of one page."""
        page = self.truth[index]
        found = detect(self.map(page), params)
        faults = page_faults(page, found, self.characters)
        ((scored,),) = score_pages([page], [found], self.characters)
        return PageResult(
            found=found,
            word_faults=faults.of_words(),
            found_faults=faults.of_detections(),
            prh=scored.prh,
            iou50=scored.iou50.prh,
            iou70=scored.iou70.prh,
        )

    def all_pages(self, params: PostprocessParams, is_superseded: Callable[[], bool] = never) -> SetResult:
        """Scores of all pages. The last few results are kept.

        Args:
            params: the setting.
            is_superseded: called every few pages; True ends the work.

        Raises:
            SupersededError: if the work was ended.
        """
        result = self._results.pop(params, None)
        if result is None:
            result = SetResult(self._score(params, is_superseded))
        self._results[params] = result  # the one used last stands last
        for oldest in list(self._results)[:-MAX_RESULTS]:
            self._results.pop(oldest, None)
        return result

    def _score(self, params: PostprocessParams, is_superseded: Callable[[], bool]) -> SettingScores:
        def check(_pages: int) -> None:
            if is_superseded():
                raise SupersededError

        settings = [params]
        for threshold in CURVE_BOX_THRESHOLDS:
            settings.append(replace(params, box_thresh=threshold))
        return score_settings(self.truth, self.map, settings, self.characters, threads=self._threads, on_pages=check)


def heights_in_view(page: Page, scale: float) -> Floats:
    """Height (K,) of each word that counts, in pixels of the network's view, where a page's pixel is ``scale`` wide."""
    heights: Floats = text_heights(list(page.polygons.select(~page.ignored))) * scale
    return heights
