"""The settings of a training: what ``hmean train`` reads, and what other commands start trainings with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import Field

from hmean.errors import InputError
from hmean.inference.start_source import require_found
from hmean.labels.formats import open_labels
from hmean.settings.sections import (
    LabelledDatasets,
    Models,
    Name,
    Settings,
    Tracker,
    Trainer,
    TrainingLoaders,
    Transforms,
    Tune,
)
from hmean.types import TrackerName


class RecipeSettings(Settings):
    """What a model learns from, and how; checkpoints and ``config.yaml`` carry it."""

    exp_name: Name | None
    """Name of the run folder; null: the preset's name."""
    output_dir: str
    """Folder of the run folders."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of everything random."""
    dataset_base_path: str
    """Folder of the data set: `images/` and `jsons/{train,val,test}.json`."""
    datasets: LabelledDatasets
    """Labels and images; those of the test pages are kept for later commands."""
    transforms: Transforms
    """Views of pages."""
    dataloaders: TrainingLoaders
    """Batches."""
    models: Models
    """The network and how it learns."""
    trainer: Trainer
    """How long a training runs, and on what."""

    def check_early(self) -> None:
        """See ``Settings.check_early``: the name of the run, what it starts from, and the label files."""
        self.run_name()
        if self.models.pretrained is not None:
            require_found(self.models.pretrained)
        for dataset in (self.datasets.train_dataset, self.datasets.val_dataset):
            if dataset is None:
                continue
            for path in dataset.label_paths:
                if not path.exists():
                    open_labels(path, Path(dataset.image_path))  # says what is wrong

    def run_name(self) -> str:
        """Name of the run folder.

        Raises:
            InputError: if there is none.
        """
        if self.exp_name is None:
            raise InputError("exp_name: is required; name the run, such as exp_name=first_try")
        return self.exp_name


class TrainSettings(RecipeSettings):
    """Settings of ``hmean train``."""

    # Its name in earlier versions.
    shorthands: ClassVar[dict[str, str]] = {"checkpoint_path": "models.pretrained"}

    wandb: bool
    """The same as `logger=wandb`."""
    logger: Tracker | None = None
    """Experiment tracker besides metrics.jsonl; wandb works offline without an API key."""
    resume: Literal["auto"] | None
    """`auto`: continue the run of this name where it stopped, or start it."""
    overwrite: bool
    """Delete or replace earlier results of this name."""
    tune: Tune | None = None  # configs of earlier versions do not have it
    """How values are tuned where the model is compared with its start."""
    score_start: bool = True
    """Compare the model with the whole detector that it starts from, on the validation pages; `false` saves a pass."""
    note: str | None = None
    """What else is known of this training, in words; the model carries it."""

    @pydantic.model_validator(mode="after")
    def _one_tracker(self) -> TrainSettings:
        if self.wandb and self.logger is not None and self.logger != "wandb":
            raise ValueError(f"wandb=true and logger={self.logger} name two trackers: remove one of them")
        return self

    def tracker(self) -> TrackerName | None:
        """The experiment tracker: ``wandb=true`` is the same as ``logger=wandb``."""
        if self.wandb:
            return "wandb"
        if self.logger == "none":
            return None
        return self.logger


class LrFindSettings(RecipeSettings):
    """Settings of ``hmean lr_find``."""

    # Its name in earlier versions.
    shorthands: ClassVar[dict[str, str]] = {"checkpoint_path": "models.pretrained"}
