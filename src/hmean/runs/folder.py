"""The folder of a run: where its files lie; made whole, found again, and never overwritten silently."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field
from yaml import YAMLError

from hmean.errors import InputError
from hmean.files import write_text
from hmean.records import Record

# Keys that say nothing of what is learned: where the folds lie (the pages themselves are compared), what other commands
# read, and how fast pages come.
NOT_LEARNED_FROM = (
    "datasets.train_dataset.folds.file",
    "datasets.val_dataset.folds.file",
    "datasets.test_dataset",
    "datasets.predict_dataset",
    "dataloaders.cache",
    "dataloaders.train_dataloader.num_workers",
    "dataloaders.val_dataloader",
    "dataloaders.test_dataloader",
    "dataloaders.predict_dataloader",
)
# Keys that a resumed run may change, with all below them: how long and how it runs, not what it learns.
MAY_CHANGE = (
    "resume",
    "overwrite",
    "wandb",
    "logger",
    "output_dir",
    "output",
    "split",
    "evaluate_on",
    "maps",
    "trusted_targets",
    "predict",
    "tune",
    "score_start",
    "crossval",
    *NOT_LEARNED_FROM,
    "datasets.train_dataset.split.file",
    "datasets.val_dataset.split.file",
    "trainer.max_epochs",
    "trainer.check_val_every_n_epoch",
    "trainer.accelerator",
    "trainer.compile",
    "models.head.postprocess",
    "models.targets.device",
)


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        """What it takes to run it again: ``Manifest``."""
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        """One line for each epoch: ``EpochRow``."""
        return self.path / "metrics.jsonl"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch by ``val/hmean``; of the last one where nothing validates."""
        return self.path / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last finished epoch."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def start(self) -> Path:
        """The checkpoint of the detector that the training started from, where it started from a whole one."""
        return self.path / "checkpoints" / "start.ckpt"

    @property
    def start_scores(self) -> Path:
        """What the start scores with tuned values, cross-fitted: ``Scores``."""
        return self.path / "start" / "scores.json"

    @property
    def start_record(self) -> Path:
        """The fine-tuned model beside its start: ``StartRecord``."""
        return self.path / "start.json"

    @property
    def scores(self) -> Path:
        """The scores of the best epoch on the validation pages: ``Scores``."""
        return self.path / "scores.json"

    @property
    def cross_fitted_scores(self) -> Path:
        """The scores of tuned values, on pages that they were not chosen on: ``Scores``."""
        return self.path / "cross_fitted" / "scores.json"

    @property
    def tuned(self) -> Path:
        """What tuning found: ``TuneResult``."""
        return self.path / "tuned.json"

    @property
    def report(self) -> Path:
        """The report of the run."""
        return self.path / "report.html"

    @property
    def predictions(self) -> Path:
        """The text polygons on the validation pages."""
        return self.path / "predictions.json"


class _Campaign(Record):
    """What ``campaign.json`` says of the winner."""

    winner: str | None = Field(default=None, description="path of the model that won, from the campaign's folder")


def model_of(folder: Path) -> Path:
    """The model that ``run=FOLDER`` names: a run's best checkpoint, or the winner of a campaign.

    Raises:
        InputError: if the folder is a campaign without a winner.
    """
    campaign = folder / "campaign.json"
    if not campaign.is_file():
        return RunFolder(folder).best
    winner = _Campaign.read(campaign).winner
    if winner is None:
        raise InputError(f"{folder}: the campaign has no winner yet; hmean campaign continues it")
    return folder / winner


def open_run(
    path: Path,
    config: Mapping[str, Any],
    *,
    resume: bool,
    overwrite: bool,
    upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> RunFolder:
    """Make the folder of a new run, or open that of an earlier one to continue it.

    Args:
        path: of the folder.
        config: resolved config, plain values.
        resume: continue the run that is there.
        overwrite: delete the run that is there.
        upgrade: gives the keys of a config that an earlier version of hmean has saved their present names.

    Raises:
        InputError: if there is a run and neither ``resume`` nor ``overwrite`` is set, if ``overwrite`` would delete
            something else than a run, or if a run would be resumed with another config.
    """
    run = RunFolder(path)
    if path.exists() and any(path.iterdir()):
        if overwrite:
            _delete(run)
        elif not resume:
            raise InputError(
                f"{path}: a run of this name exists. Set resume=auto to continue it, overwrite=true to delete it and "
                "start again, or choose another exp_name"
            )
        else:
            _check_same_config(run, config, upgrade)
    run.last.parent.mkdir(parents=True, exist_ok=True)
    write_text(run.config, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
    return run


def _delete(run: RunFolder) -> None:
    if not run.config.exists():
        raise InputError(f"{run.path}: is not a run of hmean, so overwrite=true does not delete it")
    shutil.rmtree(run.path)


def _check_same_config(
    run: RunFolder, config: Mapping[str, Any], upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> None:
    if not run.config.exists() or not run.last.exists():  # nothing was trained yet
        return
    changed = differences(upgrade(load_yaml(run.config)), config, MAY_CHANGE)
    if changed:
        raise InputError.listing(
            f"{run.path}: cannot be resumed with another config; choose another exp_name:", changed
        )


def load_yaml(path: Path) -> Any:
    """Plain values of a YAML file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return OmegaConf.to_container(OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def differences(old: Any, new: Any, ignoring: Sequence[str] = (), key: str = "") -> list[str]:
    """The keys whose values differ, one sentence each.

    Args:
        old: plain values.
        new: plain values.
        ignoring: keys that are left out, with all below them.
        key: of the two values, for messages.
    """
    for ignored in ignoring:
        if key == ignored or key.startswith(f"{ignored}."):
            return []
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for name in {**old, **new}:
            inner = f"{key}.{name}" if key else name
            found += differences(old.get(name), new.get(name), ignoring, inner)
        return found
    if old == new:
        return []
    return [f"{key}: was {old!r}, now {new!r}"]
