"""``hmean evaluate``: a trained model and labelled pages in; maps, predictions, scores, errors and pictures out.

Of an ensemble: predictions and scores, or, with ``maps=true``, the maps that teach a student.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hmean.data.check import require_sound
from hmean.data.pages import LabelledImages
from hmean.ensemble.evaluation import evaluate_ensemble
from hmean.ensemble.members import open_ensemble, open_runs
from hmean.ensemble.teaching import write_teacher_maps
from hmean.inference.evaluation import evaluate, require_free
from hmean.inference.opening import open_model
from hmean.inference.trained import Execution
from hmean.runs.scores import Scores
from hmean.settings.build import open_dataset
from hmean.settings.models import ModelSettings, require_own_values, warn_of_start
from hmean.settings.sections import (
    Accelerator,
    EvaluationLoaders,
    EvaluationView,
    LabelledDatasets,
    SplitName,
    TrainedModels,
)


class EvaluateSettings(ModelSettings):
    """Settings of ``hmean evaluate``."""

    output: str | None
    overwrite: bool
    split: SplitName
    maps: bool
    dataset_base_path: str
    datasets: LabelledDatasets
    transforms: EvaluationView
    dataloaders: EvaluationLoaders
    models: TrainedModels
    trainer: Accelerator

    def execution(self) -> Execution:
        """How the network is run."""
        loader = self.dataloaders.of_split(self.split)
        return Execution(self.trainer.accelerator, loader.batch_size, loader.num_workers)


@dataclass(frozen=True)
class TeacherMaps:
    """The folder of the maps that teach a student."""

    folder: Path

    def summary(self) -> str:
        """Its path."""
        return str(self.folder)


def run(settings: EvaluateSettings) -> Scores | TeacherMaps:
    """Score a model on the pages of a split.

    Raises:
        InputError: if the model or the pages cannot be used, or there is an evaluation already.
    """
    pages = open_dataset(settings.datasets.of_split(settings.split))
    if settings.is_ensemble:
        return _run_ensemble(settings, pages)
    model = open_model(settings.model_file(), settings.trusted_targets)
    warn_of_start(model.path)
    if settings.output is None:
        folder = model.require_folder() / f"evaluate_{settings.split}"
    else:
        folder = Path(settings.output)
    require_free(folder, overwrite=settings.overwrite)
    return evaluate(
        model,
        pages,
        folder,
        split=settings.split,
        view=settings.transforms.seen(),
        params=settings.models.head.postprocess.params(),
        execution=settings.execution(),
    )


def _run_ensemble(settings: EvaluateSettings, pages: LabelledImages) -> Scores | TeacherMaps:
    path = settings.model_file()
    require_own_values(path, settings)
    folder = path.parent / "evaluate"
    if settings.output is not None:
        folder = Path(settings.output)
    require_free(folder, overwrite=settings.overwrite)
    require_sound(pages)
    execution = settings.execution()
    if settings.maps:
        teachers = open_runs(path, settings.trusted_targets)
        write_teacher_maps(teachers, pages, folder, accelerator=execution.accelerator, workers=execution.workers)
        return TeacherMaps(folder)
    ensemble = open_ensemble(path, settings.trusted_targets)
    return evaluate_ensemble(
        ensemble, pages, settings.split, folder, accelerator=execution.accelerator, workers=execution.workers
    )
