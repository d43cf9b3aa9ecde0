"""hmean: labelled page images in, the best text detector that a compute budget can buy out.

detector = hmean.load("receipts-lite")
found = detector("photo.jpg")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmean.api import evaluate, predict, train, tune
    from hmean.inference.detector import load
    from hmean.metrics.scorer import Scorer
    from hmean.postprocess.parameters import PostprocessParams
    from hmean.types import Detections, Page

__version__ = "0.1.0"

__all__ = [
    "Detections",
    "Page",
    "PostprocessParams",
    "Scorer",
    "evaluate",
    "load",
    "predict",
    "train",
    "tune",
]

# Where the names are; their modules are imported on first use, so that ``import hmean`` takes no time.
_MODULES = {
    "Detections": "hmean.types",
    "Page": "hmean.types",
    "PostprocessParams": "hmean.postprocess.parameters",
    "Scorer": "hmean.metrics.scorer",
    "evaluate": "hmean.api",
    "load": "hmean.inference.detector",
    "predict": "hmean.api",
    "train": "hmean.api",
    "tune": "hmean.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
