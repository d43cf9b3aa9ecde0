"""Every strategy of combining the members of a cross-validation on SROIE, judged on the pages held out of all folds.

usage: python benchmarks/ensemble_sroie.py DATA/sroie SPLITS.json FOLDER RUN RUN ... [key=value ...]

Runs `hmean ensemble` into FOLDER (what is there already is used) and writes docs/results/ensemble_sroie.{json,md}.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import harness

from hmean.commands import ensemble
from hmean.commands.ensemble import EnsembleSettings
from hmean.files import write_json, write_text
from hmean.settings.compose import read_settings

ROOT = Path(__file__).parents[1]


def main() -> None:
    data, splits, folder, *rest = sys.argv[1:]
    runs, more = [a for a in rest if "=" not in a], [a for a in rest if "=" in a]
    told = [
        f"dataset_base_path={data}",
        "datasets.val_dataset.annotation_path=${dataset_base_path}/labels.json",
        f"datasets.val_dataset.folds={{file: '{splits}', split: holdout}}",
        f"output={folder}",
        "overwrite=true",
        *more,
    ]
    found = ensemble.run(read_settings(EnsembleSettings, told, inputs=runs))
    record = found.to_json()
    del record["tuned_on"]
    for group in ("members", "runs"):  # paths of the machine
        for member in record[group]:
            member["checkpoint"] = Path(member["checkpoint"]).parts[-3:][
                0
            ]  # the run's name; of a weight average: checkpoints
    shown = [*(os.path.basename(p) for p in (data, splits)), "FOLDER", *(os.path.basename(r) for r in runs), *more]  # noqa: PTH119
    command = "python benchmarks/ensemble_sroie.py " + " ".join(shown)
    environment = harness.environment("torch", "numpy", "opencv-python-headless", "shapely")
    result = {"command": command, "environment": environment, "bootstrap": {"draws": 10_000, "seed": 0}, **record}
    write_json(ROOT / "docs/results/ensemble_sroie.json", result)
    write_text(ROOT / "docs/results/ensemble_sroie.md", page(result))
    print(found.summary())


def page(record: dict[str, Any]) -> str:
    """The result page."""
    lines = [
        "# Ensembles on SROIE",
        "",
        f"Written by `{record['command']}`; every number, parameter and hash is in `ensemble_sroie.json`.",
        "",
        (
            f"{len(record['runs'])} members, {record['pages']} pages of {record['groups']} shops that no member has seen, "
            f"{'+'.join(record['objective'])} H. Every strategy's choices (member, post-processing, votes) are cross-fitted by shop. "
            "Gain: over the best single member, chosen in the same way, with its 95 % paired-bootstrap interval over pages."
        ),
        "",
        "| strategy | H | gain, points | 95 % | verdict | ms a page | times single | MB | post-processing on all pages |",
        "|---|--:|--:|---|---|--:|--:|--:|---|",
    ]
    for row in record["strategies"]:
        low, high = (100 * v for v in row["interval95"])
        p = row["postprocess"]
        value = f"r {p['inverse_r']}" if p["unclip"] == "inverse" else p["unclip_ratio"]
        knobs = f"thresh {p['thresh']}, box {p['box_thresh']}, {p['unclip']} {value}"
        if "votes" in p:
            rule = "soft" if p["soft"] else f">= {p['votes']}"
            knobs += f"; votes {rule}, IoU {p['iou']}, {p['geometry']}"
        lines.append(
            f"| {row['strategy']} | {100 * row['h']:.2f} | {100 * row['gain']:+.2f} | [{low:+.2f}, {high:+.2f}] | {row['verdict']} "
            f"| {row['ms_a_page']:.0f} | {row['times_single']:.1f} | {row['mb']:.1f} | {knobs} |"
        )
    for row in record["skipped"]:
        lines.append(f"| {row['strategy']} | | | | skipped: {' '.join(row['reason'].split())} | | | | |")
    tried = len(record["strategies"]) - 1
    return "\n".join([
        *lines,
        "",
        (f"Kept: **{record['strategy']}** (the cheapest of those that cannot be told from the best of the better ones; the single "
        "member where none is better)."),
        "",
        (f"What this can say: whether a way of joining *these* members gains on receipts of other shops of this kind. What it cannot: "
        f"{tried} strategies were tried, each at 95 %, so one may pass by luck; the interval is over pages, not over trainings or "
        "seeds; parameters were searched on a coarse grid; the times are of one machine, shared with other work."),
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
