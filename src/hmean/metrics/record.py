"""A score in JSON: the layout that ``hmean score --json`` prints, and that ``scores.json`` and ``tuned.json`` hold."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from hmean.records import Record
from hmean.types import PRH, Characters, Score, Statistic


class CLEvalRecord(Record):
    """CLEval of a set of pages."""

    macro: PRH = Field(description="means over pages of their precision, recall and hmean")
    pooled: PRH = Field(description="from counts summed over pages")
    characters: Characters = Field(description="how characters were counted: from transcriptions or from aspects")


class ScoreRecord(Record):
    """The score of a set of pages, in [0, 1]."""

    images: int = Field(description="number of pages")
    cleval: CLEvalRecord = Field(description="CLEval")
    iou50: PRH = Field(description="one-to-one matches at IoU 0.5")
    iou70: PRH = Field(description="one-to-one matches at IoU 0.7")

    @classmethod
    def of(cls, score: Score) -> Self:
        """The record of a score."""
        return cls.model_validate(score.to_dict())

    def score(self) -> Score:
        """The score of the record."""
        return Score(
            images=self.images,
            macro=self.cleval.macro,
            pooled=self.cleval.pooled,
            characters=self.cleval.characters,
            iou50=self.iou50,
            iou70=self.iou70,
        )

    def prh(self, statistic: Statistic) -> PRH:
        """Precision, recall and hmean of one statistic."""
        if statistic == "macro":
            return self.cleval.macro
        if statistic == "pooled":
            return self.cleval.pooled
        if statistic == "iou50":
            return self.iou50
        return self.iou70
