"""A cross-validation small enough for tests."""

from __future__ import annotations

from pathlib import Path

from support.pages import TINY

# A grid at thresholds that a network of one epoch reaches.
SMALL_GRID = ["tune.thresh=[0.02,0.2]", "tune.box_thresh=[0.0]", "tune.inverse_r=[0.5]"]


def crossval_command(data: Path, outputs: Path) -> list[str]:
    """``hmean crossval`` of the tiny network: three folds of three pages each, three pages held out, and the base."""
    return [
        "crossval", *TINY, *SMALL_GRID, f"dataset_base_path={data}", f"output_dir={outputs}", "exp_name=cv",
        "trainer.max_epochs=1", "k=3", "crossval.holdout=0.25", "crossval.base=true",
    ]  # fmt: skip
