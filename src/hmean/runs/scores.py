"""``scores.json``: what a set of pages scored, with what, and the counts of each page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self

from pydantic import AliasChoices, BeforeValidator, Field, computed_field

from hmean.metrics.cleval import Counts
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval, hmean_intervals, page_groups
from hmean.metrics.iou import MatchCounts
from hmean.metrics.record import ScoreRecord
from hmean.metrics.scorer import PageScore, Scorer
from hmean.metrics.tables import score_table
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.carried import Influence
from hmean.runs.looks import LookCosts
from hmean.types import Statistic, TextView

OUT_OF_FOLD = "out of fold"  # the split of pages that are scored by the fold that has not seen them


def _from_list(kind: Callable[..., Any]) -> BeforeValidator:
    """Files of earlier versions hold counts as lists, in the order of the fields."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return kind(*value)
        return value

    return BeforeValidator(named)


class ScoredPage(Record):
    """What one page scored."""

    name: str = Field(description="name of the page's image")
    counts: Annotated[Counts, _from_list(Counts)] = Field(description="counts of CLEval")
    iou50: Annotated[MatchCounts, _from_list(MatchCounts)] = Field(description="matches at IoU 0.5")
    iou70: Annotated[MatchCounts, _from_list(MatchCounts)] = Field(description="matches at IoU 0.7")
    group: str | None = Field(default=None, description="group of the page (a shop, a document), if it has one")

    @computed_field(description="precision of CLEval")  # type: ignore[prop-decorator]
    @property
    def p(self) -> float:
        """Precision of CLEval."""
        return self.counts.prh.p

    @computed_field(description="recall of CLEval")  # type: ignore[prop-decorator]
    @property
    def r(self) -> float:
        """Recall of CLEval."""
        return self.counts.prh.r

    @computed_field(description="hmean of CLEval")  # type: ignore[prop-decorator]
    @property
    def h(self) -> float:
        """Hmean of CLEval."""
        return self.counts.prh.h


class ScoredPages(Record):
    """What each of a set of pages scored."""

    remedy: ClassVar[str] = "run hmean evaluate again"

    pages: tuple[ScoredPage, ...] = Field(min_length=1, description="each page")

    def page_scores(self) -> list[PageScore]:
        """The counts of each page, for further statistics."""
        return [PageScore(page.name, page.counts, page.iou50, page.iou70, page.group) for page in self.pages]


class Scores(ScoredPages, ScoreRecord):
    """What a set of pages scored, in [0, 1]."""

    interval95: dict[Statistic, Interval | None] = Field(
        description="95 % interval of each hmean, over groups of pages; null: too few groups"
    )
    grouping: Grouping | None = Field(
        default=None, description="the groups that the intervals rest on; null in files of earlier versions"
    )
    exp_name: str | None = Field(default=None, description="name of the run")
    split: str | None = Field(
        default=None,
        validation_alias=AliasChoices("split", "part"),
        description="the pages: train, val or test, or out of fold",
    )
    data_hash: str | None = Field(default=None, description="hash of names, labels and images of the pages")
    weights_hash: str | tuple[str, ...] | None = Field(
        default=None, description="hash of the model's weights; of each fold's, where the pages were scored by folds"
    )
    epoch: int | None = Field(default=None, description="number of the model's last epoch, from 0 on")
    influenced_by: Influence = Field(
        default=Influence(), description="how many of the pages had a part in the making of the model"
    )
    long_side: int | None = Field(default=None, description="longest side of a page as the network saw it, in pixels")
    text: TextView | None = Field(
        default=None, description="how the views were cut and scaled to the text of the pages; null: they were not"
    )
    looks: LookCosts | None = Field(default=None, description="what the looks at a page have cost; null: not known")
    postprocess: PostprocessParams | None = Field(default=None, description="post-processing values")
    tuned: tuple[str, ...] = Field(default=(), description="why the model's post-processing values were changed")
    seconds: float | None = Field(default=None, description="time that the network took for all pages")
    threads: int | None = Field(default=None, description="processor threads that the network could use")

    @classmethod
    def collect(cls, scorer: Scorer, **about: Any) -> Self:
        """The record of scored pages; ``about`` are the fields that say what was scored, and with what."""
        pages = []
        for page in scorer.pages:
            pages.append(
                ScoredPage(name=page.name, counts=page.counts, iou50=page.iou50, iou70=page.iou70, group=page.group)
            )
        score = scorer.compute().to_dict()
        return cls(
            **score,
            interval95=hmean_intervals(scorer.pages),
            grouping=page_groups(scorer.pages).grouping(),
            pages=tuple(pages),
            **about,
        )

    def hmean(self, statistic: Statistic) -> float:
        """One hmean."""
        return self.prh(statistic).h

    def summary(self) -> str:
        """The score as a table for the terminal, in percent."""
        table = score_table(self.score(), self.interval95, self.grouping)
        if self.looks is None or self.text is None:
            return table
        return f"{table}\n{self.looks.text()}"
