"""The settings of a training: what ``hmean train`` reads, and what other commands start trainings with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hmean.settings.sections import (
    Models,
    Name,
    Settings,
    Tracker,
    Trainer,
    TrainingDatasets,
    TrainingLoaders,
    Transforms,
)


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
    datasets: TrainingDatasets
    """Labels and images."""
    transforms: Transforms
    """Views of pages."""
    dataloaders: TrainingLoaders
    """Batches."""
    models: Models
    """The network and how it learns."""
    trainer: Trainer
    """How long a training runs, and on what."""


class TrainSettings(RecipeSettings):
    """Settings of ``hmean train``."""

    wandb: bool
    """The same as `logger=wandb`."""
    logger: Tracker | None = None
    """Experiment tracker beside metrics.jsonl; W&B works offline without an API key."""
    resume: Literal["auto"] | None
    """`auto`: continue the run of this name where it stopped, or start it."""
    overwrite: bool
    """Delete or replace earlier results of this name."""
    checkpoint_path: str | None
    """Checkpoint with the weights to start from (fine-tuning)."""

    def tracker(self) -> Tracker | None:
        """The experiment tracker: ``wandb=true`` is the same as ``logger=wandb``."""
        if self.logger is None and self.wandb:
            return "wandb"
        return self.logger
