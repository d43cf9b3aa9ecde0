"""Experiment trackers: where the metrics of a training go besides ``metrics.jsonl``, through Lightning's own loggers.

A tracker never ends a training and never asks anything: the first time that it fails, this is said in one line, and
the training continues without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from hmean.errors import InputError
from hmean.runs.folder import RunFolder
from hmean.training.wandb_key import has_wandb_key
from hmean.types import TrackerName

PROJECT = "hmean"  # of W&B, and the experiment of MLflow
# Trackers that need a package; hmean's extra has the name of the tracker.
_PACKAGES: Mapping[TrackerName, str] = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


def require_tracker(name: TrackerName) -> None:
    """Check that a tracker is installed.

    Raises:
        InputError: if it is not.
    """
    package = _PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        raise InputError(f"logger={name}: is not installed; install it with: pip install 'hmean[{name}]'")


def open_tracker(name: TrackerName, folder: RunFolder, config: Mapping[str, Any]) -> Tracker | None:
    """Start a tracker and log the config to it; None if it could not be started.

    Args:
        name: of the tracker.
        folder: the run, which gives the tracker its run name and a place for its files.
        config: plain nested values.
    """
    try:
        logger = _start(name, folder)
    except Exception as error:  # noqa: BLE001 - whatever a tracker raises must not end a training
        _announce(f"{name}: could not be started ({error}); training continues without it")
        return None
    tracker = Tracker(logger, name)
    tracker.log_hyperparams(dict(config))
    return tracker


def _start(name: TrackerName, folder: RunFolder) -> Logger:
    path = folder.path
    if name == "csv":
        return CSVLogger(path, name="csv", flush_logs_every_n_steps=1)
    if name == "tensorboard":
        return TensorBoardLogger(path, name="tensorboard", version="", default_hp_metric=False)
    if name == "mlflow":
        return _start_mlflow(path)
    return _start_wandb(path)


def _start_mlflow(path: Path) -> Logger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    database = path.parent / "mlflow.db"  # one for all runs of the folder, so that they can be compared
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}"
    logger = MLFlowLogger(PROJECT, run_name=path.name, tracking_uri=uri)
    _ = logger.experiment  # connects now, so that a failure is met here
    return logger


def _start_wandb(path: Path) -> Logger:
    offline = "WANDB_MODE" not in os.environ and not has_wandb_key()
    if offline:
        _announce(
            f"wandb: no API key, so this run is logged offline; to upload it later, run: wandb sync {path / 'wandb'}"
        )
    logger = WandbLogger(name=path.name, save_dir=path, project=PROJECT, offline=offline)
    _ = logger.experiment  # connects now, so that a failure is met here
    return logger


class Tracker(Logger):
    """Passes metrics on to a Lightning logger until that fails for the first time.

    Args:
        logger: gets the metrics.
        label: its name, for the message.
    """

    def __init__(self, logger: Logger, label: str) -> None:
        super().__init__()
        self._logger = logger
        self._label = label
        self._has_failed = False

    @property
    def name(self) -> str:
        """Name of the tracker."""
        return self._label

    @property
    def version(self) -> None:
        """Runs have no version: their folder has a name of its own."""
        return

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log numbers by name."""
        self._call("log_metrics", metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Log the config."""
        self._call("log_hyperparams", params, *args, **kwargs)

    def save(self) -> None:
        """Write what is not written yet."""
        self._call("save")

    def finalize(self, status: str) -> None:
        """End the tracker's run."""
        self._call("finalize", status)

    def _call(self, method: str, *args: Any, **kwargs: Any) -> None:
        if self._has_failed:
            return
        try:
            getattr(self._logger, method)(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever a tracker raises must not end a training
            self._has_failed = True
            _announce(
                f"{self._label}: failed ({error}); training continues without it, and metrics.jsonl has every epoch"
            )


@rank_zero_only
def _announce(message: str) -> None:
    print(message)
