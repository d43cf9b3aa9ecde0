"""Write the pages of docs/reference that are made from declarations in the code.

usage: python scripts/reference.py
"""

from __future__ import annotations

import inspect
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from hmean.campaign.state import CampaignState
from hmean.cli import COMMANDS, Command
from hmean.crossval.record import CrossvalRecord
from hmean.data.check_report import CheckReport
from hmean.data.folds import Splits
from hmean.ensemble.records import EnsembleRecord
from hmean.inference.metadata import ExportedMetadata
from hmean.inference.prediction import PredictionManifest
from hmean.labels.formats import FORMATS
from hmean.labels.label_format import LabelFormat
from hmean.metrics.breakdown import Breakdown
from hmean.postprocess.parameters import PARAMETERS, Parameter
from hmean.records import Record
from hmean.reports.data_record import DataStatistics
from hmean.reports.sweep_record import SweepReport
from hmean.runs.carried import Carried
from hmean.runs.manifest import Manifest
from hmean.runs.metrics import EpochRow
from hmean.runs.predictions import PredictedPage
from hmean.runs.scores import Scores
from hmean.runs.start import StartRecord
from hmean.search.ranking import Ranking
from hmean.settings.all import AllSettings
from hmean.settings.compose import compose_all
from hmean.settings.keys import is_read, sections_of
from hmean.tuning.result import TuneResult

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def main() -> None:
    """Write all pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of each page."""
    return {
        "postprocess.md": postprocess_page(),
        "commands.md": commands_page(),
        "config.md": config_page(),
        "files.md": files_page(),
        "formats.md": formats_page(),
    }


# --- commands ---------------------------------------------------------------------------------------------------------

_COMMANDS_HEAD = """\
# Commands

This page is written by `scripts/reference.py` from the help of each command.

`hmean COMMAND [PATH ...] [key=value ...]`; `python runners/COMMAND.py ...` is the same. An argument without `=` is a
path, and so is one that names a file; after `--` every argument is a path. A key that a command does not read is an
error.

Exit codes: 0 done; 1 a bug of hmean's (with a traceback); 2 the input is wrong (one message); 130 interrupted (the same
command continues, in most cases with `resume=auto`).
"""


def commands_page() -> str:
    """The page of the commands."""
    lines = [_COMMANDS_HEAD]
    for command in COMMANDS:
        lines += [f"## hmean {command.name}", "", command.summary, ""]
        if not command.help:
            lines += [f"It takes ordinary options: `hmean {command.name} --help`.", ""]
        else:
            lines += ["```text", command.help.strip("\n"), "```", ""]
    return "\n".join(lines)


# --- config -----------------------------------------------------------------------------------------------------------

_CONFIG_HEAD = """\
# Config

This page is written by `scripts/reference.py` from the schema in `hmean.settings`.

`configs/base.yaml` holds the default of every key; presets (`configs/preset/*.yaml`) change what differs, and a folder
`configs/preset/` in the current directory adds presets of your own. Values are typed in Hydra's grammar:

```
hmean train preset=resnet50 exp_name=try models.optimizer.lr=0.0005 'transforms.train.long_side=[640,960]'
hmean train config=outputs/b4/config.yaml exp_name=again
```

`config=FILE` takes the values of a YAML file, such as the `config.yaml` of a run; overrides are laid over them. An
unknown key, a wrong type or a value out of range is an error before any work, and all of them are listed in one
message. Old names of keys (`evaluate_on`, `datasets.*.split`, `models.head.postprocess.growth`) are still read.

To plug in a class of your own, name it in `_target_` (`models.decoder._target_=mypackage.MyDecoder`); its arguments are
the other keys of the section, and they are checked against its signature. A decoder takes `in_channels` (a list) and
has `channels`; a head takes `in_channels` and returns logits of P and, in training, of T; a loss takes both and the
batch and returns named terms.

The defaults below are those of `preset=receipts_lite`, which is used when no preset is named.
"""


@dataclass(frozen=True)
class Key:
    """A line of the config page."""

    name: str
    description: str
    default: Any
    commands: str


def config_page() -> str:
    """The page of the config."""
    defaults = compose_all([]).to_dict()
    sections: dict[str, list[Key]] = {}
    for key in _keys(AllSettings, "", defaults):
        section = key.name.partition(".")[0] if "." in key.name else "The run"
        sections.setdefault(section, []).append(key)
    lines = [_CONFIG_HEAD]
    for section, keys in sections.items():
        lines += [f"## {section}", "", "| Key | Default | Meaning | Read by |", "|---|---|---|---|"]
        for key in keys:
            lines.append(f"| `{key.name}` | {_code(key.default)} | {_cell(key.description)} | {key.commands} |")
        lines.append("")
    return "\n".join(lines)


def _keys(schema: type[pydantic.BaseModel], prefix: str, defaults: Any) -> Iterator[Key]:
    """Every key that has a value, in the order of the schema, sections last."""
    sections = []
    for name, field in schema.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = [found for found in sections_of(field.annotation) if found.__name__ != "Folds"]
        if inner:
            sections.append((key, inner[0]))
            continue
        yield Key(key, field.description or "", _default(defaults, key), _readers(key))
    for key, inner_schema in sections:
        yield from _keys(inner_schema, f"{key}.", defaults)


def _default(values: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(values, dict) or part not in values:
            return None
        values = values[part]
    return values


def _readers(key: str) -> str:
    """The commands that read a key."""
    names = []
    for command in COMMANDS:
        kind = _settings_class(command)
        if kind is not None and is_read(key, kind):
            names.append(command.name)
    return ", ".join(names)


def _settings_class(command: Command) -> type[pydantic.BaseModel] | None:
    """The settings record of a command that reads presets."""
    if command.settings is None or command.example is None:
        return None
    kind = command.settings_class()
    if not kind.reads_presets:
        return None
    return typing.cast("type[pydantic.BaseModel]", kind)


def _code(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


# --- post-processing --------------------------------------------------------------------------------------------------


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


# --- label formats ----------------------------------------------------------------------------------------------------

_FORMATS_HEAD = """\
# Label formats

This page is written by `scripts/reference.py` from the table of formats in the code, and tests write and read every
format with all that it can hold.

Wherever labels are named (`annotation_path`, `hmean data check`, `hmean score`), a file or folder in any of these
formats will do, a folder of several label files, or in `annotation_path` a list of them:
`annotation_path=[a.json,b.txt]`. The format is found by looking at the data; names and suffixes say nothing. Files
are UTF-8, or UTF-16 and UTF-32 with a byte order mark. What looks like a format but has a fault is refused with the
place of the fault.

`hmean data convert LABELS OUT format=NAME` writes labels in another format. It says in numbers what that cannot
hold: outlines become the smallest rectangle or upright box around the word, an ignore region becomes the text `###`
or, in a format without texts, a word like any other, groups are left out, and so are pages without labels where
they could not be told from pages without text. Words are numbered anew, except in UFO and JSON lines.
With images there (`images=DIR`, or in their usual place) it warns of those that are missing, and of pages of another
size than their images; it does not write such pages in shares of the page (YOLO, Label Studio).

Paths of images may have been written on another machine: the longest end of the path that is a file in the folder
of the images counts. A word with the text `###` is an ignore region in every format. Coordinates are pixels of the
upright image (turned by its EXIF tag).

| Name | Read | Written | Outlines | Texts | Ignore regions | Groups | Pages without labels | Numbers |
|---|---|---|---|---|---|---|---|---|"""

_OUTLINES = {"polygon": "polygons", "quad": "four corners", "box": "boxes"}
_IGNORE_MARKS = {"flag": "yes", "text": "without their text", "none": "no"}


def formats_page() -> str:
    """The page of the label formats."""
    lines = [_FORMATS_HEAD]
    lines += [_format_row(label_format) for label_format in FORMATS]
    for label_format in FORMATS:
        title = label_format.title[0].upper() + label_format.title[1:]
        lines += ["", f"## {label_format.name}", "", _wrapped(f"{title}: {label_format.layout}.")]
        if label_format.notes:
            lines += ["", _wrapped(label_format.notes)]
    lines.append("")
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def _format_row(label_format: LabelFormat) -> str:
    keeps = label_format.keeps
    numbers = "decimal"
    if keeps.whole_pixels:
        numbers = "whole pixels"
    if keeps.on_page:
        numbers += " on the page"
    cells = [
        f"[{label_format.name}](#{label_format.name})",
        "yes",
        _yes_or_no(value=label_format.write is not None),
        _OUTLINES[keeps.outline],
        _yes_or_no(value=keeps.texts),
        _IGNORE_MARKS[keeps.ignore],
        _yes_or_no(value=keeps.groups),
        _yes_or_no(value=keeps.unlabelled),
        numbers,
    ]
    return f"| {' | '.join(cells)} |"


def _yes_or_no(*, value: bool) -> str:
    if value:
        return "yes"
    return "no"


# --- files ------------------------------------------------------------------------------------------------------------

_FILES_HEAD = """\
# Files that hmean writes

This page is written by `scripts/reference.py` from the records in the code: each JSON file is one class, which checks
what it reads. Files of earlier versions are read, too. `[]` stands for each item of a list, and `{}` for each value of
an object, whose names are explained with it. [The run folder](run-folder.md) says which command writes a file.
"""

# The files, each with the record that it holds.
FILES: dict[str, type[Record]] = {
    "manifest.json": Manifest,
    "metrics.jsonl, each line": EpochRow,
    "scores.json": Scores,
    "errors.json": Breakdown,
    "predictions.json, each value of images": PredictedPage,
    "tuned.json": TuneResult,
    "start.json": StartRecord,
    "manifest.json of a prediction": PredictionManifest,
    "splits.json": Splits,
    "hmean data check --json": CheckReport,
    "hmean data stats --json": DataStatistics,
    "crossval.json": CrossvalRecord,
    "ensemble.json": EnsembleRecord,
    "campaign.json": CampaignState,
    "checkpoint, key hmean": Carried,
    "exported model, metadata": ExportedMetadata,
    "ranking.json of a sweep": Ranking,
    "report.json of a sweep": SweepReport,
}


def files_page() -> str:
    """The page of the files."""
    lines = [_FILES_HEAD]
    for file, kind in FILES.items():
        lines += [f"## {file}", "", _first_line(kind), "", "| Name | Type | Meaning |", "|---|---|---|"]
        for name, type_name, description in _record_rows(kind, ""):
            lines.append(f"| `{name}` | {type_name} | {_cell(description)} |")
        lines.append("")
    return "\n".join(lines)


def _first_line(kind: type[pydantic.BaseModel]) -> str:
    return _cell(inspect.cleandoc(kind.__doc__ or "").partition("\n")[0])


def _record_rows(kind: type[pydantic.BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of each field, and of the fields of the records in it."""
    fields: dict[str, tuple[Any, str]] = {}
    for name, field in kind.model_fields.items():
        fields[name] = (field.annotation, field.description or "")
    for name, computed in kind.model_computed_fields.items():
        fields[name] = (computed.return_type, computed.description or "")
    for name, (annotation, description) in fields.items():
        yield f"{prefix}{name}", _type_of(annotation), description
        suffix, inner = _inner_record(annotation)
        if inner is not None:
            yield from _record_rows(inner, f"{prefix}{name}{suffix}.")


def _inner_record(annotation: Any) -> tuple[str, type[Record] | None]:
    """The record in a field's type, and what stands for its place: ``[]`` in a list, ``{}`` in an object."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return "", annotation
    suffix = ""
    origin = typing.get_origin(annotation)
    if origin in (list, tuple):
        suffix = "[]"
    elif origin is dict:
        suffix = "{}"
    for part in typing.get_args(annotation):
        inner_suffix, inner = _inner_record(part)
        if inner is not None:
            return suffix + inner_suffix, inner
    return "", None


_TYPE_NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}


def _type_of(annotation: Any) -> str:
    """A field's type in words."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type_of(arguments[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_of(argument) for argument in arguments))
    is_named_tuple = isinstance(annotation, type) and issubclass(annotation, tuple)
    if origin in (list, tuple, np.ndarray) or is_named_tuple:
        return "list"
    return _TYPE_NAMES.get(annotation, "object")


if __name__ == "__main__":
    main()
