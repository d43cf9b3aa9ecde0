"""What ``hmean export`` reads."""

from __future__ import annotations

from hmean.settings.models import ModelSettings
from hmean.settings.sections import EvaluationView, LabelledDatasets, PredictLoaders, SplitName, TrainedModels
from hmean.types import ExportFormat, Precision


class ExportSettings(ModelSettings):
    """Settings of ``hmean export``."""

    inputs: tuple[str, ...] = ()
    format: ExportFormat = "onnx"
    precision: Precision = "fp32"
    split: SplitName
    output: str | None
    overwrite: bool
    dataset_base_path: str
    datasets: LabelledDatasets
    transforms: EvaluationView
    dataloaders: PredictLoaders
    models: TrainedModels
