"""A sweep file as values that check themselves, and the rules of a search: all pure, nothing is run or written.

The file is W&B's own schema (``wandb_sweep_schema.json``, from the MIT-licensed package ``sweeps`` 0.3.0).
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hmean.errors import InputError

COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")  # W&B's, where a file has none
LEAST_COMPARABLE = 4  # runs that must have come as far before one is stopped for being worse than them
EARLIEST = 0.6  # share of its schedule that every run is given
_ENVIRONMENT = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Sweep:
    """A checked sweep file.

    Attributes:
        config: the file as it is, for W&B.
        metric: name of the objective.
        sign: 1 to raise it, -1 to lower it.
        space: what is searched.
        constants: parameters with a single ``value``.
        bands: numbers of validations at which ``early_terminate`` looks; none without it.
        eta: at a band, runs that are not in the best 1 / eta are stopped.
    """

    config: dict[str, Any]
    metric: str
    sign: int
    space: dict[str, BaseDistribution]
    constants: dict[str, Any]
    bands: tuple[int, ...]
    eta: float

    @staticmethod
    def of(config: Any, where: str) -> Sweep:
        """Check the content of a sweep file.

        Raises:
            InputError: listing every fault; ``where`` names the file.
        """
        sweep, faults = draft(config)
        if faults:
            raise InputError.listing(f"{where}: the sweep file has faults:", faults)
        return sweep

    @property
    def command(self) -> list[str]:
        """The command of a run, with its macros."""
        return [str(part) for part in self.config.get("command") or COMMAND]

    def grid(self) -> list[dict[str, Any]]:
        """Every combination, in the order of the file, with ``method: grid``; else empty."""
        axes = [
            range(d.low, d.high + 1, d.step) if isinstance(d, IntDistribution) else ends(d) for d in self.space.values()
        ]
        points = itertools.product(*axes) if self.config["method"] == "grid" else ()
        return [dict(zip(self.space, point, strict=True)) for point in points]


def read_sweep(path: Path) -> Sweep:
    """Read and check a sweep file.

    Raises:
        InputError: if it cannot be read, or listing every fault.
    """
    return Sweep.of(load(path), str(path))


def load(path: Path) -> Any:
    """The content of a sweep file, not checked.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def draft(content: Any) -> tuple[Sweep, list[str]]:
    """A sweep of what is right in a file, and what is wrong."""
    config, faults = _mapping(content), []
    space, constants = {}, {}
    for name, spec in _mapping(config.get("parameters")).items():
        if isinstance(spec, dict) and "value" in spec:
            constants[name] = spec["value"]
            continue
        try:
            space[name] = distribution(spec)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            faults.append(f"parameters.{name}: {error}")
    faults += _own_faults(config, space) if isinstance(content, dict) else []
    said = {fault.partition(": ")[0] for fault in faults}  # what is said in words need not be said by the schema
    faults += [fault for fault in schema_faults(content) if fault.partition(": ")[0] not in said]
    metric = _mapping(config.get("metric"))
    bands, eta = ((), 3.0) if faults else bands_of(config.get("early_terminate"))
    sign = 1 if metric.get("goal") == "maximize" else -1
    return Sweep(config, str(metric.get("name", "")), sign, space, constants, bands, eta), faults


def schema_faults(config: Any) -> list[str]:
    """What W&B's own schema refuses."""
    schema = json.loads((files("hmean.search") / "wandb_sweep_schema.json").read_text(encoding="utf-8"))
    faults = []
    for error in jsonschema.Draft7Validator(schema).iter_errors(config):
        path = [str(part) for part in error.absolute_path]
        if path[:1] == ["parameters"] and len(path) > 1 and error.validator == "anyOf":
            faults.append(f"parameters.{path[1]}: {_spec_fault(config['parameters'][path[1]])}")
            continue
        for one in error.context if error.validator == "oneOf" else [error]:  # early_terminate, of one kind
            message = "needs min_iter, or max_iter and s" if one.validator == "anyOf" else one.message
            faults.append(": ".join([*filter(None, [".".join(map(str, one.absolute_path))]), message]))
    return faults


def _spec_fault(spec: Any) -> str:
    if isinstance(spec, dict):
        text = [k for k, v in spec.items() if isinstance(v, str) and k != "distribution" and _NUMBER.fullmatch(v)]
        if text:
            return f"{text[0]}: YAML reads {spec[text[0]]!r} as text; write 0.0005 or 5.0e-4"
    return f"is none of W&B's parameters: {spec!r}"


def _own_faults(config: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> list[str]:
    """Checks that the schema lacks."""
    metric, faults = _mapping(config.get("metric")), []
    if "metric" not in config:
        faults.append("metric: name what is to be raised, such as {name: val/hmean, goal: maximize}")
    elif isinstance(config["metric"], dict) and metric.get("goal") not in ("maximize", "minimize"):
        faults.append("metric.goal: say maximize or minimize (W&B minimizes where it is left out)")
    if "method" in config and config["method"] not in ("bayes", "random", "grid"):
        faults.append("method: bayes, random or grid")
    faults += _unread(config, metric, _mapping(config.get("early_terminate")))
    if "parameters" not in config:
        faults.append("parameters: nothing is searched")
    if config.get("method") == "grid":
        endless = [
            name for name, found in space.items() if not isinstance(found, CategoricalDistribution | IntDistribution)
        ]
        faults += [f"parameters.{name}: a grid needs values" for name in endless]
    command, known = config.get("command") or COMMAND, ["env", "interpreter", "program", *_macros({})]
    for part in command if isinstance(command, list | tuple) else ():
        macro = re.fullmatch(r"\$\{(\w+)\}", str(part))
        if macro and macro[1] not in known:
            faults.append(f"command: {part} is no macro of W&B's; there are {', '.join(known)}, envvar:NAME")
    if "${program}" in command and "program" not in config:
        faults.append("program: is missing, and command uses it")
    return faults


def _unread(config: Mapping[str, Any], metric: Mapping[str, Any], rule: Mapping[str, Any]) -> list[str]:
    """What W&B's schema has and hmean would not obey."""
    unread = [key for key in ("job", "image_uri", "metrics", "scheduler", "controller") if key in config]
    unread += [f"metric.{key}" for key in ("target", "impute", "impute_while_running") if key in metric]
    faults = [f"{key}: hmean has no such thing; leave it out" for key in unread]
    if rule.get("strict") is True:
        faults.append("early_terminate.strict: a run is judged by its best value so far; leave it out")
    if "min_iter" in rule and {"max_iter", "s"} & set(rule):
        faults.append("early_terminate: takes min_iter, or max_iter and s, not both")
    return faults


def distribution(spec: Any) -> BaseDistribution:
    """A searched parameter of W&B's as Optuna's distribution.

    Raises:
        ValueError: in words, if it has no meaning here.
    """
    if not isinstance(spec, dict) or "parameters" in spec:
        raise ValueError("nested parameters do not reach a key=value command; write dotted names")
    kind = spec.get("distribution") or ("categorical" if "values" in spec else "range")
    if kind == "categorical":
        if "probabilities" in spec:
            raise ValueError("the embedded engine draws values with equal chances; leave probabilities out")
        return CategoricalDistribution(spec["values"])
    if kind not in ("range", "int_uniform", "uniform", "q_uniform", "log_uniform_values", "log_uniform"):
        raise ValueError(f"the embedded engine cannot draw {kind}; take values or (int_, q_, log_)uniform(_values)")
    numbers = [spec.get("min"), spec.get("max"), spec.get("q", 1)]
    low, high, q = (v if isinstance(v, int | float) and not isinstance(v, bool) else math.nan for v in numbers)
    if math.isnan(low + high + q):
        raise ValueError(_spec_fault(spec))
    if not math.isfinite(low + high) or not 0 < q < math.inf:
        raise ValueError(f"min {low}, max {high} and q {q} must be finite, and q above 0")
    whole = all(isinstance(v, int) for v in (low, high, q))
    if low >= high or (kind == "q_uniform" and abs((high - low) / q - round((high - low) / q)) > 1e-9):
        raise ValueError(f"min {low} must be below max {high}, by a multiple of q where there is one")
    if kind == "int_uniform" or (kind in ("range", "q_uniform") and whole):
        return IntDistribution(int(low), int(high), step=int(q))
    if kind == "log_uniform":  # its bounds are exponents
        low, high = math.exp(low), math.exp(high)
    return FloatDistribution(low, high, log=kind.startswith("log_"), step=q if kind == "q_uniform" else None)


def ends(found: Any) -> list[Any]:
    """Every choice, or both ends of a range."""
    return list(found.choices) if isinstance(found, CategoricalDistribution) else [found.low, found.high]


def expand(command: Sequence[str], values: Mapping[str, Any], program: str, interpreter: str) -> list[str]:
    """Fill in the macros of a command, as W&B's agent does."""
    macros = _macros(values) | {"env": ["/usr/bin/env"], "interpreter": [interpreter], "program": [program]}
    expanded = []
    for part in command:
        part = _ENVIRONMENT.sub(lambda found: os.environ.get(found[1], found[1]), part)
        expanded += macros.get(part[2:-1], [part]) if part.startswith("${") and part.endswith("}") else [part]
    return expanded


def _macros(values: Mapping[str, Any]) -> dict[str, list[str]]:
    plain = [f"{name}={value}" for name, value in values.items()]
    return {
        "args": [f"--{pair}" for pair in plain],
        "args_no_hyphens": plain,
        "args_no_boolean_flags": [f"--{k}" if v is True else f"--{k}={v}" for k, v in values.items() if v is not False],
        "args_no_equals": [part for name, value in values.items() for part in (f"--{name}", str(value))],
        "args_json": [json.dumps(dict(values))],
        "args_append_hydra": [f"+{pair}" for pair in plain],
        "args_override_hydra": [f"++{pair}" for pair in plain],
    }


def bands_of(rule: Mapping[str, Any] | None) -> tuple[tuple[int, ...], float]:
    """Numbers of validations at which W&B's Hyperband looks, and its eta."""
    if rule is None:
        return (), 3.0
    eta = float(rule.get("eta", 3))
    if "max_iter" in rule:
        found = [int(rule["max_iter"] / eta**i) for i in range(1, int(rule["s"]) + 1)]
    else:
        found = [int(rule["min_iter"] * eta**i) for i in range(100) if rule["min_iter"] * eta**i < 1e6]
    return tuple(sorted({band for band in found if band >= 1})), eta


@dataclass(frozen=True)
class Stop:
    """Why a run was stopped: its best value so far, what it had to reach, its rank among the comparable runs."""

    rule: str
    value: float
    threshold: float
    rank: int
    comparable: int
    validations: int


def early_stop(
    own: Sequence[float], others: Sequence[Sequence[float]], progress: float, *,
    bands: Sequence[int] = (), eta: float = 3.0, floor: float | None = None,
) -> Stop | None:  # fmt: skip
    """Whether to stop a run.

    W&B's rule (``strict: false``: the best so far counts), with guards: never the run that is best so far, not with
    fewer than four comparable runs, not before 60 % of the schedule.

    Args:
        own: the objective at each validation, more is better.
        others: those of the other runs, finished or not.
        progress: share of its schedule that the run has behind it.
        bands: see ``Sweep``; none: no rule but the floor.
        eta: see ``Sweep``.
        floor: a run whose best is below is stopped too.
    """
    if not own or progress < EARLIEST:
        return None
    best, seen = max(own), len(own)
    comparable = [*(o for o in others if len(o) >= seen), own]
    rank = 1 + sum(max(o[:seen]) > best for o in comparable)
    if floor is not None and best < floor:
        return Stop("floor", best, floor, rank, len(comparable), seen)
    band = max((b for b in bands if b <= seen), default=None)
    if band is None:
        return None
    reached = sorted((o[band - 1] for o in [*others, own] if len(o) >= band), reverse=True)
    threshold = reached[int(len(reached) / eta)]
    rank = 1 + sum(value > best for value in reached)
    incumbent = best >= max((max(o) for o in others if o), default=-math.inf)
    if incumbent or len(reached) < LEAST_COMPARABLE or best >= threshold:
        return None
    return Stop("early_terminate", best, threshold, rank, len(reached), seen)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
