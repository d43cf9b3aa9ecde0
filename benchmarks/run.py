"""``make bench``: every benchmark here, into docs/benchmarks.json and the table docs/benchmarks.md.

usage: HMEAN_DATA=... python benchmarks/run.py [score|postprocess|targets|loader|forward|step|start|voting|sweep_regret|install|export|gpu ...]
Without HMEAN_DATA, on synthetic pages. A name keeps the others' last results; gpu runs only where it is named.
`table` writes the page from the results that there are.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import harness

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
PARTS = (
    "score",
    "postprocess",
    "targets",
    "loader",
    "forward",
    "step",
    "start",
    "voting",
    "sweep_regret",
    "install",
    "export",
    "gpu",
)
PACKAGES = ("numpy", "opencv-python-headless", "numba", "shapely", "torch")


def main() -> None:
    """Run the parts asked for and write both files."""
    target = ROOT / "docs" / "benchmarks.json"
    record: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    names = sys.argv[1:] or [part for part in PARTS if part != "gpu"]  # most machines have none
    for name in names:
        if name == "table":
            PAGE.write_text(table(record))
            continue
        part = importlib.import_module(name)
        results: list[dict[str, Any]] = []
        for result in part.run():
            if isinstance(result, dict):  # of a table of its own
                results.append(result)
                continue
            print(
                f"{result.item}: {result.ratio:.1f} x {result.peer} [{result.low:.1f}, {result.high:.1f}]", flush=True
            )
            results.append(asdict(result))
        environment = harness.environment(*PACKAGES, *part.PEERS)
        record[name] = {
            "about": part.ABOUT,
            "program": program(name),
            "environment": environment,
            "results": results,
        }
        if hasattr(part, "COLUMNS"):
            record[name]["columns"] = part.COLUMNS
        target.write_text(json.dumps(record, indent=1) + "\n")
        PAGE.write_text(table(record))


def program(name: str) -> str:
    """Hash of the program of a part: its rows belong to it as it was then."""
    return hashlib.sha256((ROOT / "benchmarks" / f"{name}.py").read_bytes()).hexdigest()[:16]


def table(record: dict[str, Any]) -> str:
    """The same as Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`benchmarks/run.py`; every number is in `benchmarks.json`). A peer and hmean run in turn",
        "in one process on the same inputs, either first in every second round; the ratio is the peer's time over hmean's, the",
        "median and, in brackets, the 5th and 95th percentile over all pairs. The milliseconds belong to the machine named and",
        "are for orientation. Work of one thread is timed by the clock of the processor, on which other programs have no part; what",
        "has several threads or processes by the clock on the wall. An aim is reached if the median reaches it.",
        "",
        "Most peers are what people use, and much of their time is Python. So beside each stands the **strongest neighbour** that",
        "we could write in a page of plain code: one vectorised call where the usual way has a loop, or OpenCV alone, even where it",
        "does less. That ratio is what a kernel is worth to somebody who writes with care.",
    ]
    lines += in_short(record)
    for name in (part for part in PARTS if part in record):
        part = record[name]
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", "", part["about"], ""]
        if "program" not in part:
            told = f"It was not recorded which version of `benchmarks/{name}.py` made these rows."
            if name == "gpu":
                told += " Their steps lack the moving average of the weights, which `receipts_lite` has (see Step)."
            lines += [told, ""]
        elif part["program"] != program(name):
            lines += [
                f"These rows, and the text above, are of an earlier version of `benchmarks/{name}.py`.",
                "",
            ]
        if columns := part.get("columns"):
            lines += [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
            lines += [f"| {' | '.join(row[c] for c in columns)} |" for row in part["results"]]
            lines += ["", harness.words(part["environment"])]
            continue
        lines += [
            "| item | peer | ratio | aim | ms, peer | ms, hmean | same result, shown by |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in part["results"]:
            peer = row["peer"]
            if row.get("strongest"):
                peer = f"**strongest neighbour**: {peer}"
            lines.append(
                f"| {row['item']} | {peer} | **{row['ratio']:.1f}** [{row['low']:.1f}, {row['high']:.1f}] | {aim(row)} | "
                f"{row['peer_ms']:.2f} | {row['ours_ms']:.3f} | {row['exact']} |"
            )
        lines += ["", harness.words(part["environment"])]
    return "\n".join(lines) + "\n"


def aim(row: dict[str, Any]) -> str:
    """What was aimed at, and whether it was reached."""
    words = ["reached", "**MISSED**"]
    if row["target"] is not None:
        return f"{row['target']:g} x: {words[row['ratio'] < row['target']]}"
    if row.get("most_ms") is not None:
        return f"at most {row['most_ms']:g} ms: {words[row['ours_ms'] > row['most_ms']]}"
    return ""


def in_short(record: dict[str, Any]) -> list[str]:
    """One table of what has a strongest neighbour, and the aims that were missed."""
    lines = ["", "## In short", "", "| part | item | usual peers | strongest neighbours |", "|---|---|---|---|"]
    missed = []
    for name in (part for part in PARTS if part in record):
        by_item: dict[str, list[dict[str, Any]]] = {}
        for row in record[name]["results"]:
            if "ratio" in row:
                by_item.setdefault(row["item"], []).append(row)
        for item, rows in by_item.items():
            missed += [f"{name}: {item}, against {row['peer']}" for row in rows if "MISSED" in aim(row)]
            strongest = [row for row in rows if row.get("strongest")]
            usual = [row for row in rows if not row.get("strongest")]
            if strongest:
                lines.append(f"| {name} | {item} | {_ratios(usual)} | {_ratios(strongest)} |")
    lines += ["", f"Missed aims: {'; '.join(missed) or 'none'}."]
    return lines


def _ratios(rows: list[dict[str, Any]]) -> str:
    return "; ".join(f"**{row['ratio']:.1f}** {row['peer']}" for row in rows)


if __name__ == "__main__":
    main()
