"""The settings of all commands together: what a preset may hold, whatever the command."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hmean.settings.sections import (
    AllDatasets,
    AllLoaders,
    Crossval,
    Models,
    Name,
    Predict,
    Settings,
    SplitName,
    Tracker,
    Trainer,
    Transforms,
    Tune,
)


class AllSettings(Settings):
    """Every key of ``configs/base.yaml``."""

    exp_name: Name | None
    output_dir: str
    output: str | None
    seed: Annotated[int, Field(ge=0)]
    wandb: bool
    logger: Tracker | None = None
    resume: Literal["auto"] | None
    overwrite: bool
    run: str | None = None
    checkpoint_path: str | None
    split: SplitName
    maps: bool
    format: Literal["onnx", "openvino"] = "onnx"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    trusted_targets: list[str]
    dataset_base_path: str
    datasets: AllDatasets
    transforms: Transforms
    dataloaders: AllLoaders
    models: Models
    trainer: Trainer
    predict: Predict
    tune: Tune
    crossval: Crossval
