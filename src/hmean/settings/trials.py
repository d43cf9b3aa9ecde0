"""The settings that the trials of a sweep are trained with, checked before the first of them starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hmean.errors import InputError
from hmean.plugins import check_components
from hmean.search.commands import kept_parameters, overrides_in, split_overrides, trial_command
from hmean.search.distributions import Params, contains, extremes
from hmean.search.macros import unknown_macros
from hmean.search.records import OBJECTIVES
from hmean.search.sweepfile import SweepFile
from hmean.settings.all import AllSettings
from hmean.settings.compose import read_settings
from hmean.settings.keys import present_key
from hmean.settings.sections import Settings
from hmean.settings.training import TrainSettings

_HEADING = "The sweep cannot run:"
_POSTPROCESS = "models.head.postprocess"
_ANY_FOLDER = Path("outputs/trial_00")


def check_trials(
    file: SweepFile, overrides: Sequence[str], *, tune_each: bool, faults: Sequence[str] = ()
) -> TrainSettings:
    """Compose the settings of a training with every parameter at both ends of its range, or at each choice.

    Args:
        file: the sweep file.
        overrides: key=value that hold for every training.
        tune_each: whether the trials are tuned.
        faults: what is wrong with the file already.

    Returns:
        The settings of a training with the preset's own values.

    Raises:
        InputError: listing every fault, after those given.
    """
    training, tuning = split_overrides(overrides)
    found = [*faults, *_file_faults(file, tune_each=tune_each), *_override_faults(file, training)]
    found += _tuning_faults(tuning, tune_each=tune_each)
    if tune_each:
        found += _kept_faults(tuning, kept_parameters(file, training))
    if not _has_command(file):
        raise InputError.listing(_HEADING, found)
    preset = None
    known: set[str] = set()
    for point in [{}, *_extreme_points(file)]:
        try:
            settings = _training(file, point, training)
        except InputError as error:
            found += _new_faults(error, point, known)
        else:
            preset = preset or settings
    if found or preset is None:
        raise InputError.listing(_HEADING, found)
    return preset


def tuned_lists(file: SweepFile, overrides: Sequence[str]) -> list[str]:
    """The post-processing parameters that the tuning of a trial has values to try of.

    Args:
        file: the sweep file.
        overrides: key=value that hold for every training.
    """
    training, tuning = split_overrides(overrides)
    command = trial_command(file, {}, training, _ANY_FOLDER)
    presets = [word for word in overrides_in(command) if word.startswith("preset=")]
    lists = read_settings(AllSettings, [*presets, *tuning]).tune.axes()
    kept = kept_parameters(file, training)
    return [name for name, values in lists.items() if values and name not in kept]


def preset_point(file: SweepFile, preset: TrainSettings) -> Params:
    """The preset's own values of what is searched; nothing if one of them is out of its range."""
    point = {}
    outside = []
    for key, distribution in file.space.items():
        point[key] = _value_at(preset, key)
        if not contains(distribution, point[key]):
            outside.append(key)
    if outside:
        print(f"The preset's {', '.join(outside)} is out of range: the first trial is drawn like the others")
        return {}
    return point


def _file_faults(file: SweepFile, *, tune_each: bool) -> list[str]:
    """What is wrong with a sweep file beyond its schema."""
    faults = []
    program = file.config.get("program", ".")
    if "${program}" in file.command and isinstance(program, str) and not Path(program).exists():
        faults.append(f"program: {file.program} was not found in this folder")
    if file.metric and file.metric not in OBJECTIVES:
        faults.append(f"metric.name: {file.metric} is not measured; choose one of {', '.join(OBJECTIVES)}")
    elif file.metric and tune_each and OBJECTIVES[file.metric] is None:
        faults.append(f"metric.name: thresholds cannot be tuned for {file.metric}; add tune_each=false")
    if _has_hyphens(file):
        faults.append("command: hmean takes key=value, so use ${args_no_hyphens}")
    return faults


def _has_command(file: SweepFile) -> bool:
    """Whether there is a command that settings can be composed from."""
    command = file.config.get("command", [])
    return isinstance(command, list) and not unknown_macros(command) and not _has_hyphens(file)


def _has_hyphens(file: SweepFile) -> bool:
    """Whether the command gives the parameters as options, which hmean does not take."""
    return "${args}" in file.command or "${args_no_boolean_flags}" in file.command


def _override_faults(file: SweepFile, overrides: Sequence[str]) -> list[str]:
    faults = []
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key in file.space:
            faults.append(f"{override}: the sweep searches this key; remove one of the two")
    return faults


def _tuning_faults(tuning: Sequence[str], *, tune_each: bool) -> list[str]:
    if not tune_each:
        own = [override for override in tuning if not override.startswith("config=")]
        return [f"{override}: no trial is tuned with tune_each=false; remove it" for override in own]
    try:
        read_settings(AllSettings, tuning)
    except InputError as error:
        return list(error.faults)
    return []


def _kept_faults(tuning: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Lists of the user's for parameters that are not tuned."""
    faults = []
    for override in tuning:
        key, _, values = override.partition("=")
        name = present_key(key).lstrip("+~").removeprefix("tune.")
        if name in kept and values != "[]":
            faults.append(f"{override}: the sweep sets or searches {_POSTPROCESS}.{name}; remove one of the two")
    return faults


def _extreme_points(file: SweepFile) -> Iterator[Params]:
    """One parameter at an end of its range, or at one of its choices; the others as in the preset."""
    for key, distribution in file.space.items():
        for value in extremes(distribution):
            yield {key: value}


def _training(file: SweepFile, values: Params, overrides: Sequence[str]) -> TrainSettings:
    """The settings of a training with some values.

    Raises:
        InputError: if they are not valid, or a value is not what reaches the training.
    """
    command = trial_command(file, values, overrides, _ANY_FOLDER)
    settings = read_settings(TrainSettings, overrides_in(command))
    check_components(settings.models.components().all())
    overridden = {override.partition("=")[0] for override in overrides}
    for key, value in {**file.constants, **values}.items():
        found = _value_at(settings, key)
        if key not in overridden and found != value:
            raise InputError(f"{key}: {value!r} reaches the training as {found!r}")
    return settings


def _value_at(settings: Settings, key: str) -> Any:
    """The value of a dotted key; None if there is none."""
    found: Any = settings.to_dict()
    for part in present_key(key).split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def _new_faults(error: InputError, point: Params, known: set[str]) -> list[str]:
    """The faults of a point that are not ``known`` from other points; they are added to it."""
    new = [fault for fault in error.faults if fault not in known]
    known.update(new)
    where = "".join(f"parameters.{key} = {value!r}: " for key, value in point.items())
    return [f"{where}{fault}" for fault in new]
