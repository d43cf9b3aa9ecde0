"""The schema of the config, and builders that turn its values into parts.

Hydra composes presets and overrides; every fault of the result is found here, before any work: unknown keys (with the
nearest real one), wrong types, values out of range, arguments that a class named in ``_target_`` does not take.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, Field

from hmean.errors import InputError
from hmean.postprocess.parameters import OLD_NAMES, PARAMETERS, PostprocessParams, implied_unclip, present_names
from hmean.types import Statistic

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=32, le=8192)]
# A run's name is a folder's name, and sweeps and loggers pass it on: no separators, no "=".
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
Model = TypeVar("Model", bound=pydantic.BaseModel)


class _Strict(pydantic.BaseModel):
    # strict: "0.3" is no number and 1 is no bool. Hydra's grammar has already made typed values of what was typed.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Split(_Strict):
    """Folds of a label set, drawn with ``k`` and ``seed`` or read from the ``file`` that ``hmean data split`` writes.

    ``part`` train is all folds but ``fold``, val is ``fold``, holdout what the file keeps out of all folds.
    """

    k: Annotated[int, Field(ge=2)] | None = None
    seed: int | None = None
    file: str | None = None
    fold: Annotated[int, Field(ge=0)] = 0
    part: Literal["train", "val", "holdout"]

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Split:
        if (self.file is None) != (self.k is not None and self.seed is not None):
            raise ValueError("give k and seed, or file")
        if self.k is not None and self.fold >= self.k:
            raise ValueError(f"fold must be 0..{self.k - 1}, got {self.fold}")
        return self


class DatasetConfig(_Strict):
    """Labels and the folder of their images."""

    image_path: str
    annotation_path: str
    split: Split | None


class TrainDatasetConfig(DatasetConfig):
    """Also the maps of a ``teacher``, and its share of the shrink map."""

    teacher: str | None = None  # defaults, since runs of earlier versions do not say
    teacher_weight: Share | None = None


class Datasets(_Strict):
    """One data set for each use."""

    train_dataset: TrainDatasetConfig
    val_dataset: DatasetConfig
    test_dataset: DatasetConfig
    predict_dataset: DatasetConfig


class AugmentConfig(_Strict):
    """See ``hmean.data.augment.Augment``."""

    rotate: NonNegative
    scale: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]
    shift: Share
    shear: Annotated[float, Field(ge=0, lt=60)]
    perspective: Annotated[float, Field(ge=0, le=0.2)]
    stretch: NonNegative
    hflip: Share
    vflip: Share
    p: Share


class PhotometricConfig(_Strict):
    """See ``hmean.data.photometric.Photometric``."""

    brightness: Share
    contrast: Share
    saturation: Share
    hue: Annotated[float, Field(ge=0, le=0.5)]
    p_color: Share
    noise: Share
    p_noise: Share
    blur: Annotated[float, Field(gt=0.1, le=10)]
    p_blur: Share
    sharpen: Annotated[float, Field(ge=1)]
    p_sharpen: Share
    jpeg: Annotated[int, Field(ge=1, le=95)]
    p_jpeg: Share
    p_gray: Share
    p_shadow: Share
    p_fog: Share


class TrainViews(_Strict):
    """How training samples are cut from pages."""

    crop: Annotated[int, Field(ge=32, multiple_of=32)] | None
    long_side: Annotated[list[Side], Field(min_length=2, max_length=2)]
    near_text: Share
    views_per_page: Count
    augment: AugmentConfig
    photometric: PhotometricConfig

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> TrainViews:
        for name, (low, high) in (("long_side", self.long_side), ("augment.scale", self.augment.scale)):
            if low > high:
                raise ValueError(f"{name} must be [low, high], got [{low}, {high}]")
        if self.crop is None and self.long_side[0] < self.long_side[1]:
            raise ValueError(f"without crop all pages are drawn at one size: long_side=[n, n], got {self.long_side}")
        return self


class Transforms(_Strict):
    """Views in evaluation and training."""

    long_side: Side
    pad: Literal["square", "stride"]
    train: TrainViews


class Dataloader(_Strict):
    """Batches of one data set."""

    batch_size: Count
    num_workers: Annotated[int, Field(ge=0)]


class CacheConfig(_Strict):
    """See ``hmean.data.cache.PageCache``; off without a folder."""

    folder: str | None
    size_gb: Annotated[float, Field(gt=0)]


class Dataloaders(_Strict):
    """One loader for each use."""

    cache: CacheConfig
    train_dataloader: Dataloader
    val_dataloader: Dataloader
    test_dataloader: Dataloader
    predict_dataloader: Dataloader


# Where the modules of earlier versions are now: their checkpoints and presets name the old ones.
MOVED_TARGETS = {
    "hmean.models": "hmean.network",
    "hmean.losses": "hmean.network.losses",
    "hmean.schedules": "hmean.training.schedules",
}


class Component(pydantic.BaseModel):
    """A class or function named by ``_target_``; its other keys are its arguments, checked against its signature."""

    model_config = ConfigDict(extra="allow", frozen=True)
    target: Annotated[str, Field(alias="_target_", pattern=r"^[\w.]+\.\w+$")]

    @pydantic.field_validator("target")
    @classmethod
    def _where_it_is_now(cls, target: str) -> str:
        """Checkpoints and presets of earlier versions name modules that have moved."""
        for old, new in MOVED_TARGETS.items():
            if target.startswith(f"{old}."):
                return new + target.removeprefix(old)
        return target

    def arguments(self) -> dict[str, Any]:
        """The keys beside ``_target_``."""
        return {**self.model_dump(exclude={"target", "postprocess"})}


class EncoderConfig(Component):
    """Encoder: ``model_name`` is any timm name."""

    model_name: str


def with_fields(fields: Mapping[str, Any]) -> Callable[[type[Model]], type[Model]]:
    """Add fields, (type, default) by name, to a model whose class it decorates."""

    def decorate(model: type[Model]) -> type[Model]:
        return pydantic.create_model(
            model.__name__, __base__=model, __module__=model.__module__, __doc__=model.__doc__, **fields
        )

    return decorate


@with_fields({name: (parameter.annotation(), parameter.default) for name, parameter in PARAMETERS.items()})
class PostprocessConfig(_Strict):
    """The parameters that ``hmean.postprocess.parameters`` declares."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return present_names(values)

    def params(self) -> PostprocessParams:
        """The record that the post-processing takes."""
        return PostprocessParams.from_dict(self.model_dump())


class HeadConfig(Component):
    """Head and the post-processing of its maps."""

    postprocess: PostprocessConfig


class TargetsConfig(_Strict):
    """See ``hmean.data.targets``."""

    shrink_ratio: Annotated[float, Field(gt=0, lt=1)]
    min_side: NonNegative
    antialias: bool = False  # older checkpoints do not say

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_device(cls, values: Any) -> Any:
        """Older checkpoints say where targets were made."""
        return {k: v for k, v in values.items() if k != "device"} if isinstance(values, dict) else values


class OptimizerConfig(Component):
    """Optimizer."""

    lr: Annotated[float, Field(gt=0, strict=True)]
    weight_decay: Annotated[float, Field(ge=0, strict=True)]


class Models(_Strict):
    """The network and how it learns."""

    encoder: EncoderConfig
    decoder: Component
    head: HeadConfig
    loss: Component
    targets: TargetsConfig
    optimizer: OptimizerConfig
    scheduler: Component


class TrainerConfig(_Strict):
    """How long and on what."""

    max_epochs: Count
    accumulate_grad_batches: Count
    gradient_clip_val: Annotated[float, Field(gt=0)] | None
    check_val_every_n_epoch: Count
    limit_train_batches: Count | None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    channels_last: bool
    compile: bool
    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    devices: Literal["auto"] | Count
    strategy: Literal["auto", "ddp", "ddp_spawn"]


class PredictConfig(_Strict):
    """What prediction writes."""

    overlays: Annotated[int, Field(ge=0)]
    csv: bool
    shard: Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")] | None = None

    @pydantic.model_validator(mode="after")
    def _one_of_them(self) -> PredictConfig:
        which, of = self.share()
        if which >= of:
            raise ValueError(f"shard must be I/N with I from 1 to N, got {self.shard}")
        return self

    def share(self) -> tuple[int, int]:
        """Which share of the files, from 0 on, and of how many."""
        which, _, of = (self.shard or "1/1").partition("/")
        return int(which) - 1, int(of)


@with_fields({name: (GenericAlias(list, (parameter.annotation(),)), []) for name, parameter in PARAMETERS.items()})
class TuneConfig(_Strict):
    """The grid (an empty list keeps the model's value), what to raise and what to hold."""

    objective: (
        Statistic | Annotated[dict[Statistic, Annotated[float, Field(gt=0, allow_inf_nan=False)]], Field(min_length=1)]
    )
    precision: Share
    recall: Share
    folds: Annotated[int, Field(ge=2)]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, values: Any) -> Any:
        return present_names(values)

    def weights(self) -> dict[Statistic, float]:
        """The objective as weights of hmeans."""
        return {self.objective: 1.0} if isinstance(self.objective, str) else dict(self.objective)


class CrossvalConfig(_Strict):
    """How the pages of ``datasets.train_dataset`` are dealt, and how many folds train at a time."""

    k: Annotated[int, Field(ge=2)]
    holdout: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0)]
    agents: Count


class Config(_Strict):
    """Everything that a job is told."""

    exp_name: Name | None
    output_dir: str
    output: str | None
    seed: Annotated[int, Field(ge=0)]
    wandb: bool
    resume: Literal["auto"] | None
    overwrite: bool
    checkpoint_path: str | None
    evaluate_on: Literal["val", "test", "train"]
    maps: bool = False  # older checkpoints do not say
    trusted_targets: list[str]
    dataset_base_path: str
    datasets: Datasets
    transforms: Transforms
    dataloaders: Dataloaders
    models: Models
    trainer: TrainerConfig
    predict: PredictConfig
    tune: TuneConfig
    crossval: CrossvalConfig

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and checkpoints."""
        return self.model_dump(by_alias=True, mode="json")


# Their text is taken as it is typed: a path may hold what is special in Hydra's grammar, such as "=" or a comma.
_PATH_KEYS = (
    "checkpoint_path", "dataset_base_path", "output", "output_dir", "annotation_path", "image_path", "folder",
    "teacher",
)  # fmt: skip
_DELETED = object()

# --- composing ------------------------------------------------------------------------------------------------------


def config_dir() -> Path:
    """The shipped configs: inside the installed package, or at the root of a checkout."""
    packaged = Path(__file__).parents[1] / "configs"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "configs"


def compose(overrides: Sequence[str], carried: Mapping[str, Any] | None = None) -> Config:
    """Compose and check a config.

    Args:
        overrides: ``key=value`` in Hydra's grammar; group choices such as ``preset=resnet50`` among them. A folder
            ``configs`` in the current directory adds presets of the user's own.
        carried: sections that a checkpoint brings (``models``, ``transforms``): they replace the preset's, and explicit
            values replace theirs.

    Raises:
        InputError: listing every fault.
    """
    values, groups = _parse(overrides)
    if "models.targets.device" in {key for key, _ in values}:
        raise InputError("models.targets.device: was removed (targets are always made by the loader processes)")
    node = _compose_groups(groups)
    OmegaConf.set_struct(node, value=False)
    _use_present_names(node)
    for section, value in (carried or {}).items():
        node[section] = value
    _use_present_names(node)
    faults = []
    for key, value in values:
        try:
            if value is _DELETED:
                _delete(node, key)
            else:
                OmegaConf.update(node, key, value, merge=True, force_add=True)
            _use_present_names(node)
        except (OmegaConfBaseException, HydraException, KeyError, TypeError, AttributeError) as error:
            faults.append(f"{key}: cannot be set ({error})")
    section = "models.head.postprocess."
    names = [key.removeprefix(section) for key, _ in values if key.startswith(section)]
    given = {OLD_NAMES.get(name, name) for name in names}
    unclip = implied_unclip(given)
    if unclip is not None and "unclip" not in given and not faults:  # as in PostprocessParams.replaced
        OmegaConf.update(node, f"{section}unclip", unclip, force_add=True)
    try:
        plain = OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(f"config: {error}") from error
    if node.get("exp_name") is None and isinstance(plain, dict):
        plain["exp_name"] = groups.get("preset")
    return _check(plain, faults)


def _use_present_names(node: DictConfig) -> None:
    """Rename parameters that a preset, a checkpoint or an override gives by an old name; it replaces what was there."""
    for key in ("models.head.postprocess", "tune"):
        section = OmegaConf.select(node, key)
        for old, present in OLD_NAMES.items():
            if isinstance(section, DictConfig) and old in section:
                section[present] = section.pop(old)


def _parse(overrides: Sequence[str]) -> tuple[list[tuple[str, Any]], dict[str, str]]:
    """(key, value) of each override, ``_DELETED`` for ``~key``, and the choices of groups."""
    values: list[tuple[str, Any]] = []
    groups: dict[str, str] = {}
    faults = []
    parser = OverridesParser.create()
    for line in overrides:
        key, _, text = line.partition("=")
        if key.rpartition(".")[2] in _PATH_KEYS:
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
            values.append((key, text[1:-1] if quoted else None if text == "null" else text))
            continue
        try:
            override = parser.parse_override(line)
        except HydraException:
            faults.append(f"{line!r} is not key=value in Hydra's grammar (quote values that hold spaces or commas)")
            continue
        if override.is_sweep_override():
            faults.append(
                f"{line!r} gives several values; a job takes one (hmean tune and a sweep search over several)"
            )
        elif _is_group(override.key_or_group):
            groups[override.key_or_group] = str(override.value())
        else:
            values.append((override.key_or_group, _DELETED if override.is_delete() else override.value()))
    if faults:
        raise InputError.listing("These arguments cannot be read:", faults)
    return values, groups


def _group_dirs() -> list[Path]:
    own = Path("configs").resolve()
    return [config_dir(), own] if own.is_dir() and own != config_dir().resolve() else [config_dir()]


def _is_group(key: str) -> bool:
    return "." not in key and any((root / key).is_dir() for root in _group_dirs())


def choices(group: str) -> list[str]:
    """Names that a config group offers, such as those of ``preset``."""
    return sorted({file.stem for root in _group_dirs() for file in (root / group).glob("*.yaml")})


def _compose_groups(groups: Mapping[str, str]) -> DictConfig:
    faults = []
    for group, choice in groups.items():
        if choice not in choices(group):
            faults.append(f"{group}={choice}: there are {', '.join(choices(group))}{_hint(choice, choices(group))}")
    if faults:
        raise InputError.listing("The config has faults:", faults)
    quoted = ",".join(
        "'file://" + str(root).replace("\\", "\\\\").replace("'", "\\'") + "'" for root in _group_dirs()[1:]
    )
    search = [f"hydra.searchpath=[{quoted}]"]
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            return hydra_compose("base", [*search, *(f"{_packaged(g)}={choice}" for g, choice in groups.items())])
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"config: {error}") from error


def _packaged(group: str) -> str:
    """Hydra's name of a group: preset/models/decoder fills models.decoder."""
    package = group.removeprefix("preset/").replace("/", ".")
    return group if group == "preset" else f"{group}@{package}"


def _delete(node: DictConfig, key: str) -> None:
    parent, _, last = key.rpartition(".")
    target = OmegaConf.select(node, parent) if parent else node
    del target[last]


def _check(plain: Any, faults: list[str]) -> Config:
    try:
        config = Config.model_validate(plain)
    except pydantic.ValidationError as error:
        faults += [_word(detail) for detail in error.errors()]
        raise InputError.listing("The config has faults:", faults) from None
    if faults:
        raise InputError.listing("The config has faults:", faults)
    return config


def _word(detail: Any, known: Sequence[str] | None = None) -> str:
    """One fault in words: dotted key, what is wrong, the nearest real key."""
    # Members of unions have their type's name in the location; a key never holds such characters.
    location = [
        str(part)
        for part in detail["loc"]
        if not str(part).startswith(("literal[", "constrained-", "function-", "dict["))
    ]
    key = ".".join(part for part in location if part not in ("int", "none", "float", "str"))
    if detail["type"] == "extra_forbidden":
        return f"{key}: there is no such key{_hint(key, known or list(known_keys()))}"
    if detail["type"] == "missing":
        return f"{key}: is missing"
    if detail["type"] == "value_error":  # a rule between fields, which says in its own words what it got
        return f"{key}: {detail['msg'].removeprefix('Value error, ')}"
    return f"{key}: {detail['msg'][0].lower()}{detail['msg'][1:]}, got {detail['input']!r}"


def _hint(word: str, known: Sequence[str]) -> str:
    by_last = [key for key in known if key.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]]
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6) or by_last[:1]
    return f"; did you mean {close[0]}?" if close else ""


def known_keys(model: type[pydantic.BaseModel] = Config, prefix: str = "") -> Iterator[str]:
    """Every dotted key of the schema."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key
        for part in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, pydantic.BaseModel):
                yield from known_keys(part, key + ".")


def read_options(kind: type[Model], arguments: Sequence[str]) -> Model:
    """The ``key=value`` options of a job that takes no config; null is None.

    Raises:
        InputError: listing every fault.
    """
    pairs = (argument.partition("=") for argument in arguments)
    try:
        return kind.model_validate({key: None if value == "null" else value for key, _, value in pairs})
    except pydantic.ValidationError as error:
        faults = [_word(detail, list(kind.model_fields)) for detail in error.errors()]
        raise InputError.listing("The options have faults:", faults) from None


# --- building -------------------------------------------------------------------------------------------------------

# Modules whose every callable only makes a part: what a checkpoint from elsewhere may name.
OWN_TARGETS = ("hmean.network.", "hmean.training.schedules.", "torch.optim.")
# Arguments that the program gives, so that a config cannot.
_GIVEN = {
    "decoder": ("in_channels",),
    "head": ("in_channels",),
    "optimizer": ("params",),
    "scheduler": ("optimizer", "total_steps"),
}


def resolve(component: Component, where: str) -> Callable[..., Any]:
    """Import what ``_target_`` names.

    Raises:
        InputError: if there is no such thing.
    """
    module, _, name = component.target.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{where}._target_: {component.target} cannot be imported ({error})") from error
    if not callable(found):
        raise InputError(f"{where}._target_: {component.target} is neither a class nor a function")
    return found


def check_components(config: Config, trusted: Sequence[str] | None = None) -> None:
    """Check the arguments of every ``_target_`` against its signature, and types where it is one of hmean's own.

    Args:
        config: whose components are checked.
        trusted: if given, only these packages (and hmean's and torch's own) may be named: a checkpoint from elsewhere
            must not be able to call any function it likes.

    Raises:
        InputError: listing every fault.
    """
    models, faults = config.models, []
    for name in ("encoder", "decoder", "head", "loss", "optimizer", "scheduler"):
        component: Component = getattr(models, name)
        where = f"models.{name}"
        allowed = (*OWN_TARGETS, *(f"{package}." for package in trusted or ()))
        if trusted is not None and not component.target.startswith(allowed):
            faults.append(
                f"{where}._target_: {component.target} is not hmean's own; if you trust this checkpoint, "
                f"add trusted_targets=[{component.target.split('.')[0]}]"
            )
            continue
        try:
            faults += _check_arguments(resolve(component, where), component.arguments(), where, _GIVEN.get(name, ()))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError.listing("The config has faults:", faults)


def _check_arguments(
    target: Callable[..., Any], arguments: Mapping[str, Any], where: str, given: Sequence[str]
) -> list[str]:
    parameters = inspect.signature(target).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    known = [p.name for p in parameters if p.kind not in variable and p.name not in given]
    needed = [p.name for p in parameters if p.name in known and p.default is inspect.Parameter.empty]
    faults = [f"{where}.{name}: is missing; {_name(target)} needs it" for name in needed if name not in arguments]
    faults += [f"{where}.{name}: is hmean's to give; leave it out" for name in arguments if name in given]
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return faults
    unknown = [name for name in arguments if name not in (*known, *given)]
    faults += [f"{where}.{name}: there is no such key{_hint(name, known)}" for name in unknown]
    own = getattr(target, "__module__", "").startswith("hmean.")
    hints = typing.get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]  # read, not called
    for name, value in arguments.items():
        # Elsewhere only plain annotations are reliable enough to refuse a value for.
        if name in hints and (own or hints[name] in (int, float, bool, str)):
            try:
                pydantic.TypeAdapter(hints[name]).validate_python(value, strict=True)
            except pydantic.ValidationError as error:
                detail = error.errors()[0]
                faults.append(f"{where}.{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}, got {value!r}")
    return faults


def _name(target: Callable[..., Any]) -> str:
    return getattr(target, "__qualname__", str(target))


def build(component: Component, where: str, **given: Any) -> Any:
    """Make the part: ``given`` (from the program, never the config) and the config's arguments.

    ``given`` is cut to what the target's signature takes, so that ``total_steps`` reaches only schedules that ask.
    """
    target = resolve(component, where)
    names = inspect.signature(target).parameters
    try:
        return target(**{k: v for k, v in given.items() if k in names}, **component.arguments())
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: torch, of a layer of impossible size
        raise InputError(f"{where}: {component.target} refuses its arguments ({error})") from error
