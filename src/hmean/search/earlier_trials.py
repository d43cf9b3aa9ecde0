"""Trials of another day from a table, which a search starts from: ``hmean sweep import``."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml

from hmean.errors import InputError
from hmean.search.distributions import Params, contains
from hmean.search.sweepfile import SweepFile
from hmean.search.trials import Sweep

IMPORTED_ATTRIBUTE = "imported"  # of a trial of Optuna: the name of the table that it comes from


@dataclass(frozen=True)
class EarlierTrial:
    """One row of the table: values of the parameters, and the score."""

    params: Params
    value: float


def import_trials(sweep: Sweep, table: Path) -> str:
    """Give a search the trials of a table: a column for each parameter, and one for the objective.

    Trials that were imported before are left out. Returns what to print.

    Raises:
        InputError: listing every row that is out of the ranges; nothing is imported then.
    """
    trials = read_table(table, sweep.file)
    known = imported_trials(sweep.study)
    new = []
    for trial in trials:
        if trial not in known and trial not in new:
            new.append(trial)
    for trial in new:
        sweep.study.add_trial(
            optuna.create_trial(
                params=trial.params,
                distributions=sweep.file.space,
                value=trial.value,
                user_attrs={IMPORTED_ATTRIBUTE: table.name},
            )
        )
    return f"{len(new)} trials imported, {len(trials) - len(new)} were known"


def imported_trials(study: optuna.Study) -> list[EarlierTrial]:
    """The trials that were imported into a study."""
    found = []
    for trial in study.trials:
        if IMPORTED_ATTRIBUTE in trial.user_attrs and trial.value is not None:
            found.append(EarlierTrial(trial.params, trial.value))
    return found


def read_table(table: Path, file: SweepFile) -> list[EarlierTrial]:
    """The trials of a CSV table.

    Raises:
        InputError: listing every fault.
    """
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{table}: cannot be read ({error})") from error
    rows = list(csv.DictReader(text.splitlines()))
    if not rows:
        raise InputError(f"{table}: has no rows; nothing was imported")
    columns = list(rows[0])
    missing = [name for name in (*file.space, file.metric) if name not in columns]
    if missing:
        raise InputError(
            f"{table}: has no column {', '.join(missing)}; it has {', '.join(map(str, columns))} (columns must be "
            "separated by commas)"
        )
    trials = []
    faults = []
    for line, row in enumerate(rows, start=2):
        params = {name: _read_cell(row[name]) for name in file.space}
        value = _read_cell(row[file.metric])
        for fault in _row_faults(file, params, value):
            faults.append(f"line {line}: {fault}")
        trials.append(EarlierTrial(params, value))
    if faults:
        raise InputError.listing(f"{table}: nothing was imported:", faults)
    return trials


def _row_faults(file: SweepFile, params: Params, value: Any) -> list[str]:
    faults = []
    for name, param in params.items():
        if not contains(file.space[name], param):
            faults.append(f"{name} {param!r} is out of range")
    is_finite = type(value) in (int, float) and math.isfinite(value)
    if file.metric.startswith("val/"):
        if not is_finite or not 0 <= value <= 1:
            faults.append(f"{file.metric} {value!r} is not a score from 0 to 1 (percent are not supported)")
    elif not is_finite:
        faults.append(f"{file.metric} {value!r} is not a finite number")
    return faults


def _read_cell(text: str | None) -> Any:
    """A number as any program writes one (5e-4 too, which YAML reads as text), else what YAML makes of the cell."""
    text = text or ""
    try:
        number = float(text)
    except ValueError:
        return _read_yaml(text)
    if number.is_integer() and "." not in text and "e" not in text.lower():
        return int(number)
    return number


def _read_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text or "null")
    except yaml.YAMLError:
        return text
