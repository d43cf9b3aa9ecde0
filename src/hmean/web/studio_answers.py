"""The studio's answers about the runs that it shows. Knows no HTTP and no settings, and remembers no request."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

import cv2
import numpy as np

from hmean import __version__
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.images import read_image
from hmean.metrics.breakdown import EDGES
from hmean.metrics.groups import PageGroups
from hmean.metrics.record import ScoreRecord
from hmean.postprocess.parameters import PARAMETERS
from hmean.runs.pictures import jpeg, shrunk
from hmean.tuning.manual import adopt_manually
from hmean.tuning.scores import Gain, SettingScores, paired_gain
from hmean.types import Page, Polygons
from hmean.web.studio_records import (
    CurvePoint,
    FoundPolygon,
    PageAbout,
    PageAnswer,
    PageRequest,
    PageScore,
    ParameterAbout,
    RunAbout,
    RunScores,
    SaveRequest,
    ScoreAnswer,
    ScoreRequest,
    StudioAbout,
    TruthWord,
)
from hmean.web.studio_runs import StudioRun
from hmean.web.studio_scores import FAULTS, SetResult, heights_in_view, never

PICTURE_LONG_SIDE = 2560  # of a page's picture, pixels
PICTURES_KEPT = 32
GAIN_FLIPS = 2_000  # of the interval that follows a slider
MAP_COLOR = (200, 120, 0)  # blue, green, red: of the map that is laid over a page


class Studio:
    """One run, or two that are compared, on the same labelled pages.

    Args:
        split: the split that the pages are of.
        pages: the pages.
        runs: the runs; text heights are given in pixels of the first one's views.
    """

    def __init__(self, split: str, pages: LabelledImages, runs: list[StudioRun]) -> None:
        self.pages = pages
        self.runs = runs
        self._split = split
        self._truth = runs[0].scores.truth
        self._characters = runs[0].scores.characters
        self._saving = threading.Lock()
        self.picture = functools.lru_cache(maxsize=PICTURES_KEPT)(self._draw_picture)

    def about(self) -> StudioAbout:
        """What does not change while parameters do."""
        names = [page.name for page in self._truth]
        groups = [page.group for page in self._truth]
        grouping = PageGroups.of(names, groups).grouping()
        return StudioAbout(
            version=__version__,
            split=self._split,
            characters=self._characters,
            faults=list(FAULTS),
            height_edges=list(EDGES["height"]),
            parameters=[ParameterAbout.of(parameter) for parameter in PARAMETERS.values()],
            pages=[self._page_about(page) for page in self._truth],
            grouping=grouping.text(),
            grouping_warning=grouping.warning(),
            runs=[run.about() for run in self.runs],
        )

    def _page_about(self, page: Page) -> PageAbout:
        scale = self.runs[0].scores.map(page).scale
        heights = heights_in_view(page, scale)
        bins = np.searchsorted(EDGES["height"], heights, side="right")
        median = None
        if len(heights):
            median = round(float(np.median(heights)), 1)
        return PageAbout(
            name=page.name,
            width=page.width,
            height=page.height,
            group=page.group,
            words=len(heights),
            text_height=median,
            height_bins=np.unique(bins).tolist(),
        )

    def truth(self, index: int) -> list[TruthWord]:
        """The words of a page."""
        page = self._page(index)
        words = []
        for points, text, ignored in zip(_outlines(page.polygons), page.texts, page.ignored.tolist(), strict=True):
            words.append(TruthWord(points=points, text=text, ignored=ignored))
        return words

    def page(self, request: PageRequest) -> PageAnswer:
        """Text polygons, faults and scores of one page at the requested parameters."""
        page = self._page(request.page)
        scores = self._run(request.run).scores
        result = scores.page(request.page, request.postprocess.params())
        outlines = _outlines(result.found.polygons)
        found = []
        for points, score, fault in zip(
            outlines, result.found.scores.tolist(), result.found_faults.tolist(), strict=True
        ):
            found.append(FoundPolygon(points=points, score=round(score, 4), fault=fault))
        return PageAnswer(
            found=found,
            word_faults=result.word_faults.tolist(),
            to_page=scores.map(page).to_page.tolist(),
            prh=result.prh,
            iou50=result.iou50,
            iou70=result.iou70,
        )

    def score(self, request: ScoreRequest, is_superseded: Callable[[], bool] = never) -> ScoreAnswer:
        """Scores of all pages with each run's parameters, against its saved ones and against the first run.

        Raises:
            InputError: if the parameters are not as many as the runs.
            SupersededError: if ``is_superseded`` ended the work.
        """
        count = len(request.postprocess)
        if count != len(self.runs):
            raise InputError(f"postprocess: must have one entry for each of the {len(self.runs)} runs, got {count}")
        now = []
        for run, values in zip(self.runs, request.postprocess, strict=True):
            now.append(run.scores.all_pages(values.params(), is_superseded))
        answers = []
        for run, result in zip(self.runs, now, strict=True):
            saved = run.scores.all_pages(run.saved, is_superseded)
            answers.append(self._run_scores(result, saved))
        between = None
        if len(now) == 2:
            between = _gain(now[1].at_setting(), now[0].at_setting())
        return ScoreAnswer(runs=answers, between=between)

    def _run_scores(self, now: SetResult, saved: SetResult) -> RunScores:
        return RunScores(
            now=self._totals(now.at_setting()),
            saved=self._totals(saved.at_setting()),
            gain=_gain(now.at_setting(), saved.at_setting()),
            pages=_page_scores(now),
            curve=_curve_points(now),
        )

    def _totals(self, scores: SettingScores) -> ScoreRecord:
        names = [page.name for page in self._truth]
        groups = [page.group for page in self._truth]
        return ScoreRecord.of(scores.scorer(names, groups, self._characters).compute())

    def save(self, request: SaveRequest) -> RunAbout:
        """Write parameters into a run's checkpoint and its ``tuned.json``.

        Raises:
            InputError: if that cannot be done.
        """
        run = self._run(request.run)
        with self._saving:
            before = run.scores.all_pages(run.saved).at_setting()
            after = run.scores.all_pages(request.postprocess.params()).at_setting()
            adopt_manually(run.checkpoint, run.weights_hash, self._split, self.pages, before, after, self._characters)
            run.read_saved()
        return run.about()

    def _draw_picture(self, index: int) -> bytes:
        """A page as a JPEG file."""
        self._page(index)
        image = read_image(self.pages.file(index))
        smaller, _ = shrunk(image, PICTURE_LONG_SIDE)
        return jpeg(smaller)

    def map_picture(self, run: int, index: int) -> bytes:
        """The probability map of a page as a PNG file: the likelier, the less transparent."""
        scores = self._run(run).scores
        probability = scores.map(self._page(index)).probability
        picture = np.zeros((*probability.shape, 4), dtype=np.uint8)
        picture[..., :3] = MAP_COLOR
        picture[..., 3] = probability
        _, png = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return png.tobytes()

    def _page(self, index: int) -> Page:
        _require_index("page", index, len(self._truth))
        return self._truth[index]

    def _run(self, index: int) -> StudioRun:
        _require_index("run", index, len(self.runs))
        return self.runs[index]


def _require_index(name: str, value: int, count: int) -> None:
    if not 0 <= value < count:
        raise InputError(f"{name}: must be 0..{count - 1}, got {value}")


def _outlines(polygons: Polygons) -> list[list[float]]:
    """Each polygon as x y x y ..., in tenths of a pixel."""
    return [np.round(polygon, 1).ravel().tolist() for polygon in polygons]


def _page_scores(result: SetResult) -> list[PageScore]:
    prh = np.round(result.page_prh(), 5).tolist()
    faults = {kind: counts.tolist() for kind, counts in result.page_faults().items()}
    scores = []
    for index, (p, r, h) in enumerate(prh):
        of_page = {kind: counts[index] for kind, counts in faults.items()}
        scores.append(PageScore(p=p, r=r, h=h, faults=of_page))
    return scores


def _curve_points(result: SetResult) -> list[CurvePoint]:
    rows = np.round(result.curve(), 5).tolist()
    return [CurvePoint(box_thresh=threshold, p=p, r=r) for threshold, p, r in rows]


def _gain(of: SettingScores, over: SettingScores) -> Gain | None:
    """Difference of macro H with its interval; None where parameters and counts are the same."""
    if of.settings == over.settings and np.array_equal(of.counts, over.counts):
        return None
    return paired_gain(of, over, {"macro": 1.0}, flips=GAIN_FLIPS)
