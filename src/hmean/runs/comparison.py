"""Results on the same pages compared: differences with paired intervals, verdicts, and keys of the configs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field

from hmean.metrics.groups import Grouping, PageGroups
from hmean.metrics.intervals import (
    Contributions,
    Interval,
    Verdict,
    contributions,
    interval_pairs,
    page_groups,
    verdict,
)
from hmean.metrics.seeds import SeedSpread, widened
from hmean.metrics.statistics import Compared
from hmean.records import Record
from hmean.runs.folder import differences
from hmean.runs.sides import NO_DIFFERENCE, Result, Side, know_groups, notes_on, require_comparable
from hmean.types import Statistic

ONE_TRAINING = "one training a side: another seed may say otherwise"


class Place(NamedTuple):
    """Where a compared number stands in a score: the rule, and precision, recall or hmean of it."""

    statistic: Statistic
    part: str

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
        description="95 % interval of the difference for itself, paired, over groups of pages; null: too few groups"
    )
    family95: Interval | None = Field(
        default=None,
        description="95 % interval that holds together with those of all others that are compared with the same "
        "result; null: too few groups, or a file of an earlier version",
    )
    verdict: Verdict = Field(
        description="better or worse if the family interval excludes 0, else not distinguishable (in files of earlier "
        "versions: if interval95 does)"
    )
    runs: tuple[int, int] | None = Field(
        default=None,
        description="number of trainings of the other result and of the first one; null in files of earlier versions",
    )
    seeds: SeedSpread | None = Field(
        default=None,
        description="spread of the number over trainings with other seeds, which both intervals have in them; null: "
        "no result has two trainings",
    )

    def verdict_text(self) -> str:
        """The verdict in words; for single trainings it says that it knows nothing of other seeds."""
        is_decided = self.verdict in ("better", "worse")
        if is_decided and self.runs == (1, 1) and self.seeds is None:
            return f"{self.verdict} ({ONE_TRAINING})"
        return self.verdict


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
    family: int = Field(description="number of results that are compared with the same one")
    grouping: Grouping = Field(description="the groups of pages that the intervals rest on")
    notes: list[str] = Field(description="what else to know about the two, a sentence each")

    def of(self, statistic: Compared) -> Difference:
        """The difference of one statistic."""
        difference: Difference = getattr(self, statistic)
        return difference


def compare(base: Result, other: Result) -> Comparison:
    """The differences of one result to another.

    Raises:
        InputError: if they are not of the same pages, labels and images.
    """
    (comparison,) = compare_sides(Side.of(base), [Side.of(other)])
    return comparison


def compare_sides(base: Side, others: Sequence[Side]) -> list[Comparison]:
    """The differences of several sides to one, which make one family for each statistic.

    The contributions of a side are the means over its trainings. Intervals are over groups of pages, single and for the
    family (``metrics.intervals``). Where a side has several trainings, the spread of their scores, pooled over all
    sides, widens both (``metrics.seeds``); the verdict is that of the family interval.

    Raises:
        InputError: if they are not of the same pages, labels and images, or the results of a side are not of trainings
            that differ by their seed alone.
    """
    if not others:
        return []
    sides = [base, *others]
    require_comparable(sides)
    results = [result for side in sides for result in side.results]
    groups = page_groups(*[result.pages for result in results])
    grouping = groups.grouping(known=know_groups(results))
    compared = _differences(sides, groups)
    found = []
    for i, other in enumerate(others):
        notes = [*notes_on(base, sides), *notes_on(other, sides)]
        if not grouping.known:
            notes += _notes_on_groups([base, other])
        notes += _notes_on_equal_results(base, other)
        comparison = Comparison(
            name=other.name,
            to=base.name,
            config=_config_differences(base, other),
            family=len(others),
            grouping=grouping,
            notes=notes,
            **{statistic: of_others[i] for statistic, of_others in compared.items()},
        )
        found.append(comparison)
    return found


def _differences(sides: Sequence[Side], groups: PageGroups) -> dict[str, list[Difference]]:
    """For each statistic, the differences of all further sides to the first."""
    of_results = [[contributions(result.pages, COMPARED, groups) for result in side.results] for side in sides]
    found: dict[str, list[Difference]] = {}
    for statistic in COMPARED:
        of_sides = [[of_result[statistic] for of_result in of_side] for of_side in of_results]
        found[statistic] = _family(of_sides)
    return found


def _family(of_sides: Sequence[Sequence[Contributions]]) -> list[Difference]:
    """The differences of further sides to the first, from the contributions of each training of each side."""
    base, *others = [Contributions.mean_of(of_side) for of_side in of_sides]
    of_differences = Contributions.stacked(others).minus(base)
    pairs = interval_pairs(of_differences)
    values = []
    for of_side in of_sides:
        values.append([float(of.value[0]) for of in of_side])
    seeds = SeedSpread.of(*values)
    found = []
    for i, of_side in enumerate(of_sides[1:]):
        value = float(of_differences.value[i])
        single = pairs.single[i]
        family = pairs.family[i]
        runs = (len(of_side), len(of_sides[0]))
        if seeds is not None:
            single = widened(single, value, seeds.half_width(*runs))
            family = widened(family, value, seeds.half_width(*runs, family=len(others)))
        difference = Difference(
            difference=value, interval95=single, family95=family, verdict=verdict(family), runs=runs, seeds=seeds
        )
        found.append(difference)
    return found


def _config_differences(base: Side, other: Side) -> list[str]:
    """What differs between the first training of each side; without what differs between repeats anyway."""
    a = base.results[0]
    b = other.results[0]
    ignoring = [*NO_DIFFERENCE]
    ignoring_scored_with = []
    if len(base.results) > 1 or len(other.results) > 1:
        ignoring += ["seed"]
        ignoring_scored_with += ["weights_hash", "epoch"]
    changed: list[str] = []
    if a.config and b.config:
        changed += differences(a.config, b.config, ignoring)
    if a.scored_with and b.scored_with:
        changed += differences(a.scored_with, b.scored_with, ignoring_scored_with)
    return changed


def _notes_on_groups(sides: Sequence[Side]) -> list[str]:
    """Which results may have groups that they do not name."""
    notes = []
    for side in sides:
        for result in side.results:
            if not result.knows_groups:
                notes.append(
                    f"{result.name} is of an earlier version of hmean, which named no groups: if pages have any, "
                    "evaluate again or give the labels with --truth"
                )
    return notes


def _notes_on_equal_results(base: Side, other: Side) -> list[str]:
    """Which results of the two sides are one result, or look like one."""
    notes = []
    for result in other.results:
        for of_base in base.results:
            sameness = _sameness(of_base, result)
            if sameness is not None:
                notes.append(f"{of_base.name} and {result.name} {sameness}")
    return notes


def _sameness(a: Result, b: Result) -> str | None:
    """In what two results are the same; None if they are two results."""
    if a.file is not None and a.file == b.file:
        return "are the same result: it is compared with itself"
    if list(a.pages) != list(b.pages):
        return None
    weights = a.scored_with.get("weights_hash")
    if weights is not None and weights == b.scored_with.get("weights_hash"):
        return "are of the same model and score the same on every page: it is compared with itself"
    return "score the same on every page: check that they are results of two models"
