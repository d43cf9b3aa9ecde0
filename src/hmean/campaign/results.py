"""What finished phases stand for: a run, its scores, a model, and the overrides that make another training like it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hmean.campaign.file import ChoicePhase, CrossvalPhase, EnsemblePhase, ScorePhase, SweepPhase, TrainPhase
from hmean.campaign.state import Campaign, PhaseScore
from hmean.ensemble.records import EnsembleRecord
from hmean.errors import InputError
from hmean.postprocess.parameters import OLD_NAMES, present_names
from hmean.runs.folder import RunFolder, load_yaml
from hmean.runs.scores import Scores
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


def run_folder(campaign: Campaign, name: str) -> Path:
    """The folder of the model that a phase stands for."""
    phase = campaign.file.phases[name]
    if isinstance(phase, ChoicePhase):
        return run_folder(campaign, campaign.done[name].outcome)
    if isinstance(phase, SweepPhase):
        return _best_trial(campaign, name)
    return campaign.folder / name


def _best_trial(campaign: Campaign, name: str) -> Path:
    """The best trial of a sweep, by the mean of its seeds where the best were repeated."""
    folder = campaign.folder / name
    ranking = folder / RANKING
    if ranking.exists():
        return folder / Ranking.read(ranking).trials[0].folder
    return max(scored_trials(campaign, name), key=_macro_h)  # a sweep of an earlier version


def scored_trials(campaign: Campaign, name: str) -> list[Path]:
    """The trials of a sweep that have scores."""
    return [trial for trial in trial_folders(campaign.folder / name) if RunFolder(trial).scores.exists()]


def _macro_h(trial: Path) -> float:
    return Scores.read(own_scores(trial) / "scores.json").hmean("macro")


def own_scores(run: Path) -> Path:
    """The folder of a run's scores: the cross-fitted ones, if it was tuned."""
    tuned = RunFolder(run).cross_fitted_scores
    if tuned.exists():
        return tuned.parent
    return run


def scores_folder(campaign: Campaign, name: str, by: str | None = None) -> Path:
    """The folder of a phase's scores.

    Args:
        campaign: the campaign.
        name: the phase.
        by: score phase whose scores are asked for. On val, where a run was tuned, its own cross-fitted scores hold.
    """
    own = own_scores(run_folder(campaign, name))
    if by is None:
        return own
    judge = campaign.file.phases[by]
    assert isinstance(judge, ScorePhase)  # noqa: S101 - the file was checked
    if judge.split == "test" or own.name != "cross_fitted":
        return campaign.folder / by / name
    return own


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
            folder = scores_folder(campaign, of, by=name)
            found[of] = _phase_score(campaign, folder, config_text(campaign, of))
        return found
    runs: list[Path] = []
    if isinstance(phase, SweepPhase):
        runs = scored_trials(campaign, name)
    elif isinstance(phase, TrainPhase | CrossvalPhase):
        runs = [campaign.folder / name]
    for run in runs:
        label = str(run.relative_to(campaign.folder))
        found[label] = _phase_score(campaign, own_scores(run), config_text(campaign, name, run))
    return found


def _phase_score(campaign: Campaign, folder: Path, config: str) -> PhaseScore:
    return PhaseScore(folder=str(folder.relative_to(campaign.folder)), config=config)
