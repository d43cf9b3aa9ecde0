"""The phases: the hmean commands of each, and what is concluded once these have ended.

A phase reads the results of the phases before it from the disk; its own are skipped where they are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmean.campaign import results
from hmean.campaign.file import (
    ChoicePhase,
    CrossvalPhase,
    DataPhase,
    EnsemblePhase,
    GatePhase,
    RefitPhase,
    ScorePhase,
    SweepPhase,
    TrainPhase,
    decide,
)
from hmean.campaign.fixed_vote import vote_file, vote_scores, write_fixed_vote
from hmean.campaign.recipe import Recipe, replaced, without
from hmean.campaign.refit import refit_result, refit_settings
from hmean.campaign.side_score import score_of_side
from hmean.campaign.state import Campaign, PhaseResult
from hmean.crossval.base import BASE
from hmean.runs.comparison import Difference, compare_sides
from hmean.runs.folder import RunFolder

# Settings that a trained model brings itself; those of a training must not replace them.
CARRIED = ("models", "transforms")


@dataclass(frozen=True)
class PhaseCommand:
    """A command of hmean.

    Attributes:
        name: of the command.
        words: inputs, options and overrides.
        settings: values that it takes by ``config=FILE``; None: it takes none.
        result: a file that is there once the command has ended well; None: it is run again after an interruption.
        label: tells the settings of commands of one name apart.
    """

    name: str
    words: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None
    result: Path | None = None
    label: str = ""


def commands_of(campaign: Campaign, name: str) -> list[PhaseCommand]:
    """What a phase runs."""
    phase = campaign.file.phases[name]
    commands: list[PhaseCommand] = []  # gates and choices only read
    if isinstance(phase, DataPhase):
        commands = [PhaseCommand("data", tuple(phase.args))]
    elif isinstance(phase, TrainPhase):
        commands = _training(campaign, name, phase)
    elif isinstance(phase, CrossvalPhase):
        commands = [PhaseCommand("crossval", settings=_training_settings(campaign, name))]
    elif isinstance(phase, SweepPhase):
        commands = [_sweep(campaign, name, phase)]
    elif isinstance(phase, EnsemblePhase):
        commands = [_ensemble(campaign, name, phase)]
    elif isinstance(phase, RefitPhase):
        commands = [PhaseCommand("train", settings=refit_settings(campaign, name, phase))]
    elif isinstance(phase, ScorePhase):
        commands = _scoring(campaign, name, phase)
    return commands


def _recipe(campaign: Campaign, name: str) -> Recipe:
    """The recipe of the phase's own overrides."""
    return campaign.read_recipe([*campaign.file.args, *campaign.file.phases[name].args])


def _training_settings(campaign: Campaign, name: str) -> dict[str, Any]:
    """The settings of a training, or of a cross-validation, with the values of the phases that it takes up."""
    recipe = campaign.read_recipe([*campaign.file.args, *results.args_of(campaign, name)])
    return replaced(recipe.values, {"output_dir": str(campaign.folder), "exp_name": name, "resume": "auto"})


def _training(campaign: Campaign, name: str, phase: TrainPhase) -> list[PhaseCommand]:
    """The training and the tuning of each seed."""
    settings = _training_settings(campaign, name)
    commands = []
    for place, folder in enumerate(results.train_folders(campaign, name, phase)):
        run = RunFolder(folder)
        own = settings
        label = ""
        if phase.seeds:
            changes = {"seed": phase.seeds[place], "output_dir": str(folder.parent), "exp_name": folder.name}
            own = replaced(settings, changes)
            label = folder.name
        commands.append(PhaseCommand("train", settings=own, result=run.scores, label=label))
        tune = PhaseCommand(
            "tune",
            (f"run={run.path}",),
            settings=without(own, CARRIED),
            result=run.cross_fitted_scores,
            label=label,
        )
        commands.append(tune)
    return commands


def _sweep(campaign: Campaign, name: str, phase: SweepPhase) -> PhaseCommand:
    repeats = min(phase.confirm, phase.n)
    words = (
        phase.file,
        f"n={phase.n}",
        f"confirm={repeats}",
        f"name={name}",
        "engine=optuna",
        f"output_dir={campaign.folder}",
    )
    return PhaseCommand("sweep", words, settings=_recipe(campaign, name).values)


def _ensemble(campaign: Campaign, name: str, phase: EnsemblePhase) -> PhaseCommand:
    """Judged on the pages that the folds left out; with the model of all other pages, if the folds have one."""
    runs: list[str] = []
    for of in phase.of:
        folder = campaign.folder / of
        for run in [*sorted(folder.glob("fold_*")), folder / BASE]:
            if run.is_dir():
                runs.append(str(run))
    recipe = _recipe(campaign, name)
    held_out = {"file": str(campaign.folder / phase.of[0] / "splits.json"), "split": "holdout"}
    changes = {
        "output": str(campaign.folder / name),
        "split": "val",
        "datasets.val_dataset.annotation_path": _path_or_list(recipe.labels),
        "datasets.val_dataset.image_path": str(recipe.images),
        "datasets.val_dataset.folds": held_out,
    }
    settings = without(replaced(recipe.values, changes), CARRIED)
    return PhaseCommand("ensemble", tuple(runs), settings, result=campaign.folder / name / "ensemble.json")


def _scoring(campaign: Campaign, name: str, phase: ScorePhase) -> list[PhaseCommand]:
    """One evaluation for each model, but for those whose own cross-fitted scores hold; also of the fixed vote."""
    recipe = _recipe(campaign, name)
    settings = without(replaced(recipe.values, {"split": phase.split, "overwrite": True}), CARRIED)
    commands = []
    for of in campaign.done_of(name):
        scored = {}
        folder = campaign.folder / name / of
        if results.score_folders(campaign, of, by=name) == [folder]:
            scored[results.model_file(campaign, of)] = folder
        fixed = vote_file(campaign, of)
        if fixed is not None:
            scored[fixed] = vote_scores(campaign, of, by=name)
        for model, target in scored.items():
            words = (f"checkpoint_path={model}", f"output={target}")
            commands.append(PhaseCommand("evaluate", words, settings))
    return commands


def conclude(campaign: Campaign, name: str) -> PhaseResult:
    """What came of a phase whose commands have ended; without commands, scores and stamp."""
    phase = campaign.file.phases[name]
    if isinstance(phase, GatePhase):
        return _through_gate(campaign, name, phase)
    if isinstance(phase, ChoicePhase):
        return _choose(campaign, name, phase)
    done = PhaseResult(values=campaign.values_of(name), outcome="done")
    if isinstance(phase, EnsemblePhase):
        write_fixed_vote(campaign, name)
    elif isinstance(phase, RefitPhase):
        return done.model_copy(update={"refit": refit_result(campaign, name, phase)})
    elif isinstance(phase, TrainPhase | SweepPhase):
        return done.model_copy(update={"seed_scores": results.seed_scores(campaign, name)})
    return done


def _through_gate(campaign: Campaign, name: str, phase: GatePhase) -> PhaseResult:
    of = campaign.done_of(name)[-1]
    score = score_of_side(results.open_side(campaign, of))
    decision = decide(score.prh.h, score.interval95, phase)
    return PhaseResult(
        values=campaign.values_of(name),
        outcome=decision.outcome,
        distinguishable=decision.is_distinguishable,
        h=score.prh.h,
        interval95=score.interval95,
        of=of,
        trainings=score.trainings,
        grouping=score.grouping,
    )


def _choose(campaign: Campaign, name: str, phase: ChoicePhase) -> PhaseResult:
    """The best of those that are better than the first, all others being one family; if none is, what the file says."""
    first, *others = campaign.done_of(name)
    sides = [results.open_side(campaign, of, phase.by) for of in (first, *others)]
    comparisons = compare_sides(sides[0], sides[1:])
    against: dict[str, Difference] = {}
    grouping = None
    for other, comparison in zip(others, comparisons, strict=True):
        against[other] = comparison.macro
        grouping = comparison.grouping
    candidates = [other for other in others if against[other].verdict == "better"]
    is_distinguishable = bool(candidates) or not others
    if not candidates:
        candidates = [first]
        if phase.not_distinguishable == "best":
            candidates = [first, *others]
    gains = {first: 0.0, **{other: against[other].difference for other in others}}
    return PhaseResult(
        values=campaign.values_of(name),
        outcome=max(candidates, key=lambda candidate: gains[candidate]),
        distinguishable=is_distinguishable,
        grouping=grouping,
        against=against,
    )


def _path_or_list(paths: Sequence[Path]) -> str | list[str]:
    """As ``annotation_path`` takes it."""
    if len(paths) == 1:
        return str(paths[0])
    return [str(path) for path in paths]
