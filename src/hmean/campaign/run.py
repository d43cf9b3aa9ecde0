"""Phases at work: begun, their commands run as processes, concluded; skipped, reset, and ended with the budget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from hmean.campaign import results
from hmean.campaign.phases import PhaseCommand, commands_of, conclude
from hmean.campaign.state import SKIPPED, Campaign, PhaseResult
from hmean.errors import InputError
from hmean.execute.processes import run_command
from hmean.files import write_text

INTERRUPTED = 130  # exit code
SAVE_SECONDS = 10  # the time spent is saved this often while a command runs


def run_phase(campaign: Campaign, name: str, lock: int) -> None:
    """Go through one phase, unless that was done.

    Args:
        campaign: the campaign.
        name: of the phase.
        lock: descriptor of the lock on the campaign's folder, which the commands hold too.

    Raises:
        InputError: if it fails, or was done with other values.
        KeyboardInterrupt: if it is stopped, or the budget is spent.
    """
    phase = campaign.file.phases[name]
    if not _is_needed(campaign, name):
        campaign.done[name] = PhaseResult(values=campaign.values_of(name), outcome=SKIPPED)
        results.save(campaign)
        return
    campaign.require_same_values(name)
    if campaign.is_done(name):
        results.save(campaign)
        return
    print(f"phase {name}: {phase.kind}", flush=True)
    campaign.begun[name] = campaign.values_of(name)
    results.save(campaign)
    typed = []
    for command in commands_of(campaign, name):
        words = command_words(campaign, name, command)
        typed.append(words)
        if command.result is None or not command.result.exists():  # else it ended before an interruption
            run_words(campaign, name, words, lock)
    result = conclude(campaign, name)
    result = result.model_copy(update={"commands": typed, "scores": results.phase_scores(campaign, name)})
    campaign.done[name] = result.model_copy(update={"stamp": campaign.stamp(result, name)})
    print(f"phase {name}: {result.outcome}", flush=True)
    results.save(campaign)


def _is_needed(campaign: Campaign, name: str) -> bool:
    """Whether the file does not skip a phase, its gates ask for it, and there is something that it takes up."""
    phase = campaign.file.phases[name]
    if phase.skip:
        return False
    for gate, outcomes in phase.when.items():
        if campaign.done[gate].outcome not in outcomes:
            return False
    return not phase.of or bool(campaign.done_of(name))


def command_words(campaign: Campaign, name: str, command: PhaseCommand) -> list[str]:
    """The words of a command after ``hmean``; its settings are written to a file in ``settings/``."""
    words = [command.name, *command.words]
    if command.settings is not None:
        parts = [part for part in (name, command.label, command.name) if part]
        file = campaign.folder / "settings" / f"{'.'.join(parts)}.yaml"
        write_text(file, yaml.safe_dump(dict(command.settings), sort_keys=False, allow_unicode=True))
        words.append(f"config={file}")
    return words


def run_words(campaign: Campaign, name: str, words: Sequence[str], lock: int) -> None:
    """Run a command, its time counted as that of a phase (or of the probes).

    Raises:
        InputError: if it fails.
        KeyboardInterrupt: if it is stopped, or the budget is spent.
    """
    code = run_command([*campaign.file.command, *words], lock, partial(spend, campaign, name))
    results.save(campaign)
    if code == INTERRUPTED:
        raise KeyboardInterrupt(f"stopped in phase {name}; the same command continues")
    if code != 0:
        raise InputError(f"phase {name} failed (exit code {code}, see above); the same command continues")


def spend(campaign: Campaign, name: str, seconds: float) -> None:
    """Count time of a phase.

    Raises:
        KeyboardInterrupt: if the budget is spent.
    """
    before = campaign.seconds.get(name, 0.0)
    after = before + seconds
    campaign.seconds[name] = after
    if sum(campaign.seconds.values()) > 3600 * campaign.file.budget_hours:
        results.save(campaign)
        raise KeyboardInterrupt(
            f"the budget of {campaign.file.budget_hours:g} hours is spent in phase {name}; the same command with a "
            "larger budget_hours continues"
        )
    if int(after / SAVE_SECONDS) > int(before / SAVE_SECONDS):
        results.save(campaign)


def reset_phase(campaign: Campaign, name: str) -> None:
    """Forget a phase and all that depend on it; their folders are moved aside.

    Raises:
        InputError: if there is no such phase.
    """
    if name not in campaign.file.phases:
        raise InputError(f"reset={name}: is not a phase; choose {', '.join(campaign.file.phases)}")
    reset = {name}
    for other in campaign.file.phases:
        if reset & set(campaign.depends_on(other)):
            reset.add(other)
    for other in reset:
        folder = campaign.folder / other
        if folder.exists():
            folder.rename(_free_name(folder))
        campaign.done.pop(other, None)
        campaign.begun.pop(other, None)
    results.save(campaign)


def _free_name(folder: Path) -> Path:
    number = 1
    while True:
        free = folder.with_name(f"{folder.name}.old-{number}")
        if not free.exists():
            return free
        number += 1
