"""``tuned.json``: what tuning found, and what became of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from hmean.metrics.groups import Grouping
from hmean.metrics.record import ScoreRecord
from hmean.metrics.tables import change_text, grouping_lines
from hmean.postprocess.parameters import PostprocessParams, present_names
from hmean.records import Record
from hmean.runs.carried import Influence
from hmean.tuning.grid import say_list_ends
from hmean.tuning.scores import Gain
from hmean.types import Statistic

Adopt = Literal["shown", "any"]
Decision = Literal["adopted", "kept", "manual"]
Reason = Literal[
    "gain shown", "gain not shown", "floors shown", "floors missed", "too few groups", "any is adopted", "by hand"
]
_ANYWAY = "so the model keeps its values; tune.adopt=any adopts what was chosen all the same"
REASONS: dict[Reason, str] = {
    "gain shown": "adopted: the choice's gain on held-out pages is shown (its interval, a fifth wider, is above 0)",
    "gain not shown": "kept: the choice's gain on held-out pages is not shown (its interval, a fifth wider, is not "
    f"above 0), {_ANYWAY}",
    "floors shown": "adopted: the choice is shown to come nearer to the floors on held-out pages",
    "floors missed": f"kept: the choice misses the floors by more than the values before on held-out pages, {_ANYWAY}",
    "too few groups": f"kept: no gain can be shown on so few groups of pages (shops, documents), {_ANYWAY}",
    "any is adopted": "adopted: tune.adopt=any adopts whatever was chosen, so look at its gain",
    "by hand": "a person chose",
}
_OLD_DECISIONS = {"tuned": "adopted", "by hand": "manual", "by_hand": "manual"}


class ObjectiveScore(ScoreRecord):
    """The score of a setting, and its objective."""

    objective: float = Field(description="the weighted mean of hmeans that was maximised")


class ScoredSetting(Record):
    """A setting and its score."""

    postprocess: PostprocessParams = Field(description="the values")
    score: ObjectiveScore = Field(description="on the pages that were tuned on")


class ChosenSetting(ScoredSetting, Gain):
    """The setting chosen, with its gain over the setting before, on the pages that it was chosen on."""


class CrossFittedChoice(Gain):
    """What the choice is worth on pages that it has not seen. With ``adopt: shown`` it decides, so it is selected."""

    score: ObjectiveScore = Field(description="of all pages, each scored with the choice made without its fold")
    optimism: Gain = Field(description="by how much the chosen setting looks better on the pages it was chosen on")
    chosen: list[PostprocessParams] = Field(description="the setting chosen without each fold")


class CrossFittedRule(Gain):
    """What the whole rule (choose, check, adopt or keep) is worth on pages with no part in choice or decision."""

    score: ObjectiveScore = Field(
        description="of all pages, each scored with the values that the rule leaves without its fold"
    )
    left: list[PostprocessParams] = Field(description="the values that the rule leaves without each fold")
    adopted: int = Field(description="folds without which it leaves other values than those before")

    def folds_text(self) -> str:
        """In how many folds values are adopted, in words."""
        return f"adopted in {self.adopted} of {len(self.left)} folds"


class Plateau(Record):
    """The settings of the last grid that cannot be distinguished from the best one."""

    settings: int = Field(description="how many there are")
    values: dict[str, list[Any]] = Field(description="the values of each parameter among them")


class GridRow(Record):
    """One setting of the last grid."""

    postprocess: PostprocessParams = Field(description="the values")
    objective: float = Field(description="the weighted mean of hmeans")
    macro: float = Field(description="CLEval's macro hmean")
    pooled: float = Field(description="CLEval's pooled hmean")
    iou50: float = Field(description="hmean at IoU 0.5")
    iou70: float = Field(description="hmean at IoU 0.7")
    p: float = Field(description="CLEval's macro precision")
    r: float = Field(description="CLEval's macro recall")
    plateau: bool = Field(description="whether it cannot be distinguished from the best one")


class Searched(Record):
    """How much of the space was looked at."""

    settings: int = Field(description="settings that the lists make")
    scored: int = Field(description="settings that were scored")


class FloorsReport(Record):
    """Floors of macro precision and recall, and by how much they are missed on held-out pages."""

    precision: float = Field(description="the floor of macro precision")
    recall: float = Field(description="the floor of macro recall")
    shortfall_before: float = Field(
        description="by how much the values before miss them",
        validation_alias=AliasChoices("shortfall_before", "lacked_before"),
    )
    shortfall: float = Field(
        description="by how much the cross-fitted choice misses them",
        validation_alias=AliasChoices("shortfall", "lacks"),
    )
    raised: Gain | None = Field(
        default=None,
        description="by how much the cross-fitted choice raises what the values before have below a floor: the sum "
        "over macro P and R; null in files of earlier versions",
    )


class TuneResult(Record):
    """The content of ``tuned.json``."""

    split: str = Field(
        description="the pages that were tuned on: val, test, train, or 'out of fold'",
        validation_alias=AliasChoices("split", "part"),
    )
    influenced_by: Influence = Field(
        default=Influence(), description="how many of these pages had a part in the making of the model before"
    )
    objective: dict[Statistic, float] = Field(description="hmeans and their weights")
    pages: int = Field(description="number of pages")
    grouping: Grouping | None = Field(
        default=None, description="the groups that the intervals rest on; null in files of earlier versions"
    )
    before: ScoredSetting = Field(description="the values before these pages chose any")
    after: ChosenSetting = Field(description="the values chosen")
    rule: CrossFittedRule | None = Field(
        default=None,
        description="what tuning is worth, the number to quote; null where there are too few groups, by hand, and in "
        "files of earlier versions",
    )
    cross_fitted: CrossFittedChoice | None = Field(
        description="what the choice is worth on held-out pages, which is what was decided on; null where all pages "
        "are of one group, or by hand"
    )
    plateau: Plateau | None = Field(
        description="the settings that cannot be distinguished from the best one; null where there are too few groups "
        "to say which"
    )
    axes: dict[str, list[Any]] = Field(description="parameters with several values in the last grid, and these values")
    grid: list[GridRow] = Field(description="every setting of the last grid, best first")
    searched: Searched = Field(description="how much of the space was looked at")
    at_list_ends: dict[str, float] = Field(
        default_factory=dict,
        description="parameters whose chosen value is the lowest or highest of its list",
        validation_alias=AliasChoices("at_list_ends", "at_the_end"),
    )
    floors: FloorsReport | None = Field(default=None, description="floors of precision and recall, where there are any")
    adopt: Adopt | None = Field(
        default=None,
        description="shown: only what is shown to gain was to be adopted; any: whatever was chosen; null by hand, and "
        "in files of earlier versions, which adopted every gain",
    )
    decision: Decision = Field(
        description="adopted: the model has the values chosen; kept: it keeps its own; manual: a person chose",
        validation_alias=AliasChoices("decision", "decided"),
    )
    reason: Reason | None = Field(default=None, description="why; null in files of earlier versions")
    in_model: PostprocessParams | None = Field(
        default=None,
        description="the values that the model has now; null in files of earlier versions",
        validation_alias=AliasChoices("in_model", "holds"),
    )

    @model_validator(mode="before")
    @classmethod
    def _present_parameters(cls, values: Any) -> Any:
        return present_names(values)

    @field_validator("decision", mode="before")
    @classmethod
    def _present_name(cls, decision: Any) -> Any:
        return _OLD_DECISIONS.get(decision, decision)

    def summary(self) -> str:
        """Gains with their intervals, why values were adopted or kept, what to be careful about, and the values."""
        objective = "+".join(self.objective)
        lines = []
        if self.rule is not None:
            lines.append(
                f"{objective} H {_points(self.rule)} on pages with no part in choice or decision "
                f"({self.rule.folds_text()})"
            )
        if self.cross_fitted is not None and self.adopt != "any":
            lines.append(
                f"{objective} H {_points(self.cross_fitted)} on pages with no part in the choice (cross-fitted); "
                "decided on this, so it is selected"
            )
        lines.append(f"{objective} H {_points(self.after)} on the pages it was chosen on")
        if self.cross_fitted is not None:
            optimism = _points(self.cross_fitted.optimism)
            lines.append(f"optimism {optimism}: the gain on the pages it was chosen on is too high by this")
        lines += self._floors_lines()
        lines += self._warnings()
        if self.in_model is not None:
            lines.append(" ".join(f"{name}={value}" for name, value in self.in_model.to_dict().items()))
        return "\n".join(lines)

    def _floors_lines(self) -> list[str]:
        if self.floors is None or self.cross_fitted is None:
            return []
        macro = self.cross_fitted.score.cleval.macro
        line = (
            f"macro P {100 * macro.p:.2f} and R {100 * macro.r:.2f} on held-out pages; "
            f"the floors are {100 * self.floors.precision:g} and {100 * self.floors.recall:g}"
        )
        if self.floors.shortfall > 0:
            line += f", missed by {100 * self.floors.shortfall:.2f} points"
        return [line]

    def _warnings(self) -> list[str]:
        lines = []
        if self.grouping is not None:
            lines += grouping_lines(self.grouping)
        trained = self.influenced_by.trained
        if trained > 0:
            lines.append(
                f"warning: {trained} of these pages were trained on: the model does better on them than on new pages"
            )
        if self.reason is not None:
            lines.append(REASONS[self.reason])
        if self.decision == "kept" and self.in_model not in (None, self.before.postprocess):
            lines.append("the model's values were chosen on these pages earlier; what is scored here are those before")
        return [*lines, *say_list_ends(self.at_list_ends)]


def _points(gain: Gain) -> str:
    return f"{100 * gain.gain:+.2f} points {change_text(gain.interval95)}"
