"""The run folder: one run, one folder, made whole, found again and never overwritten silently."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hmean import __version__
from hmean.errors import InputError
from hmean.files import read_json, write_text

_SECRET = re.compile(r"[^=]*(key|token|secret|passw|credential)[^=]*=", re.IGNORECASE)
# A resumed run may differ in these: how long and how it runs, not what it learns.
MAY_CHANGE = (
    "resume", "overwrite", "wandb", "output_dir", "output", "evaluate_on", "trusted_targets",
    "predict", "tune", "crossval",
    "datasets.train_dataset.split.file", "datasets.val_dataset.split.file",  # the pages themselves are compared
    "dataloaders.cache", "dataloaders.val_dataloader", "dataloaders.test_dataloader",
    "dataloaders.predict_dataloader",
    "dataloaders.train_dataloader.num_workers", "datasets.test_dataset", "datasets.predict_dataset",
    "trainer.max_epochs", "trainer.check_val_every_n_epoch", "trainer.accelerator", "trainer.compile",
    "models.head.postprocess", "models.targets.device",
)  # fmt: skip


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run."""

    path: Path

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch by ``val/hmean``."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last finished epoch."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def metrics(self) -> Path:
        """One JSON row an epoch."""
        return self.path / "metrics.jsonl"

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add the row of an epoch; rows of this epoch and later ones, from before a resume, go."""
        rows = [old for old in self.read_metrics() if old["epoch"] < row["epoch"]]
        write_text(self.metrics, "".join(json.dumps(r, allow_nan=False) + "\n" for r in [*rows, dict(row)]))

    def read_metrics(self) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        if not self.metrics.exists():
            return []
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines()]


def model_of(folder: Path) -> Path:
    """The model that ``run=FOLDER`` stands for: a run's best checkpoint, or what a campaign decided for."""
    if not (folder / "campaign.json").is_file():
        return RunFolder(folder).best
    winner = read_json(folder / "campaign.json").get("winner")
    if winner is None:
        raise InputError(f"{folder}: the campaign has no winner yet; hmean campaign goes on with it")
    return folder / str(winner)


def open_run(output_dir: str, exp_name: str, config: Mapping[str, Any], *, resume: bool, overwrite: bool) -> RunFolder:
    """Make the folder of a new run, or open that of an earlier one to go on with it.

    Raises:
        InputError: if there is a run of this name and neither resume nor overwrite is set, or if it is to be resumed
            with another config.
    """
    run = RunFolder(Path(output_dir) / exp_name)
    saved = run.path / "config.yaml"
    if run.path.exists() and any(run.path.iterdir()):
        if overwrite:
            if not saved.exists():
                raise InputError(f"{run.path}: is not a run of hmean's, so overwrite=true does not delete it")
            shutil.rmtree(run.path)
        elif not resume:
            raise InputError(
                f"{run.path}: there is a run of this name already. Go on with it: resume=auto; "
                "delete it and start again: overwrite=true; or choose another exp_name"
            )
        elif saved.exists():
            changed = differences(load_yaml(saved), config, MAY_CHANGE)
            if changed and run.last.exists():
                raise InputError.listing(
                    f"{run.path}: cannot be resumed with another config (use another exp_name):", changed
                )
    run.last.parent.mkdir(parents=True, exist_ok=True)
    write_text(saved, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
    return run


class _PlainValues(pickle.Unpickler):
    """Reads the values of a checkpoint; tensors, and all else that code would be run for, are left out."""

    class Left:
        """Stands for what is left out."""

        def __init__(self, *_: object) -> None: ...

        def __setstate__(self, _: object) -> None: ...

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else self.Left

    def persistent_load(self, _: object) -> None:
        return None


def read_record(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint carries beside its weights (``checkpoints.carry``), but tensors; needs no torch.

    Raises:
        InputError: if it is missing or not hmean's.
    """
    try:
        with zipfile.ZipFile(checkpoint) as file:
            (name,) = (name for name in file.namelist() if name.endswith("/data.pkl"))
            record: dict[str, Any] = _PlainValues(file.open(name)).load()["hmean"]
    except FileNotFoundError as error:
        raise InputError(f"{checkpoint}: no such checkpoint") from error
    except Exception as error:  # pickle raises many kinds for a damaged file
        raise InputError(f"{checkpoint}: is damaged, or not a checkpoint of hmean's ({error})") from error
    return record


def load_yaml(path: Path) -> Any:
    """Plain values of a YAML file."""
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def differences(old: Any, new: Any, ignoring: Sequence[str] = (), key: str = "") -> list[str]:
    """Keys whose values differ, in words; ``ignoring`` leaves out keys and all below them."""
    if key in ignoring or any(key.startswith(f"{name}.") for name in ignoring):
        return []
    if isinstance(old, dict) and isinstance(new, Mapping):
        keys = [*old, *(k for k in new if k not in old)]
        return [v for k in keys for v in differences(old.get(k), new.get(k), ignoring, f"{key}.{k}" if key else k)]
    return [] if old == new else [f"{key}: was {old!r}, now {new!r}"]


def config_hash(config: Mapping[str, Any]) -> str:
    """Hash of the values of a config."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def manifest(config: Mapping[str, Any], data: Mapping[str, str], seed: int) -> dict[str, Any]:
    """What it takes to run this again: hashes, versions, machine; no secret and no path of the machine."""
    packages = ("torch", "torchvision", "timm", "lightning", "numpy", "opencv-python-headless", "numba", "shapely",
                "onnxruntime", "onnx", "openvino")  # fmt: skip
    return {
        "hmean": __version__,
        "config_hash": config_hash(config),
        "data_hash": dict(data),
        "git": _git(),
        "seed": seed,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
        "machine": {"system": platform.platform(), "processor": _processor(), "command": _command()},
    }


def _command() -> list[str]:
    """The command line, secrets left out and absolute paths made relative to where it was typed."""
    return [Path(sys.argv[0]).name, *(_relative(arg) for arg in sys.argv[1:] if not _SECRET.match(arg))]


def _relative(argument: str) -> str:
    key, equals, value = argument.rpartition("=") if Path(argument).anchor == "" else ("", "", argument)
    return f"{key}{equals}{os.path.relpath(value)}" if Path(value).is_absolute() else argument


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)  # noqa: S607
        state = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(state.stdout.strip())}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
