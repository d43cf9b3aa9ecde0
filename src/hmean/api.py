"""Commands as functions, for programs: ``import hmean`` gives them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmean.settings.compose import read_settings
from hmean.settings.models import read_carried
from hmean.settings.overrides import overrides_of

if TYPE_CHECKING:
    from hmean.commands.train import TrainResult
    from hmean.inference.prediction import PredictResult
    from hmean.runs.scores import Scores
    from hmean.tuning.result import TuneResult


def train(**settings: Any) -> TrainResult:
    """Train a detector, as ``hmean train`` does.

    Args:
        settings: keys of the config (docs/reference/config.md), sections as dictionaries:
            ``train(preset="receipts_lite", exp_name="first", trainer={"max_epochs": 5})``.

    Returns:
        The run folder, the scores of the best epoch on the validation pages, and the report's path.

    Raises:
        InputError: if settings or data are wrong, or the training diverged.
    """
    module: Any = importlib.import_module("hmean.commands.train")
    result: TrainResult = module.run(_read(module.TrainSettings, settings))
    return result


def evaluate(**settings: Any) -> Scores:
    """Score a trained model on labelled pages, as ``hmean evaluate`` does.

    Args:
        settings: keys of the config: ``evaluate(run="outputs/first", split="test")``.

    Returns:
        The content of ``scores.json``.

    Raises:
        InputError: if settings, model or data are wrong.
    """
    module: Any = importlib.import_module("hmean.commands.evaluate")
    scores: Scores = module.run(_read(module.EvaluateSettings, settings))
    return scores


def tune(**settings: Any) -> TuneResult:
    """Tune the post-processing of a trained model, as ``hmean tune`` does.

    Args:
        settings: keys of the config: ``tune(run="outputs/first", tune={"thresh": [0.2, 0.3]})``.

    Returns:
        The content of ``tuned.json``.

    Raises:
        InputError: if settings, model or data are wrong.
    """
    module: Any = importlib.import_module("hmean.commands.tune")
    result: TuneResult = module.run(_read(module.TuneSettings, settings)).result
    return result


def predict(*inputs: str | Path, **settings: Any) -> PredictResult:
    """Find text on images and write it to files, as ``hmean predict`` does.

    Args:
        inputs: images, PDF files, folders, patterns or label files; none: those of ``datasets.predict_dataset``.
        settings: keys of the config: ``predict("scans", run="outputs/first", output="found")``.

    Returns:
        The output folder, and the pages that could not be read.

    Raises:
        InputError: if settings, model or inputs are wrong.
    """
    module: Any = importlib.import_module("hmean.commands.predict")
    result: PredictResult = module.find_text(_read(module.PredictSettings, settings, inputs))
    return result


def _read(kind: Any, settings: Mapping[str, Any], inputs: tuple[str | Path, ...] = ()) -> Any:
    texts = [str(path) for path in inputs]
    return read_settings(kind, overrides_of(settings), inputs=texts, read_carried=read_carried)
