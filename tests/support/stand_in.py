"""Stands in for hmean in tests of the campaign's logic: writes in no time what its commands leave behind.

A training's H falls with the distance of its learning rate from 0.0004; every call is noted in the file STAND_IN_LOG.
"""

import json
import os
import sys
import time
from pathlib import Path

import yaml


def note(what, words):
    with Path(os.environ["STAND_IN_LOG"]).open("a") as file:
        file.write(f"{what} {' '.join(words)}\n")


def settings_of(words):
    """The values of config=FILE by dotted key, and the words over them."""
    given = dict(word.split("=", 1) for word in words if "=" in word)
    values = {}
    if "config" in given:
        values = flat(yaml.safe_load(Path(given["config"]).read_text()))
    return {**values, **given}


def flat(values, prefix=""):
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def scores(folder, h, split="val", pages=40):
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(pages):
        tp = min(100, max(0, round(100 * h + 3 * ((i * 7919) % 5 - 2) / 2)))
        matches = {"tp": tp, "det": 100, "gt": 100}
        counts = {"gt": 100, "tp": tp, "fp": 100 - tp}
        rows.append({"name": f"{i}.jpg", "counts": counts, "iou50": matches, "iou70": matches})
    macro = sum(row["counts"]["tp"] for row in rows) / 100 / pages
    prh = {"p": macro, "r": macro, "h": macro}
    record = {
        "images": pages,
        "cleval": {"macro": prh, "pooled": prh, "characters": "aspect"},
        "iou50": prh,
        "iou70": prh,
        "interval95": {"macro": [macro - 0.004, macro + 0.004]},
        "split": split,
        "data_hash": split,
        "exp_name": folder.name,
        "pages": rows,
        "seconds": 0.5 * pages,
    }
    (folder / "scores.json").write_text(json.dumps(record))


def quality(lr):
    return 0.97 - 100 * abs(lr - 0.0004)


def train(folder, lr, split="val"):
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"models: {{optimizer: {{lr: {lr}}}}}\n")
    rows = [{"epoch": epoch, "seconds": 1.0 + (epoch == 2)} for epoch in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "checkpoints/best.ckpt").write_text(str(quality(lr)))
    scores(folder, quality(lr) - 0.01, split)


def ensemble(best):
    """An ensemble.json whose members are two points better together than the best of them."""
    member = {"weights_hash": "0", "long_side": 960}
    single = {"strategy": "single", "h": best, "gain": 0.0, "interval95": [0.0, 0.0], "verdict": "base", "ms_a_page": 9.0,
              "times_single": 1.0, "mb": 4.0, "members": [member], "postprocess": {}}  # fmt: skip
    return {
        "quality": min(0.99, best + 0.02),
        "strategy": "map mean",
        "members": [{**member, "checkpoint": "best.ckpt"}],
        "postprocess": {},
        "tuned_on": [],
        "strategies": [single],
        "skipped": [{"strategy": "weight average", "reason": "no"}],
    }


def quality_of(model):
    """Of a checkpoint or an ensemble.json."""
    text = Path(model).read_text()
    return json.loads(text)["quality"] if text.startswith("{") else float(text)


def run(words, pause=0.0):
    command, *rest = words
    settings = settings_of(rest)
    note("start", words)
    time.sleep(pause)
    if command == "train":
        train(Path(settings["output_dir"]) / settings["exp_name"], settings["models.optimizer.lr"])
    elif command == "tune":
        folder = Path(settings["run"])
        scores(folder / "cross_fitted", quality_of(folder / "checkpoints/best.ckpt"))
    elif command == "sweep":
        for i, lr in enumerate((0.0003, 0.0004)[: int(settings["n"])]):
            trial = Path(settings["output_dir"]) / settings["name"] / f"trial_{i:02d}"
            train(trial, lr)
            scores(trial / "cross_fitted", quality(lr))
    elif command == "crossval":
        folder = Path(settings["output_dir"]) / settings["exp_name"]
        lr = settings["models.optimizer.lr"]
        for i in range(2):
            if not (folder / f"fold_{i}/scores.json").exists():
                train(folder / f"fold_{i}", lr)
        scores(folder / "cross_fitted", quality(lr), "out of fold")
    elif command == "ensemble":
        best = max(quality_of(Path(fold) / "checkpoints/best.ckpt") for fold in rest if "=" not in fold)
        Path(settings["output"]).mkdir(parents=True, exist_ok=True)
        Path(settings["output"], "ensemble.json").write_text(json.dumps(ensemble(best)))
    elif command == "evaluate":
        scores(Path(settings["output"]), quality_of(settings["checkpoint_path"]), settings["split"])
    note("end", words)


if __name__ == "__main__":
    run(sys.argv[1:], pause=0.2)
