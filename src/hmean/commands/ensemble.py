"""``hmean ensemble``: finished runs in; the verdict on each strategy of combining them out, and the one that is kept.

Every choice, of a member, of thresholds, of votes, is made anew without each fold of the pages and scored on that fold,
and no page may have been used for any member: docs/concepts/ensembles.md says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hmean.data.check import require_sound
from hmean.ensemble.checks import check_members, split_off_bases, trained_on
from hmean.ensemble.costs import page_views, training_minutes
from hmean.ensemble.detect import detect_combined
from hmean.ensemble.members import MemberView, member_records
from hmean.ensemble.records import EnsembleRecord, RunRecord
from hmean.ensemble.scoring import Chosen, HeldOutPages
from hmean.ensemble.strategies import all_strategies
from hmean.ensemble.verdict import judge
from hmean.errors import InputError
from hmean.inference.maps import make_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import Execution, TrainedModel
from hmean.runs.folder import RunFolder
from hmean.runs.maps import MapStore
from hmean.runs.predictions import write_predictions
from hmean.settings.build import open_dataset, tune_options
from hmean.settings.sections import (
    Accelerator,
    EvaluationLoaders,
    LabelledDatasets,
    PredictLoaders,
    Settings,
    SplitName,
    Tune,
)


class EnsembleLoaders(EvaluationLoaders, PredictLoaders):
    """Loaders of the labelled pages; that of a prediction is used where time is measured."""


class EnsembleSettings(Settings):
    """Settings of ``hmean ensemble``; ``inputs`` are run folders, checkpoints or exported models."""

    inputs: tuple[str, ...] = ()
    output: str | None
    output_dir: str
    overwrite: bool
    split: SplitName
    trusted_targets: list[str]
    dataset_base_path: str
    datasets: LabelledDatasets
    dataloaders: EnsembleLoaders
    trainer: Accelerator
    tune: Tune


def run(settings: EnsembleSettings) -> EnsembleRecord:
    """Judge all strategies of combining the models on held-out pages, and write the one that is kept.

    Returns:
        The content of ``ensemble.json``.

    Raises:
        InputError: if members are the same model, or a page of the verdict had a part in the making of one.
    """
    members, bases, students = _open_models(settings)
    folder = _output_folder(settings)
    pages = open_dataset(settings.datasets.of_split(settings.split))
    require_sound(pages)
    keys = pages.page_keys()
    check_members([*members, *bases, *students], pages, keys)

    def maps_of(member: MemberView) -> MapStore:
        loader = settings.dataloaders.of_split(settings.split)
        execution = Execution(settings.trainer.accelerator, loader.batch_size, loader.num_workers)
        return make_maps(member.model, pages, folder / "maps", view=member.view, execution=execution)

    options = tune_options(settings.tune)
    held_out = HeldOutPages(pages, members[0].postprocess, options, maps_of)
    views = _views(members)
    average_path = RunFolder(folder).best
    strategies = all_strategies(held_out, views, average_path, bases=_views(bases), students=_views(students))
    verdicts = judge(
        strategies,
        held_out,
        accelerator=settings.trainer.accelerator,
        workers=settings.dataloaders.predict_dataloader.num_workers,
    )
    kept = verdicts.kept()
    _write_average(kept.found.chosen, average_path)
    _write_predictions(kept.found.chosen, held_out, folder)
    record = EnsembleRecord(
        strategy=kept.row.strategy,
        members=member_records(kept.found.chosen.option.members, folder),
        postprocess=kept.found.chosen.params,
        tuned_on=keys,
        pages=len(pages),
        groups=held_out.groups.count,
        grouping=held_out.groups.grouping(),
        data_hash=pages.fingerprint(),
        objective=dict(options.objective),
        runs=_run_records(views, folder),
        all_pages=_run_records(_views(bases), folder),
        to_beat=verdicts.to_beat.row.strategy,
        strategies=tuple(one.row for one in verdicts.judged),
        skipped=tuple(verdicts.skipped),
    )
    record.write(folder / "ensemble.json")
    return record


def _views(models: Sequence[TrainedModel]) -> list[MemberView]:
    return [MemberView.of(model) for model in models]


def _open_models(settings: EnsembleSettings) -> tuple[list[TrainedModel], list[TrainedModel], list[TrainedModel]]:
    """The members, the models of all their pages, and the students of earlier ensembles among the inputs."""
    models = []
    students = []
    for text in settings.inputs:
        path = Path(text)
        if path.is_dir():
            path = RunFolder(path).best
        model = open_model(path, settings.trusted_targets)
        if model.training["datasets"]["train_dataset"].get("teacher"):
            students.append(model)
        else:
            models.append(model)
    members, bases = split_off_bases(models)
    if len(members) < 2:
        raise InputError(
            "hmean ensemble takes two or more run folders (or checkpoints) of members, beside those of students and "
            "of a model of all their pages"
        )
    return members, bases, students


def _output_folder(settings: EnsembleSettings) -> Path:
    folder = Path(settings.output_dir) / "ensemble"
    if settings.output is not None:
        folder = Path(settings.output)
    if (folder / "ensemble.json").exists() and not settings.overwrite:
        raise InputError(f"{folder}: holds an ensemble already; set output=ANOTHER_FOLDER or overwrite=true")
    return folder


def _write_average(chosen: Chosen, path: Path) -> None:
    """Write the checkpoint of averaged weights, if that is what was kept."""
    model = chosen.option.members[0].model
    if model.path == path:
        from hmean.runs.checkpoints import write_checkpoint  # noqa: PLC0415 - torch

        write_checkpoint(path, model.carried, model.weights)


def _write_predictions(chosen: Chosen, held_out: HeldOutPages, folder: Path) -> None:
    """Write what the kept ensemble finds on the held-out pages, from their maps."""
    stores = [held_out.make_maps(member) for member in chosen.option.members]
    with write_predictions(folder / "predictions.json") as predictions:
        for page in held_out.labels:
            found = detect_combined([store.read(page.name) for store in stores], chosen.params)
            predictions.write(page.name, found, page.width, page.height)


def _run_records(members: Sequence[MemberView], folder: Path) -> tuple[RunRecord, ...]:
    records = []
    for member, record in zip(members, member_records(members, folder), strict=True):
        records.append(
            RunRecord(
                **record.to_json(),
                trained_on=trained_on(member.model),
                minutes=training_minutes([member.model]),
                page_views=page_views(member.model),
            )
        )
    return tuple(records)
