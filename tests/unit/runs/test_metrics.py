"""metrics.jsonl: one row for each epoch, also after a resume."""

import json

import pytest

from hmean.errors import InputError
from hmean.runs.metrics import EpochRow, append_epoch, read_epochs


def row(epoch: int, loss: float) -> EpochRow:
    return EpochRow(epoch=epoch, step=10 * epoch, metrics={"train/loss": loss}, lr=0.1, seconds=1.5)


def test_a_resumed_epoch_replaces_what_was_there(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_epochs(path) == []
    for epoch in range(3):
        append_epoch(path, row(epoch, 1.0))
    append_epoch(path, row(1, 0.5))
    assert [(r.epoch, r.metrics["train/loss"]) for r in read_epochs(path)] == [(0, 1.0), (1, 0.5)]
    line = json.loads(path.read_text().splitlines()[1])
    assert line == {"epoch": 1, "step": 10, "train/loss": 0.5, "lr": 0.1, "seconds": 1.5}


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 0, "seconds": 1}\n{"epo')
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read_epochs(path)
