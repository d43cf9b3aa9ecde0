"""Dotted keys: which ones a schema has, what they were called before, and which a command reads."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic

from hmean.plugins import present_name

# Names that keys had in earlier versions, and short names. Command lines, presets, checkpoints and saved configs may
# use them.
_RENAMED = (
    (re.compile(r"^from$"), "models.pretrained"),
    (re.compile(r"^evaluate_on$"), "split"),
    (re.compile(r"^(datasets\.\w+_dataset)\.(split|folds)\.part$"), r"\1.folds.split"),
    (re.compile(r"^(datasets\.\w+_dataset)\.split(?=\.|$)"), r"\1.folds"),
    (re.compile(r"^models\.head\.postprocess\.growth$"), "models.head.postprocess.unclip"),
    (re.compile(r"^tune\.growth$"), "tune.unclip"),
)
# Keys of earlier versions that are gone; a saved config may still hold them.
REMOVED = {
    "models.targets.device": "targets are always made by the loader processes",
}


def present_key(key: str) -> str:
    """The name that a key has in this version."""
    prefix = key[: len(key) - len(key.lstrip("+~"))]
    bare = key[len(prefix) :]
    for pattern, replacement in _RENAMED:
        bare = pattern.sub(replacement, bare)
    return prefix + bare


def with_present_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested values, every key and every ``_target_`` under its present name, without removed keys.

    Where both names are there, the old one holds what the user wrote and the new one a default: the old one is taken,
    unless it is None.
    """
    return _with_present_keys(values, "")


def _with_present_keys(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        old_path = f"{path}{key}"
        if old_path in REMOVED:
            continue
        if isinstance(value, Mapping):
            value = _with_present_keys(value, f"{old_path}.")
        elif key == "_target_" and isinstance(value, str):
            value = present_name(value)
        new_path = present_key(old_path)
        if new_path == old_path:
            found[key] = value
        else:
            renamed[new_path.rpartition(".")[2]] = value
    for name, value in renamed.items():
        if value is not None:
            found[name] = value
        else:
            found.setdefault(name, None)
    return found


def known_keys(schema: type[pydantic.BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a schema, sections included."""
    for name, field in schema.model_fields.items():
        if field.exclude:  # set by hmean, not by a key
            continue
        key = prefix + (field.alias or name)
        yield key
        for section in sections_of(field.annotation):
            yield from known_keys(section, f"{key}.")


def sections_of(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The sections in a field's type: ``Folds | None`` holds ``Folds``."""
    for part in (annotation, *typing.get_args(annotation)):
        if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
            yield part


def is_read(key: str, schema: type[pydantic.BaseModel]) -> bool:
    """Whether a schema reads a key: a key or section that it has, or an argument of a ``_target_``."""
    bare = key.lstrip("+~")
    model = schema
    for part in bare.split("."):
        field = _field(model, part)
        if field is None:
            return model.model_config.get("extra") == "allow"
        sections = list(sections_of(field.annotation))
        if not sections:
            return True  # a value; what is below it is checked with it
        model = sections[0]
    return True


def _field(model: type[pydantic.BaseModel], name: str) -> Any:
    for field_name, field in model.model_fields.items():
        if field.exclude:
            continue
        if name in (field_name, field.alias):
            return field
    return None


def pruned(values: Mapping[str, Any], schema: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The part of nested values that a schema reads."""
    found: dict[str, Any] = {}
    for name, field in schema.model_fields.items():
        key = field.alias or name
        if field.exclude or key not in values:
            continue
        value = values[key]
        sections = list(sections_of(field.annotation))
        if sections and isinstance(value, Mapping):
            found[key] = pruned(value, sections[0])
        else:
            found[key] = value
    if schema.model_config.get("extra") == "allow":
        for key, value in values.items():
            found.setdefault(key, value)
    return found
