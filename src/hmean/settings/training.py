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
    output_dir: str
    seed: Annotated[int, Field(ge=0)]
    dataset_base_path: str
    datasets: TrainingDatasets
    transforms: Transforms
    dataloaders: TrainingLoaders
    models: Models
    trainer: Trainer


class TrainSettings(RecipeSettings):
    """Settings of ``hmean train``."""

    wandb: bool
    logger: Tracker | None = None
    resume: Literal["auto"] | None
    overwrite: bool
    checkpoint_path: str | None

    def tracker(self) -> Tracker | None:
        """The experiment tracker: ``wandb=true`` is the same as ``logger=wandb``."""
        if self.logger is None and self.wandb:
            return "wandb"
        return self.logger
