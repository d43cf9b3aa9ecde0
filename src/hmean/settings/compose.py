"""From what was typed to a checked settings record.

Hydra composes presets; overrides, a trained model's carried sections and the file of ``config=`` are laid over them.
The result is checked against the schema. Every fault is found here, before any work, and all are listed in one message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pydantic
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hmean.errors import InputError
from hmean.plugins import did_you_mean
from hmean.postprocess.parameters import PARAMETERS, implied_unclip
from hmean.settings.all import AllSettings
from hmean.settings.keys import REMOVED, is_read, known_keys, pruned, with_present_keys
from hmean.settings.overrides import START_KEY, Override, ParsedOverrides, parse_overrides
from hmean.settings.sections import Settings
from hmean.settings.start import PARTS, part_differences, start_parts

SettingsT = TypeVar("SettingsT", bound=Settings)
# From ``run`` and ``checkpoint_path`` to the sections that the trained model's file brings.
ReadCarried = Callable[[str | None, str | None], Mapping[str, Any]]
HEADING = "The settings are not valid:"
_POSTPROCESS = "models.head.postprocess"


def read_settings(
    kind: type[SettingsT],
    overrides: Sequence[str | Override],
    *,
    inputs: Sequence[str] = (),
    read_carried: ReadCarried | None = None,
) -> SettingsT:
    """The settings of a command.

    Args:
        kind: the command's settings record.
        overrides: ``key=value`` texts. ``preset=NAME`` chooses a preset, and ``config=FILE`` takes the values of a YAML
            file, such as the ``config.yaml`` of a run. Programs give values (``overrides_of``).
        inputs: paths and other words without ``=``; the record's field ``inputs`` takes them.
        read_carried: reads what the trained model at ``checkpoint_path`` brings.

    Raises:
        InputError: listing every fault.
    """
    if inputs and "inputs" not in kind.model_fields:
        raise InputError(f"This command takes key=value only, not {inputs[0]!r}")
    long_forms = [_long_form(override, kind) for override in overrides]
    if kind.reads_presets:
        return _from_presets(kind, long_forms, inputs, read_carried)
    texts = [override if isinstance(override, str) else override.text for override in long_forms]
    return _from_options(kind, texts, inputs)


def compose_all(overrides: Sequence[str]) -> AllSettings:
    """The settings of all commands: what ``preset=NAME`` and the overrides say, whichever command reads them.

    Raises:
        InputError: listing every fault.
    """
    parsed = parse_overrides(overrides, group_folders())
    composed = _composed(parsed, {}, {})
    return _checked(AllSettings, _resolved(composed.node, parsed), composed.faults)


def select(everything: Settings, kind: type[SettingsT], **values: Any) -> SettingsT:
    """The settings of one command out of all, for commands that start others.

    Args:
        everything: what ``compose_all`` gave, or the settings of a command that reads all that the other reads.
        kind: the command's settings record.
        values: top-level keys to replace.

    Raises:
        InputError: if a value is not valid.
    """
    plain = {**pruned(everything.to_dict(), kind), **values}
    return _checked(kind, plain, [])


# What people type who come from Ultralytics, Keras or the Hugging Face Trainer.
NAMES_ELSEWHERE = {
    "epochs": "trainer.max_epochs",
    "num_train_epochs": "trainer.max_epochs",
    "batch": "dataloaders.train_dataloader.batch_size",
    "batch_size": "dataloaders.train_dataloader.batch_size",
    "lr": "models.optimizer.lr",
    "lr0": "models.optimizer.lr",
    "learning_rate": "models.optimizer.lr",
    "imgsz": "transforms.long_side",
    "device": "trainer.accelerator",
    "workers": "dataloaders.train_dataloader.num_workers",
    "data": "dataset_base_path",
    "name": "exp_name",
    "project": "output_dir",
    "weights": "models.pretrained",
    "conf": "models.head.postprocess.box_thresh",
}


# --- commands without presets -----------------------------------------------------------------------------------------


def _long_form(text: str | Override, kind: type[Settings]) -> str | Override:
    if isinstance(text, Override):
        return replace(text, key=kind.shorthands.get(text.key, text.key))
    key, equals, value = text.partition("=")
    return f"{kind.shorthands.get(key, key)}{equals}{value}"


def _from_options(kind: type[SettingsT], texts: Sequence[str], inputs: Sequence[str]) -> SettingsT:
    values: dict[str, Any] = {}
    rest: list[str] = []
    for text in texts:
        key, _, typed = text.partition("=")
        if kind.rest is not None and not is_read(key, kind):
            rest.append(text)
        elif typed == "null":
            values[key] = None
        else:
            values[key] = typed
    if inputs:
        values["inputs"] = tuple(inputs)
    if kind.rest is not None:
        values[kind.rest] = tuple(rest)
    return _checked(kind, values, [])


# --- commands with presets --------------------------------------------------------------------------------------------


def _from_presets(
    kind: type[SettingsT],
    texts: Sequence[str | Override],
    inputs: Sequence[str],
    read_carried: ReadCarried | None,
) -> SettingsT:
    parsed = parse_overrides(texts, group_folders())
    file_values = _with_long_names(_config_file(parsed), kind)
    faults = _unread_keys(parsed.values, kind) + _two_starts(parsed.values)
    parsed.values = [override for override in parsed.values if is_read(override.key, AllSettings)]
    carried: dict[str, Any] = {}
    if read_carried is not None and kind.carried and not faults:
        brought = with_present_keys(read_carried(*_model(kind, parsed, file_values)))
        carried = {name: brought[name] for name in kind.carried if name in brought}
    composed = _composed(parsed, carried, file_values)
    faults += composed.faults
    plain = _resolved(composed.node, parsed)
    if plain.get("run") is None and plain.get("checkpoint_path") is None:
        plain["checkpoint_path"] = kind.default_model
    _checked(AllSettings, plain, faults)
    own = pruned(plain, kind)
    if inputs:
        own["inputs"] = tuple(inputs)
    settings = _checked(kind, own, [])
    given = {*parsed.keys(), *_flat_keys(file_values)}
    settings._given = frozenset(given)  # noqa: SLF001 - what is typed is known here only
    settings._notes = tuple(composed.notes)  # noqa: SLF001 - likewise
    return settings


def _config_file(parsed: ParsedOverrides) -> dict[str, Any]:
    """The values of the file of ``config=``, which is taken out of the overrides."""
    files = [override for override in parsed.values if override.key == "config"]
    parsed.values = [override for override in parsed.values if override.key != "config"]
    values: dict[str, Any] = {}
    for override in files:
        values |= with_present_keys(load_yaml(Path(str(override.value))))
    return values


def _with_long_names(values: Mapping[str, Any], kind: type[Settings]) -> dict[str, Any]:
    """The values of a file, in which a command's short and earlier names may stand as well."""
    found = dict(values)
    for short, long in kind.shorthands.items():
        if short not in found or short in kind.model_fields:
            continue
        value = found.pop(short)
        if value is None:
            continue
        section, _, key = long.partition(".")
        found[section] = {**found.get(section, {}), key: value}
    return found


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, as plain values; ``${...}`` is text.

    Raises:
        InputError: if it cannot be read or is not a mapping.
    """
    try:
        values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, YAMLError, OmegaConfBaseException) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: must hold key: value pairs")
    return {str(key): value for key, value in values.items()}


def read_saved(path: Path, kind: type[Settings]) -> dict[str, Any]:
    """What a command reads of the ``config.yaml`` of a run, under the present names of keys and components.

    Raises:
        InputError: if it cannot be read or is not a mapping.
    """
    values = pruned(with_present_keys(load_yaml(path)), kind)
    try:
        return kind.model_validate(values).to_dict()
    except pydantic.ValidationError:
        return values  # of a version with other keys: whoever compares it sees which


def _model(
    kind: type[Settings], parsed: ParsedOverrides, file_values: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """``run`` and ``checkpoint_path`` of the trained model that the command is to use."""
    given = {**file_values, **{override.key: override.value for override in parsed.values}}
    run = given.get("run")
    checkpoint_path = given.get("checkpoint_path")
    if run is None and checkpoint_path is None:
        return None, kind.default_model
    return run, checkpoint_path


def _unread_keys(overrides: Sequence[Override], kind: type[Settings]) -> list[str]:
    """One fault for each override that the command does not read."""
    faults = []
    own = list(known_keys(kind))
    for override in overrides:
        key = override.key.lstrip("+~")
        if is_read(key, kind):
            continue
        if key in REMOVED:
            faults.append(f"{key}: was removed ({REMOVED[key]})")
        elif is_read(key, AllSettings):
            faults.append(f"{key}: this command does not read it{_counterpart(key, own)}")
        else:
            faults.append(f"{key}: unknown key{_hint(key, own)}")
    return faults


def _hint(key: str, known: Sequence[str]) -> str:
    """What a key probably means: by its name in other tools, else by its spelling; or nothing."""
    meant = NAMES_ELSEWHERE.get(key)
    if meant in known:
        return f"; did you mean {meant}?"
    return did_you_mean(key, known)


def _counterpart(key: str, known: Sequence[str]) -> str:
    """A hint from a list of ``tune`` to the value of the same post-processing parameter, and back; or nothing."""
    if key.rpartition(".")[2] not in PARAMETERS:
        return ""
    return did_you_mean(key, known)


@dataclass(frozen=True)
class _Composed:
    """Presets, what is carried, the config file and the overrides, laid over each other.

    Attributes:
        node: the values.
        faults: on the way.
        notes: what of the preset does not hold.
    """

    node: DictConfig
    faults: list[str]
    notes: list[str]


def _composed(parsed: ParsedOverrides, carried: Mapping[str, Any], file_values: Mapping[str, Any]) -> _Composed:
    node = _compose_groups(parsed.groups)
    OmegaConf.set_struct(node, value=False)
    node = _modernised(node)
    for section, value in carried.items():
        node[section] = _literal(value)
    notes = _follow_start(node, _typed_start(parsed, file_values), parsed.groups)
    for section, value in file_values.items():
        _lay_over(node, section, _literal(value))
    faults = []
    for override in parsed.values:
        try:
            if override.deletes:
                _delete(node, override.key)
            else:
                OmegaConf.update(node, override.key.lstrip("+"), override.value, merge=True, force_add=True)
        except (OmegaConfBaseException, HydraException, KeyError, TypeError, AttributeError) as error:
            faults.append(f"{override.key}: cannot be set ({error})")
    _follow_unclip(node, parsed.keys())
    return _Composed(node, faults, notes)


def _typed_start(parsed: ParsedOverrides, file_values: Mapping[str, Any]) -> Any:
    """The start that the command line names, else a config file that does not say all parts; None if neither does."""
    typed = None
    models = file_values.get("models", {})
    if any(part not in models for part in PARTS):
        typed = models.get("pretrained")
    for override in parsed.values:
        if override.key == START_KEY:
            typed = override.value
    return typed


def _two_starts(overrides: Sequence[Override]) -> list[str]:
    """A fault if two starts are typed: ``from`` and ``checkpoint_path`` are one key."""
    typed = [str(override.value) for override in overrides if override.key == START_KEY]
    if len(set(typed)) < 2:
        return []
    return [
        f"{START_KEY}: is given twice ({' and '.join(typed)}); from and checkpoint_path are the same key: remove one"
    ]


def _follow_start(node: DictConfig, start: Any, groups: Mapping[str, str]) -> list[str]:
    """Take the network's parts from the start that the user names, where the user has not chosen a part.

    Returns:
        What then does not hold of a preset that the user has named as well.
    """
    if not isinstance(start, str) or start == OmegaConf.select(node, START_KEY):
        return []
    notes = []
    for part, section in start_parts(start).items():
        if f"preset/models/{part}" in groups:
            continue
        if "preset" in groups:
            for difference in part_differences(part, node["models"][part], section):
                notes.append(
                    f"{difference.key}: preset={groups['preset']} has {difference.configured}, and the network follows "
                    f"from={start}, which has {difference.of_start}; from=null trains the preset's network"
                )
        literal = _literal(section)
        if part == "head" and "postprocess" not in literal:
            literal = {**literal, "postprocess": OmegaConf.select(node, _POSTPROCESS)}
        node["models"][part] = literal
    return notes


def _follow_unclip(node: DictConfig, keys: Sequence[str]) -> None:
    """Set the unclip mode to the one that reads the parameter given, as ``PostprocessParams.replaced`` does."""
    prefix = f"{_POSTPROCESS}."
    given = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    mode = implied_unclip(given)
    if mode is not None and "unclip" not in given:
        OmegaConf.update(node, f"{prefix}unclip", mode, force_add=True)


def _modernised(node: DictConfig) -> DictConfig:
    """The same with the present names of keys: presets of users may have those of an earlier version."""
    plain = OmegaConf.to_container(node, resolve=False)
    assert isinstance(plain, dict)  # noqa: S101 - a DictConfig is a mapping
    return OmegaConf.create(with_present_keys({str(key): value for key, value in plain.items()}))


def _literal(value: Any) -> Any:
    """The same values, in which ``${...}`` is text: what a file carries must not be able to read the environment."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, Mapping):
        return {key: _literal(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(item) for item in value]
    return value


def _lay_over(node: DictConfig, key: str, value: Any) -> None:
    """Put a value in place; mappings are merged, but for one that names another ``_target_``."""
    present = node.get(key)
    is_section = isinstance(value, Mapping) and isinstance(present, DictConfig)
    if not is_section or "_target_" in value:
        node[key] = value
        return
    for name, below in value.items():
        _lay_over(present, name, below)


def _delete(node: DictConfig, key: str) -> None:
    parent, _, last = key.lstrip("~").rpartition(".")
    section = OmegaConf.select(node, parent) if parent else node
    del section[last]


def _resolved(node: DictConfig, parsed: ParsedOverrides) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"config: {error}") from error
    assert isinstance(plain, dict)  # noqa: S101 - a DictConfig is a mapping
    values = with_present_keys({str(key): value for key, value in plain.items()})
    if values.get("exp_name") is None:
        values["exp_name"] = parsed.groups.get("preset")
    return values


def _flat_keys(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            keys += _flat_keys(value, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


# --- groups -----------------------------------------------------------------------------------------------------------


def config_folder() -> Path:
    """The shipped configs: inside the installed package, or at the root of a checkout."""
    packaged = Path(__file__).parents[1] / "configs"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[3] / "configs"


def group_folders() -> list[Path]:
    """Where config groups are looked for: the shipped configs, and ``configs`` in the current directory."""
    folders = [config_folder()]
    own = Path("configs").resolve()
    if own.is_dir() and own != config_folder().resolve():
        folders.append(own)
    return folders


def choices(group: str) -> list[str]:
    """The names that a config group offers, such as those of ``preset``."""
    names: set[str] = set()
    for folder in group_folders():
        names |= {file.stem for file in (folder / group).glob("*.yaml")}
    return sorted(names)


def _compose_groups(groups: Mapping[str, str]) -> DictConfig:
    faults = []
    for group, choice in groups.items():
        known = choices(group)
        if choice not in known:
            faults.append(f"{group}={choice}: not found; choose {', '.join(known)}{did_you_mean(choice, known)}")
    if faults:
        raise InputError.listing(HEADING, faults)
    chosen = [f"{_hydra_group(group)}={choice}" for group, choice in groups.items()]
    try:
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            return hydra_compose("base", [_search_path(), *chosen])
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"config: {error}") from error


def _search_path() -> str:
    """The override that tells Hydra of the user's own folder."""
    quoted = []
    for folder in group_folders()[1:]:
        escaped = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        quoted.append(f"'file://{escaped}'")
    return f"hydra.searchpath=[{','.join(quoted)}]"


def _hydra_group(group: str) -> str:
    """Hydra's name of a group: ``preset/models/decoder`` fills ``models.decoder``."""
    if group == "preset":
        return group
    package = group.removeprefix("preset/").replace("/", ".")
    return f"{group}@{package}"


# --- checking ---------------------------------------------------------------------------------------------------------


def _checked(kind: type[SettingsT], values: Mapping[str, Any], faults: list[str]) -> SettingsT:
    try:
        settings = kind.model_validate(values)
    except pydantic.ValidationError as error:
        own = list(known_keys(kind))
        found = [_sentence(detail, own) for detail in error.errors()]
        raise InputError.listing(HEADING, [*faults, *(fault for fault in found if fault not in faults)]) from None
    if faults:
        raise InputError.listing(HEADING, faults)
    return settings


def _sentence(detail: Any, known: Sequence[str]) -> str:
    """One fault in words: dotted key, what is wrong, the nearest real key."""
    key = _dotted_key(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{key}: unknown key{did_you_mean(key, known)}"
    if detail["type"] == "missing":
        return f"{key}: is required"
    message = detail["msg"]
    if detail["type"] == "value_error":  # a rule between fields, whose words say what was given
        rule = str(message).removeprefix("Value error, ")
        if not key:  # between keys of the record itself
            return rule
        return f"{key}: {rule}"
    return f"{key}: {message[0].lower()}{message[1:]}, got {detail['input']!r}"


def _dotted_key(location: Sequence[int | str]) -> str:
    """The key of a location; members of unions have the name of their type in it, which no key looks like."""
    parts = []
    for part in location:
        name = str(part)
        if name.startswith(("literal[", "constrained-", "function-", "dict[")):
            continue
        if name not in ("int", "none", "float", "str"):
            parts.append(name)
    return ".".join(parts)
