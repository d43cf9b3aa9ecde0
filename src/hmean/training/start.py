"""What a training starts from: a published detector, a trained model of ours, or a weights file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np

from hmean.errors import InputError
from hmean.inference.checkpoints import Checkpoint, load_checkpoint, load_weights
from hmean.network.catalogue import PretrainedDetector, by_name, names
from hmean.network.detector import Detector
from hmean.network.fused_weights import load_fused
from hmean.network.pretrained import read_tensors
from hmean.runs.carried import PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.runs.provenance import Provenance, StartProvenance
from hmean.training.module import DetectorModule

WEIGHTS_FILES = (".safetensors", ".pth", ".pt")


class Start(Protocol):
    """Weights of a whole detector that a training starts from."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint, which says what pages its model has seen; None for other weights."""

    def fill(self, detector: Detector) -> None:
        """Put the weights into a network.

        Raises:
            InputError: if they are not of its architecture.
        """

    def provenance(self) -> tuple[StartProvenance, ...]:
        """What the weights are, and what those had started from: for the model's file and its card."""


class PublishedStart:
    """A detector of the catalogue, from the package that carries its weights."""

    checkpoint = None

    def __init__(self, published: PretrainedDetector, path: Path) -> None:
        self.published = published
        self.path = path

    def fill(self, detector: Detector) -> None:
        """See ``Start``."""
        load_fused(detector, self.path)

    def provenance(self) -> tuple[StartProvenance, ...]:
        """See ``Start``."""
        published = self.published
        record = StartProvenance(
            name=published.name,
            title=published.title,
            source=published.hub,
            sha256=_sha256(self.path),
            licence=published.licence,
            holder=published.holder,
            data=published.data,
        )
        return (record,)


class CheckpointStart:
    """A checkpoint of an earlier training."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def fill(self, detector: Detector) -> None:
        """See ``Start``."""
        load_weights(detector, self.checkpoint)

    def provenance(self) -> tuple[StartProvenance, ...]:
        """See ``Start``."""
        training = self.checkpoint.carried.provenance.training
        earlier: tuple[StartProvenance, ...] = ()
        if training is not None:
            earlier = training.started_from
        own = StartProvenance(name=self.checkpoint.path.name, sha256=self.checkpoint.weights_hash(), of_ours=True)
        return (own, *earlier)


class FileStart:
    """A file that says nothing but weights: an ONNX file of a PP-OCRv6 detector, or tensors by name."""

    checkpoint = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, detector: Detector) -> None:
        """See ``Start``."""
        if self.path.suffix == ".onnx":
            load_fused(detector, self.path)
            return
        tensors = read_tensors(self.path)
        try:
            detector.load_state_dict(tensors)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(f"{self.path}: its weights do not fit the network of the config ({reason})") from error

    def provenance(self) -> tuple[StartProvenance, ...]:
        """See ``Start``."""
        return (StartProvenance(name=self.path.name, sha256=_sha256(self.path)),)


def open_start(source: str) -> Start:
    """Find the weights that ``models.pretrained`` names.

    Raises:
        InputError: if there are none of that name, or the file cannot be used.
    """
    published = by_name(source)
    if published is not None:
        path = published.find()
        if path is None:
            raise InputError(f"models.pretrained={source}: not found; get the weights: {published.how_to_get()}")
        return PublishedStart(published, path)
    path = Path(source)
    if not path.is_file():
        raise InputError(
            f"models.pretrained={source}: not found; name a file, or a published detector: {', '.join(names())}"
        )
    if path.suffix == ".ckpt":
        return CheckpointStart(load_checkpoint(path))
    if path.suffix == ".onnx" or path.suffix in WEIGHTS_FILES:
        return FileStart(path)
    raise InputError(
        f"models.pretrained={source}: is not supported; give a checkpoint (.ckpt), a weights file "
        f"({', '.join(WEIGHTS_FILES)}) or a PP-OCRv6 detector (.onnx)"
    )


def keep_start(path: Path, start: Start, module: DetectorModule) -> None:
    """Write a start as a checkpoint, which predicts and is scored like any other.

    A checkpoint is copied. Other weights get the config and the post-processing values of the training that starts
    from them, and have seen no pages that we know of.

    Args:
        path: of the file.
        start: whose weights ``module`` has now.
        module: of the training.

    Raises:
        InputError: if it cannot be written.
    """
    if start.checkpoint is not None:
        write_checkpoint(path, start.checkpoint.carried, start.checkpoint.weights)
        return
    none = np.zeros(0, dtype=np.int64)
    carried = module.carried.model_copy(
        update={"pages": PagesSeen(train=none, val=none), "provenance": Provenance(), "history": ()}
    )
    write_checkpoint(path, carried, module.detector.state_dict())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
