"""``start.json``: a fine-tuned model beside the detector that its training started from, on the same pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Contributions, Verdict, contributions, interval_pairs, page_groups, verdict
from hmean.metrics.record import ScoreRecord
from hmean.metrics.scorer import PageScore
from hmean.metrics.tables import change_cell, grouping_lines
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.comparison import Difference
from hmean.runs.folder import RunFolder
from hmean.types import Statistic

JUDGED: tuple[Statistic, ...] = ("macro", "iou50", "iou70")
Outcome = Literal["better", "worse", "mixed", "not distinguishable", "too few groups"]


class StartRow(ScoreRecord):
    """The cross-fitted score of one of the two: each page with values that were chosen without it."""

    postprocess: PostprocessParams = Field(description="the values chosen on all of the pages")
    weights_hash: str = Field(description="hash of the model's weights")

    def h(self, statistic: Statistic) -> float:
        """One hmean."""
        return self.prh(statistic).h


class StartRecord(Record):
    """What fine-tuning was worth: the content of ``start.json``."""

    source: str = Field(description="what the training started from: models.pretrained")
    split: str = Field(description="the pages: val, test or train")
    data_hash: str = Field(description="hash of names, labels and images of the pages")
    grouping: Grouping = Field(description="the groups of pages that the intervals rest on")
    start: StartRow = Field(description="the start, its own post-processing values tuned on these pages")
    trained: StartRow = Field(description="the fine-tuned model, likewise")
    macro: Difference = Field(description="fine-tuned minus start, of CLEval's macro hmean")
    iou50: Difference = Field(description="likewise, of the hmean at IoU 0.5")
    iou70: Difference = Field(description="likewise, of the hmean at IoU 0.7")
    outcome: Outcome = Field(
        description="better or worse: some of the three differences is, by intervals that hold together, and none is "
        "the other way; mixed: some are better and some worse"
    )
    winner: Literal["start", "trained"] = Field(description="trained if the outcome is better, else the start")
    epochs_compared: int = Field(
        default=1, description="epochs that were validated on such pages, of which the best was kept"
    )

    def of(self, statistic: Statistic) -> Difference:
        """The difference of one of the judged hmeans."""
        difference: Difference = getattr(self, statistic)
        return difference

    def summary(self, folder: Path, said: Grouping | None = None) -> str:
        """Tab-separated, in percent: the start first, then the fine-tuned model; the verdict; what to do.

        Args:
            folder: of the run.
            said: the groups that the reader was told of above, which are not said again.
        """
        lines = [*self._table()]
        if self.grouping != said:
            lines += grouping_lines(self.grouping)
        return "\n".join([*lines, *self._notes(), self.advice(folder)])

    def _table(self) -> Iterator[str]:
        yield f"fine-tuned against its start, {self.source}; values of both tuned, cross-fitted on {self.split} pages"
        yield "\t".join(["", "start", "fine-tuned", "difference", f"95 %, family of {len(JUDGED)}", "verdict"])
        for statistic in JUDGED:
            difference = self.of(statistic)
            values = [f"{100 * row.h(statistic):.2f}" for row in (self.start, self.trained)]
            change = [f"{100 * difference.difference:+.2f}", change_cell(difference.family95)]
            yield "\t".join([f"{statistic} H", *values, *change, difference.verdict])

    def _notes(self) -> Iterator[str]:
        yield f"note: {ONE_FINE_TUNING}"
        if self.epochs_compared > 1:
            yield (
                f"note: these pages chose the best of {self.epochs_compared} epochs, which favours the fine-tuned model"
            )

    def advice(self, folder: Path) -> str:
        """Which checkpoint to use, and what to do."""
        run = RunFolder(folder)
        if self.winner == "trained":
            return f"better than its start: use {run.best}"
        return f"{WHY_NOT[self.outcome]}: use {run.start}, the start with its tuned values. {WHAT_TO_DO[self.outcome]}"


def warning_of_start(model: Path) -> str | None:
    """What to say where the best checkpoint of a run is used although its start won; None if there is nothing to say.

    Args:
        model: the file that is used.
    """
    run = RunFolder(model.parent.parent)
    if model != run.best or not run.start_record.is_file():
        return None
    record = StartRecord.read(run.start_record)
    if record.winner == "trained":
        return None
    return f"{model}: {WHY_NOT[record.outcome]}; to use the start: checkpoint_path={run.start}"


ONE_FINE_TUNING = "one fine-tuning: another seed may say otherwise"
WHY_NOT: dict[Outcome, str] = {
    "worse": "worse than its start",
    "mixed": "better than its start in one score, worse in another",
    "not distinguishable": "not shown to be better than its start",
    "too few groups": "too few groups of pages to tell whether it is better than its start",
}
WHAT_TO_DO: dict[Outcome, str] = {
    "worse": "Then check the labels (hmean data check), and try another length (trainer.max_epochs: the first steps "
    "lose before they gain) or a lower models.optimizer.lr",
    "mixed": "If the better score is the one you need, use the fine-tuned model; else try a lower models.optimizer.lr",
    "not distinguishable": "Then try a longer training (trainer.max_epochs), more labelled pages, or more groups to "
    "validate on, which show smaller differences",
    "too few groups": "Validate on at least 6 groups (shops, documents), better 20",
}


def conclude(verdicts: Sequence[Verdict]) -> Outcome:
    """What several differences say together."""
    if "too few groups" in verdicts:
        return "too few groups"
    if "better" in verdicts and "worse" in verdicts:
        return "mixed"
    if "better" in verdicts:
        return "better"
    if "worse" in verdicts:
        return "worse"
    return "not distinguishable"


def winner_of(outcome: Outcome) -> Literal["start", "trained"]:
    """The start wins unless it is beaten."""
    if outcome == "better":
        return "trained"
    return "start"


def differences_to_start(start: Sequence[PageScore], trained: Sequence[PageScore]) -> Mapping[Statistic, Difference]:
    """Fine-tuned minus start for each judged hmean, with intervals that hold together.

    Args:
        start: the pages as the start scored them.
        trained: the same pages, in the same order.
    """
    groups = page_groups(start, trained)
    of_start = contributions(start, JUDGED, groups)
    of_trained = contributions(trained, JUDGED, groups)
    differences = [of_trained[statistic].minus(of_start[statistic]) for statistic in JUDGED]
    stacked = Contributions.stacked(differences)
    pairs = interval_pairs(stacked)
    found: dict[Statistic, Difference] = {}
    for i, statistic in enumerate(JUDGED):
        found[statistic] = Difference(
            difference=float(stacked.value[i]),
            interval95=pairs.single[i],
            family95=pairs.family[i],
            verdict=verdict(pairs.family[i]),
            runs=(1, 1),
        )
    return found
