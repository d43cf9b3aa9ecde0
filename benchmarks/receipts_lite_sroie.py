"""Score the receipts_lite run of scripts/train_receipts_lite_sroie.sh and write docs/results/.

usage: python benchmarks/receipts_lite_sroie.py DATA/sroie outputs/receipts_lite_sroie [DATA/receipts_de]

Nothing is chosen on the pages that are reported: the last epoch is scored, not the best; thresholds are the preset's, and
beside them cross-fitted ones: each page is scored with those chosen on the other shops' pages.
"""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmean.files import write_json, write_text
from hmean.inference.maps import make_maps
from hmean.inference.opening import open_model
from hmean.metrics.intervals import hmean_intervals
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.folder import RunFolder
from hmean.runs.maps import MapStore
from hmean.runs.metrics import read_epochs
from hmean.settings.build import open_dataset
from hmean.settings.compose import compose_all
from hmean.tuning.choose import choose
from hmean.tuning.crossfit import crossfit_settings
from hmean.tuning.grid import make_grid
from hmean.tuning.scores import SettingScores, score_settings
from hmean.types import Page, Statistic

ROOT = Path(__file__).parents[1]
SIDES = (640, 960, 1280)
OBJECTIVE: dict[Statistic, float] = {"macro": 1.0, "iou50": 1.0, "iou70": 1.0}
AXES: dict[str, list[Any]] = {
    "unclip": ["ratio", "inverse"],
    "thresh": [0.15, 0.2, 0.25, 0.3, 0.35, 0.4],
    "box_thresh": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    "unclip_ratio": [0.7, 0.8, 0.9, 1.0, 1.2],
    "inverse_r": [0.6, 0.65, 0.7, 0.75, 0.8],
}


def maps_of(
    checkpoint: Path, data: Path, split: str, long_side: int, folder: Path
) -> tuple[MapStore, list[Page], PostprocessParams]:
    """Maps and labels of one part of a data set at one size."""
    settings = compose_all([
        f"dataset_base_path='{data}'", "datasets.val_dataset.annotation_path=${dataset_base_path}/labels.json",
        f"datasets.val_dataset.split={split}",
    ])  # fmt: skip
    pages = open_dataset(settings.datasets.val_dataset)
    model = open_model(checkpoint)
    store = make_maps(model, pages, folder, view=replace(model.view, long_side=long_side))
    return store, [pages.page(i) for i in range(len(pages))], model.postprocess


def row(scores: SettingScores, names: list[str], about: dict[str, Any]) -> dict[str, Any]:
    """Scores of one setting, with intervals."""
    scorer = scores.scorer(names, "transcription")
    return {**about, **scorer.compute().to_dict(), "interval95": hmean_intervals(scorer.pages)}


def main() -> None:
    data, run = Path(sys.argv[1]), RunFolder(Path(sys.argv[2]))
    others = [Path(p) for p in sys.argv[3:]]
    rows: list[dict[str, Any]] = []
    tuned: PostprocessParams | None = None
    parts = [("SROIE validation", data, "{k: 5, fold: 0, part: val, seed: 42}", side) for side in SIDES]
    parts += [(other.name, other, "null", 960) for other in others]
    for name, folder, split, side in parts:
        store, truth, preset = maps_of(run.last, folder, split, side, run.path / f"maps_{folder.name}_{side}")
        own = folder == data
        settings = make_grid(preset, AXES) if own else [preset, tuned or preset]
        scores = score_settings(
            truth, lambda page, maps=store: maps.read(page.name), settings, "transcription", threads=2
        )
        names = [page.name for page in truth]
        about = {"pages": name, "long_side": side}
        rows.append(row(scores.of_settings(0), names, {**about, "values": "preset", "postprocess": [preset.to_dict()]}))
        if own:
            crossed = crossfit_settings(
                scores, names, [page.group for page in truth], 5, lambda part: choose(part, OBJECTIVE)
            )
            assert crossed is not None
            what = {"values": "cross-fitted", "postprocess": [setting.to_dict() for setting in crossed.chosen]}
            rows.append(row(crossed.scores, names, {**about, **what}))
            if side == 960:
                tuned = settings[choose(scores, OBJECTIVE).chosen]
        else:
            what = {"values": "tuned on SROIE validation", "postprocess": [settings[1].to_dict()]}
            rows.append(row(scores.of_settings(1), names, {**about, **what}))

    epochs = read_epochs(run.metrics)
    manifest = json.loads((run.path / "manifest.json").read_text(encoding="utf-8"))
    result = {
        "command": "bash scripts/train_receipts_lite_sroie.sh DATA/sroie",
        "seed": manifest["seed"],
        "note": note.read_text(encoding="utf-8").strip() if (note := run.path / "NOTE.txt").exists() else "",
        "learning_rates": [row["lr"] for row in epochs],
        "epochs": len(epochs),
        "training_minutes": round(sum(row["seconds"] for row in epochs) / 60, 1),
        "versions": manifest["versions"],
        "git": manifest["git"],
        "processor": manifest["machine"]["processor"],
        "system": platform.platform(),
        "data_hash": manifest["data_hash"],
        "rows": rows,
    }
    write_json(ROOT / "docs/results/receipts_lite_sroie.json", result)
    table = markdown(rows)
    write_text(ROOT / "docs/results/receipts_lite_sroie.md", page(result, table))
    print(table)


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the scores, percent, with 95 % intervals."""
    lines = [
        "| pages | long side | thresholds | macro H | pooled H | IoU50 H | IoU70 H |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        values = {
            "macro": row["cleval"]["macro"]["h"],
            "pooled": row["cleval"]["pooled"]["h"],
            "iou50": row["iou50"]["h"],
            "iou70": row["iou70"]["h"],
        }
        cells = [
            f"{100 * h:.2f} [{100 * row['interval95'][k][0]:.2f}, {100 * row['interval95'][k][1]:.2f}]"
            for k, h in values.items()
        ]
        lines.append(
            f"| {row['pages']} ({row['images']}) | {row['long_side']} | {row['values']} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def page(result: dict[str, Any], table: str) -> str:
    """The result page."""
    return f"""# receipts_lite on SROIE

Written by `benchmarks/receipts_lite_sroie.py`; do not edit. Percent, 95 % bootstrap interval over pages in brackets.
CLEval with characters by transcription. Split by shop: 4/5 of the groups trained on, 1/5 scored. The last epoch is scored
(not the best). Cross-fitted: each page with the values that were best for the mean of macro H, IoU50 H and IoU70 H on four
fifths of the validation pages, of other shops. The other set is scored with what was chosen on all SROIE validation pages.

{table}
- Command: `{result["command"]}`, seed {result["seed"]}, {result["epochs"]} epochs, {result["training_minutes"]} minutes of training
  on {result["processor"]}, 2 cores (shared with other work), at commit {result["git"]["commit"][:7]}.
{"- " + result["note"] + chr(10) if result["note"] else ""}- Versions: {", ".join(f"{k} {v}" for k, v in result["versions"].items() if v)}.
"""


if __name__ == "__main__":
    main()
