"""Grids of settings: every combination of lists of values."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hmean.postprocess.parameters import PARAMETERS, READ_WITH, PostprocessParams

Axes = Mapping[str, Sequence[Any]]  # the values to try of each parameter

FLAGS = tuple(p.name for p in PARAMETERS.values() if p.type is bool)
MODES = tuple(p.name for p in PARAMETERS.values() if p.choices and p.type is not bool)
NUMBERS = tuple(p.name for p in PARAMETERS.values() if not p.choices)
# The order of a grid: of settings that score alike the first one is chosen, so it must stay as it is.
AXES = (*FLAGS, *MODES, *NUMBERS)


def grid_axes(before: PostprocessParams, lists: Axes) -> dict[str, Sequence[Any]]:
    """The values of every parameter: those listed, or the present value of a parameter without a list."""
    axes = {}
    for name in AXES:
        axes[name] = lists.get(name, [])
        if len(axes[name]) == 0:
            axes[name] = [getattr(before, name)]
    return axes


def make_grid(present: PostprocessParams, axes: Axes) -> list[PostprocessParams]:
    """Every combination of the axes, each once, the present values first.

    Values of a parameter that the unclip mode does not read multiply nothing: it keeps its present value.
    """
    settings = [present]
    for values in itertools.product(*axes.values()):
        setting = replace(present, **dict(zip(axes, values, strict=True)))
        settings.append(_with_unread_values_of(present, setting))
    return list(dict.fromkeys(settings))


def _with_unread_values_of(present: PostprocessParams, setting: PostprocessParams) -> PostprocessParams:
    unread = {}
    for mode, name in READ_WITH.items():
        if mode != setting.unclip:
            unread[name] = getattr(present, name)
    return replace(setting, **unread)


def grid_size(axes: Axes) -> int:
    """Number of settings of a grid that holds every unclip mode's parameter."""
    size = sum(len(axes[READ_WITH[mode]]) for mode in axes["unclip"])
    for name, values in axes.items():
        if name != "unclip" and name not in READ_WITH.values():
            size *= len(values)
    return size


def read_parameters(setting: PostprocessParams) -> list[str]:
    """The numeric parameters that the post-processing reads at this setting, in an order that does not depend on it."""
    shared = [name for name in NUMBERS if name not in READ_WITH.values()]
    return [*shared, READ_WITH[setting.unclip]]


def at_list_ends(chosen: PostprocessParams, axes: Axes) -> dict[str, float]:
    """Numeric parameters whose chosen value is the lowest or highest of several: nobody looked beyond it."""
    found = {}
    for name in NUMBERS:
        if name not in read_parameters(chosen) or len(set(axes[name])) < 2:
            continue
        value = getattr(chosen, name)
        if value in (min(axes[name]), max(axes[name])):
            found[name] = value
    return found


def say_list_ends(ends: Mapping[str, float]) -> list[str]:
    """What ``at_list_ends`` has found, a line each."""
    return [f"{name}={value:g} is at an end of its list: try values beyond it" for name, value in ends.items()]
