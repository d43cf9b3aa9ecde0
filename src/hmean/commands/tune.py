"""``hmean tune``: post-processing values from cached maps; the network runs at most once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hmean.data.check import require_sound
from hmean.inference.evaluation import collect_scores
from hmean.inference.opening import open_model
from hmean.inference.trained import Execution
from hmean.runs.folder import RunFolder
from hmean.runs.start import StartRecord
from hmean.settings.build import open_dataset, tune_options
from hmean.settings.models import ModelSettings
from hmean.settings.sections import Accelerator, EvaluationLoaders, LabelledDatasets, SplitName, Tune
from hmean.tuning.adoption import adopt
from hmean.tuning.crossfit import require_distinct
from hmean.tuning.result import TuneResult
from hmean.tuning.start import LabelledSplit, compare_with_start, fit_model


class TuneSettings(ModelSettings):
    """Settings of ``hmean tune``. How the model sees pages, and the values to start from, are those of its file."""

    carried: ClassVar[tuple[str, ...]] = ()

    split: SplitName
    dataset_base_path: str
    datasets: LabelledDatasets
    dataloaders: EvaluationLoaders
    trainer: Accelerator
    tune: Tune
    score_start: bool = True


@dataclass(frozen=True)
class TunedModel:
    """What a tuning leaves.

    Attributes:
        folder: of the run, or of the model's results.
        result: what was found, and what became of it.
        against_start: the model beside the whole detector that its training started from; None if it started from none.
    """

    folder: RunFolder
    result: TuneResult
    against_start: StartRecord | None = None

    def summary(self) -> str:
        """What was found; then the model beside its start."""
        lines = [self.result.summary()]
        if self.against_start is not None:
            lines.append(self.against_start.summary(self.folder.path, said=self.result.grouping))
        return "\n\n".join(lines)


def run(settings: TuneSettings) -> TunedModel:
    """Search the lists of ``tune`` on the pages of a split, and write the values chosen into the model's file.

    A model that a training made from a whole detector is compared with that detector on the validation pages.

    Raises:
        InputError: if the model or the pages cannot be used.
    """
    model = open_model(settings.model_file(), settings.trusted_targets)
    folder = model.require_folder()
    model.require_writable()
    pages = open_dataset(settings.datasets.of_split(settings.split))
    require_sound(pages)
    keys = pages.page_keys()
    require_distinct(pages, keys)
    loader = settings.dataloaders.of_split(settings.split)
    execution = Execution(settings.trainer.accelerator, loader.batch_size, loader.num_workers)
    split = LabelledSplit(pages, settings.split, execution)
    options = tune_options(settings.tune)
    found = fit_model(model, split, options)
    run = RunFolder(folder)
    is_fine_tuned = model.path == run.best and run.start.exists()
    against_start = None
    if settings.score_start and is_fine_tuned and settings.split == "val":
        start = open_model(run.start, settings.trusted_targets)
        against_start = compare_with_start(start, model, split, options)
    held_out_scores = collect_scores(
        found.held_out,
        model,
        pages,
        split=settings.split,
        view=model.view,
        params=found.decided,
    )
    adopt(model, found.result, keys)
    found.result.write(folder / "tuned.json")
    # Last: who finds this file (a campaign does) finds a tuned model, wherever an earlier process was killed.
    held_out_scores.write(folder / "cross_fitted" / "scores.json")
    return TunedModel(run, found.result, against_start)
