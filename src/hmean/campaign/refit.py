"""The refit: what was chosen, trained once more on all labelled pages. Nothing is left to score that model on.

It stands on the score of its recipe: what models trained like it, and tuned like it, scored on pages that they had not
learned from.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from hmean.campaign import results
from hmean.campaign.file import ChoicePhase, CrossvalPhase, EnsemblePhase, RefitPhase
from hmean.campaign.recipe import Recipe, replaced
from hmean.campaign.side_score import score_of_side
from hmean.campaign.state import Campaign, RefitResult
from hmean.runs.folder import RunFolder
from hmean.runs.scores import Scores
from hmean.tuning.result import TuneResult


def recipe_phase(campaign: Campaign, name: str) -> str:
    """The phase that a refit takes recipe, post-processing values and score from.

    For an ensemble these are its folds: one model is trained, with the recipe of its members. For a training or a sweep
    they are folds of the same recipe, where the campaign has any, since more pages scored these; else the phase itself.
    """
    chosen = _without_choices(campaign, campaign.done_of(name)[-1])
    phase = campaign.file.phases[chosen]
    if isinstance(phase, EnsemblePhase):
        return phase.of[0]
    for other in campaign.of_kind("crossval"):
        if campaign.is_done(other) and _is_of_recipe(campaign, other, chosen):
            return other
    return chosen


def _without_choices(campaign: Campaign, name: str) -> str:
    while isinstance(campaign.file.phases[name], ChoicePhase):
        name = campaign.done[name].outcome
    return name


def _is_of_recipe(campaign: Campaign, folds: str, chosen: str) -> bool:
    """Whether folds were trained with the values of a phase, and no others."""
    phase = campaign.file.phases[folds]
    assert isinstance(phase, CrossvalPhase)  # noqa: S101 - the caller asks for these
    own_values = [arg for arg in phase.args if not arg.startswith("crossval.")]
    taken_up = [_without_choices(campaign, of) for of in campaign.done_of(folds)]
    return taken_up == [chosen] and not own_values


def refit_settings(campaign: Campaign, name: str, phase: RefitPhase) -> dict[str, Any]:
    """The settings of the training: all labelled pages, no validation, the values that were tuned for the recipe."""
    source = recipe_phase(campaign, name)
    recipe = campaign.read_recipe([*campaign.file.args, *results.args_of(campaign, source), *phase.args])
    datasets = recipe.values["datasets"]
    changes = {
        "output_dir": str(campaign.folder),
        "exp_name": name,
        "resume": "auto",
        "datasets.train_dataset.also": [datasets[f"{split}_dataset"] for split in phase.splits],
        "datasets.val_dataset": None,
        "note": _note(campaign, source, phase),
    }
    settings = replaced(recipe.values, changes)
    tuned = results.run_folder(campaign, source) / "tuned.json"
    if tuned.exists():
        in_model = TuneResult.read(tuned).in_model
        if in_model is not None:
            settings = replaced(settings, {"models.head.postprocess": asdict(in_model)})
    return settings


def _note(campaign: Campaign, source: str, phase: RefitPhase) -> str:
    """What the model says of itself."""
    score = score_of_side(results.open_side(campaign, source))
    split = Scores.read(_scores_folder(campaign, source) / "scores.json").split
    trained_on = " and ".join(["train", *phase.splits])
    known = f"macro H {100 * score.prh.h:.2f} on {score.grouping.pages} pages ({split})"
    return (
        f"a refit on the pages of {trained_on}: this model itself was not scored. It stands on its recipe, which has "
        f"{known} that its models had not learned from"
    )


def refit_result(campaign: Campaign, name: str, phase: RefitPhase) -> RefitResult:
    """What a refit made, and what it stands on."""
    source = recipe_phase(campaign, name)
    score = score_of_side(results.open_side(campaign, source))
    folder = _scores_folder(campaign, source)
    return RefitResult(
        model=str(RunFolder(campaign.folder / name).best.relative_to(campaign.folder)),
        recipe=source,
        splits=("train", *phase.splits),
        scores=str(folder.relative_to(campaign.folder)),
        h=score.prh.h,
        interval95=score.interval95,
        pages=score.grouping.pages,
        scored_on=Scores.read(folder / "scores.json").split,
    )


def _scores_folder(campaign: Campaign, source: str) -> Path:
    return results.score_folders(campaign, source)[0]


def size_over_training(recipe: Recipe, phase: RefitPhase) -> float:
    """Pages of the refit over those of a training."""
    train = recipe.count_pages("train")
    return (train + sum(recipe.count_pages(split) for split in phase.splits)) / train
