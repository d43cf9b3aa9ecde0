"""Parameters of a W&B sweep file as distributions of Optuna."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Params = dict[str, Any]  # values of parameters by dotted key, as they are in YAML and JSON
_RANGES = ("range", "int_uniform", "uniform", "q_uniform", "log_uniform_values", "log_uniform")
_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def to_distribution(spec: Any) -> BaseDistribution:
    """A searched parameter of W&B as Optuna's distribution.

    Raises:
        ValueError: saying why, if Optuna's engine cannot search it.
    """
    if not isinstance(spec, dict) or "parameters" in spec:
        raise ValueError("nested parameters are not supported; write dotted names")
    if "values" in spec:
        default_kind = "categorical"
    else:
        default_kind = "range"
    kind = spec.get("distribution") or default_kind
    if kind == "categorical":
        if "probabilities" in spec:
            raise ValueError("probabilities are not supported: all values are equally likely; remove them")
        return CategoricalDistribution(spec["values"])
    if kind not in _RANGES:
        raise ValueError(
            f"the distribution {kind} is not supported; use values, uniform, int_uniform, q_uniform or "
            "log_uniform_values"
        )
    return _range(kind, spec)


def _range(kind: str, spec: Mapping[str, Any]) -> BaseDistribution:
    low = _number(spec, spec.get("min"))
    high = _number(spec, spec.get("max"))
    step = _number(spec, spec.get("q", 1))
    if not math.isfinite(low) or not math.isfinite(high) or not 0 < step < math.inf:
        raise ValueError(f"min {low}, max {high} and q {step} must be finite, and q above 0")
    if low >= high:
        raise ValueError(f"min {low} must be below max {high}")
    if kind == "q_uniform" and not _is_whole((high - low) / step):
        raise ValueError(f"max {high} must be above min {low} by a multiple of q {step}")
    are_integers = all(isinstance(value, int) for value in (low, high, step))
    if kind == "int_uniform" or (kind in ("range", "q_uniform") and are_integers):
        return IntDistribution(int(low), int(high), step=int(step))
    if kind == "q_uniform":
        return FloatDistribution(low, high, step=step)
    if kind == "log_uniform":  # its bounds are exponents
        return FloatDistribution(math.exp(low), math.exp(high), log=True)
    return FloatDistribution(low, high, log=kind == "log_uniform_values")


def _number(spec: Mapping[str, Any], value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(describe_wrong_spec(spec))
    return value


def _is_whole(value: float) -> bool:
    return abs(value - round(value)) <= 1e-9


def describe_wrong_spec(spec: Any) -> str:
    """What is wrong with a parameter that W&B's schema does not accept."""
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key != "distribution" and isinstance(value, str) and _NUMBER_AS_TEXT.fullmatch(value):
                return f"{key}: YAML reads {value!r} as text; write 0.0005 or 5.0e-4"
    return f"is not a parameter of W&B: {spec!r}"


def extremes(distribution: BaseDistribution) -> list[Any]:
    """Every choice of a categorical parameter, or both ends of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution | FloatDistribution):
        return [distribution.low, distribution.high]
    raise TypeError(f"{distribution!r} is none of the distributions that to_distribution makes")


def grid_values(distribution: BaseDistribution) -> list[Any]:
    """All values of a parameter that has finitely many."""
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    return extremes(distribution)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value is one of the choices, or inside the range."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    low, high = extremes(distribution)
    return isinstance(value, int | float) and bool(low <= value <= high)
