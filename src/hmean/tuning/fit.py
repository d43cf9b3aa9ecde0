"""Tuning: the search of post-processing values on labelled pages, its cross-fitted check, and the decision."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from hmean.metrics.kernels import Flags
from hmean.metrics.scorer import Scorer, choose_characters
from hmean.metrics.statistics import STATISTICS
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.runs.carried import Influence
from hmean.tuning.adoption import decide, report_floors
from hmean.tuning.choose import NO_FLOORS, Floors, choose
from hmean.tuning.crossfit import CrossFitted, crossfit
from hmean.tuning.grid import AXES, Axes, at_list_ends, grid_axes, grid_size
from hmean.tuning.result import (
    ChosenSetting,
    CrossFittedChoice,
    Decision,
    FloorsReport,
    GridRow,
    ObjectiveScore,
    Plateau,
    ScoredSetting,
    Searched,
    TuneResult,
)
from hmean.tuning.scores import Objective, ScoreCache, SettingScores, paired_gain, score_settings
from hmean.tuning.search import GridSearch, first_grid_of
from hmean.types import Characters, Page


@dataclass(frozen=True)
class TuneOptions:
    """What tuning tries, maximises and respects.

    Attributes:
        lists: values to try of each parameter; one without values keeps what it has.
        objective: hmeans and their weights.
        floors: lowest macro precision and recall.
        folds: of the cross-fitting.
    """

    lists: Axes
    objective: Objective = field(default_factory=lambda: {"macro": 1.0})
    floors: Floors = NO_FLOORS
    folds: int = 5


@dataclass(frozen=True, eq=False)
class TunedPages:
    """The pages that settings are scored on.

    Attributes:
        names: of the N pages.
        groups: of the pages.
        characters: how characters are counted on all of them.
        objective: what a setting is judged by.
        split: of the data set, for the record.
        influenced_by: how many of the pages had a part in the making of the model, for the record.
    """

    names: Sequence[str]
    groups: Sequence[str | None]
    characters: Characters
    objective: Objective
    split: str
    influenced_by: Influence

    def score(self, scores: SettingScores) -> ObjectiveScore:
        """The score of one setting."""
        score = scores.scorer(self.names, self.groups, self.characters).compute()
        objective = float(scores.score(self.objective)[0])
        return ObjectiveScore.model_validate({**score.to_dict(), "objective": objective})


@dataclass(frozen=True, eq=False)
class Fit:
    """What tuning found.

    Attributes:
        result: the content of ``tuned.json``.
        held_out: the pages' scores with what was decided without them: cross-fitted, or with the values before where
            the values chosen are not adopted.
        decided: the values chosen, or those before where these are not adopted.
    """

    result: TuneResult
    held_out: Scorer
    decided: PostprocessParams


def fit(
    truth: Sequence[Page],
    read_map: Callable[[Page], PageMap],
    options: TuneOptions,
    *,
    before: PostprocessParams,
    in_model: PostprocessParams,
    split: str,
    influenced_by: Influence,
) -> Fit:
    """Search the lists on labelled pages, choose, check the choice on held-out pages, and decide.

    Args:
        truth: the pages, with labels.
        read_map: gives the probability map of a page.
        options: what to try, maximise and respect.
        before: the values that the gain is measured against.
        in_model: the values that the model has now, and keeps if the values chosen are not adopted.
        split: of the data set, for the record.
        influenced_by: how many of the pages had a part in the making of the model, for the record.
    """
    pages = TunedPages(
        names=[page.name for page in truth],
        groups=[page.group for page in truth],
        characters=choose_characters(truth),
        objective=options.objective,
        split=split,
        influenced_by=influenced_by,
    )
    axes = grid_axes(before, options.lists)
    search = GridSearch(
        present=before,
        axes=axes,
        cache=ScoreCache(partial(_score, truth, read_map, pages.characters)),
        pick=partial(choose, objective=options.objective, floors=options.floors),
        first_grid=first_grid_of(axes),
    )
    found = search.run()
    scores_before = search.cache.score([before])
    chosen = found.scores.of_settings(found.choice.chosen)
    crossed = crossfit(search.run, pages.names, [page.group for page in truth], options.folds)
    cross_fitted = None
    if crossed is not None:
        cross_fitted = _cross_fitted_choice(pages, crossed, scores_before, chosen)
    floors = report_floors(options.floors, scores_before, crossed)
    decision = decide(cross_fitted, floors)
    if decision == "adopted":
        in_model = found.setting
    result = make_result(
        pages,
        found.scores,
        found.choice.plateau,
        scores_before,
        chosen,
        cross_fitted=cross_fitted,
        searched=Searched(settings=grid_size(axes), scored=len(search.cache)),
        at_list_ends=at_list_ends(found.setting, axes),
        floors=floors,
        decision=decision,
        in_model=in_model,
    )
    held_out = scores_before
    decided = before
    if crossed is not None and decision == "adopted":
        held_out = crossed.scores
        decided = found.setting
    return Fit(result, held_out.scorer(pages.names, pages.groups, pages.characters), decided)


def make_result(
    pages: TunedPages,
    scores: SettingScores,
    plateau: Flags,
    before: SettingScores,
    chosen: SettingScores,
    *,
    searched: Searched,
    decision: Decision,
    in_model: PostprocessParams,
    cross_fitted: CrossFittedChoice | None = None,
    at_list_ends: Mapping[str, float] | None = None,
    floors: FloorsReport | None = None,
) -> TuneResult:
    """The content of ``tuned.json``.

    Args:
        pages: that the settings were scored on.
        scores: of the settings of the last grid (S).
        plateau: the settings that cannot be distinguished from the best one (S,).
        before: the score of the values before, one setting.
        chosen: the score of the values chosen, one setting.
        searched: how much of the space was looked at.
        decision: what became of the values chosen.
        in_model: the values that the model has now.
        cross_fitted: what the choice is worth on held-out pages.
        at_list_ends: values chosen that are at an end of their list.
        floors: by how much floors are missed.
    """
    gain = paired_gain(chosen, before, pages.objective)
    on_plateau = [scores.settings[i] for i in np.flatnonzero(plateau).tolist()]
    return TuneResult(
        split=pages.split,
        influenced_by=pages.influenced_by,
        objective=dict(pages.objective),
        pages=len(pages.names),
        before=ScoredSetting(postprocess=before.settings[0], score=pages.score(before)),
        after=ChosenSetting(
            postprocess=chosen.settings[0],
            score=pages.score(chosen),
            gain=gain.gain,
            interval95=gain.interval95,
        ),
        cross_fitted=cross_fitted,
        plateau=Plateau(settings=len(on_plateau), values=_values_of(on_plateau)),
        axes={name: values for name, values in _values_of(scores.settings).items() if len(values) > 1},
        grid=_grid_rows(scores, plateau, pages.objective),
        searched=searched,
        at_list_ends=dict(at_list_ends or {}),
        floors=floors,
        decision=decision,
        in_model=in_model,
    )


def _cross_fitted_choice(
    pages: TunedPages, crossed: CrossFitted, before: SettingScores, chosen: SettingScores
) -> CrossFittedChoice:
    gain = paired_gain(crossed.scores, before, pages.objective)
    return CrossFittedChoice(
        gain=gain.gain,
        interval95=gain.interval95,
        score=pages.score(crossed.scores),
        optimism=paired_gain(chosen, crossed.scores, pages.objective),
        chosen=crossed.chosen,
    )


def _values_of(settings: Sequence[PostprocessParams]) -> dict[str, list[Any]]:
    """The values of each parameter among settings, in rising order."""
    values = {}
    for name in AXES:
        values[name] = sorted({getattr(setting, name) for setting in settings})
    return values


def _grid_rows(scores: SettingScores, plateau: Flags, objective: Objective) -> list[GridRow]:
    """Every setting with its scores, best first; of equal ones the earlier."""
    value = scores.score(objective)
    hmeans = {statistic: scores.score({statistic: 1.0}) for statistic in STATISTICS}
    precision, recall = scores.macro_pr()
    rows = []
    for i in np.argsort(-value, kind="stable").tolist():
        row = GridRow(
            postprocess=scores.settings[i],
            objective=float(value[i]),
            macro=float(hmeans["macro"][i]),
            pooled=float(hmeans["pooled"][i]),
            iou50=float(hmeans["iou50"][i]),
            iou70=float(hmeans["iou70"][i]),
            p=float(precision[i]),
            r=float(recall[i]),
            plateau=bool(plateau[i]),
        )
        rows.append(row)
    return rows


def _score(
    truth: Sequence[Page],
    read_map: Callable[[Page], PageMap],
    characters: Characters,
    settings: Sequence[PostprocessParams],
) -> SettingScores:
    """``score_settings`` on all cores, with a progress bar."""
    with track(f"{len(settings)} settings", len(truth)) as advance:

        def advance_by(pages: int) -> None:
            for _ in range(pages):
                advance()

        return score_settings(truth, read_map, settings, characters, threads=os.cpu_count() or 1, on_pages=advance_by)
