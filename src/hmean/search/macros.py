"""The macros of a command in a sweep file, filled in as W&B's agent does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")  # W&B's, for a file without a command
_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_MACRO = re.compile(r"\$\{(\w+)\}")


def expand(command: Sequence[str], values: Mapping[str, Any], program: str, interpreter: str) -> list[str]:
    """Fill in the macros of a command.

    Args:
        command: words, some of them macros such as ``${args}``.
        values: of the parameters, by dotted key.
        program: of the sweep file.
        interpreter: path of Python.
    """
    macros = _value_macros(values)
    macros["env"] = ["/usr/bin/env"]
    macros["interpreter"] = [interpreter]
    macros["program"] = [program]
    expanded: list[str] = []
    for word in command:
        word = _ENVIRONMENT.sub(_environment_value, word)
        if word.startswith("${") and word.endswith("}"):
            expanded += macros.get(word[2:-1], [word])
        else:
            expanded.append(word)
    return expanded


def unknown_macros(command: Sequence[Any]) -> list[str]:
    """The words of a command that look like a macro of W&B but are not."""
    known = known_macros()
    found = []
    for word in command:
        macro = _MACRO.fullmatch(str(word))
        if macro and macro[1] not in known:
            found.append(str(word))
    return found


def known_macros() -> list[str]:
    """Names of the macros, without that of environment variables."""
    return ["env", "interpreter", "program", *_value_macros({})]


def _environment_value(found: re.Match[str]) -> str:
    name = found[1]
    return os.environ.get(name, name)


def _value_macros(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The words that each macro of values stands for."""
    pairs = [f"{name}={value}" for name, value in values.items()]
    flags = []
    separate = []
    for name, value in values.items():
        separate += [f"--{name}", str(value)]
        if value is True:
            flags.append(f"--{name}")
        elif value is not False:
            flags.append(f"--{name}={value}")
    return {
        "args": [f"--{pair}" for pair in pairs],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": flags,
        "args_no_equals": separate,
        "args_json": [json.dumps(dict(values))],
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
    }
