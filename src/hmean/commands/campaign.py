"""``hmean campaign``: the phases and gates of a file, each some hmean commands, resumable, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from hmean.campaign.file import CampaignFile, CrossvalPhase, SweepPhase, TrainPhase, read_campaign
from hmean.campaign.plan import make_plan
from hmean.campaign.recipe import Recipe, SplitName
from hmean.campaign.results import runs_of
from hmean.campaign.run import reset_phase, run_phase
from hmean.campaign.state import Campaign
from hmean.data.views import samples_of_epoch
from hmean.errors import InputError
from hmean.locks import locked
from hmean.plugins import check_components
from hmean.reports.campaign import write_campaign_report
from hmean.reports.run import write_run_report
from hmean.reports.words import DEFAULT_LANGUAGE, Language
from hmean.settings.all import AllSettings
from hmean.settings.build import open_dataset
from hmean.settings.compose import compose_all
from hmean.settings.sections import LanguageSettings


class CampaignSettings(LanguageSettings):
    """Settings of ``hmean campaign``; ``overrides`` are values of the file, and others of every command."""

    rest: ClassVar[str | None] = "overrides"

    inputs: tuple[str, ...] = Field(default=(), exclude=True)
    dry_run: bool = False
    """Print the plan only."""
    reset: str | None = None
    """Do this phase again, and all that depend on it."""
    overrides: tuple[str, ...] = Field(default=(), exclude=True)


@dataclass(frozen=True)
class CampaignResult:
    """What the command says at the end: the plan of a dry run, or the path of the report."""

    text: str

    def summary(self) -> str:
        """What the command prints."""
        return self.text


def run(settings: CampaignSettings) -> CampaignResult:
    """Run a campaign, or continue it, until it or its budget ends.

    Raises:
        InputError: before any work if the file is wrong, and if a phase fails.
        KeyboardInterrupt: if it is stopped, or the budget is spent.
    """
    if len(settings.inputs) != 1:
        raise InputError("hmean campaign takes one file, such as configs/campaign/quickstart.yaml")
    path = Path(settings.inputs[0])
    file = read_campaign(path, settings.overrides)
    check_args(path, file)
    if settings.reset is not None and settings.dry_run:
        raise InputError("reset: a dry run changes nothing; remove one of the two")
    with locked(Path(file.output_dir) / file.name) as lock:
        campaign = Campaign.open(file, read_recipe)
        if settings.reset is not None:
            reset_phase(campaign, settings.reset)
        for name in file.phases:
            if campaign.is_done(name):
                campaign.require_same_values(name)
        if settings.dry_run:
            return CampaignResult(make_plan(campaign, lock))
        for name in campaign.of_kind("data"):
            run_phase(campaign, name, lock)  # the plan needs the pages
        print(make_plan(campaign, lock))
        for name in file.phases:
            was_known = name in campaign.done
            run_phase(campaign, name, lock)
            if not was_known:
                _print_what_is_left(campaign, lock)
        return CampaignResult(str(_report(campaign, settings.lang)))


def _report(campaign: Campaign, lang: Language) -> Path:
    """The report of the campaign; in another language than that of its trainings' reports, those of its runs too."""
    if lang != DEFAULT_LANGUAGE:
        for name in campaign.of_kind("train"):
            if campaign.is_done(name):
                for run in runs_of(campaign, name):
                    write_run_report([run], lang=lang)
    return write_campaign_report(campaign.folder, lang)


def _print_what_is_left(campaign: Campaign, lock: int) -> None:
    for line in make_plan(campaign, lock).splitlines():
        if line.startswith("left at most"):
            print(line)


def check_args(path: Path, file: CampaignFile) -> None:
    """Compose the overrides of the campaign, and of every phase that trains.

    Raises:
        InputError: listing every fault, those of the campaign's own overrides once.
    """
    of_campaign = _faults_of(file.args)
    faults = [f"args: {fault}" for fault in of_campaign]
    for name, phase in file.phases.items():
        if not isinstance(phase, TrainPhase | CrossvalPhase | SweepPhase):
            continue
        for fault in _faults_of([*file.args, *phase.args]):
            if fault not in of_campaign:
                faults.append(f"phases.{name}.args: {fault}")
    if faults:
        raise InputError.listing(f"{path}: is not a valid campaign:", faults)


def _faults_of(args: Sequence[str]) -> Sequence[str]:
    try:
        everything = _compose(tuple(args))
        check_components(everything.models.components().all())
    except InputError as error:
        return error.faults
    return ()


@cache
def _compose(args: tuple[str, ...]) -> AllSettings:
    return compose_all(args)


def read_recipe(args: Sequence[str]) -> Recipe:
    """See ``campaign.recipe.RecipeReader``."""
    everything = _compose(tuple(args))
    source = everything.datasets.train_dataset

    def count_pages(split: SplitName) -> int:
        return len(open_dataset(everything.datasets.of_split(split)))

    views = everything.transforms.train

    def count_samples(pages: int) -> int:
        return samples_of_epoch(pages, views.views_per_page, views.min_samples)

    return Recipe(
        values=everything.to_dict(),
        labels=source.label_paths,
        images=Path(source.image_path),
        count_pages=count_pages,
        folds=everything.crossval.k,
        holdout=everything.crossval.holdout,
        base=everything.crossval.base,
        epochs=everything.trainer.max_epochs,
        epochs_between_validations=everything.trainer.check_val_every_n_epoch,
        samples_of_epoch=count_samples,
        batch_size=everything.dataloaders.train_dataloader.batch_size,
    )
