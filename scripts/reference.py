"""Write the pages of docs/reference that are made from declarations in the code.

usage: python scripts/reference.py
"""

from __future__ import annotations

from pathlib import Path

from hmean.postprocess.parameters import PARAMETERS, Parameter

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def main() -> None:
    """Write all pages."""
    (REFERENCE / "postprocess.md").write_text(postprocess_page(), encoding="utf-8")


def postprocess_page() -> str:
    """The page of the post-processing parameters."""
    rows = [_row(parameter) for parameter in PARAMETERS.values()]
    return "\n".join([_POSTPROCESS_HEAD, *rows, ""])


_POSTPROCESS_HEAD = """\
# Post-processing parameters

This page is written by `scripts/reference.py`. [Post-processing](../concepts/postprocessing.md) explains the steps in
which these parameters are read.

In the config they are `models.head.postprocess.NAME`; the list of values that `hmean tune` tries is `tune.NAME`. In
Python they are arguments of a detector's call, such as `detector(image, box_thresh=0.4)`, and fields of
`PostprocessParams`. Over HTTP they are options of a request, with a narrower range where one is given. `growth`, the
name of `unclip` in earlier versions, is still read everywhere.

| Name | Type | Range | In a request | Default | Read with | |
|---|---|---|---|---|---|---|"""


def _row(parameter: Parameter) -> str:
    default = parameter.default
    if isinstance(default, bool):
        default = str(default).lower()
    cells = [
        f"`{parameter.name}`",
        _type_name(parameter),
        _range(parameter.minimum, parameter.maximum, above_minimum=parameter.above_minimum),
        "",
        f"`{default}`",
        "",
        parameter.help,
    ]
    if parameter.request_range is not None:
        cells[3] = _range(*parameter.request_range)
    if parameter.unclip is not None:
        cells[5] = f"`unclip={parameter.unclip}`"
    return f"| {' | '.join(cells)} |"


def _type_name(parameter: Parameter) -> str:
    if parameter.type is bool:
        return "`true` or `false`"
    if parameter.choices:
        return " or ".join(f"`{choice}`" for choice in parameter.choices)
    if parameter.type is int:
        return "whole number"
    return "number"


def _range(low: float | None, high: float | None, *, above_minimum: bool = False) -> str:
    if low is None:
        return ""
    if high is None:
        return f"at least {low:g}"
    if above_minimum:
        return f"above {low:g}, at most {high:g}"
    return f"{low:g} to {high:g}"


if __name__ == "__main__":
    main()
