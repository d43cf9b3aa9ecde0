"""``hmean lr_find``: where to look for a learning rate."""

from __future__ import annotations

import json

import pytest

from hmean.cli import main


def test_lr_find_writes_a_range(tiny, tmp_path):
    assert main(["lr_find", *tiny]) == 0
    found = json.loads((tmp_path / "outputs/tiny_lr_find/lr_find.json").read_text())
    assert found["lr"][0] == pytest.approx(1e-6)
    assert len(found["lr"]) == len(found["loss"]) >= 10
    assert found["range"][0] < found["range"][1] < 1
    assert (tmp_path / "outputs/tiny_lr_find/lr_find.svg").stat().st_size > 1000
