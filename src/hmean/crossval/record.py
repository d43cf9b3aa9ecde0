"""``crossval.json``: the scores of the folds, and of all pages together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import pydantic
from pydantic import Field

from hmean.metrics.intervals import Interval
from hmean.metrics.record import ScoreRecord
from hmean.metrics.statistics import STATISTICS
from hmean.metrics.tables import range_text
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.scores import Scores
from hmean.tuning.fit import TuneOptions
from hmean.types import Statistic, TextView


class Hmeans(Record):
    """One number for each hmean."""

    macro: float = Field(description="CLEval's macro hmean")
    pooled: float = Field(description="CLEval's pooled hmean")
    iou50: float = Field(description="hmean at IoU 0.5")
    iou70: float = Field(description="hmean at IoU 0.7")

    def of(self, statistic: Statistic) -> float:
        """The number for one hmean."""
        value: float = getattr(self, statistic)
        return value


class FoldScore(Hmeans):
    """What a fold's model scored on the pages of the fold, which it has not seen."""

    pages: int = Field(description="number of pages")

    @classmethod
    def collect(cls, scores: Scores) -> Self:
        """From the ``scores.json`` of the fold's run."""
        return cls(pages=scores.images, **{statistic: scores.hmean(statistic) for statistic in STATISTICS})


class OutOfFoldScore(ScoreRecord):
    """The score of all pages, each by the model that has not seen it; its pages are in ``scores.json``."""

    interval95: dict[Statistic, Interval | None] = Field(
        description="95 % interval of each hmean; null: too few groups of pages"
    )


class MadeOf(Record):
    """What the joined scores follow from: if it is the same, they are."""

    data_hash: str = Field(description="hash of names, labels and images of the pages")
    weights_hash: tuple[str, ...] = Field(description="hash of each fold's weights")
    long_side: int | None = Field(description="longest side of a page as the networks saw it, in pixels")
    text: TextView | None = Field(
        default=None, description="how the views were cut and scaled to the text of the pages; null: they were not"
    )
    postprocess: PostprocessParams = Field(description="post-processing parameters that the folds were scored with")
    tune: TuneOptions = Field(description="what was tried, maximised and respected")


class CrossvalRecord(Record):
    """A cross-validation: the scores of its folds, and of all pages together."""

    made_of: MadeOf | None = Field(description="what the scores follow from; null: written by an earlier version")
    folds: tuple[FoldScore, ...] = Field(description="each fold, on its own pages, before tuning")
    mean: Hmeans = Field(description="mean over folds")
    sd: Hmeans = Field(description="standard deviation over folds")
    out_of_fold: OutOfFoldScore = Field(description="all pages together, before tuning")
    cross_fitted: OutOfFoldScore = Field(
        description="all pages together, each with the post-processing that was tuned without its fold of the tuning"
    )

    @pydantic.field_validator("made_of", mode="before")
    @classmethod
    def _of_this_version(cls, made_of: Any) -> Any:
        """Earlier versions kept the config section ``tune`` as it was."""
        if isinstance(made_of, Mapping) and "lists" not in made_of.get("tune", {}):
            return None
        return made_of

    @classmethod
    def collect(cls, made_of: MadeOf, folds: Sequence[Scores], out_of_fold: Scores, cross_fitted: Scores) -> Self:
        """From the scores of each fold, and of all pages before and after tuning."""
        of_folds = [FoldScore.collect(scores) for scores in folds]
        rows = []
        for fold in of_folds:
            rows.append([fold.of(statistic) for statistic in STATISTICS])
        each = np.array(rows)
        return cls(
            made_of=made_of,
            folds=tuple(of_folds),
            mean=_hmeans(each.mean(axis=0).tolist()),
            sd=_hmeans(each.std(axis=0, ddof=1).tolist()),
            out_of_fold=OutOfFoldScore.model_validate(out_of_fold.to_json()),
            cross_fitted=OutOfFoldScore.model_validate(cross_fitted.to_json()),
        )

    def summary(self) -> str:
        """Tab-separated, in percent: each fold, their mean, and all pages together with intervals."""
        rows = ["\t".join(["", *STATISTICS])]
        for number, fold in enumerate(self.folds):
            cells = [f"{100 * fold.of(statistic):.2f}" for statistic in STATISTICS]
            rows.append("\t".join([f"fold {number}", *cells]))
        cells = [f"{100 * self.mean.of(name):.2f} ± {100 * self.sd.of(name):.2f}" for name in STATISTICS]
        rows.append("\t".join(["mean ± sd", *cells]))
        rows.append("\t".join(["out of fold", *_with_intervals(self.out_of_fold)]))
        rows.append("\t".join(["cross-fitted", *_with_intervals(self.cross_fitted)]))
        return "\n".join(rows)


def _hmeans(values: Sequence[float]) -> Hmeans:
    """Of values in the order of ``STATISTICS``."""
    return Hmeans.model_validate(dict(zip(STATISTICS, values, strict=True)))


def _with_intervals(score: OutOfFoldScore) -> list[str]:
    cells = []
    for statistic in STATISTICS:
        cells.append(f"{100 * score.prh(statistic).h:.2f} [{range_text(score.interval95[statistic])}]")
    return cells
