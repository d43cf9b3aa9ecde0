"""Two results on the same pages compared: differences with paired intervals, verdicts, and keys of the configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from hmean.errors import InputError
from hmean.metrics.intervals import Interval, Verdict, difference_intervals, verdict
from hmean.metrics.scorer import PageScore, Scorer
from hmean.metrics.statistics import Compared
from hmean.records import Record
from hmean.runs.folder import differences, load_yaml
from hmean.runs.scores import Scores
from hmean.runs.scoring import score_files
from hmean.types import PRH, Characters, Score, Statistic

# What scores.json says beside the config of the training: with what the pages were scored.
SCORED_WITH = ("weights_hash", "epoch", "long_side", "postprocess")
# Keys of a config that name a run or belong to other commands; the post-processing that counted is in scores.json.
NO_DIFFERENCE = (
    "exp_name",
    "output_dir",
    "output",
    "resume",
    "overwrite",
    "wandb",
    "logger",
    "tune",
    "predict",
    "models.head.postprocess",
)


class Place(NamedTuple):
    """Where a compared number stands in a score: the rule, and precision, recall or hmean of it."""

    statistic: Statistic
    part: str

    def value(self, score: Score) -> float:
        """The number, in [0, 1]."""
        prh: PRH = getattr(score, self.statistic)
        value: float = getattr(prh, self.part)
        return value

    @property
    def label(self) -> str:
        """For tables, such as ``macro H``."""
        return f"{self.statistic} {self.part.upper()}"


COMPARED: dict[Compared, Place] = {
    "macro": Place("macro", "h"),
    "pooled": Place("pooled", "h"),
    "iou50": Place("iou50", "h"),
    "iou70": Place("iou70", "h"),
    "macro_p": Place("macro", "p"),
    "macro_r": Place("macro", "r"),
}


class Difference(Record):
    """The difference of one number between two results."""

    difference: float = Field(description="the other result minus the first one, in [-1, 1]")
    interval95: Interval | None = Field(
        description="95 % interval of the difference, paired, over groups of pages; null: too few groups"
    )
    verdict: Verdict = Field(description="better or worse if the interval excludes 0, else not distinguishable")


class Comparison(Record):
    """One result compared with another on the same pages."""

    name: str = Field(description="the result that is compared")
    to: str = Field(description="the result that it is compared with")
    macro: Difference = Field(description="of CLEval's macro hmean")
    pooled: Difference = Field(description="of CLEval's pooled hmean")
    iou50: Difference = Field(description="of the hmean at IoU 0.5")
    iou70: Difference = Field(description="of the hmean at IoU 0.7")
    macro_p: Difference = Field(description="of CLEval's macro precision")
    macro_r: Difference = Field(description="of CLEval's macro recall")
    config: list[str] = Field(description="keys of the two configs that differ, with both values")

    def of(self, statistic: Compared) -> Difference:
        """The difference of one statistic."""
        difference: Difference = getattr(self, statistic)
        return difference


@dataclass(frozen=True, eq=False)
class Result:
    """One result: what each page scored, and how it came about.

    Attributes:
        name: for messages and tables.
        pages: the scored pages.
        characters: how characters were counted.
        data_hash: hash of labels and images; None if they were given as files to score against.
        config: of the run; None where there is no run.
        scored_with: what its scores.json says of the model and the post-processing that the pages were scored with.
    """

    name: str
    pages: Sequence[PageScore]
    characters: Characters
    data_hash: str | None
    config: Any
    scored_with: Mapping[str, Any] = field(default_factory=dict)

    def score(self) -> Score:
        """The score of all pages."""
        return Scorer(self.characters, self.pages).compute()


def open_result(path: Path, truth: Path | None = None, images: Path | None = None) -> Result:
    """Read a result.

    Args:
        path: a folder with ``scores.json``; with ``truth`` also a prediction file, or a folder with one.
        truth: labels to score the predictions against.
        images: of ``truth``, where its labels are txt files.

    Raises:
        InputError: if there is no such result, or it cannot be read.
    """
    config = _config_of(path)
    if truth is not None:
        predictions = path
        if path.is_dir():
            predictions = path / "predictions.json"
        scorer = score_files(truth, predictions, images=images)
        return Result(str(path), scorer.pages, scorer.characters, None, config)
    file = path / "scores.json"
    if not file.is_file():
        raise InputError(f"{path}: has no scores.json; give a run folder, or a prediction file and --truth")
    scores = Scores.read(file)
    values = scores.to_json()
    scored_with = {key: values[key] for key in SCORED_WITH if values[key] is not None}
    return Result(
        name=str(path),
        pages=scores.page_scores(),
        characters=scores.cleval.characters,
        data_hash=scores.data_hash,
        config=config,
        scored_with=scored_with,
    )


def _config_of(path: Path) -> Any:
    file = path / "config.yaml"
    if path.is_dir() and file.exists():
        return load_yaml(file)
    return None


def compare(base: Result, other: Result) -> Comparison:
    """The differences of ``other`` to ``base``.

    Raises:
        InputError: if they are not of the same pages, labels and images.
    """
    fault = mismatch(base, other)
    if fault is not None:
        raise InputError.listing("These results cannot be compared:", [fault])
    base_score = base.score()
    score = other.score()
    intervals = difference_intervals([other.pages], base.pages, COMPARED)
    found: dict[str, Difference] = {}
    for statistic, place in COMPARED.items():
        (interval,) = intervals[statistic].single
        found[statistic] = Difference(
            difference=place.value(score) - place.value(base_score),
            interval95=interval,
            verdict=verdict(interval),
        )
    changed: list[str] = []
    if base.config and other.config:
        changed += differences(base.config, other.config, NO_DIFFERENCE)
    if base.scored_with and other.scored_with:
        changed += differences(base.scored_with, other.scored_with)
    return Comparison(name=other.name, to=base.name, config=changed, **found)


def mismatch(a: Result, b: Result) -> str | None:
    """Why two results cannot be compared; None if they can."""
    if a.characters != b.characters:
        return (
            f"{a.name} counts characters by {a.characters}, {b.name} by {b.characters}; "
            "give the labels with --truth to count them alike"
        )
    names = [page.name for page in a.pages]
    other_names = [page.name for page in b.pages]
    if names != other_names:
        only_one_has = sorted(set(names) ^ set(other_names))
        if only_one_has:
            where = f"only one of them has {only_one_has[0]}"
        else:
            where = "the order differs"
        return f"{a.name} has {len(names)} pages and {b.name} has {len(other_names)}, not the same ones ({where})"
    if a.data_hash != b.data_hash:
        return f"{a.name} and {b.name} have pages of the same names, but other labels or images"
    return None
