"""``hmean compare``: results on the same pages, with paired intervals and a verdict in words."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from hmean.errors import InputError
from hmean.metrics.tables import change_text
from hmean.records import Record
from hmean.runs.comparison import COMPARED, Comparison, Result, compare, mismatch, open_result
from hmean.settings.keys import pruned, with_present_keys
from hmean.settings.training import TrainSettings
from hmean.types import PRH, Characters


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command line."""
    parser.description = (
        "Differences in CLEval and IoU hmean between results on the same pages, with 95 % paired bootstrap intervals "
        "over pages and a verdict; and the values in which their configs differ."
    )
    parser.add_argument("results", type=Path, nargs="+", help="run folders, or prediction files; the first is the base")
    parser.add_argument("--truth", type=Path, help="labels to score prediction files against")
    parser.add_argument("--images", type=Path, help="images of txt labels")
    parser.add_argument("--json", action="store_true", help="full precision, for programs")
    parser.set_defaults(run=_run_options)


def _run_options(options: argparse.Namespace) -> int:
    result = run(options.results, options.truth, options.images)
    if options.json:
        print(json.dumps(result.to_json()))
    else:
        print(result.summary())
    return 0


class ResultRow(Record):
    """The score of one result."""

    name: str = Field(description="the folder or file, as it was given")
    macro: PRH = Field(description="CLEval, mean over pages")
    pooled: PRH = Field(description="CLEval, from counts summed over pages")
    iou50: PRH = Field(description="matches at IoU 0.5")
    iou70: PRH = Field(description="matches at IoU 0.7")

    @classmethod
    def of(cls, result: Result) -> ResultRow:
        """The row of a result."""
        score = result.score()
        return cls(name=result.name, macro=score.macro, pooled=score.pooled, iou50=score.iou50, iou70=score.iou70)


class CompareResult(Record):
    """What ``hmean compare --json`` prints."""

    pages: int = Field(description="number of pages")
    characters: Characters = Field(description="how characters were counted")
    results: list[ResultRow] = Field(description="the score of each result, in the order given")
    comparisons: list[Comparison] = Field(description="each further result compared with the first")

    def summary(self) -> str:
        """Tab-separated: each score, then each difference with interval and verdict, in points."""
        lines = ["\t".join(["", *(result.name for result in self.results)])]
        for place in COMPARED.values():
            values = [getattr(getattr(result, place.statistic), place.part) for result in self.results]
            lines.append("\t".join([place.label, *(f"{100 * value:.2f}" for value in values)]))
        for comparison in self.comparisons:
            lines += ["", f"{comparison.name} minus {comparison.to}, in points, on {self.pages} pages"]
            lines += _difference_rows(comparison)
            lines += [f"config\t{line}" for line in comparison.config]
        return "\n".join(lines)


def _difference_rows(comparison: Comparison) -> list[str]:
    rows = []
    for statistic, place in COMPARED.items():
        row = comparison.of(statistic)
        rows.append(f"{place.label}\t{100 * row.difference:+.2f}\t{change_text(row.interval95)}\t{row.verdict}")
    return rows


def run(inputs: Sequence[Path], truth: Path | None = None, images: Path | None = None) -> CompareResult:
    """Compare each further result with the first.

    Args:
        inputs: run folders, folders of an evaluation, or prediction files (which need ``truth``); at least two.
        truth: labels to score prediction files against, and the predictions of folders too.
        images: of ``truth``, where its labels are txt files.

    Raises:
        InputError: if a result cannot be read, or they are not of the same pages.
    """
    if len(inputs) < 2:
        raise InputError("hmean compare takes two or more results: run folders, or prediction files and --truth")
    results = [_with_present_keys(open_result(path, truth, images)) for path in inputs]
    base = results[0]
    others = results[1:]
    faults = [fault for other in others if (fault := mismatch(base, other)) is not None]
    if faults:
        raise InputError.listing("These results cannot be compared:", faults)
    return CompareResult(
        pages=len(base.pages),
        characters=base.characters,
        results=[ResultRow.of(result) for result in results],
        comparisons=[compare(base, other) for other in others],
    )


def _with_present_keys(result: Result) -> Result:
    """What a training reads of the config, under the names of this version: else all that was renamed would differ."""
    if not isinstance(result.config, Mapping):
        return result
    return replace(result, config=pruned(with_present_keys(result.config), TrainSettings))
