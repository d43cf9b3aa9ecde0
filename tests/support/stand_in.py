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
        tp = min(10_000, max(0, round(10_000 * h + 90 * ((i * 7919) % 5 - 2))))  # a 95 % interval of about 0.8 points
        matches = {"tp": tp, "det": 10_000, "gt": 10_000}
        counts = {"gt": 10_000, "tp": tp, "fp": 10_000 - tp}
        rows.append({"name": f"{i}.jpg", "counts": counts, "iou50": matches, "iou70": matches})
    macro = sum(row["counts"]["tp"] for row in rows) / 10_000 / pages
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


def quality(lr, seed=42):
    """Of seed 42 that of the recipe itself."""
    return 0.97 - 100 * abs(lr - 0.0004) + 0.0001 * (seed % 3)


def train(folder, lr, split="val", seed=42):
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"models: {{optimizer: {{lr: {lr}}}}}\nseed: {seed}\n")
    (folder / "manifest.json").write_text("{}")
    rows = [{"epoch": epoch, "seconds": 1.0 + (epoch == 2)} for epoch in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "checkpoints/best.ckpt").write_text(str(quality(lr, seed)))
    if split is not None:
        scores(folder, quality(lr, seed) - 0.01, split)


def ensemble(best):
    """An ensemble.json whose members are two points better together than the best of them."""
    member = {"weights_hash": "0", "long_side": 960}
    single = {"strategy": "single", "h": best, "gain": 0.0, "interval95": [0.0, 0.0], "verdict": "base", "ms_a_page": 9.0,
              "times_single": 1.0, "mb": 4.0, "members": [member], "postprocess": {}}  # fmt: skip
    fixed = {**single, "strategy": "vote >= 3", "h": best + 0.01, "gain": 0.01, "interval95": [-0.01, 0.02],
             "verdict": "not distinguishable", "postprocess": {"votes": 3}}  # fmt: skip
    return {
        "quality": min(0.99, best + 0.02),
        "strategy": "map mean",
        "members": [{**member, "checkpoint": "best.ckpt"}],
        "postprocess": {},
        "tuned_on": [],
        "runs": [{**member, "checkpoint": "../folds/fold_0/checkpoints/best.ckpt", "trained_on": "0"}],
        "strategies": [single, fixed],
        "skipped": [{"strategy": "weight average", "reason": "no"}],
    }


def quality_of(model):
    """Of a checkpoint or an ensemble.json; of a fixed vote, which the campaign writes itself, always the same."""
    text = Path(model).read_text()
    return json.loads(text).get("quality", 0.975) if text.startswith("{") else float(text)


def sweep(settings):
    """Trials, and repeats of the best ones with another seed."""
    searched = [(lr, 42) for lr in (0.0003, 0.0004)[: int(settings["n"])]]
    best_first = sorted(searched, key=lambda trial: -quality(*trial))
    repeated = [(lr, 43) for lr, _ in best_first[: int(settings["confirm"])]]
    for i, (lr, seed) in enumerate([*searched, *repeated]):
        trial = Path(settings["output_dir"]) / settings["name"] / f"trial_{i:02d}"
        train(trial, lr, seed=seed)
        scores(trial / "cross_fitted", quality(lr, seed))


def run(words, pause=0.0):
    command, *rest = words
    settings = settings_of(rest)
    note("start", words)
    time.sleep(pause)
    if command == "train":
        split = "val"
        if settings.get("datasets.val_dataset", split) is None:
            split = None  # a refit
        folder = Path(settings["output_dir"]) / settings["exp_name"]
        train(folder, settings["models.optimizer.lr"], split, settings["seed"])
    elif command == "tune":
        folder = Path(settings["run"])
        scores(folder / "cross_fitted", quality_of(folder / "checkpoints/best.ckpt"))
    elif command == "sweep":
        sweep(settings)
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
