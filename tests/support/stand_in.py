"""Stands in for hmean in tests of the campaign's logic: writes in seconds what its jobs leave behind.

A training's H falls with the distance of its learning rate from 0.0004; every call is noted in stand_in.log.
"""

import json
import os
import sys
import time
from pathlib import Path


def note(what, words):
    with Path(os.environ["STAND_IN_LOG"]).open("a") as file:
        file.write(f"{what} {' '.join(words)}\n")


def scores(folder, h, part="val", pages=40):
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(pages):
        tp = min(100, max(0, round(100 * h + 3 * ((i * 7919) % 5 - 2) / 2)))
        rows.append(
            {
                "name": f"{i}.jpg",
                "h": tp / 100,
                "counts": [100, tp, 0, 100 - tp, 0, 0, 0, 0],
                "iou50": [tp, 100, 100],
                "iou70": [tp, 100, 100],
            }
        )
    macro = sum(row["counts"][1] for row in rows) / 100 / pages
    prh = {"p": macro, "r": macro, "h": macro}
    record = {"images": pages, "cleval": {"macro": prh, "pooled": prh, "characters": "aspect"}, "iou50": prh, "iou70": prh,
              "interval95": {"macro": [macro - 0.004, macro + 0.004]}, "part": part, "data_hash": part, "exp_name": folder.name, "pages": rows, "seconds": 0.5 * pages}  # fmt: skip
    (folder / "scores.json").write_text(json.dumps(record))


def quality(lr):
    return 0.97 - 100 * abs(lr - 0.0004)


def train(folder, lr, part="val"):
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(f"models: {{optimizer: {{lr: {lr}}}}}\n")
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps({"epoch": e, "seconds": 1.0 + (e == 2)}) + "\n" for e in range(3))
    )
    (folder / "checkpoints/best.ckpt").write_text(str(quality(lr)))
    scores(folder, quality(lr) - 0.01, part)


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


def run(words, pause=0.0):
    job, *rest = words
    told = dict(a.split("=", 1) for a in rest if "=" in a)
    note("start", words)
    time.sleep(pause)
    lr = float(told.get("models.optimizer.lr", 0.0004))
    if job == "train":
        train(Path(told["output_dir"]) / told["exp_name"], lr)
    elif job == "tune":
        run = Path(told["run"])
        scores(run / "cross_fitted", float((run / "checkpoints/best.ckpt").read_text()))
    elif job == "sweep":
        for i in range(int(told["n"])):
            trial = Path(told["output_dir"]) / told["name"] / f"trial_{i:02d}"
            train(trial, (0.0003, 0.0004)[i])
            scores(trial / "cross_fitted", quality((0.0003, 0.0004)[i]))
    elif job == "crossval":
        folder = Path(told["output_dir"]) / told["exp_name"]
        for i in range(2):
            if not (folder / f"fold_{i}/scores.json").exists():
                train(folder / f"fold_{i}", lr)
        scores(folder / "cross_fitted", quality(lr), "out of fold")
    elif job == "ensemble":
        best = max(float((Path(fold) / "checkpoints/best.ckpt").read_text()) for fold in rest if "=" not in fold)
        Path(told["output"]).mkdir(parents=True, exist_ok=True)
        Path(told["output"], "ensemble.json").write_text(json.dumps(ensemble(best)))
    elif job == "evaluate":
        model = Path(told["checkpoint_path"]).read_text()
        scores(
            Path(told["output"]),
            json.loads(model)["quality"] if model.startswith("{") else float(model),
            told["evaluate_on"],
        )
    note("end", words)


if __name__ == "__main__":
    run(sys.argv[1:], pause=0.4)
