"""``hmean predict``: a trained model and images in; predictions.json, submission.csv and pictures out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hmean.ensemble.members import open_ensemble
from hmean.errors import InputError
from hmean.inference.inputs import LabelImages, describe_left_out, gather
from hmean.inference.opening import open_model
from hmean.inference.prediction import ModelPredictor, PredictOptions, Predictor, PredictResult, Shard, predict
from hmean.inference.trained import PageFile, page_files
from hmean.settings.build import open_dataset
from hmean.settings.models import ModelSettings, require_own_values, warn_of_start
from hmean.settings.sections import (
    Accelerator,
    Dataset,
    EvaluationView,
    Name,
    Predict,
    PredictDatasets,
    PredictLoaders,
    TrainedModels,
)


class PredictSettings(ModelSettings):
    """Settings of ``hmean predict``."""

    default_model: ClassVar[str | None] = "receipts-lite"
    shorthands: ClassVar[dict[str, str]] = {"shard": "predict.shard"}

    inputs: tuple[str, ...] = ()
    exp_name: Name | None
    output_dir: str
    output: str | None
    overwrite: bool
    maps: bool
    dataset_base_path: str
    datasets: PredictDatasets
    transforms: EvaluationView
    dataloaders: PredictLoaders
    models: TrainedModels
    trainer: Accelerator
    predict: Predict

    def folder(self) -> Path:
        """The output folder."""
        if self.output is not None:
            return Path(self.output)
        return Path(self.output_dir) / (self.exp_name or "predict")


@dataclass(frozen=True)
class PredictSummary:
    """What a prediction has done, in words."""

    result: PredictResult
    left_out: str

    def summary(self) -> str:
        """One line."""
        result = self.result
        if not result.is_complete:
            return (
                f"shard {result.shard.index + 1}/{result.shard.count}: {result.pages} pages; the command without shard "
                "joins all shards"
            )
        read = result.pages - len(result.skipped)
        line = f"{read} of {result.pages} images{self.left_out}: {result.folder / 'predictions.json'}"
        if result.looks is not None:
            line = f"{result.looks.text()}\n{line}"
        return line


def run(settings: PredictSettings) -> PredictSummary:
    """Find text on images.

    Raises:
        InputError: if there is nothing to do, or, at the end and with the rest written, if images could not be read.
    """
    result = find_text(settings)
    summary = PredictSummary(result, describe_left_out(settings.inputs))
    if result.skipped:
        print(summary.summary())
        raise InputError.listing(
            f"{len(result.skipped)} images were skipped, the others are written:", list(result.skipped)
        )
    return summary


def find_text(settings: PredictSettings) -> PredictResult:
    """The same; images that could not be read are in the result.

    Raises:
        InputError: if there is nothing to do.
    """
    index, count = settings.predict.shard_index()
    options = PredictOptions(
        shard=Shard(index, count),
        overwrite=settings.overwrite,
        csv=settings.predict.csv,
        overlays=settings.predict.overlays,
        accelerator=settings.trainer.accelerator,
        workers=settings.dataloaders.predict_dataloader.num_workers,
    )
    return predict(open_predictor(settings), input_files(settings), settings.folder(), options)


def open_predictor(settings: PredictSettings) -> Predictor:
    """The model that the settings name, or the ensemble."""
    path = settings.model_file()
    if settings.is_ensemble:
        require_own_values(path, settings)
        if settings.maps:
            raise InputError(f"maps=true: {path} has several networks, whose maps are not kept; remove it")
        return open_ensemble(path, settings.trusted_targets)
    warn_of_start(path)
    maps = None
    if settings.maps:
        maps = settings.folder() / "maps"
    return ModelPredictor(
        open_model(path, settings.trusted_targets),
        view=settings.transforms.seen(),
        params=settings.models.head.postprocess.params(),
        batch_size=settings.dataloaders.predict_dataloader.batch_size,
        maps=maps,
    )


def input_files(settings: PredictSettings) -> list[PageFile]:
    """The files of the inputs; without inputs the pages of ``datasets.predict_dataset``."""
    dataset = settings.datasets.predict_dataset
    if not settings.inputs:
        return page_files(open_dataset(dataset))
    return gather(settings.inputs, label_images(dataset, Path(settings.dataset_base_path)))


def label_images(dataset: Dataset, base: Path) -> LabelImages:
    """Where the images of label files are: in the folder of the data set, if that is not the default one."""
    default = base / "images"
    given = Path(dataset.image_path)
    if given == default:
        return LabelImages(None, default)
    return LabelImages(given, default)
