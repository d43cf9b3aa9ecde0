"""Write docs/results/crossval_sroie.{json,md} from the folder of a crossval of receipts_lite on SROIE.

usage: python benchmarks/crossval_sroie.py DATA/sroie outputs/cv [k=5 trainer.max_epochs=8 ...]

Folds that are not trained yet are trained first (``hmean crossval``, which takes over splits.json and finished folds that
lie in the folder). Thresholds are scored cross-fitted: each page with those chosen on the pages of other shops.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from hmean.commands import crossval
from hmean.commands.crossval import CrossvalSettings
from hmean.files import write_json, write_text
from hmean.metrics.statistics import STATISTICS
from hmean.runs.folder import RunFolder
from hmean.runs.metrics import read_epochs
from hmean.settings.compose import read_settings

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Finish the folds, then write both files."""
    data, folder, more = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    overrides = ["preset=receipts_lite", f"dataset_base_path={data}", f"output_dir={folder.parent}", f"exp_name={folder.name}",
                 "datasets.train_dataset.annotation_path=${dataset_base_path}/labels.json", *more]  # fmt: skip
    found = crossval.run(read_settings(CrossvalSettings, overrides))
    runs = [RunFolder(folder / f"fold_{i}") for i in range(len(found.folds))]
    manifests = [json.loads((run.path / "manifest.json").read_text(encoding="utf-8")) for run in runs]
    minutes = [sum(row.seconds for row in read_epochs(run.metrics)) / 60 for run in runs]
    record = {key: value for key, value in found.to_json().items() if key != "made_of"}
    result = {
        "command": f"python benchmarks/crossval_sroie.py DATA/sroie outputs/{folder.name} {' '.join(sys.argv[3:])}".strip(),
        "seed": manifests[0]["seed"],
        "epochs": [len(read_epochs(run.metrics)) for run in runs],
        "training_minutes": [round(m, 1) for m in minutes],
        "versions": manifests[0]["versions"],
        "git": [manifest["git"] for manifest in manifests],
        "processor": manifests[0]["machine"]["processor"],
        "system": platform.platform(),
        **record,
    }
    write_json(ROOT / "docs/results/crossval_sroie.json", result)
    text = page(result)
    write_text(ROOT / "docs/results/crossval_sroie.md", text)
    print(text)


def page(result: dict[str, Any]) -> str:
    """The result page."""
    lines = ["| | macro H | pooled H | IoU50 H | IoU70 H |", "|---|--:|--:|--:|--:|"]
    for i, fold in enumerate(result["folds"]):
        lines.append(f"| fold {i} ({fold['pages']}) | {' | '.join(f'{100 * fold[s]:.2f}' for s in STATISTICS)} |")
    spread = (f"{100 * result['mean'][s]:.2f} ± {100 * result['sd'][s]:.2f}" for s in STATISTICS)
    lines.append(f"| mean ± sd over folds | {' | '.join(spread)} |")
    for key, name in (
        ("out_of_fold", "out of fold, preset thresholds"),
        ("cross_fitted", "out of fold, tuned, cross-fitted"),
    ):
        part = result[key]
        value = {"macro": part["cleval"]["macro"]["h"], "pooled": part["cleval"]["pooled"]["h"],
                 "iou50": part["iou50"]["h"], "iou70": part["iou70"]["h"]}  # fmt: skip
        low_high = {s: [100 * v for v in part["interval95"][s]] for s in STATISTICS}
        cells = (f"{100 * value[s]:.2f} [{low_high[s][0]:.2f}, {low_high[s][1]:.2f}]" for s in STATISTICS)
        lines.append(f"| {name} ({part['images']}) | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"""# receipts_lite on SROIE in folds

Written by `benchmarks/crossval_sroie.py`; do not edit. Percent; in brackets the 95 % bootstrap interval over pages, each scored
by the fold that did not see it. Folds are dealt by shop; the best epoch of a fold is chosen on its own pages where more than
one was validated. Tuned: one setting for all folds, each page scored with the one chosen on the pages of other shops.

{table}

- Command: `{result["command"]}`, seed {result["seed"]}, {result["epochs"]} epochs, {result["training_minutes"]} minutes of training
  on {result["processor"]}, 2 cores (shared with other work).
- Versions: {", ".join(f"{k} {v}" for k, v in result["versions"].items() if v)}.
"""


if __name__ == "__main__":
    main()
