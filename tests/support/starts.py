"""Made-up scores of a start and of what was trained from it."""

from __future__ import annotations

import numpy as np

from hmean.metrics.cleval import Counts
from hmean.metrics.intervals import page_groups
from hmean.metrics.iou import MatchCounts
from hmean.metrics.record import ScoreRecord
from hmean.metrics.scorer import PageScore, Scorer
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.start import JUDGED, StartRecord, StartRow, conclude, differences_to_start, winner_of

GROUPS = 12


def scored(seed: int, found: float, tight: float) -> list[PageScore]:
    """36 pages of 12 groups: the share of text found, and the share of words matched at IoU 0.7."""
    rng = np.random.default_rng(seed)
    pages = []
    for i in range(3 * GROUPS):
        tp = int(rng.binomial(500, found))
        match50 = MatchCounts(int(rng.binomial(100, found)), 100, 100)
        match70 = MatchCounts(int(rng.binomial(100, tight)), 100, 100)
        pages.append(PageScore(str(i), Counts(gt=500, tp=tp), match50, match70, f"shop {i % GROUPS}"))
    return pages


def row(pages: list[PageScore]) -> StartRow:
    """One side of ``start.json``."""
    score = ScoreRecord.of(Scorer("transcription", pages).compute())
    values = {"postprocess": PostprocessParams(), "weights_hash": "w"}
    return StartRow.model_validate({**score.model_dump(), **values})


def record(start: list[PageScore], trained: list[PageScore], **about) -> StartRecord:
    """What ``start.json`` says of these pages."""
    found = differences_to_start(start, trained)
    outcome = conclude([found[statistic].verdict for statistic in JUDGED])
    return StartRecord(
        source="pp-ocrv6-small",
        split="val",
        data_hash="d",
        grouping=page_groups(start).grouping(),
        start=row(start),
        trained=row(trained),
        outcome=outcome,
        winner=winner_of(outcome),
        **found,
        **about,
    )
