"""What finished phases stand for: a run, its scores, a model, and the overrides that make another training like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hmean.campaign.file import ChoicePhase, CrossvalPhase, EnsemblePhase, ScorePhase, SweepPhase, TrainPhase
from hmean.campaign.fixed_vote import FIXED_VOTE, vote_file, vote_scores
from hmean.campaign.state import Campaign, PhaseScore
from hmean.ensemble.records import EnsembleRecord
from hmean.errors import InputError
from hmean.postprocess.parameters import OLD_NAMES, present_names
from hmean.runs.folder import RunFolder, differences, load_yaml
from hmean.runs.scores import Scores
from hmean.runs.sides import REPEATS_MAY_DIFFER, Side, open_result
from hmean.search.ranking import RANKING, Ranking
from hmean.search.records import trial_folders


def save(campaign: Campaign) -> None:
    """Write ``campaign.json``, with the model of the last choice; without choices, that of the last phase with one."""
    candidates = campaign.of_kind("choose") or campaign.of_kind("train", "sweep", "ensemble")
    done = [name for name in candidates if campaign.is_done(name)]
    chosen = None
    winner = None
    if done:
        chosen = done[-1]
        winner = model_file(campaign, chosen)
    campaign.state(chosen, winner).write(campaign.state_file)


def runs_of(campaign: Campaign, name: str) -> list[Path]:
    """The folders of the trainings that a phase stands for, which differ by their seed alone; that of its model first.

    Most phases have one. The score of several is their mean.
    """
    phase = campaign.file.phases[name]
    if isinstance(phase, ChoicePhase):
        return runs_of(campaign, campaign.done[name].outcome)
    if isinstance(phase, SweepPhase):
        return _best_recipe(campaign, name)
    if isinstance(phase, TrainPhase):
        return train_folders(campaign, name, phase)
    return [campaign.folder / name]


def run_folder(campaign: Campaign, name: str) -> Path:
    """The folder of the model that a phase stands for."""
    return runs_of(campaign, name)[0]


def train_folders(campaign: Campaign, name: str, phase: TrainPhase) -> list[Path]:
    """The run folder of each training of a train phase."""
    if not phase.seeds:
        return [campaign.folder / name]
    return [campaign.folder / name / f"seed_{seed}" for seed in phase.seeds]


def scored_trials(campaign: Campaign, name: str) -> list[Path]:
    """The trials of a sweep that have scores."""
    return [trial for trial in trial_folders(campaign.folder / name) if RunFolder(trial).scores.exists()]


def repeats_of(campaign: Campaign, name: str) -> list[list[Path]]:
    """The trials of a sweep that have scores, those together that differ by their seed alone, the first one first."""
    found: list[list[Path]] = []
    configs: list[list[Any]] = []
    for trial in scored_trials(campaign, name):
        config: Any = {}
        if RunFolder(trial).config.exists():
            config = load_yaml(RunFolder(trial).config)
        place = _place_of_repeat(config, configs)
        if place is None:
            found.append([trial])
            configs.append([config])
        else:
            found[place].append(trial)
            configs[place].append(config)
    return found


def _place_of_repeat(config: Any, configs: Sequence[Sequence[Any]]) -> int | None:
    """Which recipe, of those with these configs, a trial repeats with a seed of its own."""
    for place, same in enumerate(configs):
        seeds = [other.get("seed") for other in same]
        if config.get("seed") not in seeds and not differences(same[0], config, REPEATS_MAY_DIFFER):
            return place
    return None


def _best_recipe(campaign: Campaign, name: str) -> list[Path]:
    """The trainings of the best trial of a sweep, by the mean of its seeds where the best were repeated."""
    recipes = repeats_of(campaign, name)
    folder = campaign.folder / name
    ranking = folder / RANKING
    if ranking.exists():
        best = folder / Ranking.read(ranking).trials[0].folder
        return next((trials for trials in recipes if trials[0] == best), [best])
    # A sweep of an earlier version: the others are what the search found to be worse, by a single training.
    repeated = [trials for trials in recipes if len(trials) > 1]
    return max(repeated or recipes, key=mean_h)


def mean_h(runs: Sequence[Path]) -> float:
    """Mean macro H of several trainings."""
    return sum(macro_hs(runs)) / len(runs)


def macro_hs(runs: Sequence[Path]) -> list[float]:
    """Macro H of each training."""
    return [Scores.read(own_scores(run) / "scores.json").hmean("macro") for run in runs]


def own_scores(run: Path) -> Path:
    """The folder of a run's scores: the cross-fitted ones, if it was tuned."""
    tuned = RunFolder(run).cross_fitted_scores
    if tuned.exists():
        return tuned.parent
    return run


def score_folders(campaign: Campaign, name: str, by: str | None = None) -> list[Path]:
    """The folders of a phase's scores: one for each training that it stands for.

    Args:
        campaign: the campaign.
        name: the phase.
        by: score phase whose scores are asked for. On val, where a run was tuned, its own cross-fitted scores hold.
    """
    own = [own_scores(run) for run in runs_of(campaign, name)]
    if by is None:
        return own
    judge = campaign.file.phases[by]
    assert isinstance(judge, ScorePhase)  # noqa: S101 - the file was checked
    if judge.split == "test" or own[0].name != "cross_fitted":
        return [campaign.folder / by / name]
    return own


def open_side(campaign: Campaign, name: str, by: str | None = None) -> Side:
    """A phase's scores as one side of a comparison; see ``score_folders``."""
    return Side(name, [open_result(folder) for folder in score_folders(campaign, name, by)])


def model_file(campaign: Campaign, name: str) -> Path:
    """The model that a phase stands for: a checkpoint or an ``ensemble.json``."""
    run = run_folder(campaign, name)
    ensemble = run / "ensemble.json"
    if ensemble.exists():
        return ensemble
    return RunFolder(run).best


def args_of(campaign: Campaign, name: str, trial: Path | None = None) -> list[str]:
    """The overrides, after the campaign's, that make another training like a phase's.

    Args:
        campaign: the campaign.
        name: the phase.
        trial: of a sweep; None: the best one.
    """
    phase = campaign.file.phases[name]
    if isinstance(phase, ChoicePhase):
        return args_of(campaign, campaign.done[name].outcome)
    if isinstance(phase, SweepPhase):
        searched = yaml.safe_load(Path(phase.file).read_text(encoding="utf-8"))["parameters"]
        config = RunFolder(trial or run_folder(campaign, name)).config
        trained_with = present_names(load_yaml(config))
        return [*phase.args, *(f"{key}={value_at(trained_with, key, config)}" for key in searched)]
    found = []
    if isinstance(phase, TrainPhase | CrossvalPhase):
        for of in campaign.done_of(name):
            found += args_of(campaign, of)
    return [*found, *phase.args]


def value_at(values: Any, key: str, source: Path) -> Any:
    """The value of a dotted key in a config, whose keys have their present names; ``key`` may have an old one.

    Raises:
        InputError: if the config, which is that of the file ``source``, does not have it.
    """
    for part in key.split("."):
        name = OLD_NAMES.get(part, part)
        if not isinstance(values, Mapping) or name not in values:
            raise InputError(f"{source}: has no {key}, although the sweep searches it")
        values = values[name]
    return values


def config_text(campaign: Campaign, name: str, trial: Path | None = None) -> str:
    """What the report calls a phase's config: the strategy of an ensemble, its preset, and what else was set."""
    phase = campaign.file.phases[name]
    if isinstance(phase, ChoicePhase):
        return config_text(campaign, campaign.done[name].outcome)
    if isinstance(phase, EnsemblePhase):
        strategy = EnsembleRecord.read(campaign.folder / name / "ensemble.json").strategy
        return f"{strategy}: {config_text(campaign, phase.of[0])}"
    own = args_of(campaign, name, trial)
    presets = [arg for arg in [*campaign.file.args, *own] if arg.startswith("preset=")]
    others = [arg for arg in own if not arg.startswith("preset=")]
    return " ".join([*presets[-1:], *others])


def phase_scores(campaign: Campaign, name: str) -> dict[str, PhaseScore]:
    """The results that a phase adds to the report."""
    phase = campaign.file.phases[name]
    found: dict[str, PhaseScore] = {}
    if isinstance(phase, ScorePhase):
        for of in campaign.done_of(name):
            config = config_text(campaign, of)
            found[of] = _phase_score(campaign, score_folders(campaign, of, by=name), config)
            if vote_file(campaign, of) is not None:
                folds = campaign.file.phases[of].of[0]
                config = f"{FIXED_VOTE}: {config_text(campaign, folds)}"
                found[f"{of}: {FIXED_VOTE}"] = _phase_score(campaign, [vote_scores(campaign, of, name)], config)
        return found
    recipes: list[list[Path]] = []
    if isinstance(phase, SweepPhase):
        recipes = repeats_of(campaign, name)
    elif isinstance(phase, TrainPhase):
        recipes = [train_folders(campaign, name, phase)]
    elif isinstance(phase, CrossvalPhase):
        recipes = [[campaign.folder / name]]
    for runs in recipes:
        label = name
        if isinstance(phase, SweepPhase):
            label = str(runs[0].relative_to(campaign.folder))
        folders = [own_scores(run) for run in runs]
        found[label] = _phase_score(campaign, folders, config_text(campaign, name, runs[0]))
    return found


def _phase_score(campaign: Campaign, folders: Sequence[Path], config: str) -> PhaseScore:
    first, *repeats = [str(folder.relative_to(campaign.folder)) for folder in folders]
    return PhaseScore(folder=first, repeats=tuple(repeats), config=config)


def seed_scores(campaign: Campaign, name: str) -> list[list[float]]:
    """Macro H of the trainings of a phase that differ by their seed alone, for each of its recipes that has several."""
    phase = campaign.file.phases[name]
    recipes: list[list[Path]] = []
    if isinstance(phase, TrainPhase):
        recipes = [train_folders(campaign, name, phase)]
    elif isinstance(phase, SweepPhase):
        recipes = repeats_of(campaign, name)
    return [macro_hs(runs) for runs in recipes if len(runs) > 1]
