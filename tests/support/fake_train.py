"""Stands for a training: writes metrics.jsonl as hmean does, resumes its own work, and misbehaves as plan.json says.

``plan.json`` beside this file holds ``epochs``, and for the name of a run folder how it misbehaves: ``nan``, ``fail``,
``low`` (and then it hangs), ``full`` (it fills the disk), or ``{"hold": EPOCH}``: it waits in that epoch until there is
a file named ``go``.
"""

import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
LONGEST_HOLD = 60.0  # seconds; a test that forgets to release it fails instead of hanging


def wait_for_go() -> None:
    end = time.monotonic() + LONGEST_HOLD
    while not (HERE / "go").exists():
        if time.monotonic() > end:
            sys.exit("nobody said go")
        time.sleep(0.02)


def fill_the_disk(folder: Path) -> None:
    with (folder / "filler").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()


def main() -> None:
    values = dict(word.split("=", 1) for word in sys.argv[1:])
    folder = Path(values["output_dir"]) / values["exp_name"]
    plan = json.loads((HERE / "plan.json").read_text())
    behaviour = plan.get(folder.name, "")
    metrics = folder / "metrics.jsonl"
    rows = []
    if metrics.exists():
        rows = metrics.read_text().splitlines()
    with (HERE / "starts.txt").open("a") as log:
        log.write(f"{folder.name} {len(rows)} {values.get('seed')} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
    for epoch in range(len(rows), plan.get("epochs", 4)):
        if behaviour == {"hold": epoch} or (behaviour == "low" and epoch == 3):
            wait_for_go()
        if behaviour == "fail" and epoch == 1:
            sys.exit("RuntimeError: it cannot be done")
        if behaviour == "full" and epoch == 1:
            fill_the_disk(folder)
        score = 0.9 - abs(float(values["models.optimizer.lr"]) - 0.0015) * 20 + 0.001 * epoch
        if behaviour == "nan":
            score = float("nan")
        elif behaviour == "low":
            score = 0.01
        rows.append(json.dumps({"epoch": epoch, "val/hmean": score, "seconds": 1.0}))
        part = metrics.with_suffix(".part")
        part.write_text("\n".join(rows) + "\n")
        part.replace(metrics)


main()
