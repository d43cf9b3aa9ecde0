"""hmean: labelled page images in, the best text detector that a compute budget can buy out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hmean.inference.detector import TextDetector

__version__ = "0.1.0"


def load(source: str | Path, *, threads: int | None = None) -> TextDetector:
    """Open a detector, ``hmean.load("receipts-lite")`` or a path: see ``hmean.inference.detector.load``."""
    from hmean.inference.detector import load  # noqa: PLC0415 - import hmean itself takes no time

    return load(source, threads=threads)
