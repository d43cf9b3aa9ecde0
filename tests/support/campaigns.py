"""A campaign of every kind of phase, run by ``support.stand_in``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from support import stand_in

STAND_IN = str(Path(stand_in.__file__))


def campaign_values(tmp_path, receipts, base_lr, limits, unsure="sweep"):
    """The content of a campaign file."""
    pass_at, sweep_at = limits
    gate = {"kind": "gate", "of": ["base"], "pass_at": pass_at, "sweep_at": sweep_at, "not_distinguishable": unsure}
    sweep = {"kind": "sweep", "file": str(tmp_path / "sweep.yaml"), "n": 2, "when": {"decide": ["sweep", "retry"]}}
    return {
        "name": "camp",
        "output_dir": str(tmp_path / "outputs"),
        "command": [sys.executable, STAND_IN],
        "args": ["preset=receipts_lite", f"dataset_base_path={receipts}"],
        "budget_hours": 1.0,
        "expectations": {"conservative": 0.9, "neutral": 0.95, "optimistic": 0.99},
        "phases": {
            "base": {"kind": "train", "args": [f"models.optimizer.lr={base_lr}"]},
            "decide": gate,
            "retry": {"kind": "train", "args": ["models.optimizer.lr=0.00045"], "when": {"decide": ["retry"]}},
            "sweep": sweep,
            "best": {"kind": "choose", "of": ["base", "retry", "sweep"], "not_distinguishable": "first"},
            "folds": {"kind": "crossval", "of": ["best"], "args": ["crossval.k=2"]},
            "ensemble": {"kind": "ensemble", "of": ["folds"]},
            "val": {"kind": "score", "split": "val", "of": ["best", "ensemble"]},
            "winner": {"kind": "choose", "of": ["best", "ensemble"], "by": "val", "not_distinguishable": "first"},
            "test": {"kind": "score", "split": "test", "of": ["best", "ensemble"]},
        },
    }


def write_campaign(tmp_path, values):
    """A campaign file, and its sweep file."""
    (tmp_path / "sweep.yaml").write_text("parameters: {models.optimizer.lr: {min: 0.0003, max: 0.0005}}\n")
    path = tmp_path / "camp.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def campaign_file(tmp_path, receipts, base_lr, limits, unsure="sweep"):
    """A campaign file with these values."""
    return write_campaign(tmp_path, campaign_values(tmp_path, receipts, base_lr, limits, unsure))


def state(tmp_path):
    """The content of campaign.json."""
    return json.loads((tmp_path / "outputs/camp/campaign.json").read_text(encoding="utf-8"))


def ran(tmp_path, what="start"):
    """The commands that were started (or ended), but for probes."""
    lines = (tmp_path / "log").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(what) and "steps_" not in line]


def stand_in_process(command, _lock, on_tick=None):
    """Takes the place of ``run_command``: half a second of a stand-in that takes no time."""
    stand_in.run(command[2:])
    if on_tick is not None:
        on_tick(0.5)
    return 0
