"""``make bench``: every benchmark here, into docs/benchmarks.json and the table docs/benchmarks.md.

usage: HMEAN_DATA=... python benchmarks/run.py [score|postprocess|targets|loader|forward|start|voting|sweep_regret|install|export|gpu ...]
Without HMEAN_DATA, on synthetic pages. A name keeps the others' last results; gpu runs only where it is named.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import harness

ROOT = Path(__file__).parents[1]
PARTS = (
    "score",
    "postprocess",
    "targets",
    "loader",
    "forward",
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
    for name in sys.argv[1:] or [part for part in PARTS if part != "gpu"]:  # most machines have none
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
        record[name] = {"about": part.ABOUT, "environment": environment, "results": results}
        if hasattr(part, "COLUMNS"):
            record[name]["columns"] = part.COLUMNS
        target.write_text(json.dumps(record, indent=1) + "\n")
        (ROOT / "docs" / "benchmarks.md").write_text(table(record))


def table(record: dict[str, Any]) -> str:
    """The same as Markdown."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`benchmarks/run.py`; every number is in `benchmarks.json`). A peer and hmean run in turn",
        "in one process on the same inputs; the ratio is the peer's time over hmean's, the median and, in brackets, the",
        "5th and 95th percentile over all pairs. The milliseconds belong to the machine named and are for orientation.",
    ]
    for name in (part for part in PARTS if part in record):
        part = record[name]
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", "", part["about"], ""]
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
            aim = f">= {row['target']:g}" if row["target"] is not None else ""
            lines.append(
                f"| {row['item']} | {row['peer']} | **{row['ratio']:.1f}** [{row['low']:.1f}, {row['high']:.1f}] | {aim} | "
                f"{row['peer_ms']:.2f} | {row['ours_ms']:.3f} | {row['exact']} |"
            )
        lines += ["", harness.words(part["environment"])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
