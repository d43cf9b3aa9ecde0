"""Post-processing parameters as a client sends them: pydantic records derived from their declaration."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from hmean.postprocess.parameters import PARAMETERS, Parameter, PostprocessParams


class ClientRecord(pydantic.BaseModel):
    """Base of what a client sends. A number in quotation marks is not a number, and an unknown key is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def parameter_fields(defaults: PostprocessParams | None, *, in_request: bool) -> dict[str, Any]:
    """The fields of a pydantic model, for ``pydantic.create_model``: one for each parameter.

    Args:
        defaults: values of the parameters that are not given; None: all are required.
        in_request: with the narrower ranges of ``hmean serve``, whose requests may come from strangers.
    """
    described: dict[str, Any] = {}
    for name, parameter in PARAMETERS.items():
        default = ... if defaults is None else getattr(defaults, name)
        described[name] = (_annotation(parameter, in_request=in_request), default)
    return described


def _annotation(parameter: Parameter, *, in_request: bool) -> Any:
    annotation = parameter.annotation(in_request=in_request)
    if parameter.type is int:
        return Annotated[annotation, pydantic.BeforeValidator(_whole_number)]
    return annotation


def _whole_number(value: object) -> object:
    """7.0 is an integer in JSON Schema, and some clients write one so."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
