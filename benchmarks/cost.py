"""What a page of results costs, by the last time it was made: a line for scripts/results.sh.

usage: python benchmarks/cost.py PAGE [trainings]

PAGE is the name of a JSON file in docs/results, or benchmarks. With ``trainings``: of the trainings that it shows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harness import ROOT, PageProvenance

from hmean.files import read_json

NOT_MEASURED = "not measured yet"


def json_of(page: str) -> Path:
    """The JSON file of a page."""
    if page == "benchmarks":
        return ROOT / "docs/benchmarks.json"
    return ROOT / f"docs/results/{page}.json"


def provenances(record: Any) -> list[PageProvenance]:
    """Those of a page; the page of the benchmarks has one for each of its parts."""
    parts = [record]
    if "environment" not in record:
        parts = [part for part in record.values() if isinstance(part, dict) and "environment" in part]
    return [PageProvenance.parse(part["environment"], "environment") for part in parts]


def minutes_of_page(path: Path) -> float | None:
    """How long the program ran; None if that was not measured."""
    total = 0.0
    if not path.exists():
        return None
    found = provenances(read_json(path))
    for provenance in found:
        if provenance.minutes is None:
            return None
        total += provenance.minutes
    if not found:
        return None
    return total


def minutes_of_trainings(path: Path) -> float | None:
    """How long the trainings took; None if the page names none."""
    if not path.exists():
        return None
    runs = [run for provenance in provenances(read_json(path)) for run in provenance.runs]
    if not runs:
        return None
    return sum(run.minutes for run in runs)


def in_words(minutes: float | None) -> str:
    """Minutes, rounded."""
    if minutes is None:
        return NOT_MEASURED
    return f"about {max(1, round(minutes))} minutes"


def main() -> None:
    """Print the line."""
    path = json_of(sys.argv[1])
    if sys.argv[2:] == ["trainings"]:
        print(in_words(minutes_of_trainings(path)))
    else:
        print(in_words(minutes_of_page(path)))


if __name__ == "__main__":
    main()
