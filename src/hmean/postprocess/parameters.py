"""The post-processing parameters, each declared once: a field of ``PostprocessParams``.

Whatever else knows the parameters is derived from ``PARAMETERS``: the section of the config, the lists that
``hmean tune`` searches, the options of ``hmean serve``, the sliders of ``hmean studio`` and the reference page. To add
a parameter, add a field here and read it in ``decoding``.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Annotated, Any, Literal, Self

import numpy as np
import pydantic
from pydantic_core import CoreSchema, core_schema

UnclipMode = Literal["ratio", "inverse"]

# Names in configs, checkpoints, exported models, requests and calls of earlier versions.
OLD_NAMES = {"growth": "unclip"}


@dataclass(frozen=True)
class Slider:
    """Range and step of a parameter's slider in the studio."""

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class Parameter:
    """The declaration of one parameter.

    Attributes:
        help: what it does, one sentence.
        minimum: smallest value; None: there is none.
        maximum: largest value; None: there is none.
        above_minimum: whether the minimum itself is out of range.
        unclip: the unclip mode that reads the parameter; None: both do.
        request_range: smallest and largest value in a request to ``hmean serve``, which may come from a stranger; None:
            the range above.
        slider: how the studio shows a number.
        labels: how the studio names the values of a parameter that is not a number.
        name: of the field of ``PostprocessParams``.
        type: ``float``, ``int``, ``bool`` or a ``Literal``, from that field.
        default: from that field.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    above_minimum: bool = False
    unclip: UnclipMode | None = None
    request_range: tuple[float, float] | None = None
    slider: Slider | None = None
    labels: tuple[str, ...] = ()
    name: str = ""
    type: Any = None
    default: Any = None

    @property
    def choices(self) -> tuple[Any, ...]:
        """All values of a parameter that is not a number."""
        if self.type is bool:
            return (False, True)
        return typing.get_args(self.type)

    @property
    def range(self) -> str:
        """The values that it may have, in words that follow "must"."""
        if self.type is bool:
            return "be True or False"
        if self.choices:
            return "be " + " or ".join(repr(choice) for choice in self.choices)
        if self.maximum is None:
            return f"be at least {self.minimum:g}"
        bracket = "(" if self.above_minimum else "["
        return f"lie in {bracket}{self.minimum:g}, {self.maximum:g}]"

    def fault(self, value: object) -> str | None:
        """What is wrong with a value; None if nothing is."""
        if self.type is float and not _is_number(value, Real):
            return f"{self.name} must be a number, got {value!r}"
        if self.type is int and not _is_number(value, Integral):
            return f"{self.name} must be a whole number, got {value!r}"
        if not self._in_range(value):
            return f"{self.name} must {self.range}, got {value!r}"
        return None

    def _in_range(self, value: Any) -> bool:
        if self.type is bool:
            return isinstance(value, bool | np.bool_)
        if self.choices:
            return value in self.choices
        if self.minimum is not None and value < self.minimum:
            return False
        if self.above_minimum and value == self.minimum:
            return False
        return self.maximum is None or bool(value <= self.maximum)

    def annotation(self, *, in_request: bool = False) -> Any:
        """Its type for a pydantic model, with range and help.

        Args:
            in_request: with the range of a request.
        """
        if self.choices:
            return Annotated[self.type, pydantic.Field(description=self.help)]
        if in_request and self.request_range is not None:
            low, high = self.request_range
            return Annotated[self.type, pydantic.Field(ge=low, le=high, description=self.help)]
        if self.above_minimum:
            limits = pydantic.Field(gt=self.minimum, le=self.maximum, description=self.help)
        else:
            limits = pydantic.Field(ge=self.minimum, le=self.maximum, description=self.help)
        return Annotated[self.type, limits]


def _is_number(value: object, kind: type) -> bool:
    """Whether a value is a finite number of this kind; NumPy's numbers are."""
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    return math.isfinite(typing.cast("float", value))


@dataclass(frozen=True)
class PostprocessParams:
    """The parameters of the way from a probability map to text polygons: see ``hmean.postprocess.decoding``.

    Raises:
        ValueError: if values have the wrong type or are out of range; the message names all of them.
    """

    thresh: Annotated[
        float,
        Parameter(
            "A pixel of the map is text if its probability is above this threshold.",
            minimum=0,
            maximum=1,
            slider=Slider(0, 1, 0.01),
        ),
    ] = 0.3
    box_thresh: Annotated[
        float,
        Parameter(
            "Components whose mean probability inside their outline is lower are dropped.",
            minimum=0,
            maximum=1,
            slider=Slider(0, 1, 0.01),
        ),
    ] = 0.6
    unclip: Annotated[
        UnclipMode,
        Parameter(
            "The unclip mode: how outlines are expanded to undo the shrinking of the training targets.",
        ),
    ] = "ratio"
    unclip_ratio: Annotated[
        float,
        Parameter(
            "Outlines are moved outwards by their area times this ratio, divided by their perimeter.",
            minimum=0,
            unclip="ratio",
            request_range=(0, 10),
            slider=Slider(0, 4, 0.05),
        ),
    ] = 1.5
    inverse_r: Annotated[
        float,
        Parameter(
            "The shrink ratio that is undone exactly: the smaller, the further outlines are moved outwards.",
            minimum=0,
            maximum=1,
            above_minimum=True,
            unclip="inverse",
            request_range=(0.1, 1),
            slider=Slider(0.01, 1, 0.01),
        ),
    ] = 0.4
    edge_level: Annotated[
        float,
        Parameter(
            "The sides of rectangles lie where the mean probability across them falls to this level, between pixels; "
            "0: they touch the outermost pixels.",
            minimum=0,
            maximum=1,
            slider=Slider(0, 0.9, 0.05),
        ),
    ] = 0.0
    min_size: Annotated[
        float,
        Parameter(
            "Components whose smallest enclosing rectangle is thinner are dropped, in pixels of the map.",
            minimum=0,
            request_range=(0, 1000),
            slider=Slider(0, 30, 0.5),
        ),
    ] = 3.0
    max_candidates: Annotated[
        int,
        Parameter(
            "At most this many components are kept, those with the highest scores.",
            minimum=1,
            request_range=(1, 10_000),
            slider=Slider(1, 2000, 1),
        ),
    ] = 1000
    use_polygon: Annotated[
        bool,
        Parameter(
            "Whether text polygons follow the outlines; if not, they are the smallest enclosing rectangles.",
            labels=("rectangles", "polygons"),
        ),
    ] = False

    def __post_init__(self) -> None:
        faults = []
        for parameter in PARAMETERS.values():
            fault = parameter.fault(getattr(self, parameter.name))
            if fault is not None:
                faults.append(fault)
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def has_fitted_sides(self) -> bool:
        """Whether sides lie at ``edge_level``: outlines have no sides, they stay as they are."""
        return self.edge_level > 0 and not self.use_polygon

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make from the values of a file, which may be of an earlier version.

        Raises:
            ValueError: if a name is unknown, a value has the wrong type or is out of range.
        """
        renamed = present_names(values)
        known = {field.name for field in fields(cls)}
        unknown = [name for name in renamed if name not in known]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: unknown post-processing parameter")
        return cls(**renamed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return asdict(self)

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """Some values replaced. The unclip mode is that which reads a value given, unless ``unclip`` is given.

        Raises:
            ValueError: if a value is out of range, or is given for a parameter that the given ``unclip`` does not read.
        """
        given = present_names(values)
        implied = implied_unclip(given)
        if implied is not None:
            unclip = given.setdefault("unclip", implied)
            if unclip != implied:
                raise ValueError(f"{READ_WITH[implied]} is not read with unclip={unclip}: leave one of them out")
        return replace(self, **given)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        """In a ``Record``, values are read under the names of earlier versions too."""
        return core_schema.no_info_before_validator_function(present_names, handler(source))


def _declared_parameters() -> dict[str, Parameter]:
    hints = typing.get_type_hints(PostprocessParams, include_extras=True)
    found = {}
    for field in fields(PostprocessParams):
        kind, declaration = typing.get_args(hints[field.name])
        found[field.name] = replace(declaration, name=field.name, type=kind, default=field.default)
    return found


PARAMETERS: Mapping[str, Parameter] = _declared_parameters()

# The parameter that only one unclip mode reads, for each mode.
READ_WITH: Mapping[UnclipMode, str] = {
    parameter.unclip: name for name, parameter in PARAMETERS.items() if parameter.unclip is not None
}


def is_read(name: str, unclip: UnclipMode) -> bool:
    """Whether the post-processing reads a parameter in this unclip mode."""
    return PARAMETERS[name].unclip in (None, unclip)


def implied_unclip(given: Collection[str]) -> UnclipMode | None:
    """The unclip mode that follows from the names of the parameters given: the one that reads them.

    None if no parameter is given that only one mode reads, or one for each mode.
    """
    modes = [mode for mode, name in READ_WITH.items() if name in given]
    if len(modes) != 1:
        return None
    return modes[0]


def present_names(value: Any) -> Any:
    """JSON values with the names of this version, wherever files, requests or calls use those of an earlier one.

    Raises:
        ValueError: if a parameter is given by its old and by its present name.
    """
    if isinstance(value, list):
        return [present_names(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    renamed = {}
    for name, inner in value.items():
        present = OLD_NAMES.get(name, name)
        if present != name and present in value:
            raise ValueError(f"{name} is the old name of {present}: leave one of them out")
        renamed[present] = present_names(inner)
    return renamed
