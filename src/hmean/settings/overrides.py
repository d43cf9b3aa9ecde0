"""What somebody types after ``hmean COMMAND``: inputs, and ``key=value`` overrides in Hydra's grammar."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hmean.errors import InputError
from hmean.settings.keys import present_key

# Values of these keys are taken as they are typed: a path may hold what is special in Hydra's grammar, such as "=".
PATH_KEYS = frozenset({
    "annotation_path", "checkpoint_path", "config", "dataset_base_path", "file", "folder", "image_path", "model",
    "output", "output_dir", "run", "teacher",
})  # fmt: skip
LABELS_KEY = "annotation_path"
START_KEY = "models.pretrained"  # likewise; the encoder's key of the same last name takes true and false, too


@dataclass(frozen=True)
class Override:
    """One ``key=value`` (or ``~key``) as it was typed, under the key's present name.

    Attributes:
        key: dotted key.
        text: what was typed, key included.
        value: the value in Hydra's grammar; None for a deleted key.
        deletes: whether it is ``~key``.
    """

    key: str
    text: str
    value: Any = None
    deletes: bool = False


@dataclass(frozen=True)
class Arguments:
    """The arguments of one command.

    Attributes:
        inputs: paths, globs and other words without ``=``.
        overrides: the ``key=value`` texts, as they were typed.
    """

    inputs: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()


@dataclass
class ParsedOverrides:
    """Overrides by kind.

    Attributes:
        values: of keys.
        groups: chosen presets, by config group: ``{"preset": "resnet50"}``.
    """

    values: list[Override] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)

    def keys(self) -> list[str]:
        """The keys that values were given for."""
        return [override.key for override in self.values]


def split_arguments(arguments: Sequence[str]) -> Arguments:
    """Tell inputs from overrides.

    An argument without ``=`` is an input, and so is one that names a file, or a page of it (``scan.pdf#page=3``). After
    ``--`` every argument is an input.

    Raises:
        InputError: for an option such as ``--fast``, which commands do not have.
    """
    inputs: list[str] = []
    overrides: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            inputs.extend(arguments[position + 1 :])
            break
        if argument.startswith("-") and argument != "-":
            raise InputError(
                f"{argument}: is not supported; this command takes key=value (after -- every argument is a path)"
            )
        if _is_override(argument):
            overrides.append(argument)
        else:
            inputs.append(argument)
    return Arguments(tuple(inputs), tuple(overrides))


def _is_override(argument: str) -> bool:
    if not argument.startswith("~") and "=" not in argument:
        return False
    without_page = argument.rpartition("#page=")[0]
    # os.path, since Path.is_file raises for a text that is too long to be a file's name
    return not os.path.isfile(argument) and not os.path.isfile(without_page)  # noqa: PTH113


def overrides_of(values: Mapping[str, Any]) -> list[Override]:
    """The overrides that a program gives as values: keys, or nested sections of keys."""
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            section = {f"{key}.{name}": inner for name, inner in value.items()}
            found += overrides_of(section)
        else:
            found.append(Override(present_key(key), f"{key}={value}", _plain(value)))
    return found


def _plain(value: Any) -> Any:
    """A value as YAML has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value.replace("${", "\\${")  # literal
    return value


def parse_overrides(texts: Sequence[str | Override], group_folders: Sequence[Path]) -> ParsedOverrides:
    """Parse ``key=value`` texts.

    Args:
        texts: what was typed; or overrides that have values already.
        group_folders: folders with config groups; a key that is a folder in one of them chooses a file from it.

    Raises:
        InputError: listing every text that is not in Hydra's grammar or gives several values.
    """
    parser = OverridesParser.create()
    found = ParsedOverrides()
    faults = []
    for text in texts:
        if isinstance(text, Override):
            if _is_group(text.key, group_folders):
                found.groups[text.key] = str(text.value)
            else:
                found.values.append(text)
            continue
        key, _, typed = text.partition("=")
        if present_key(key) == START_KEY or _is_path(key, typed):
            found.values.append(Override(present_key(key), text, _path_value(typed)))
            continue
        try:
            override = parser.parse_override(text)
        except HydraException:
            faults.append(f"{text!r} is not key=value in Hydra's grammar (quote values that hold spaces or commas)")
            continue
        key = override.key_or_group
        if override.is_sweep_override():
            faults.append(
                f"{text!r} gives several values; a command takes one (use hmean tune or hmean sweep to search)"
            )
        elif _is_group(key, group_folders):
            found.groups[key] = str(override.value())
        elif override.is_delete():
            found.values.append(Override(present_key(key), text, deletes=True))
        else:
            found.values.append(Override(present_key(key), text, override.value()))
    if faults:
        raise InputError.listing("These arguments cannot be read:", faults)
    return found


def _is_path(key: str, typed: str) -> bool:
    """Whether a value is one path; labels may be a list of several, in Hydra's grammar."""
    name = key.rpartition(".")[2]
    if name == LABELS_KEY and typed.startswith("[") and typed.endswith("]"):
        return False
    return name in PATH_KEYS


def _path_value(typed: str) -> str | None:
    """A path as it was typed, without quotes around it."""
    if typed == "null":
        return None
    if len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "'\"":
        return typed[1:-1]
    return typed


def _is_group(key: str, group_folders: Sequence[Path]) -> bool:
    """Whether a key chooses a file: ``preset``, or a folder below it. What else lies in ``configs`` is no group."""
    if key != "preset" and not key.startswith("preset/"):
        return False
    return "." not in key and any((folder / key).is_dir() for folder in group_folders)
