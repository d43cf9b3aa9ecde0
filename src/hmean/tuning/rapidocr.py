"""Values for RapidOCR, chosen with RapidOCR's own post-processing on cached maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hmean.metrics.scorer import choose_characters
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.rapidocr import STOCK, detect_each
from hmean.tuning.choose import Choice, choose
from hmean.tuning.crossfit import crossfit_settings
from hmean.tuning.grid import at_list_ends, grid_axes, make_grid, say_list_ends
from hmean.tuning.scores import SettingScores, score_settings
from hmean.types import Page, Score, Statistic

OBJECTIVE: dict[Statistic, float] = {"macro": 3.0, "iou70": 1.0}
AXES = {
    "thresh": [0.1, 0.15, 0.2, 0.25, 0.3, 0.4],
    "box_thresh": [0.3, 0.4, 0.5, 0.6, 0.7],
    "unclip_ratio": [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8],
}
FOLDS = 5


@dataclass(frozen=True)
class RapidOcrScores:
    """What values are worth in RapidOCR.

    Attributes:
        pages: number of labelled pages.
        stock: with RapidOCR's own values, without dilation.
        chosen: with the chosen ones, on the pages that they were chosen on.
        cross_fitted: with values chosen without the page's group; None where there is one group.
        at_list_ends: parameters whose chosen value is the lowest or highest of its list.
    """

    pages: int
    stock: Score
    chosen: Score
    cross_fitted: Score | None
    at_list_ends: Mapping[str, float]

    def describe(self) -> list[str]:
        """Lines for people."""
        lines = [
            f"with RapidOCR's post-processing on {self.pages} labelled pages, H in percent (macro / IoU50 / IoU70):"
        ]
        named = {
            "RapidOCR's own values": self.stock,
            "the values below, on the pages that they were chosen on": self.chosen,
            "values chosen without the page's group": self.cross_fitted,
        }
        for name, score in named.items():
            if score is not None:
                numbers = [f"{100 * part.h:.2f}" for part in (score.macro, score.iou50, score.iou70)]
                lines.append(f"  {' / '.join(numbers)}  {name}")
        return [*lines, *say_list_ends(self.at_list_ends)]


def choose_for_rapidocr(
    truth: Sequence[Page], read_map: Callable[[Page], PageMap]
) -> tuple[PostprocessParams, RapidOcrScores]:
    """RapidOCR's values for a model, and what they are worth.

    Args:
        truth: labelled pages.
        read_map: gives the map of a page, which spans the whole page.
    """
    characters = choose_characters(truth)
    axes = grid_axes(STOCK, AXES)
    settings = make_grid(STOCK, axes)
    scores = score_settings(truth, read_map, settings, characters, find=detect_each)
    names = [page.name for page in truth]
    groups = [page.group for page in truth]

    def pick(some: SettingScores) -> Choice:
        return choose(some, OBJECTIVE)

    def score_of(some: SettingScores) -> Score:
        return some.scorer(names, groups, characters).compute()

    chosen = pick(scores).chosen
    crossed = crossfit_settings(scores, names, groups, FOLDS, pick)
    cross_fitted = None
    if crossed is not None:
        cross_fitted = score_of(crossed.scores)
    worth = RapidOcrScores(
        pages=len(truth),
        stock=score_of(scores.of_settings(0)),
        chosen=score_of(scores.of_settings(chosen)),
        cross_fitted=cross_fitted,
        at_list_ends=at_list_ends(settings[chosen], axes),
    )
    return settings[chosen], worth
