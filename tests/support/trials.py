"""Trials of a sweep that have ended, with the pages behind their scores, without a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hmean.execute.queue import Task, TaskState
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.runs.scores import ScoredPage, ScoredPages
from hmean.search.records import Trial, TrialPayload, TrialResult
from support.sweeps import LR

CHARACTERS = 100_000  # of each page
PRESET = TrialPayload(params={LR: 0.0015})


def scored_pages(scores: Sequence[float], groups: Sequence[str] | None = None) -> ScoredPages:
    """Pages with these hmeans; each is a group of its own if none are given."""
    matches = MatchCounts(tp=1, det=1, gt=1)
    pages = []
    for i, score in enumerate(scores):
        tp = round(CHARACTERS * score)
        counts = Counts(gt=CHARACTERS, tp=tp, fp=CHARACTERS - tp)
        group = None
        if groups is not None:
            group = groups[i]
        pages.append(ScoredPage(name=f"{i}.jpg", counts=counts, iou50=matches, iou70=matches, group=group))
    return ScoredPages(pages=tuple(pages))


def ended(
    number: int,
    scores: Sequence[float] | float | None,
    *,
    repeats_rank: int | None = None,
    given: bool = False,
    groups: Sequence[str] | None = None,
) -> Trial:
    """A trial that is done, or failed without a score.

    Args:
        number: of the trial.
        scores: of its pages; a number: its score, without pages.
        repeats_rank: the rank of the trial that it repeats.
        given: whether it was given the preset's own values.
        groups: of the pages.
    """
    payload = TrialPayload(confirms=repeats_rank)
    if given:
        payload = PRESET
    stage = 0
    if repeats_rank is not None:
        stage = 1
    if scores is None:
        return Task(number, stage, TaskState.FAILED, "", 1, payload, TrialResult(reason="no"))
    scored = None
    if not isinstance(scores, float):
        scored = scored_pages(scores, groups)
    result = TrialResult(value=float(np.mean(scores)), scored=scored)
    return Task(number, stage, TaskState.DONE, "", 1, payload, result)
