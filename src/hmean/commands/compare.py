"""``hmean compare``: results on the same pages, with paired intervals and a verdict in words."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import Field

from hmean.errors import InputError
from hmean.metrics.groups import Grouping
from hmean.metrics.tables import change_cell, grouping_lines
from hmean.records import Record
from hmean.runs.comparison import COMPARED, ONE_TRAINING, Comparison, Place, compare_sides
from hmean.runs.sides import Result, Side, open_result
from hmean.settings.keys import pruned, with_present_keys
from hmean.settings.training import TrainSettings
from hmean.types import PRH, Characters

INTERVALS_PAGE = "docs/concepts/intervals.md"
FEW_DEGREES = 2  # of freedom: Student's t is 12.7 with one and 4.3 with two, against 2.8 with four

DESCRIPTION = """\
The differences of results to the first one, in CLEval and IoU hmean on the same pages: each with a paired 95 % interval
over groups of pages (shops), a verdict, and the values in which the configs differ.

  hmean compare outputs/b4 outputs/resnet50
  hmean compare lite=outputs/lite,outputs/lite_1,outputs/lite_2 b4=outputs/b4,outputs/b4_1,outputs/b4_2
      Several trainings a side, which differ by their seed alone: their mean is compared, and the spread of their seeds
      is in the intervals.
  hmean compare a.json b.json c.json --truth labels.json
      Several results against the first are a family: the verdict is that of the family interval, which is wide enough
      that all of them together hold with 95 %.

Groups: pages of one shop, customer or document resemble each other, so twenty of them tell less than twenty pages of
twenty shops. The labels name the group of a page ("group" in UFO JSON); the unit of all intervals is the group, and a
page without one counts alone. "better" and "worse" mean that the interval excludes 0, "not distinguishable" that it
does not (which is not "equal"), "too few groups" that fewer than 6 groups allow no interval. A comparison of single
trainings knows nothing of other seeds. More: docs/concepts/intervals.md

An argument with "=" in it is a path if there is such a file or folder."""


@dataclass(frozen=True)
class SideInput:
    """What one argument asks for: the results of one side.

    Attributes:
        name: of the side.
        paths: of its results.
    """

    name: str
    paths: Sequence[Path]

    @classmethod
    def of(cls, argument: str) -> SideInput:
        """Read ``PATH`` or ``NAME=PATH,PATH,...``; what is there as a path is one.

        Raises:
            InputError: if the name or a path is empty, or a named side has a path that is not there.
        """
        name, equals, rest = argument.partition("=")
        if not argument:
            raise InputError("a side is empty; write PATH, or NAME=PATH,PATH for several trainings")
        if not equals or Path(argument).exists():
            return cls(argument, [Path(argument)])
        if not rest:
            raise InputError(f"{argument}: names no result; write NAME=PATH, or NAME=PATH,PATH")
        if not name:
            raise InputError(f"{argument}: has no name before the =; write NAME{argument}")
        paths = rest.split(",")
        if Path(rest).exists():
            paths = [rest]
        if not all(paths):
            raise InputError(f"{argument}: has a comma too many; write NAME=PATH,PATH")
        for path in paths:
            if not Path(path).exists():
                raise InputError(f"{argument}: there is no {path}, and no file or folder of the whole name")
        return cls(name, [Path(path) for path in paths])


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = DESCRIPTION
    parser.add_argument(
        "results",
        nargs="+",
        metavar="SIDE",
        help="PATH, or NAME=PATH,PATH,... for several trainings: run folders, folders of evaluations, or prediction "
        "files; the first side is the base",
    )
    parser.add_argument("--truth", type=Path, help="labels to score prediction files against")
    parser.add_argument("--images", type=Path, help="images of txt labels")
    parser.add_argument("--json", action="store_true", help="full precision, for programs")
    parser.set_defaults(run=_run_options)


def _run_options(options: argparse.Namespace) -> int:
    result = run([SideInput.of(argument) for argument in options.results], options.truth, options.images)
    if options.json:
        print(json.dumps(result.to_json()))
    else:
        print(result.summary())
    return 0


class RunRow(Record):
    """The score of one result."""

    name: str = Field(description="the folder or file, as it was given")
    macro: PRH = Field(description="CLEval, mean over pages")
    pooled: PRH = Field(description="CLEval, from counts summed over pages")
    iou50: PRH = Field(description="matches at IoU 0.5")
    iou70: PRH = Field(description="matches at IoU 0.7")

    @classmethod
    def of(cls, result: Result) -> RunRow:
        """The row of a result."""
        score = result.score()
        return cls(name=result.name, macro=score.macro, pooled=score.pooled, iou50=score.iou50, iou70=score.iou70)


class ResultRow(RunRow):
    """The score of one side: the means over its runs."""

    name: str = Field(description="name of the side; that of its result, if none was given")
    runs: list[RunRow] = Field(description="the score of each result of the side")

    @classmethod
    def of_side(cls, side: Side) -> ResultRow:
        """The row of a side."""
        rows = [RunRow.of(result) for result in side.results]
        return cls(
            name=side.name,
            macro=_mean([row.macro for row in rows]),
            pooled=_mean([row.pooled for row in rows]),
            iou50=_mean([row.iou50 for row in rows]),
            iou70=_mean([row.iou70 for row in rows]),
            runs=rows,
        )

    def number(self, place: Place) -> float:
        """One of the compared numbers."""
        prh: PRH = getattr(self, place.statistic)
        number: float = getattr(prh, place.part)
        return number

    def title(self) -> str:
        """For the head of a table."""
        if len(self.runs) == 1:
            return self.name
        return f"{self.name} (mean of {len(self.runs)})"


def _mean(parts: Sequence[PRH]) -> PRH:
    values = [(part.p, part.r, part.h) for part in parts]
    p, r, h = np.mean(values, axis=0).tolist()
    return PRH(p, r, h)


class CompareResult(Record):
    """What ``hmean compare --json`` prints."""

    pages: int = Field(description="number of pages")
    characters: Characters = Field(description="how characters were counted")
    grouping: Grouping = Field(description="the groups of pages that the intervals rest on")
    results: list[ResultRow] = Field(description="the score of each side, in the order given")
    comparisons: list[Comparison] = Field(description="each further side compared with the first")

    def summary(self) -> str:
        """Tab-separated: each score, then each difference with intervals and verdict, in points; what they rest on."""
        lines = ["\t".join(["", *(result.title() for result in self.results)])]
        for place in COMPARED.values():
            values = [f"{100 * result.number(place):.2f}" for result in self.results]
            lines.append("\t".join([place.label, *values]))
        for comparison in self.comparisons:
            lines += ["", f"{comparison.name} minus {comparison.to}, in points, on {self.pages} pages"]
            lines += _difference_rows(comparison)
            lines += [f"config\t{line}" for line in comparison.config]
        return "\n".join([*lines, "", *self._basis()])

    def _basis(self) -> Iterator[str]:
        """What the intervals rest on, a line each."""
        yield from grouping_lines(self.grouping)
        yield f"95 %: interval of the paired difference; its unit is the {self.grouping.unit} ({INTERVALS_PAGE})"
        if len(self.comparisons) > 1:
            yield (
                f"family: corrected for {len(self.comparisons)} comparisons with {self.results[0].name}: all intervals "
                "of a row hold together with 95 %, and verdicts rest on them"
            )
        yield from self._on_seeds()
        notes = [note for comparison in self.comparisons for note in comparison.notes]
        for note in dict.fromkeys(notes):
            yield f"note: {note}"

    def _on_seeds(self) -> Iterator[str]:
        """What the intervals know of other seeds."""
        seeds = self.comparisons[0].macro.seeds
        if seeds is None:
            yield f"seeds: {ONE_TRAINING}; give several (A=run1,run2,run3 B=run4,run5)"
            return
        yield "seeds: the spread between trainings that differ by their seed alone is in the intervals"
        if seeds.degrees_of_freedom <= FEW_DEGREES:
            runs = ", ".join(f"{result.name} has {_runs(len(result.runs))}" for result in self.results)
            yield (
                f"seeds: {runs}: a spread from so few runs is hardly known, which makes the intervals wide; "
                "one more run a side narrows them"
            )


def _runs(count: int) -> str:
    if count == 1:
        return "1 run"
    return f"{count} runs"


def _difference_rows(comparison: Comparison) -> Iterator[str]:
    has_family = comparison.family > 1
    has_seeds = comparison.macro.seeds is not None
    head = ["", "difference", "95 %"]
    if has_family:
        head.append(f"95 %, family of {comparison.family}")
    if has_seeds:
        head.append("sd of seeds")
    yield "\t".join([*head, "verdict"])
    for statistic, place in COMPARED.items():
        row = comparison.of(statistic)
        cells = [place.label, f"{100 * row.difference:+.2f}", change_cell(row.interval95)]
        if has_family:
            cells.append(change_cell(row.family95))
        if row.seeds is not None:
            cells.append(f"{100 * row.seeds.sd:.2f} ({row.seeds.degrees_of_freedom} df)")
        yield "\t".join([*cells, row.verdict_text()])


def run(inputs: Sequence[SideInput], truth: Path | None = None, images: Path | None = None) -> CompareResult:
    """Compare each further side with the first.

    Args:
        inputs: the sides, at least two: run folders, folders of an evaluation, or prediction files (which need
            ``truth``).
        truth: labels to score prediction files against, and the predictions of folders too.
        images: of ``truth``, where its labels are txt files.

    Raises:
        InputError: if a result cannot be read, they are not of the same pages, or the results of a side are not of
            trainings that differ by their seed alone.
    """
    if len(inputs) < 2:
        raise InputError("hmean compare takes two or more results: run folders, or prediction files and --truth")
    names = [side.name for side in inputs]
    for side in inputs:
        is_named = [side.name] != [str(path) for path in side.paths]
        if is_named and names.count(side.name) > 1:
            raise InputError(f"{side.name}: names two sides; give each its own name")
    sides = []
    for side in inputs:
        results = [_with_present_keys(open_result(path, truth, images)) for path in side.paths]
        sides.append(Side(side.name, results))
    base, *others = sides
    comparisons = compare_sides(base, others)
    return CompareResult(
        pages=len(base.results[0].pages),
        characters=base.results[0].characters,
        grouping=comparisons[0].grouping,
        results=[ResultRow.of_side(side) for side in sides],
        comparisons=comparisons,
    )


def _with_present_keys(result: Result) -> Result:
    """What a training reads of the config, under the names of this version: else all that was renamed would differ."""
    if not isinstance(result.config, Mapping):
        return result
    return replace(result, config=pruned(with_present_keys(result.config), TrainSettings))
