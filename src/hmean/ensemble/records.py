"""``ensemble.json``: the members of an ensemble, the verdict on each strategy, and what was compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AliasChoices, Field, PlainSerializer, PlainValidator, WithJsonSchema

from hmean.ensemble.voting import VotingParams
from hmean.errors import InputError
from hmean.files import read_json
from hmean.metrics.groups import Grouping
from hmean.metrics.intervals import Interval, Verdict
from hmean.metrics.tables import change_cell, grouping_lines
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.carried import Influence, PageKeys
from hmean.runs.scores import Scores
from hmean.types import Statistic, TextView


def _combined_params(value: Any) -> PostprocessParams:
    """Parameters of a vote, if they say how many votes are needed, else those of the mean of maps."""
    if isinstance(value, PostprocessParams):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("must be post-processing parameters")  # noqa: TRY004 - pydantic reports ValueError only
    if "votes" in value:
        return VotingParams.from_dict(value)
    return PostprocessParams.from_dict(value)


CombinedParams = Annotated[
    PostprocessParams,
    PlainValidator(_combined_params),
    PlainSerializer(PostprocessParams.to_dict),
    WithJsonSchema({"type": "object"}),
]


class ViewRecord(Record):
    """A network and how it sees pages."""

    weights_hash: str = Field(description="hash of the network's weights")
    long_side: int = Field(description="longest side of a page as the network sees it, in pixels")
    text: TextView | None = Field(
        default=None, description="how its view is cut and scaled to the text of the page; null: it is of the page"
    )


class MemberRecord(ViewRecord):
    """A member, and where its file is."""

    checkpoint: str = Field(description="checkpoint or exported model, relative to the folder of ensemble.json")


class RunRecord(MemberRecord):
    """A run whose model was compared and combined."""

    trained_on: str = Field(description="hash of the pages that it was trained on")
    minutes: float | None = Field(
        default=None, description="minutes of its training, validation included; null: not known"
    )
    page_views: int | None = Field(
        default=None, description="samples of pages that its training saw, in all epochs; null: not known"
    )


class GainOver(Record):
    """What a strategy gains over a base."""

    gain: float = Field(description="difference of the objective")
    interval95: Interval | None = Field(
        description="95 % interval of the gain, paired, over groups of pages; null: too few groups"
    )
    family95: Interval | None = Field(
        description="the same, such that the intervals of all strategies over this base hold together with 95 %"
    )
    verdict: Verdict = Field(description="what the family interval says")


class StrategyRow(Record):
    """The verdict on one strategy. All scores are cross-fitted: no page had a part in the choices made for it."""

    strategy: str = Field(
        validation_alias=AliasChoices("strategy", "candidate"), description="name of the strategy, such as map mean"
    )
    h: float = Field(description="weighted mean of the hmeans of the objective, in [0, 1]")
    gain: float = Field(description="difference to the best single member")
    interval95: Interval | None = Field(
        description="95 % interval of the gain, paired, over groups of pages; null: too few groups"
    )
    family95: Interval | None = Field(
        default=None,
        description="the same, such that the intervals of all strategies hold together with 95 %; null also in files "
        "of earlier versions",
    )
    verdict: Verdict | Literal["base"] = Field(
        description="what the family interval says; base: the best single member"
    )
    over_all_pages: GainOver | None = Field(
        default=None,
        description="the gain over one model of all pages that are not held out; null: that model, or there is none",
    )
    among_the_best: bool | None = Field(
        default=None,
        description="of a strategy that is better than the base to beat: whether it cannot be distinguished from the "
        "best one",
    )
    minutes: float | None = Field(
        default=None,
        description="minutes of the trainings that lead to it, validation included; of the best single member, its own "
        "only; null: not known",
    )
    ms_a_page: float = Field(description="milliseconds a page, from file to text polygons; median")
    times_single: float = Field(description="the same over the time of the best single member; median")
    mb: float = Field(description="megabytes of weights")
    members: tuple[ViewRecord, ...] = Field(description="networks and sizes, chosen on all pages")
    postprocess: CombinedParams = Field(description="post-processing parameters, chosen on all pages")


class SkippedStrategy(Record):
    """A strategy that is not possible with these members."""

    strategy: str = Field(validation_alias=AliasChoices("strategy", "candidate"), description="name of the strategy")
    reason: str = Field(validation_alias=AliasChoices("reason", "skipped"), description="why it is not possible")


class EnsembleRecord(Record):
    """An ensemble, and how it was found. ``hmean predict`` and ``hmean evaluate`` take the file as checkpoint_path."""

    strategy: str | None = Field(
        default=None,
        validation_alias=AliasChoices("strategy", "kind"),
        description="the strategy that was kept; single, all pages: no ensemble is better than that base",
    )
    members: tuple[MemberRecord, ...] = Field(min_length=1, description="the networks and sizes that predict")
    postprocess: CombinedParams = Field(
        description="what is done with their maps: parameters with votes are those of a vote, others hold for the mean"
    )
    tuned_on: PageKeys = Field(description="keys of the pages that members and parameters were chosen on")
    pages: int | None = Field(default=None, description="number of these pages")
    groups: int | None = Field(default=None, description="number of their groups")
    grouping: Grouping | None = Field(
        default=None, description="how they lie in groups; null: written by an earlier version"
    )
    data_hash: str | None = Field(default=None, description="hash of their names, labels and images")
    objective: dict[Statistic, float] = Field(default={}, description="weights of the hmeans that were compared")
    runs: tuple[RunRecord, ...] = Field(default=(), description="all runs that were combined")
    all_pages: tuple[RunRecord, ...] = Field(
        default=(), description="runs of one model of all pages that the others have seen, which are a base"
    )
    to_beat: str | None = Field(
        default=None, description="the base that an ensemble had to beat: the better of single and all pages"
    )
    strategies: tuple[StrategyRow, ...] = Field(default=(), description="the strategies, the best single member first")
    skipped: tuple[SkippedStrategy, ...] = Field(default=(), description="strategies that were not possible")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _present_names(cls, values: Any) -> Any:
        """In files of earlier versions, judged and skipped strategies are one list, ``candidates``."""
        if not isinstance(values, Mapping) or "candidates" not in values:
            return values
        present = dict(values)
        rows = present.pop("candidates")
        present["strategies"] = []
        present["skipped"] = []
        for row in rows:
            if "skipped" in row:
                present["skipped"].append(row)
            else:
                present["strategies"].append(row)
        return present

    def summary(self) -> str:
        """Tab-separated: H, gains over both bases with their intervals, verdicts, costs."""
        objective = "+".join(self.objective)
        lines = [f"{objective} H, cross-fitted, on pages that are new to all members"]
        if self.grouping is not None:
            lines += grouping_lines(self.grouping)
        lines.append("strategy\tH\tgain over single\t95 %\tfamily 95 %\tverdict\tminutes\tms/page\ttimes single\tMB")
        for row in self.strategies:
            cells = (
                row.strategy,
                f"{100 * row.h:.2f}",
                f"{100 * row.gain:+.2f}",
                change_cell(row.interval95),
                change_cell(row.family95),
                row.verdict,
                minutes_text(row.minutes),
                f"{row.ms_a_page:.0f}",
                f"{row.times_single:.1f}",
                f"{row.mb:.1f}",
            )
            lines.append("\t".join(cells))
        for skipped in self.skipped:
            reason = " ".join(skipped.reason.split())
            lines.append(f"{skipped.strategy}\tskipped: {reason}")
        lines += self._over_all_pages()
        lines.append("each model is one training: another seed may say otherwise")
        lines.append(f"kept: {self.strategy}")
        return "\n".join(lines)

    def _over_all_pages(self) -> list[str]:
        """The second table, if there is a model of all pages."""
        lines = []
        for row in self.strategies:
            over = row.over_all_pages
            if over is not None:
                cells = (
                    row.strategy,
                    f"{100 * over.gain:+.2f}",
                    change_cell(over.interval95),
                    change_cell(over.family95),
                    over.verdict,
                )
                lines.append("\t".join(cells))
        if lines:
            lines.insert(0, "strategy\tgain over all pages\t95 %\tfamily 95 %\tverdict")
            lines.append(self.budget_text())
            lines.append(f"to beat: {self.to_beat}")
        return lines

    def budget_text(self) -> str:
        """What the trainings of the members and of the model of all pages have cost."""
        sides = []
        for name, runs in (("members together", self.runs), ("all pages", self.all_pages[:1])):
            sides.append(f"{name}: {_total_text(runs)}")
        return "; ".join(sides)


def minutes_text(minutes: float | None) -> str:
    """Minutes of training."""
    if minutes is None:
        return "not known"
    return f"{minutes:.1f}"


def _total_text(runs: Sequence[RunRecord]) -> str:
    """Samples and minutes of several trainings."""
    views = 0
    minutes = 0.0
    for run in runs:
        if run.minutes is None or run.page_views is None:
            return "cost of training not known"
        views += run.page_views
        minutes += run.minutes
    return f"{views:,} samples of pages in {minutes_text(minutes)} minutes of training"


class ScoredMember(ViewRecord):
    """A member of an ensemble that was scored."""

    influenced_by: Influence = Field(description="how many of the pages had a part in the making of the member")


class EnsembleScores(Scores):
    """``scores.json`` of an ensemble."""

    postprocess: CombinedParams = Field(description="what was done with the members' maps")
    members: tuple[ScoredMember, ...] = Field(description="the members")


def read_ensemble(path: Path) -> EnsembleRecord:
    """Read an ``ensemble.json`` whose members are to be run.

    Raises:
        InputError: if it is not one, or has a member that this version does not support.
    """
    values = read_json(path)
    if isinstance(values, dict) and _shows_mirrored_pages(values.get("members")):
        raise InputError(
            f"{path}: shows a member the mirrored page (flip), which is no longer supported; run hmean ensemble again"
        )
    return EnsembleRecord.parse(values, path)


def _shows_mirrored_pages(members: Any) -> bool:
    if not isinstance(members, list):
        return False
    return any(isinstance(member, dict) and member.get("flip") for member in members)
