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
    """Name of the run folder; null: the preset's name."""
    output_dir: str
    """Folder of the run folders."""
    output: str | None
    """Where the results go, in place of the default folder."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of everything random."""
    wandb: bool
    """The same as `logger=wandb`."""
    logger: Tracker | None
    """Experiment tracker beside metrics.jsonl; W&B works offline without an API key."""
    resume: Literal["auto"] | None
    """`auto`: continue the run of this name where it stopped, or start it."""
    overwrite: bool
    """Delete or replace earlier results of this name."""
    run: str | None
    """The best checkpoint of this run folder, or the winner of this campaign folder."""
    checkpoint_path: str | None
    """A checkpoint, an exported model or an ensemble.json; in a training: the weights to start from."""
    score_start: bool
    """train, tune: compare the model with the whole detector that it started from; `false` saves a pass over the
    pages."""
    note: str | None
    """train: what else is known of this training, in words; the model carries it."""
    split: SplitName
    """The labelled pages to use."""
    maps: bool
    """predict: keep the probability maps, so that other thresholds need no network;
    evaluate of an ensemble: write the mean of the members' maps, to teach a student."""
    format: Literal["onnx", "openvino", "rapidocr"]
    """Format of an exported model; rapidocr: a model that started from PP-OCRv6, for RapidOCR's Det.model_path."""
    precision: Literal["fp32", "fp16", "int8"]
    """Precision of an exported model."""
    trusted_targets: list[str]
    """Packages whose classes a checkpoint may name in `_target_`, beside hmean's own."""
    dataset_base_path: str
    """Folder of the data set: `images/` and `jsons/{train,val,test}.json`."""
    datasets: AllDatasets
    """Labels and images."""
    transforms: Transforms
    """Views of pages."""
    dataloaders: AllLoaders
    """Batches."""
    models: Models
    """The network and how it learns."""
    trainer: Trainer
    """How long a training runs, and on what."""
    predict: Predict
    """What a prediction writes."""
    tune: Tune
    """The grid of a tuning."""
    crossval: Crossval
    """How pages are dealt to folds."""
