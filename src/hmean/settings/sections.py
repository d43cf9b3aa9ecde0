"""The sections that settings are made of.

Each command's settings record, in its own file, names the sections that it reads; a key outside them is an error there.
``AllSettings`` has all of them: presets are checked against it, whatever the command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import pydantic
from pydantic import ConfigDict, Field, PrivateAttr

from hmean import plugins
from hmean.errors import InputError
from hmean.postprocess.parameters import PARAMETERS, PostprocessParams
from hmean.reports.words import Language
from hmean.types import Statistic, TextView, TrackerName, View

NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=32, le=8192)]
TextHeight = Annotated[float, Field(ge=4, le=200)]
# A run's name is the name of a folder, and sweeps and loggers pass it on: no separators, no "=".
Name = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
SplitName = Literal["val", "test", "train"]
Tracker = Literal[TrackerName, "none"]


class Section(pydantic.BaseModel):
    """Named values, checked strictly: ``"0.3"`` is not a number and ``1`` is not a boolean."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


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
    # What of a preset that the user named does not hold, in words.
    _notes: tuple[str, ...] = PrivateAttr(default=())

    def given(self, prefix: str) -> list[str]:
        """The keys below ``prefix`` (or equal to it) that the user gave a value for, in order."""
        return sorted(key for key in self._given if key == prefix or key.startswith(f"{prefix}."))

    @property
    def notes(self) -> tuple[str, ...]:
        """What of a preset that the user named does not hold, a sentence each."""
        return self._notes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for YAML, JSON and checkpoints; ``config=FILE`` reads them."""
        return self.model_dump(by_alias=True, mode="json")

    def check_early(self) -> None:
        """Refuse what can be refused before the packages of the command are imported, which takes seconds.

        Raises:
            InputError: if something that is named is not there.
        """


class OptionSettings(Settings):
    """Settings of a command that reads no preset: every value has a default, and numbers may be typed as text."""

    model_config = ConfigDict(strict=False)
    reads_presets: ClassVar[bool] = False


class LanguageSettings(OptionSettings):
    """Settings of a command that writes reports."""

    lang: Language = "en"
    """Language of the report: `en` or `ko`, which is written beside the other as `report.ko.html`."""


# --- data -------------------------------------------------------------------------------------------------------------


class Folds(Section):
    """Folds of a label set, drawn with ``k`` and ``seed``, or read from the ``file`` that ``hmean data split`` writes.

    ``split`` train is all folds but ``fold``, val is ``fold``, all is every fold, and holdout is what the file keeps
    out of all folds.
    """

    k: Annotated[int, Field(ge=2)] | None = None
    """Number of folds to draw."""
    seed: int | None = None
    """Seed of the draw."""
    file: str | None = None
    """File that `hmean data split` wrote, in place of `k` and `seed`."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Number of the fold, from 0 on."""
    split: Literal["train", "val", "all", "holdout"]
    """`train`: all folds but this one; `val`: this fold; `all`: every fold; `holdout`: what the file keeps out."""

    @pydantic.model_validator(mode="after")
    def _one_source(self) -> Folds:
        has_file = self.file is not None
        has_draw = self.k is not None and self.seed is not None
        if has_file == has_draw:
            raise ValueError("give k and seed, or file")
        if self.k is not None and self.fold >= self.k:
            raise ValueError(f"fold must be 0..{self.k - 1}, got {self.fold}")
        return self


LabelPaths = str | Annotated[list[str], Field(min_length=1)]


class Dataset(Section):
    """Labels, the folder of their images, and which folds of them; None: all pages."""

    image_path: str
    """Folder of the images."""
    annotation_path: LabelPaths
    """Label file or folder in any format (docs/reference/formats.md), or a list of several."""
    folds: Folds | None
    """Which folds of the labels; null: all pages."""

    @property
    def label_paths(self) -> tuple[Path, ...]:
        """Where the labels are."""
        paths = self.annotation_path
        if isinstance(paths, str):
            paths = [paths]
        return tuple(Path(path) for path in paths)


class MoreData(Dataset):
    """Pages that are trained on beside others."""

    folds: Folds | None = None
    """Which folds of the labels; null: all pages."""
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of an epoch's samples that are of these pages; null: each page once an epoch, like the others."""


class TrainDataset(Dataset):
    """Also further pages, the folder with the maps of a ``teacher``, and its share of the shrink map (None: 0.5)."""

    also: list[MoreData] | None = None
    """More pages to learn from, of other label files, folders or folds, such as drawn ones; null: none."""
    teacher: str | None = None
    """Folder with maps of these pages by a better model, from which a student learns too."""
    teacher_weight: Share | None = None
    """The teacher's share of the shrink map; null: 0.5."""

    @pydantic.model_validator(mode="after")
    def _room_for_own_pages(self) -> TrainDataset:
        shares = [part.share for part in self.also or [] if part.share is not None]
        if sum(shares) >= 1:
            raise ValueError(f"the shares in also must add up to less than 1, got {sum(shares):g}")
        return self


class TrainingDatasets(Section):
    """What a training reads."""

    train_dataset: TrainDataset
    """Pages to learn from."""
    val_dataset: Dataset | None
    """Pages that the best epoch is chosen on; null: a training keeps its last epoch, and scores nothing."""


class LabelledDatasets(TrainingDatasets):
    """What an evaluation may read."""

    test_dataset: Dataset
    """Pages that nothing is chosen on."""

    def of_split(self, split: SplitName) -> Dataset:
        """The data set of a split.

        Raises:
            InputError: if there are no validation pages.
        """
        if split == "train":
            return self.train_dataset
        if split == "test":
            return self.test_dataset
        if self.val_dataset is None:
            raise InputError("datasets.val_dataset: is null; name the pages that split=val stands for")
        return self.val_dataset


class PredictDatasets(Section):
    """What a prediction reads when no inputs are given."""

    predict_dataset: Dataset
    """Pages that `hmean predict` takes when no inputs are given."""


class AllDatasets(LabelledDatasets, PredictDatasets):
    """One data set for each use."""


class Loader(Section):
    """Batches of one data set; ``num_workers`` processes or threads read ahead."""

    batch_size: Count
    """Pages or samples in one batch."""
    num_workers: Annotated[int, Field(ge=0)]
    """Processes or threads that read ahead."""


class Cache(Section):
    """See ``hmean.data.cache.PageCache``; off without a folder."""

    folder: str | None
    """Keep decoded pages of training and validation in this folder; null: decode each time."""
    size_gb: Annotated[float, Field(gt=0)]
    """Size that the folder may grow to, in gigabytes."""


class TrainingLoaders(Section):
    """Loaders of a training."""

    cache: Cache
    """Decoded pages kept on disk."""
    train_dataloader: Loader
    """Batches of training."""
    val_dataloader: Loader
    """Batches of validation."""


class EvaluationLoaders(Section):
    """Loaders of an evaluation."""

    train_dataloader: Loader
    """Batches of the training pages."""
    val_dataloader: Loader
    """Batches of the validation pages."""
    test_dataloader: Loader
    """Batches of the test pages."""

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
    """Batches of a prediction."""


class AllLoaders(TrainingLoaders, EvaluationLoaders, PredictLoaders):
    """One loader for each use."""


# --- views ------------------------------------------------------------------------------------------------------------


class Augment(Section):
    """See ``hmean.data.augment.Augment``."""

    rotate: NonNegative
    """Largest rotation, degrees."""
    scale: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]
    """Smallest and largest zoom."""
    shift: Share
    """Largest shift, as a share of the view."""
    shear: Annotated[float, Field(ge=0, lt=60)]
    """Largest shear, degrees."""
    perspective: Annotated[float, Field(ge=0, le=0.2)]
    """Largest shift of a corner, as a share of the view."""
    stretch: NonNegative
    """Largest change of the aspect ratio."""
    hflip: Share
    """Probability of a horizontal flip."""
    vflip: Share
    """Probability of a vertical flip."""
    p: Share
    """Probability that a sample is augmented at all."""
    # From here on with defaults: configs of earlier versions do not have these.
    turn: Share = 0.0
    """Probability of a turn by 90, 180 or 270 degrees, each as likely; whatever else happens."""
    tilt: Annotated[float, Field(ge=0, le=180)] = 45.0
    """Largest further rotation of tilted samples, degrees."""
    p_tilt: Share = 0.0
    """Probability that a sample is tilted."""


class Photometric(Section):
    """See ``hmean.data.photometric.Photometric``."""

    brightness: Share
    """Largest change of brightness."""
    contrast: Share
    """Largest change of contrast."""
    saturation: Share
    """Largest change of saturation."""
    hue: Annotated[float, Field(ge=0, le=0.5)]
    """Largest change of hue, as a share of the colour circle."""
    p_color: Share
    """Probability of a change of colours."""
    noise: Share
    """Largest standard deviation of noise, as a share of white."""
    p_noise: Share
    """Probability of noise."""
    blur: Annotated[float, Field(gt=0.1, le=10)]
    """Largest standard deviation of blur, pixels."""
    p_blur: Share
    """Probability of blur."""
    sharpen: Annotated[float, Field(ge=1)]
    """Largest factor of sharpening."""
    p_sharpen: Share
    """Probability of sharpening."""
    jpeg: Annotated[int, Field(ge=1, le=95)]
    """Lowest JPEG quality."""
    p_jpeg: Share
    """Probability of JPEG compression."""
    p_gray: Share
    """Probability of a grey image."""
    p_shadow: Share
    """Probability of a shadow."""
    p_fog: Share
    """Probability of fog."""
    # From here on with defaults: configs of earlier versions do not have these.
    fade: Factor = 0.25
    """Least share of the print that is left where it has bleached, as on old thermal paper."""
    p_fade: Share = 0.0
    """Probability of bleached print, in patches or everywhere."""
    creases: Count = 16
    """Most creases; from about ten on the paper looks crumpled."""
    crease_depth: Share = 0.3
    """Largest share of the light that is missing in a crease."""
    p_crease: Share = 0.0
    """Probability of creases. They shade print, but do not bend it."""
    p_stain: Share = 0.0
    """Probability of stains."""
    light: Share = 0.6
    """Largest share of the light that is missing where a lamp reaches least."""
    p_light: Share = 0.0
    """Probability of uneven light."""
    faint: Factor = 0.25
    """Least contrast, as a factor; it is lowered towards anything from black to white."""
    p_faint: Share = 0.0
    """Probability of low contrast."""
    gamma: Annotated[float, Field(ge=1, le=10)] = 2.5
    """Largest exponent of the tone curve, drawn log-uniformly from 1/gamma to gamma."""
    p_gamma: Share = 0.0
    """Probability of another tone curve."""
    p_invert: Share = 0.0
    """Probability of a negative."""
    motion: Annotated[float, Field(ge=1, le=100)] = 9.0
    """Longest path of a camera that was moved, pixels."""
    p_motion: Share = 0.0
    """Probability of motion."""
    small: Factor = 0.4
    """Least factor by which resolution was lost."""
    p_small: Share = 0.0
    """Probability of lost resolution."""
    dark: Factor = 0.15
    """Least share of the light in low light, which brings noise of the sensor."""
    p_dark: Share = 0.0
    """Probability of low light."""
    specks: Share = 0.02
    """Largest share of pixels that are black or white."""
    p_specks: Share = 0.0
    """Probability of specks."""


class TrainViews(Section):
    """How training samples are cut from pages."""

    crop: Annotated[int, Field(ge=32, multiple_of=32)] | None
    """Side of the square crops, pixels; null: whole pages."""
    long_side: Annotated[list[Side], Field(min_length=2, max_length=2)]
    """Longest side of the page, pixels: drawn log-uniformly between these for crops."""
    text_share: Share = 0.0  # configs of earlier versions do not have it
    """Share of the crops whose scale follows text_height; that of the others follows long_side."""
    text_height: Annotated[list[TextHeight], Field(min_length=2, max_length=2)] = [14.0, 28.0]  # likewise
    """Height of the page's typical text in crops, pixels: drawn log-uniformly between these."""
    near_text: Share
    """Share of the crops that hold a word on purpose."""
    near_narrow: Share = 0.0
    """Share of these crops whose word is narrower than high, such as a digit, where the page has one."""
    views_per_page: Count
    """Samples of each page in one epoch."""
    min_samples: Annotated[int, Field(ge=0)] = 0  # configs of earlier versions do not have it
    """Samples of one epoch at least: of fewer pages, some or all are taken more often, and in the end equally often."""
    augment: Augment
    """Geometric augmentation."""
    photometric: Photometric
    """Photometric augmentation."""
    # With defaults: configs of earlier versions do not have these.
    paste: Share = 0.0
    """Probability that words of another training page are put into free places of a sample, with their labels."""
    paste_words: Count = 12
    """Most words that are put into one sample; half of them have one or two characters, where there are such."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> TrainViews:
        _check_range("long_side", self.long_side)
        _check_range("text_height", self.text_height)
        if self.crop is None and self.text_share > 0:
            raise ValueError("text_share needs crops: set crop, such as crop=384")
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
    """Longest side of the page in evaluation and prediction, pixels."""
    pad: Literal["square", "stride"]
    """`square`: to long_side x long_side; `stride`: to the next multiple of 32."""
    # With defaults: configs of earlier versions do not have these.
    view: Literal["page", "text"] = "page"
    """`page`: the whole page at long_side; `text`: cut to the text that a first look finds, and scaled to its height,
    with at most long_side x long_side pixels."""
    text_height: TextHeight = TextView.height
    """With `view=text`: height that the page's typical text is scaled to, pixels."""
    first_look: Side = TextView.first_look
    """With `view=text`: longest side of the page in the first look, pixels."""

    @pydantic.model_validator(mode="after")
    def _has_no_fixed_size(self) -> Self:
        if self.view == "text" and self.pad == "square":
            raise ValueError("view=text makes views of many sizes; set pad=stride")
        return self

    @pydantic.model_validator(mode="after")
    def _looks_no_closer_at_first(self) -> Self:
        if self.view == "text" and self.first_look > self.long_side:
            raise ValueError(
                f"with view=text, first_look={self.first_look} is larger than long_side={self.long_side}, so the first "
                f"look would be the closer one; set first_look={self.long_side} or less, or a larger long_side"
            )
        return self

    def seen(self) -> View:
        """How the network sees pages."""
        text = None
        if self.view == "text":
            text = TextView(self.text_height, self.first_look)
        return View(self.long_side, self.pad, text)


class Transforms(EvaluationView):
    """Views in evaluation and training."""

    train: TrainViews
    """Views in training."""


# --- model ------------------------------------------------------------------------------------------------------------


class ComponentSection(pydantic.BaseModel):
    """A class or function named by ``_target_``; its other keys are its arguments, checked against its signature."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
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
    """The H mean to raise (`macro`, `pooled`, `iou50`, `iou70`), or weights: `{macro: 3, iou70: 1}`."""
    precision: Share
    """Macro precision that must be kept."""
    recall: Share
    """Macro recall that must be kept."""
    folds: Annotated[int, Field(ge=2)]
    """Folds of page groups for the score on pages that nothing was chosen on."""
    adopt: Literal["shown", "any"] = "shown"  # configs of earlier versions do not have it
    """What is adopted: `shown`: values whose gain on held-out pages is shown; `any`: whatever was chosen."""

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
    # With defaults, so that presets and older files need not hold a parameter that is added.
    Postprocess = pydantic.create_model(
        "Postprocess",
        __base__=PostprocessSection,
        **{name: (parameter.annotation(), parameter.default) for name, parameter in PARAMETERS.items()},
    )
    Tune = pydantic.create_model(
        "Tune",
        __base__=TuneSection,
        **{name: (list[parameter.annotation()], []) for name, parameter in PARAMETERS.items()},
    )


class Encoder(ComponentSection):
    """Encoder: ``model_name`` is any timm name."""

    model_name: str
    """Any timm name with `features_only`."""


class Head(ComponentSection):
    """Head, and the post-processing of its maps."""

    postprocess: Postprocess
    """From probability maps to text polygons."""


class PostprocessedHead(Section):
    """Of the head only the post-processing, which is all that can change once a model is trained."""

    postprocess: Postprocess
    """From probability maps to text polygons."""


class TrainedModels(Section):
    """What can be set of a trained model."""

    head: PostprocessedHead
    """The head's post-processing."""


class Targets(Section):
    """See ``hmean.data.targets``."""

    shrink_ratio: Annotated[float, Field(gt=0, lt=1)]
    """r of the paper: words are shrunk by area x (1 - r^2) / perimeter."""
    min_side: NonNegative
    """Words thinner than this are ignored, pixels of the view."""
    antialias: bool = False  # checkpoints of earlier versions do not have it
    """The shrink map says how much of a pixel is text, not whether its centre is."""
    word_balance: Share = 0.0
    """How far words count alike in the loss whatever their area: 0 not at all, 0.5 by its root, 1 wholly."""


class Optimizer(ComponentSection):
    """Optimizer."""

    lr: Annotated[float, Field(gt=0, strict=True)]
    """Learning rate."""
    weight_decay: Annotated[float, Field(ge=0, strict=True)]
    """Weight decay."""


class Models(Section):
    """The network and how it learns."""

    pretrained: str | None = None  # configs of earlier versions do not have it
    """Weights of a whole detector to start from: the name of a published one (`pp-ocrv6-tiny`, `-small`, `-medium`,
    `pp-ocrv5-mobile`, `-server`), a repository of the Hugging Face hub or a folder with such a detector, a checkpoint,
    a weights file, or the ONNX file of a PP-OCRv6 detector; null: only the encoder's. Short: `from`."""
    encoder: Encoder
    """Encoder."""
    decoder: ComponentSection
    """Decoder."""
    head: Head
    """Head."""
    loss: ComponentSection
    """Loss."""
    targets: Targets
    """Training targets."""
    optimizer: Optimizer
    """Optimizer."""
    scheduler: ComponentSection
    """Learning rate schedule."""

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
    """Epochs."""
    accumulate_grad_batches: Count
    """Batches of one optimizer step."""
    gradient_clip_val: Annotated[float, Field(gt=0)] | None
    """Largest norm of the gradient; null: not clipped."""
    check_val_every_n_epoch: Count
    """Epochs between validations."""
    limit_train_batches: Count | None
    """Batches of an epoch, for a quick try; null: all."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay of the moving average of the weights that is validated and saved; null: none."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
    """`auto`: bf16 or fp16 mixed on a GPU that has it, fp32 elsewhere."""
    channels_last: bool
    """Memory layout of images and weights."""
    compile: bool
    """Compile the network with torch.compile."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    """Hardware to run on."""
    devices: Literal["auto"] | Count
    """Number of devices."""
    strategy: Literal["auto", "ddp", "ddp_spawn"]
    """Lightning's strategy for several devices."""


class Accelerator(Section):
    """On what a trained model runs."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    """Hardware to run on."""


# --- commands ---------------------------------------------------------------------------------------------------------


class Predict(Section):
    """What a prediction writes."""

    overlays: Annotated[int, Field(ge=0)]
    """Pictures of the first pages with their text polygons drawn."""
    csv: bool
    """Also write submission.csv."""
    shard: Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*$")] | None = None
    """`I/N`: predict the I-th of N disjoint shards of the files."""

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
    """Number of folds."""
    holdout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the pages kept out of all folds, to judge ensembles on."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the folds."""
    agents: Count
    """Folds that train at a time."""
    base: bool
    """Also train one model, `all`, on the pages of all folds, for as long as the folds together."""
