"""The sections that settings are made of.

Each command's settings record, in its own file, names the sections that it reads; a key outside them is an error there.
``AllSettings`` has all of them: presets are checked against it, whatever the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import ConfigDict, Field, PrivateAttr

from hmean import plugins
from hmean.postprocess.parameters import PARAMETERS, PostprocessParams
from hmean.types import Statistic

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=32, le=8192)]
# A run's name is the name of a folder, and sweeps and loggers pass it on: no separators, no "=".
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
SplitName = Literal["val", "test", "train"]
Tracker = Literal["csv", "tensorboard", "wandb", "mlflow"]


class Section(pydantic.BaseModel):
    """Named values, checked strictly: ``"0.3"`` is not a number and ``1`` is not a boolean."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Settings(Section):
    """Everything that one command reads.

    Attributes:
        reads_presets: whether the values come from ``configs/`` by Hydra; else the fields' defaults hold.
        carried: sections that a trained model's file brings: they replace those of the preset.
        default_model: the trained model that is used when neither ``run`` nor ``checkpoint_path`` names one.
        shorthands: short keys, each with the key that it stands for.
        rest: the field that takes, as they were typed, the overrides that are not keys of this record; None: they are
            errors.
    """

    reads_presets: ClassVar[bool] = True
    carried: ClassVar[tuple[str, ...]] = ()
    default_model: ClassVar[str | None] = None
    shorthands: ClassVar[dict[str, str]] = {}
    rest: ClassVar[str | None] = None

    # Keys that the user gave a value for, on the command line or in the file of config=.
    _given: frozenset[str] = PrivateAttr(default=frozenset())

    def given(self, prefix: str) -> list[str]:
        """The keys below ``prefix`` (or equal to it) that the user gave a value for, in order."""
        return sorted(key for key in self._given if key == prefix or key.startswith(f"{prefix}."))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and checkpoints; ``config=FILE`` reads them."""
        return self.model_dump(by_alias=True, mode="json")


class OptionSettings(Settings):
    """Settings of a command that reads no preset: every value has a default, and numbers may be typed as text."""

    model_config = ConfigDict(strict=False)
    reads_presets: ClassVar[bool] = False


# --- data -------------------------------------------------------------------------------------------------------------


class Folds(Section):
    """Folds of a label set, drawn with ``k`` and ``seed``, or read from the ``file`` that ``hmean data split`` writes.

    ``split`` train is all folds but ``fold``, val is ``fold``, and holdout is what the file keeps out of all folds.
    """

    k: Annotated[int, Field(ge=2)] | None = None
    seed: int | None = None
    file: str | None = None
    fold: Annotated[int, Field(ge=0)] = 0
    split: Literal["train", "val", "holdout"]

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Folds:
        has_file = self.file is not None
        has_draw = self.k is not None and self.seed is not None
        if has_file == has_draw:
            raise ValueError("give k and seed, or file")
        if self.k is not None and self.fold >= self.k:
            raise ValueError(f"fold must be 0..{self.k - 1}, got {self.fold}")
        return self


class Dataset(Section):
    """Labels, the folder of their images, and which folds of them; None: all pages."""

    image_path: str
    annotation_path: str
    folds: Folds | None


class TrainDataset(Dataset):
    """Also the folder with the maps of a ``teacher``, and its share of the shrink map (None: 0.5)."""

    teacher: str | None = None
    teacher_weight: Share | None = None


class TrainingDatasets(Section):
    """What a training reads."""

    train_dataset: TrainDataset
    val_dataset: Dataset


class LabelledDatasets(TrainingDatasets):
    """What an evaluation may read."""

    test_dataset: Dataset

    def of_split(self, split: SplitName) -> Dataset:
        """The data set of a split."""
        if split == "train":
            return self.train_dataset
        if split == "val":
            return self.val_dataset
        return self.test_dataset


class PredictDatasets(Section):
    """What a prediction reads when no inputs are given."""

    predict_dataset: Dataset


class AllDatasets(LabelledDatasets, PredictDatasets):
    """One data set for each use."""


class Loader(Section):
    """Batches of one data set; ``num_workers`` processes or threads read ahead."""

    batch_size: Count
    num_workers: Annotated[int, Field(ge=0)]


class Cache(Section):
    """See ``hmean.data.cache.PageCache``; off without a folder."""

    folder: str | None
    size_gb: Annotated[float, Field(gt=0)]


class TrainingLoaders(Section):
    """Loaders of a training."""

    cache: Cache
    train_dataloader: Loader
    val_dataloader: Loader


class EvaluationLoaders(Section):
    """Loaders of an evaluation."""

    train_dataloader: Loader
    val_dataloader: Loader
    test_dataloader: Loader

    def of_split(self, split: SplitName) -> Loader:
        """The loader of a split."""
        if split == "train":
            return self.train_dataloader
        if split == "val":
            return self.val_dataloader
        return self.test_dataloader


class PredictLoaders(Section):
    """The loader of a prediction."""

    predict_dataloader: Loader


class AllLoaders(TrainingLoaders, EvaluationLoaders, PredictLoaders):
    """One loader for each use."""


# --- views ------------------------------------------------------------------------------------------------------------


class Augment(Section):
    """See ``hmean.data.transforms.Augment``."""

    rotate: NonNegative
    scale: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]
    shift: Share
    shear: Annotated[float, Field(ge=0, lt=60)]
    perspective: Annotated[float, Field(ge=0, le=0.2)]
    stretch: NonNegative
    hflip: Share
    vflip: Share
    p: Share


class Photometric(Section):
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


class TrainViews(Section):
    """How training samples are cut from pages."""

    crop: Annotated[int, Field(ge=32, multiple_of=32)] | None
    long_side: Annotated[list[Side], Field(min_length=2, max_length=2)]
    near_text: Share
    views_per_page: Count
    augment: Augment
    photometric: Photometric

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> TrainViews:
        _check_range("long_side", self.long_side)
        _check_range("augment.scale", self.augment.scale)
        if self.crop is None and self.long_side[0] < self.long_side[1]:
            raise ValueError(f"without crop all pages have one size: long_side=[n, n], got {self.long_side}")
        return self


def _check_range(name: str, ends: list[Any]) -> None:
    low, high = ends
    if low > high:
        raise ValueError(f"{name} must be [low, high], got [{low}, {high}]")


class EvaluationView(Section):
    """How a page is shown to the network in evaluation and prediction."""

    long_side: Side
    pad: Literal["square", "stride"]


class Transforms(EvaluationView):
    """Views in evaluation and training."""

    train: TrainViews


# --- model ------------------------------------------------------------------------------------------------------------


class ComponentSection(pydantic.BaseModel):
    """A class or function named by ``_target_``; its other keys are its arguments, checked against its signature."""

    model_config = ConfigDict(extra="allow", frozen=True)
    target: Annotated[str, Field(alias="_target_", pattern=r"^[\w.]+\.\w+$")]

    @pydantic.field_validator("target")
    @classmethod
    def _present_name(cls, target: str) -> str:
        return plugins.present_name(target)

    def arguments(self) -> dict[str, Any]:
        """The keys beside ``_target_``."""
        return self.model_dump(exclude={"target", "postprocess"})


class PostprocessSection(Section):
    """The post-processing parameters; the fields are derived from ``hmean.postprocess.parameters.PARAMETERS``."""

    def params(self) -> PostprocessParams:
        """The record that the post-processing takes."""
        return PostprocessParams(**self.model_dump())


class TuneSection(Section):
    """The grid of a tuning, what it raises, and what it must not lower.

    For each post-processing parameter there is a field with a list of values; the fields are derived from
    ``hmean.postprocess.parameters.PARAMETERS``. An empty list keeps the model's value.
    """

    objective: Statistic | Annotated[dict[Statistic, Annotated[float, Field(gt=0)]], Field(min_length=1)]
    precision: Share
    recall: Share
    folds: Annotated[int, Field(ge=2)]

    def weights(self) -> dict[Statistic, float]:
        """The objective as weights of H means."""
        if isinstance(self.objective, str):
            return {self.objective: 1.0}
        return dict(self.objective)

    def axes(self) -> dict[str, list[Any]]:
        """The values of the grid, by parameter."""
        return {name: list(getattr(self, name)) for name in PARAMETERS}


if TYPE_CHECKING:

    class Postprocess(PostprocessSection):
        """See ``PostprocessSection``."""

    class Tune(TuneSection):
        """See ``TuneSection``."""

else:
    Postprocess = pydantic.create_model(
        "Postprocess",
        __base__=PostprocessSection,
        **{name: (parameter.annotation(), ...) for name, parameter in PARAMETERS.items()},
    )
    Tune = pydantic.create_model(
        "Tune",
        __base__=TuneSection,
        **{name: (list[parameter.annotation()], ...) for name, parameter in PARAMETERS.items()},
    )


class Encoder(ComponentSection):
    """Encoder: ``model_name`` is any timm name."""

    model_name: str


class Head(ComponentSection):
    """Head, and the post-processing of its maps."""

    postprocess: Postprocess


class PostprocessedHead(Section):
    """Of the head only the post-processing, which is all that can change once a model is trained."""

    postprocess: Postprocess


class TrainedModels(Section):
    """What can be set of a trained model."""

    head: PostprocessedHead


class Targets(Section):
    """See ``hmean.data.targets``."""

    shrink_ratio: Annotated[float, Field(gt=0, lt=1)]
    min_side: NonNegative
    antialias: bool = False  # checkpoints of earlier versions do not have it


class Optimizer(ComponentSection):
    """Optimizer."""

    lr: Annotated[float, Field(gt=0, strict=True)]
    weight_decay: Annotated[float, Field(ge=0, strict=True)]


class Models(Section):
    """The network and how it learns."""

    encoder: Encoder
    decoder: ComponentSection
    head: Head
    loss: ComponentSection
    targets: Targets
    optimizer: Optimizer
    scheduler: ComponentSection

    def components(self) -> Components:
        """The classes and functions that are named by ``_target_``."""
        return Components(
            encoder=_component("models.encoder", self.encoder),
            decoder=_component("models.decoder", self.decoder, "in_channels"),
            head=_component("models.head", self.head, "in_channels"),
            loss=_component("models.loss", self.loss),
            optimizer=_component("models.optimizer", self.optimizer, "params"),
            scheduler=_component("models.scheduler", self.scheduler, "optimizer", "total_steps"),
        )


class Components(pydantic.BaseModel):
    """The plugged-in parts of a training."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    encoder: plugins.Component
    decoder: plugins.Component
    head: plugins.Component
    loss: plugins.Component
    optimizer: plugins.Component
    scheduler: plugins.Component

    def all(self) -> list[plugins.Component]:
        """All of them, in the order of the config."""
        return [self.encoder, self.decoder, self.head, self.loss, self.optimizer, self.scheduler]


def _component(key: str, section: ComponentSection, *supplied: str) -> plugins.Component:
    return plugins.Component(key, section.target, section.arguments(), supplied)


# --- training ---------------------------------------------------------------------------------------------------------


class Trainer(Section):
    """How long a training runs, and on what."""

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


class Accelerator(Section):
    """On what a trained model runs."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]


# --- commands ---------------------------------------------------------------------------------------------------------


class Predict(Section):
    """What a prediction writes."""

    overlays: Annotated[int, Field(ge=0)]
    csv: bool
    shard: Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")] | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_of_them(self) -> Predict:
        index, count = self.shard_index()
        if index >= count:
            raise ValueError(f"shard must be I/N with I from 1 to N, got {self.shard}")
        return self

    def shard_index(self) -> tuple[int, int]:
        """Which shard of the files, from 0 on, and of how many."""
        index, _, count = (self.shard or "1/1").partition("/")
        return int(index) - 1, int(count)


class Crossval(Section):
    """How the pages of ``datasets.train_dataset`` are dealt to folds, and how many folds train at a time."""

    k: Annotated[int, Field(ge=2)]
    holdout: Annotated[float, Field(ge=0, lt=1)]
    seed: Annotated[int, Field(ge=0)]
    agents: Count
