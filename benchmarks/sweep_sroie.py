"""A real sweep on SROIE: receipts_lite, cut short to fit the time, 12 runs by 2 agents; writes docs/results/sweep_sroie.*.

usage: python benchmarks/sweep_sroie.py DATA/sroie [n=12] [agents=2] [epochs=6] [batches=40] [confirm=0] [key=value ...]

Stopped, the same command goes on. What is not one of these options holds for every run. The pages of one fifth of the shops
choose; nothing of the file is a result on unseen pages, and it says so.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import harness

from hmean.commands import sweep
from hmean.files import write_json, write_text
from hmean.runs.manifest import Manifest

ROOT = Path(__file__).parents[1]
DEFAULTS = {
    "n": "12",
    "agents": "2",
    "epochs": "6",
    "batches": "40",
    "confirm": "0",
    "name": "sweep_sroie",
    "docs": "docs/results",
}


def main() -> None:
    """Run, report, write."""
    os.chdir(ROOT)
    data, told = Path(sys.argv[1]).resolve(), dict(word.split("=", 1) for word in sys.argv[2:])
    size = {key: told.pop(key, value) for key, value in DEFAULTS.items()}
    labels = "annotation_path=${dataset_base_path}/labels.json"
    fixed = [
        f"dataset_base_path={data}",
        f"trainer.max_epochs={size['epochs']}",
        f"trainer.limit_train_batches={size['batches']}",
    ]
    fixed += ["trainer.check_val_every_n_epoch=" + str(max(1, int(size["epochs"]) // 3)), "predict.overlays=0"]
    for part in ("train", "val"):
        fixed += [
            f"datasets.{part}_dataset.{labels}",
            f"datasets.{part}_dataset.split={{k:5,fold:0,part:{part},seed:42}}",
        ]
    fixed += [f"{key}={value}" for key, value in told.items()]
    options = ["engine=optuna", *(f"{key}={size[key]}" for key in ("n", "agents", "confirm", "name"))]
    print(sweep.run(Path("configs/sweep_receipts_lite.yaml"), [*options, *fixed]))
    runs = sweep.open_runs([f"outputs/{size['name']}"])
    print(sweep.main(["report", f"outputs/{size['name']}"]))
    found = json.loads(Path(f"outputs/{size['name']}/report.json").read_text(encoding="utf-8"))
    about = Manifest.collect(runs.about, {}, runs.about["seed"]).to_json()
    made = [
        json.loads(file.read_text()) for file in sorted(Path(f"outputs/{size['name']}").glob("slot_*/manifest.json"))
    ]
    command = " ".join(["python benchmarks/sweep_sroie.py DATA/sroie", *sys.argv[2:]])
    environment = harness.environment("optuna", "torch", "lightning", "timm")
    record: dict[str, Any] = {
        "command": command,
        "size": size,
        "seed": about["seed"],
        "commits": sorted({one["git"]["commit"][:7] for one in made if one["git"]}),
        **environment,
        **found,
    }
    write_json(Path(size["docs"]) / "sweep_sroie.json", record)
    write_text(Path(size["docs"]) / "sweep_sroie.md", page(record))


def page(record: dict[str, Any]) -> str:
    """The result page."""
    names = [name.rpartition(".")[2] for name in record["space"]]
    lines = [
        "# A sweep of receipts_lite on SROIE", "",
        "Written by `benchmarks/sweep_sroie.py`; do not edit. Percent of macro H on the validation pages (one fifth of the",
        "shops), thresholds tuned for each run and cross-fitted; 95 % bootstrap interval over pages in brackets.", "",
        f"| slot | H | | before tuning | {' | '.join(names)} | epochs | minutes | state |", "|" + "---|" * (len(names) + 7),
    ]  # fmt: skip
    for row in record["runs"]:
        interval = "[{:.2f}, {:.2f}]".format(*(100 * v for v in row["interval95"])) if row["interval95"] else ""
        before = f"{100 * row['untuned']:.2f}" if row["untuned"] is not None else ""
        score = f"{100 * row['value']:.2f}" if row["value"] is not None else ""
        values = " | ".join(f"{row['params'][name]:.4g}" if name in row["params"] else "" for name in record["space"])
        again = "" if row["repeats"] is None else f", repeats slot {row['repeats']} with another seed"
        lines.append(
            f"| {row['slot']} | {score} | {interval} | {before} | {values} | {row['epochs']} | {row['seconds'] / 60:.1f} | {row['state']}{again} |"
        )
    lines += ["", "What it can and cannot say:", ""]
    for v in record["verdict"]:
        low, high = (100 * x for x in v["interval95"])
        lines.append(
            f"- Slot {v['best']} is {100 * v['difference']:+.2f} points from slot {v['other']} ({v['what']}) [{low:+.2f}, {high:+.2f}], paired over pages{' and widened by the noise of seeds' if record['seed_noise'] is not None else ''}: {v['says']}."
        )
    noise = record["seed_noise"]
    lines += [
        f"- Another seed moves a run by {100 * noise:.2f} points (standard deviation, from {sum(r['repeats'] is not None for r in record['runs'])} repeats)." if noise is not None
        else "- How much another seed moves a run was not measured here (`confirm=3` does).",
        "- The best of several was chosen on these pages: its score is too good, and says nothing of a full training, since",
        f"  every run had {record['size']['epochs']} epochs of {record['size']['batches']} batches.",
        "- Importance of parameters is not given: from so few runs it is no evidence.", "",
        f"Command: `{record['command']}`, seed {record['seed']}, {record['hours']:.2f} hours of training in all on {record['processor']}, "
        f"{record['cores']} cores; " + ", ".join(f"{k} {v}" for k, v in record["versions"].items()) + f"; commits of the runs: {', '.join(record['commits']) or 'not known'}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
