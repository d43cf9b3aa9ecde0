"""``metrics.jsonl``: one line of JSON for each epoch of a training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field

from hmean.errors import InputError
from hmean.files import write_text
from hmean.records import Record


class EpochRow(Record):
    """One epoch. In the file the metrics stand beside the other values, by names with a slash."""

    epoch: int = Field(description="number of the epoch, from 0 on")
    step: int = Field(default=0, description="optimizer steps so far")
    metrics: dict[str, float] = Field(
        description="train/loss and each term of the loss; in validated epochs also val/hmean, val/precision, "
        "val/recall, val/pooled_hmean, val/iou50_hmean and val/iou70_hmean"
    )
    lr: float | None = Field(default=None, description="learning rate of decoder and head at the end of the epoch")
    seconds: float = Field(description="duration of the epoch, with its validation")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _collect_metrics(cls, row: Any) -> Any:
        if not isinstance(row, Mapping) or "metrics" in row:
            return row
        values: dict[str, Any] = {"metrics": {}}
        for name, value in row.items():
            if "/" in name:
                values["metrics"][name] = value
            else:
                values[name] = value
        return values

    def to_json(self) -> dict[str, Any]:
        """Plain values, the metrics beside the others."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            **self.metrics,
            "lr": self.lr,
            "seconds": self.seconds,
        }


def read_epochs(path: Path) -> list[EpochRow]:
    """All rows, oldest first; none if there is no file.

    Raises:
        InputError: if a line is not a row of metrics.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}: line {number} is not JSON ({error})") from error
        rows.append(EpochRow.parse(row, f"{path}: line {number}"))
    return rows


def count_validated(path: Path) -> int:
    """How many epochs were validated: of so many, the best one was kept.

    Raises:
        InputError: as ``read_epochs`` does.
    """
    return sum("val/hmean" in row.metrics for row in read_epochs(path))


def append_epoch(path: Path, row: EpochRow) -> None:
    """Add the row of an epoch, in place of rows of this and later epochs that a resumed training has left."""
    rows = [earlier for earlier in read_epochs(path) if earlier.epoch < row.epoch]
    rows.append(row)
    lines = [json.dumps(kept.to_json(), allow_nan=False) + "\n" for kept in rows]
    write_text(path, "".join(lines))
