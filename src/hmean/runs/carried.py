"""What the file of a trained model says beside its network: config, post-processing values, pages that it has seen.

A checkpoint holds it under the key ``hmean``, an exported model in its metadata. ``read_carried`` reads that of a
checkpoint without torch.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.provenance import Provenance

CHECKPOINT_FORMAT = 2
PAPER_SHRINK_RATIO = 0.4  # Liao et al. 2020


def _to_keys(value: Any) -> NDArray[np.int64]:
    return np.asarray(value, dtype=np.int64)


def _to_list(keys: NDArray[np.int64]) -> list[int]:
    numbers: list[int] = keys.tolist()
    return numbers


# One number for each page (``LabelledImages.page_keys``): a list in JSON, a tensor in a checkpoint.
PageKeys = Annotated[
    NDArray[np.int64],
    PlainValidator(_to_keys),
    PlainSerializer(_to_list),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}}),
]


class PagesSeen(Record):
    """The pages that a model was trained and validated on, by their keys."""

    train: PageKeys = Field(description="keys of the pages that it was trained on")
    val: PageKeys = Field(description="keys of the pages that its best epoch was chosen on")

    def all(self) -> NDArray[np.int64]:
        """Keys of all of them."""
        return np.concatenate([self.train, self.val])


class PostprocessChange(Record):
    """Post-processing values that a model had, and why others replaced them."""

    postprocess: PostprocessParams = Field(description="the earlier values")
    until: str = Field(description="time of the change, local")
    why: str = Field(description="reason of the change")
    pages: PageKeys = Field(description="keys of the pages that the later values were chosen on")


class Influence(Record):
    """How many of a set of pages had a part in the making of a model."""

    trained: int = Field(default=0, description="pages that the model was trained on")
    epoch_chosen: int = Field(default=0, description="pages that its epoch was chosen on")
    tuned: int = Field(default=0, description="pages that its post-processing values were chosen on")

    def any(self) -> bool:
        """Whether a score on these pages is optimistic."""
        return bool(self.trained or self.epoch_chosen or self.tuned)


class Carried(Record):
    """What the file of a trained model says beside its network."""

    remedy: ClassVar[str] = "train the model again, or export it again"

    epoch: int = Field(description="number of the last epoch of training, from 0 on")
    config: dict[str, Any] = Field(description="resolved config of the training, as literals")
    postprocess: PostprocessParams = Field(description="the post-processing values that hold now")
    history: tuple[PostprocessChange, ...] = Field(description="earlier post-processing values, oldest first")
    pages: PagesSeen = Field(description="the pages that the model has seen")
    members: tuple[str, ...] = Field(default=(), description="weights hashes of the models whose weights were averaged")
    provenance: Provenance = Field(default=Provenance(), description="where the weights come from")

    @property
    def shrink_ratio(self) -> float:
        """That the network was trained with (``data.targets.make_targets``); if the config is silent, the paper's."""
        targets = self.config.get("models", {}).get("targets", {})
        return float(targets.get("shrink_ratio", PAPER_SHRINK_RATIO))

    def influenced_by(self, keys: NDArray[np.int64], *, epoch_chosen: bool = True) -> Influence:
        """How many of these pages had a part in the making of the model.

        Args:
            keys: of the pages.
            epoch_chosen: whether the weights are those of the best epoch; the last epoch is chosen by no page.
        """
        chosen = 0
        if epoch_chosen:
            chosen = _count_common(keys, self.pages.val)
        none = np.zeros(0, dtype=np.int64)
        tuned = np.concatenate([none, *(change.pages for change in self.history)])
        return Influence(
            trained=_count_common(keys, self.pages.train), epoch_chosen=chosen, tuned=_count_common(keys, tuned)
        )

    def with_postprocess(self, change: PostprocessChange, params: PostprocessParams) -> Self:
        """The same with other post-processing values, and ``change`` in the history."""
        return self.model_copy(update={"postprocess": params, "history": (*self.history, change)})


def _count_common(keys: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    return int(np.isin(keys, others).sum())


def read_carried(checkpoint: Path) -> Carried:
    """What a checkpoint carries; needs no torch, and reads no weights.

    Raises:
        InputError: if the file is missing, damaged or not a checkpoint of hmean.
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            content: Any = _CheckpointReader(archive, name.removesuffix("data.pkl")).load()
    except FileNotFoundError as error:
        raise InputError(f"{checkpoint}: checkpoint not found") from error
    except Exception as error:  # pickle raises many kinds for a damaged file
        raise InputError(f"{checkpoint}: is damaged, or not a checkpoint of hmean ({error})") from error
    return parse_carried(content, checkpoint)


def parse_carried(content: Any, checkpoint: Path) -> Carried:
    """What the content of a checkpoint (names to values) carries.

    Raises:
        InputError: if it is not one of hmean, or of another version.
    """
    values = content.get("hmean") if isinstance(content, Mapping) else None
    if not isinstance(values, Mapping):
        raise InputError(f"{checkpoint}: is not a checkpoint of hmean (it has no key hmean)")
    if values.get("format", CHECKPOINT_FORMAT) != CHECKPOINT_FORMAT:
        raise InputError(
            f"{checkpoint}: has format {values['format']}, and this version of hmean reads {CHECKPOINT_FORMAT}; "
            "train it again"
        )
    return Carried.parse(values, checkpoint)


class _CheckpointReader(pickle.Unpickler):
    """Reads the plain values and the int64 tensors of a checkpoint; all else, weights too, becomes a ``_LeftOut``.

    No class or function that the file names is imported or called.
    """

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive = archive
        self._folder = folder

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._read_tensor
        if (module, name) == ("torch", "LongStorage"):
            return _INT64
        return _LeftOut

    def persistent_load(self, pid: tuple[Any, ...]) -> str | None:
        """The name of a storage of int64, None for others; ``pid`` is ("storage", type, name, device, size)."""
        _, kind, name, *_ = pid
        return name if kind is _INT64 else None

    def _read_tensor(self, storage: str | None, offset: int, shape: Sequence[int], *_: Any) -> Any:
        if storage is None or len(shape) != 1:
            return None
        numbers = np.frombuffer(self._archive.read(f"{self._folder}data/{storage}"), dtype="<i8")
        return numbers[offset : offset + shape[0]]


_INT64 = object()


class _LeftOut:
    """Stands for a value of a checkpoint that is not read."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...
