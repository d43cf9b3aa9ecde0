"""What the studio shows: regions, faults and scores of labelled pages at any setting, from maps that are there.

No network runs, and maps stay in memory as far as they fit, so that a page follows a slider and the whole set follows
when it rests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hmean.geometry import min_area_rect
from hmean.metrics.breakdown import page_faults
from hmean.metrics.cleval import Counts
from hmean.metrics.scorer import score_pages
from hmean.metrics.statistics import page_prh
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.tuning.grids import Floats, SettingScores, score_settings
from hmean.types import PRH, Characters, Detections, Page

CURVE = tuple(i / 20 for i in range(20))  # values of box_thresh at which P and R are drawn
FAULTS = ("missed", "split", "false", "doubled", "merged")  # of a page, in characters
MAPS_IN_MEMORY = 2**30  # bytes; of a larger set the rest is read again each time
RESULTS = 8  # whole-set scores kept: the saved values, and ways back


class Superseded(Exception):  # noqa: N818 - not an error: nobody waits for the result any more
    """A newer request has taken the place of this one."""


@dataclass(frozen=True, eq=False)
class PageResult:
    """One page at one setting: regions with the fault of each (D,), of each word (K,), and the scores of the page."""

    found: Detections
    of_words: NDArray[np.str_]
    of_regions: NDArray[np.str_]
    prh: PRH
    iou50: PRH
    iou70: PRH


@dataclass(frozen=True, eq=False)
class SetResult:
    """All N pages at one setting, first in ``scores``, and then with ``box_thresh`` at each value of ``CURVE``."""

    scores: SettingScores

    def at_setting(self) -> SettingScores:
        """Scores of the setting alone."""
        return self.scores.setting(0)

    def pages(self) -> tuple[Floats, NDArray[np.int64]]:
        """P, R, H (N, 3) and ``FAULTS`` (N, 5) of each page."""
        counts = self.scores.counts[0].astype(np.int64)
        c = {name: counts[:, i] for i, name in enumerate(Counts.__dataclass_fields__)}
        of = (c["gt"] - c["tp"], c["recall_penalty"], c["fp"], c["overlapped"], c["precision_penalty"])
        return page_prh(counts), np.stack(of, axis=1)

    def curve(self) -> Floats:
        """``box_thresh``, macro P and macro R (T, 3), with the setting's own value, in rising order."""
        p, r = self.scores.macro_pr()
        rows = np.stack([[s.box_thresh for s in self.scores.settings], p, r], axis=1)
        return rows[np.unique(rows[:, 0], return_index=True)[1]]


class Model:
    """Maps of one model on N labelled pages.

    Args:
        truth: the pages.
        read_map: the map of the page of a name.
        characters: how those of words are counted.
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
        self.truth, self.characters, self.threads = truth, characters, threads
        self._read, self._maps, self._held = read_map, dict[str, PageMap](), 0
        self._results: dict[PostprocessParams, SetResult] = {}

    def map(self, page: Page) -> PageMap:
        """The map of a page, read once if there is room for it."""
        held = self._maps.get(page.name)
        if held is None:
            held = self._read(page.name)
            if self._held + held.probability.nbytes <= MAPS_IN_MEMORY:
                self._maps[page.name] = held
                self._held += held.probability.nbytes
        return held

    def page(self, index: int, params: PostprocessParams) -> PageResult:
        """Regions, faults and scores of one page."""
        page = self.truth[index]
        found = detect(self.map(page), params)
        faults = page_faults(page, found, self.characters)
        scored = score_pages([page], [found], self.characters)[0][0]
        return PageResult(
            found, faults.of_words(), faults.of_detections(), scored.prh, scored.iou50.prh, scored.iou70.prh
        )

    def score(self, params: PostprocessParams, stop: Callable[[], bool] = lambda: False) -> SetResult:
        """Scores of all pages; the last few results are kept.

        Args:
            params: the setting.
            stop: asked every few pages whether the result is still wanted.

        Raises:
            Superseded: if it is not.
        """

        def on_pages(_: int) -> None:
            if stop():
                raise Superseded

        result = self._results.pop(params, None)
        if result is None:
            settings = [params, *(replace(params, box_thresh=t) for t in CURVE)]
            result = SetResult(
                score_settings(self.truth, self.map, settings, self.characters, threads=self.threads, on_pages=on_pages)
            )
        self._results[params] = result  # the latest used is last
        for old in list(self._results)[:-RESULTS]:
            self._results.pop(old, None)
        return result


def text_heights(page: Page, long_side: int) -> Floats:
    """Height (K,) of each word that counts: its shorter side in pixels of the network's view."""
    scale = long_side / max(page.width, page.height)
    sides = [min(min_area_rect(polygon)[1]) for polygon in page.polygons.select(~page.ignored)]
    return np.array(sides, dtype=np.float64) * scale
