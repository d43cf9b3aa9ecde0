"""``hmean score``: a prediction file scored against a label file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hmean.labels.formats import format_names
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval, hmean_intervals, page_groups
from hmean.metrics.tables import score_table
from hmean.runs.scoring import score_files
from hmean.types import Characters, Score, Statistic


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    parser.description = (
        "CLEval (macro and pooled), and matches at IoU 0.5 and 0.7, of a prediction file on the images of a label file."
    )
    parser.add_argument("truth", type=Path, help=f"labels: {format_names()}")
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
        print(result.json())
    else:
        print(result.summary())
    return 0


@dataclass(frozen=True)
class ScoreResult:
    """The score of a prediction file, the interval of each hmean, and the groups that these rest on."""

    score: Score
    intervals: Mapping[Statistic, Interval | None]
    grouping: Grouping

    def summary(self) -> str:
        """A table, in percent."""
        return score_table(self.score, self.intervals, self.grouping)

    def json(self) -> str:
        """The score in full precision, for programs."""
        return json.dumps(self.score.to_dict())


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
    scorer = score_files(truth, predictions, characters, images)
    return ScoreResult(scorer.compute(), hmean_intervals(scorer.pages), page_groups(scorer.pages).grouping())
