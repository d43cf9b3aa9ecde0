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
from hmean.tuning.adoption import Verdict, decide
from hmean.tuning.choose import NO_FLOORS, Floors, choose
from hmean.tuning.crossfit import CrossFitted, deal
from hmean.tuning.grid import AXES, Axes, at_list_ends, grid_axes, grid_size
from hmean.tuning.result import (
    Adopt,
    ChosenSetting,
    CrossFittedChoice,
    CrossFittedRule,
    FloorsReport,
    GridRow,
    ObjectiveScore,
    Plateau,
    ScoredSetting,
    Searched,
    TuneResult,
)
from hmean.tuning.rule import FEWEST_FOLDS, Check, Rule
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
        adopt: whether only values are adopted that are shown to gain, or whatever was chosen.
    """

    lists: Axes
    objective: Objective = field(default_factory=lambda: {"macro": 1.0})
    floors: Floors = NO_FLOORS
    folds: int = 5
    adopt: Adopt = "shown"


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
        held_out: the cross-fitted scores of the rule: each page with the values that the rule leaves without its fold.
            Where there are too few groups for that: of what was adopted, the choice cross-fitted; or of the values
            before.
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
    chosen = found.scores.of_settings(found.choice.chosen)
    scores_before = search.cache.score([before])
    rule = Rule(search.run, scores_before, options.objective, options.floors, options.adopt)
    fold = deal(pages.names, pages.groups, options.folds)
    verdict = decide(None, None, options.adopt)
    cross_fitted = None
    floors = None
    held_out = scores_before
    if fold is not None:
        check = rule.check(fold)
        verdict = check.verdict
        floors = check.floors
        cross_fitted = _cross_fitted_choice(pages, check, chosen)
        if verdict.decision == "adopted":
            held_out = check.crossed.scores
    of_rule = _crossfit_rule(pages, rule, options)
    cross_fitted_rule = None
    if of_rule is not None:
        held_out = of_rule.scores
        cross_fitted_rule = _cross_fitted_rule(pages, of_rule, scores_before)
    decided = before
    if verdict.decision == "adopted":
        decided = found.setting
        in_model = found.setting
    result = make_result(
        pages,
        found.scores,
        found.choice.plateau,
        scores_before,
        chosen,
        rule=cross_fitted_rule,
        cross_fitted=cross_fitted,
        searched=Searched(settings=grid_size(axes), scored=len(search.cache)),
        at_list_ends=at_list_ends(found.setting, axes),
        floors=floors,
        adopt=options.adopt,
        verdict=verdict,
        in_model=in_model,
    )
    return Fit(result, held_out.scorer(pages.names, pages.groups, pages.characters), decided)


def _crossfit_rule(pages: TunedPages, rule: Rule, options: TuneOptions) -> CrossFitted | None:
    """The rule, cross-fitted; None where there are too few groups."""
    folds = options.folds
    if options.adopt == "shown":
        folds = max(folds, FEWEST_FOLDS)
    fold = deal(pages.names, pages.groups, folds)
    if fold is None:
        return None
    return rule.crossfit(fold)


def make_result(
    pages: TunedPages,
    scores: SettingScores,
    plateau: Flags | None,
    before: SettingScores,
    chosen: SettingScores,
    *,
    searched: Searched,
    verdict: Verdict,
    in_model: PostprocessParams,
    adopt: Adopt | None = None,
    rule: CrossFittedRule | None = None,
    cross_fitted: CrossFittedChoice | None = None,
    at_list_ends: Mapping[str, float] | None = None,
    floors: FloorsReport | None = None,
) -> TuneResult:
    """The content of ``tuned.json``.

    Args:
        pages: that the settings were scored on.
        scores: of the settings of the last grid (S).
        plateau: the settings that cannot be distinguished from the best one (S,); None where nobody can tell.
        before: the score of the values before, one setting.
        chosen: the score of the values chosen, one setting.
        searched: how much of the space was looked at.
        verdict: what became of the values chosen, and why.
        in_model: the values that the model has now.
        adopt: what was to be adopted.
        rule: what the rule is worth on held-out pages.
        cross_fitted: what the choice is worth on held-out pages.
        at_list_ends: values chosen that are at an end of their list.
        floors: by how much floors are missed.
    """
    gain = paired_gain(chosen, before, pages.objective)
    known_plateau = None
    if plateau is not None:
        on_plateau = [scores.settings[i] for i in np.flatnonzero(plateau).tolist()]
        known_plateau = Plateau(settings=len(on_plateau), values=_values_of(on_plateau))
    return TuneResult(
        split=pages.split,
        influenced_by=pages.influenced_by,
        objective=dict(pages.objective),
        pages=len(pages.names),
        grouping=before.groups.grouping(),
        before=ScoredSetting(postprocess=before.settings[0], score=pages.score(before)),
        after=ChosenSetting(
            postprocess=chosen.settings[0],
            score=pages.score(chosen),
            gain=gain.gain,
            interval95=gain.interval95,
        ),
        rule=rule,
        cross_fitted=cross_fitted,
        plateau=known_plateau,
        axes={name: values for name, values in _values_of(scores.settings).items() if len(values) > 1},
        grid=_grid_rows(scores, plateau, pages.objective),
        searched=searched,
        at_list_ends=dict(at_list_ends or {}),
        floors=floors,
        adopt=adopt,
        decision=verdict.decision,
        reason=verdict.reason,
        in_model=in_model,
    )


def _cross_fitted_choice(pages: TunedPages, check: Check, chosen: SettingScores) -> CrossFittedChoice:
    return CrossFittedChoice(
        gain=check.gain.gain,
        interval95=check.gain.interval95,
        score=pages.score(check.crossed.scores),
        optimism=paired_gain(chosen, check.crossed.scores, pages.objective),
        chosen=check.crossed.chosen,
    )


def _cross_fitted_rule(pages: TunedPages, of_rule: CrossFitted, before: SettingScores) -> CrossFittedRule:
    gain = paired_gain(of_rule.scores, before, pages.objective)
    return CrossFittedRule(
        gain=gain.gain,
        interval95=gain.interval95,
        score=pages.score(of_rule.scores),
        left=of_rule.chosen,
        adopted=sum(left != before.settings[0] for left in of_rule.chosen),
    )


def _values_of(settings: Sequence[PostprocessParams]) -> dict[str, list[Any]]:
    """The values of each parameter among settings, in rising order."""
    values = {}
    for name in AXES:
        values[name] = sorted({getattr(setting, name) for setting in settings})
    return values


def _grid_rows(scores: SettingScores, plateau: Flags | None, objective: Objective) -> list[GridRow]:
    """Every setting with its scores, best first; of equal ones the earlier."""
    value = scores.score(objective)
    hmeans = {statistic: scores.score({statistic: 1.0}) for statistic in STATISTICS}
    precision, recall = scores.macro_pr()
    if plateau is None:
        plateau = np.zeros(len(value), dtype=np.bool_)
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
