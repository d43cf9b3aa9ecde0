"""A sweep file: read, checked against W&B's own schema, and against what Optuna's engine supports.

The schema is ``wandb_sweep_schema.json``, from the MIT-licensed package ``sweeps`` 0.3.0.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from hmean.errors import InputError
from hmean.search.distributions import Params, describe_wrong_spec, grid_values, to_distribution
from hmean.search.macros import DEFAULT_COMMAND, known_macros, unknown_macros
from hmean.search.stopping import Hyperband

METHODS = ("bayes", "random", "grid")
# Parts of W&B's schema that the embedded engine would ignore.
_UNSUPPORTED_KEYS = ("job", "image_uri", "metrics", "scheduler", "controller")
_UNSUPPORTED_METRIC_KEYS = ("target", "impute", "impute_while_running")


@dataclass(frozen=True)
class SweepFile:
    """A sweep file.

    Attributes:
        config: its content as it is, for W&B.
        metric: name of the objective.
        sign: 1 if the objective is maximized, -1 if it is minimized.
        space: what is searched, by dotted key.
        constants: parameters with a single ``value``, by dotted key.
        hyperband: the rule of ``early_terminate``.
    """

    config: dict[str, Any]
    metric: str = ""
    sign: int = -1
    space: dict[str, BaseDistribution] = field(default_factory=dict)
    constants: Params = field(default_factory=dict)
    hyperband: Hyperband = field(default_factory=Hyperband)

    @classmethod
    def parse(cls, content: Any, source: str) -> SweepFile:
        """Check the content of a sweep file.

        Raises:
            InputError: listing every fault; ``source`` names the file.
        """
        draft = SweepDraft(content)
        if draft.faults:
            raise InputError.listing(f"{source}: the sweep file has faults:", draft.faults)
        return draft.file

    @property
    def method(self) -> str:
        """How values are chosen: bayes, random or grid."""
        return str(self.config["method"])

    @property
    def program(self) -> str:
        """The program that a trial runs."""
        return str(self.config.get("program"))

    @property
    def command(self) -> list[str]:
        """The command of a trial, with its macros."""
        return [str(word) for word in self.config.get("command") or DEFAULT_COMMAND]

    def grid(self) -> list[Params]:
        """Every combination of values, in the order of the file, if the method is grid; else nothing."""
        if self.method != "grid":
            return []
        axes = [grid_values(distribution) for distribution in self.space.values()]
        points = []
        for values in itertools.product(*axes):
            points.append(dict(zip(self.space, values, strict=True)))
        return points


def load_yaml(path: Path) -> Any:
    """The content of a sweep file, not checked.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


class SweepDraft:
    """The content of a sweep file under examination.

    Attributes:
        faults: what is wrong, each with its key; an empty list if nothing is.
        file: what is right, so that the rest can be checked further.
    """

    def __init__(self, content: Any) -> None:
        self._config = _mapping(content)
        self._metric = _mapping(self._config.get("metric"))
        self._rule = _mapping(self._config.get("early_terminate"))
        self.faults: list[str] = []
        space, constants = self._parameters()
        if isinstance(content, dict):
            self._check_required(space)
            self._check_unsupported()
            self._check_command()
        described = {_key_of(fault) for fault in self.faults}
        for fault in schema_faults(content):
            if _key_of(fault) not in described:  # our words are better than the schema's
                self.faults.append(fault)
        hyperband = Hyperband()
        if not self.faults:
            hyperband = Hyperband.from_config(self._config.get("early_terminate"))
        sign = -1
        if self._metric.get("goal") == "maximize":
            sign = 1
        metric = str(self._metric.get("name", ""))
        self.file = SweepFile(self._config, metric, sign, space, constants, hyperband)

    def _parameters(self) -> tuple[dict[str, BaseDistribution], Params]:
        """What is searched, and what is constant."""
        space = {}
        constants = {}
        for name, spec in _mapping(self._config.get("parameters")).items():
            if isinstance(spec, dict) and "value" in spec:
                constants[name] = spec["value"]
                continue
            try:
                space[name] = to_distribution(spec)
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                self.faults.append(f"parameters.{name}: {error}")
        return space, constants

    def _check_required(self, space: Mapping[str, BaseDistribution]) -> None:
        """Check what W&B's schema leaves open."""
        config = self._config
        if "metric" not in config:
            self.faults.append("metric: is required, such as {name: val/hmean, goal: maximize}")
        elif isinstance(config["metric"], dict) and self._metric.get("goal") not in ("maximize", "minimize"):
            self.faults.append("metric.goal: must be maximize or minimize (W&B minimizes if it is missing)")
        if "method" in config and config["method"] not in METHODS:
            self.faults.append("method: must be bayes, random or grid")
        if "parameters" not in config:
            self.faults.append("parameters: is required; nothing is searched")
        if config.get("method") == "grid":
            for name, distribution in space.items():
                if not isinstance(distribution, CategoricalDistribution | IntDistribution):
                    self.faults.append(f"parameters.{name}: a grid needs values")

    def _check_unsupported(self) -> None:
        """Check for what W&B's schema has and the embedded engine would ignore."""
        unsupported = [key for key in _UNSUPPORTED_KEYS if key in self._config]
        for key in _UNSUPPORTED_METRIC_KEYS:
            if key in self._metric:
                unsupported.append(f"metric.{key}")
        for key in unsupported:
            self.faults.append(f"{key}: is not supported by hmean; remove it")
        if self._rule.get("strict") is True:
            self.faults.append(
                "early_terminate.strict: is not supported: a trial is judged by its best value so far; remove it"
            )
        if "min_iter" in self._rule and ("max_iter" in self._rule or "s" in self._rule):
            self.faults.append("early_terminate: takes min_iter, or max_iter and s, not both")

    def _check_command(self) -> None:
        command = self._config.get("command") or DEFAULT_COMMAND
        if isinstance(command, list | tuple):
            for macro in unknown_macros(command):
                known = ", ".join(known_macros())
                self.faults.append(f"command: {macro} is not a macro of W&B; the macros are {known}, envvar:NAME")
        if "${program}" in command and "program" not in self._config:
            self.faults.append("program: is required, since command uses it")


def schema_faults(content: Any) -> list[str]:
    """What W&B's own schema does not accept."""
    schema = json.loads((files("hmean.search") / "wandb_sweep_schema.json").read_text(encoding="utf-8"))
    faults = []
    for error in jsonschema.Draft7Validator(schema).iter_errors(content):
        path = [str(part) for part in error.absolute_path]
        if len(path) > 1 and path[0] == "parameters" and error.validator == "anyOf":
            name = path[1]
            faults.append(f"parameters.{name}: {describe_wrong_spec(content['parameters'][name])}")
        elif error.validator == "oneOf":  # early_terminate, of which there is one kind
            faults += [_describe(nested) for nested in error.context or ()]
        else:
            faults.append(_describe(error))
    return faults


def _describe(error: jsonschema.ValidationError) -> str:
    message = error.message
    if error.validator == "anyOf":
        message = "needs min_iter, or max_iter and s"
    key = ".".join(str(part) for part in error.absolute_path)
    if not key:
        return message
    return f"{key}: {message}"


def _key_of(fault: str) -> str:
    return fault.partition(": ")[0]


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    return {}
