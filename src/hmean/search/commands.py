"""The commands of a trial: its training, by the command of the sweep file, and its tuning."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hmean.execute.processes import HMEAN
from hmean.postprocess.parameters import OLD_NAMES, PARAMETERS, implied_unclip
from hmean.runs.folder import RunFolder, load_yaml
from hmean.search.distributions import Params
from hmean.search.macros import expand
from hmean.search.sweepfile import SweepFile
from hmean.types import Statistic

_POSTPROCESS = "models.head.postprocess."


def trial_command(file: SweepFile, values: Params, overrides: Sequence[str], folder: Path) -> list[str]:
    """The command that trains a trial.

    Args:
        file: the sweep file, whose command is filled in.
        values: of the searched parameters.
        overrides: key=value that hold for every training of the sweep.
        folder: run folder of the trial.
    """
    command = expand(file.command, {**file.constants, **values}, file.program, sys.executable)
    own = [f"output_dir={folder.parent}", f"exp_name={folder.name}", "resume=auto"]
    return [*command, "wandb=false", "score_start=false", *overrides, *own]


def overrides_in(command: Sequence[str]) -> list[str]:
    """The key=value words of a command."""
    return [word for word in command if "=" in word or word.startswith("~")]


def split_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides that a training reads, and those that the tuning of a trial reads: ``tune.*`` and ``config``."""
    training = []
    tuning = []
    for override in overrides:
        is_config = override.startswith("config=")
        is_of_tuning = override.lstrip("+~").startswith(("tune.", "tune="))
        if is_config or is_of_tuning:
            tuning.append(override)
        if is_config or not is_of_tuning:
            training.append(override)
    return training, tuning


def kept_parameters(file: SweepFile, overrides: Sequence[str]) -> list[str]:
    """The post-processing parameters that the tuning of a trial keeps, since the sweep sets or searches them.

    Args:
        file: the sweep file, with its ranges, constants and command.
        overrides: key=value that hold for every training.
    """
    keys = [*file.space, *file.constants]
    for override in overrides_in([*file.command, *overrides]):
        keys.append(override.partition("=")[0].lstrip("+~"))
    names = set()
    for key in keys:
        name = key.removeprefix(_POSTPROCESS)
        if name != key:
            names.add(OLD_NAMES.get(name, name))
    if implied_unclip(names) is not None:  # what only one mode reads is set: another mode would ignore it
        names.add("unclip")
    return [name for name in PARAMETERS if name in names]


def tune_command(
    folder: Path,
    objective: Statistic,
    training_command: Sequence[str],
    overrides: Sequence[str],
    kept: Sequence[str] = (),
) -> list[str]:
    """The command that tunes a trained trial on its validation pages.

    Args:
        folder: of the trial; its config says which pages, and on what hardware.
        objective: of the sweep; it comes before one among the overrides.
        training_command: whose preset may hold lists of the tuning.
        overrides: key=value that the tuning reads.
        kept: post-processing parameters that it does not change.
    """
    run = RunFolder(folder)
    presets = [word for word in overrides_in(training_command) if word.startswith("preset=")]
    return [
        *HMEAN,
        "tune",
        *presets,
        f"config={run.config}",
        f"checkpoint_path={run.best}",
        f"trusted_targets=[{','.join(named_packages(run.config))}]",
        "split=val",
        # A trial is scored with what was chosen without the page, whether or not that is shown to gain.
        "tune.adopt=any",
        *overrides,
        f"tune.objective={objective}",
        *(f"tune.{name}=[]" for name in kept),
    ]


def named_packages(config: Path) -> list[str]:
    """The packages of the components that a config names, beside hmean's own.

    A training of this sweep has run their code: its checkpoint may name them too.
    """
    packages = set()
    for component in load_yaml(config)["models"].values():
        if not isinstance(component, Mapping):  # models.pretrained
            continue
        package = str(component.get("_target_", "hmean")).partition(".")[0]
        if package not in ("hmean", "torch"):
            packages.add(package)
    return sorted(packages)
