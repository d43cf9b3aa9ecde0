"""What a training starts from: a published detector, a trained model of ours, or a weights file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from hmean.errors import InputError
from hmean.inference.bundled import model_path
from hmean.inference.checkpoints import Checkpoint, load_checkpoint, load_weights
from hmean.inference.exported import ExportedModel
from hmean.inference.start_source import WEIGHTS_FILES, kind_of, require_found
from hmean.inference.trained import TrainedModel
from hmean.network.catalogue import PretrainedDetector, by_hub, by_sha256, published_detector
from hmean.network.detector import Detector
from hmean.network.fused_onnx import read_initializers
from hmean.network.fused_weights import load_fused
from hmean.network.head import DBHead
from hmean.network.hub import WEIGHTS, find_file, is_repository, network_of
from hmean.network.pretrained import read_tensors
from hmean.network.published_weights import is_published, load_published
from hmean.runs.carried import PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.runs.provenance import Provenance, StartProvenance
from hmean.training.module import DetectorModule


class Start(Protocol):
    """Weights of a whole detector that a training starts from."""

    @property
    def model(self) -> TrainedModel | None:
        """The trained model of ours, which says what pages it has seen; None for other weights."""

    def fill(self, detector: Detector) -> None:
        """Put the weights into a network.

        Raises:
            InputError: if they are not of its architecture.
        """

    def provenance(self) -> tuple[StartProvenance, ...]:
        """What the weights are, and what those had started from: for the model's file and its card."""


class PublishedStart:
    """A detector of the catalogue, from the package that carries its weights, or from the hub."""

    model = None

    def __init__(self, published: PretrainedDetector, path: Path) -> None:
        self.published = published
        self.path = path

    def fill(self, detector: Detector) -> None:
        """See ``Start``."""
        _load_file(detector, self.path)

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
        self.model = checkpoint

    def fill(self, detector: Detector) -> None:
        """See ``Start``."""
        load_weights(detector, self.model)

    def provenance(self) -> tuple[StartProvenance, ...]:
        """See ``Start``."""
        return _with_earlier(self.model)


class ExportedStart:
    """An exported model of ours. Without BatchNorm, its weights are in the file under their own names."""

    def __init__(self, exported: ExportedModel) -> None:
        self.model = exported

    def fill(self, detector: Detector) -> None:
        """See ``Start``. T is not exported, and starts from the features of P."""
        found = read_initializers(self.model.path)
        tensors = {}
        missing = []
        for name, tensor in detector.state_dict().items():
            values = found.get(f"detector.{name}", found.get(f"detector.{name}.half"))
            if values is not None and values.shape == tuple(tensor.shape):
                tensors[name] = torch.from_numpy(values.astype(np.float32))
            elif not name.startswith("head.threshold."):
                missing.append(name)
        if missing:
            raise InputError(
                f"{self.model.path}: holds no weights to train on ({missing[0]} and {len(missing) - 1} others are "
                "folded or in 8 bits); give the checkpoint that it was made of"
            )
        detector.load_state_dict(tensors, strict=False)
        head = detector.head
        if isinstance(head, DBHead):
            head.threshold_from_probability()

    def provenance(self) -> tuple[StartProvenance, ...]:
        """See ``Start``."""
        return _with_earlier(self.model)


def _with_earlier(model: TrainedModel) -> tuple[StartProvenance, ...]:
    """A model of ours, and what it had started from."""
    training = model.carried.provenance.training
    earlier: tuple[StartProvenance, ...] = ()
    if training is not None:
        earlier = training.started_from
    own = StartProvenance(name=model.path.name, sha256=model.weights_hash(), of_ours=True)
    return (own, *earlier)


class FileStart:
    """Weights that do not say whose they are: an ONNX file of a PP-OCRv6 detector, or tensors by name.

    Args:
        path: of the file.
        name: what they are called in reports: by default as the file.
        title: their name for people.
        repository: of the hub that they are from.
    """

    model = None

    def __init__(
        self, path: Path, name: str | None = None, title: str | None = None, repository: str | None = None
    ) -> None:
        self.path = path
        self.name = name or path.name
        self.title = title
        self.repository = repository

    def fill(self, detector: Detector) -> None:
        """See ``Start``."""
        _load_file(detector, self.path)

    def provenance(self) -> tuple[StartProvenance, ...]:
        """See ``Start``."""
        sha256 = _sha256(self.path)
        published = by_sha256(sha256)
        if published is not None:
            return PublishedStart(published, self.path).provenance()
        return (StartProvenance(name=self.name, title=self.title, source=self.repository, sha256=sha256),)


def open_start(source: str) -> Start:
    """Find the weights that ``models.pretrained`` names.

    Raises:
        InputError: if there are none of that name, or the file cannot be used.
    """
    kind = kind_of(source)
    path = Path(source)
    if kind == "published":
        return _open_published(published_detector(source))
    if kind == "bundled":
        return ExportedStart(ExportedModel(model_path(source)))
    if kind == "snapshot":
        return _open_snapshot(source)
    if kind == "checkpoint":
        return CheckpointStart(load_checkpoint(path))
    if kind == "exported":
        return ExportedStart(ExportedModel(path))
    if kind in ("fused", "tensors"):
        return FileStart(path)
    require_found(source)
    raise InputError(
        f"models.pretrained={source}: is not supported; give a checkpoint (.ckpt), a weights file "
        f"({', '.join(WEIGHTS_FILES)}), an exported model or a PP-OCRv6 detector (.onnx)"
    )


def _open_published(published: PretrainedDetector) -> PublishedStart:
    """A detector of the catalogue: from the package that has it, else from the hub."""
    path = published.find()
    if path is None:
        path = find_file(published.hub, WEIGHTS)
    return PublishedStart(published, path)


def _open_snapshot(source: str) -> Start:
    """Weights of a folder or of a repository of the hub, whose ``config.json`` says what network they are of."""
    path = find_file(source, WEIGHTS)
    if not is_repository(source):
        folder = Path(source).resolve().name
        return FileStart(path, name=folder, title=f"{folder} ({network_of(source).title})")
    published = by_hub(source)
    if published is not None:
        return PublishedStart(published, path)
    return FileStart(path, name=source, title=f"{source} ({network_of(source).title})", repository=source)


def _load_file(detector: Detector, path: Path) -> None:
    """Fill a network from a file.

    Raises:
        InputError: if its weights are not those of the network.
    """
    if path.suffix == ".onnx":
        load_fused(detector, path)
        return
    tensors = read_tensors(path)
    if is_published(tensors):
        load_published(detector, tensors, str(path))
        return
    try:
        detector.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: its weights do not fit the network of the config ({reason})") from error


def keep_start(path: Path, start: Start, module: DetectorModule) -> None:
    """Write a start as a checkpoint, which predicts and is scored like any other.

    A checkpoint is copied. Other weights get the config of the training that starts from them; those of a model of ours
    keep what is known of it, the others get the post-processing values of the training, and have seen no pages that we
    know of.

    Args:
        path: of the file.
        start: whose weights ``module`` has now.
        module: of the training.

    Raises:
        InputError: if it cannot be written.
    """
    if isinstance(start, CheckpointStart):
        write_checkpoint(path, start.model.carried, start.model.weights)
        return
    none = np.zeros(0, dtype=np.int64)
    unseen = PagesSeen(train=none, val=none)
    carried = module.carried.model_copy(update={"pages": unseen, "provenance": Provenance(), "history": ()})
    if start.model is not None:
        provenance = Provenance(training=start.model.carried.provenance.training)
        carried = carried.model_copy(
            update={"pages": start.model.pages, "postprocess": start.model.postprocess, "provenance": provenance}
        )
    write_checkpoint(path, carried, module.detector.state_dict())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
