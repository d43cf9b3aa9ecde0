"""``hmean score``: a prediction file scored against a label file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Self

from pydantic import Field

from hmean.labels.formats import format_names
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval, hmean_intervals, page_groups
from hmean.metrics.record import ScoreRecord
from hmean.metrics.scorer import Scorer
from hmean.metrics.tables import score_table
from hmean.runs.scoring import score_files
from hmean.types import Characters, Statistic


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    parser.description = (
        "CLEval (macro and pooled), and matches at IoU 0.5 and 0.7, of a prediction file on the images of a label "
        "file; each hmean with a 95 % interval over groups of pages (shops), which UFO labels can name."
    )
    parser.add_argument("truth", type=Path, help=format_names())
    parser.add_argument("predictions", type=Path, help="predictions.json (UFO with scores)")
    parser.add_argument(
        "--images", type=Path, help="images of txt labels; by default images/ beside them, or the folder above them"
    )
    parser.add_argument(
        "--characters",
        choices=["transcription", "aspect"],
        help="how characters are counted; by default transcription if every word has a text",
    )
    parser.add_argument("--json", action="store_true", help="full precision, for programs")
    parser.set_defaults(run=_run_options)


def _run_options(options: argparse.Namespace) -> int:
    result = run(options.truth, options.predictions, characters=options.characters, images=options.images)
    if options.json:
        print(json.dumps(result.to_json()))
    else:
        print(result.summary())
    return 0


class ScoreResult(ScoreRecord):
    """What ``hmean score --json`` prints: the score of a prediction file, in [0, 1]."""

    interval95: dict[Statistic, Interval | None] = Field(
        description="95 % interval of each hmean, over groups of pages; null: too few groups"
    )
    grouping: Grouping = Field(description="the groups of pages that the intervals rest on")

    @classmethod
    def collect(cls, scorer: Scorer) -> Self:
        """The result of scored pages."""
        return cls(
            **scorer.compute().to_dict(),
            interval95=hmean_intervals(scorer.pages),
            grouping=page_groups(scorer.pages).grouping(),
        )

    def summary(self) -> str:
        """A table, in percent."""
        return score_table(self.score(), self.interval95, self.grouping)


def run(
    truth: Path, predictions: Path, *, characters: Characters | None = None, images: Path | None = None
) -> ScoreResult:
    """Score a prediction file on the labelled images of a label file.

    Args:
        truth: labels.
        predictions: in the form of ``predictions.json``.
        characters: how characters are counted; by default ``transcription`` if every word has a text.
        images: of ``truth``, where its labels are txt files.

    Raises:
        InputError: if a file cannot be read, or the two are about different images.
    """
    return ScoreResult.collect(score_files(truth, predictions, characters, images))
