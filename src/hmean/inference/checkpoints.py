"""Checkpoints: weights that carry their config and thresholds, read without running what is in them."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmean.errors import InputError
from hmean.files import read_json, write_with
from hmean.inference.torch_runner import run_detector
from hmean.inference.trained import Run, Trained
from hmean.network.detector import Detector
from hmean.settings.build import build_detector
from hmean.settings.config import Config
from hmean.types import PostprocessParams

CHECKPOINT_FORMAT = 2
_PREFIX = "detector."


@dataclass(frozen=True, eq=False)
class Checkpoint(Trained):
    """A training's own file; ``weights``: tensors of the detector (the moving average, where the run kept one)."""

    weights: Mapping[str, Tensor]

    @property
    def folder(self) -> Path | None:
        """The run folder, if it lies in one."""
        parent = self.path.parent
        return parent.parent if parent.resolve().name == "checkpoints" else None

    @property
    def size(self) -> int:
        """Bytes of all weights."""
        return sum(t.numel() * t.element_size() for t in self.weights.values())

    def start(self, config: Config) -> Run:
        """See ``Trained``."""
        return partial(run_detector, restore_detector(config, self))

    def weights_hash(self) -> str:
        """Hash of all weights: equal only for the same model."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.weights.items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return digest.hexdigest()

    def write_postprocess(self, params: PostprocessParams, why: str, keys: NDArray[np.int64]) -> None:
        """See ``Trained``."""
        raw = _load(self.path)
        own = raw["hmean"]
        until = time.strftime("%Y-%m-%dT%H:%M:%S")
        entry = {"postprocess": own["postprocess"], "until": until, "why": why, "pages": torch.from_numpy(keys)}
        own["history"].append(entry)
        own["postprocess"] = params.to_dict()
        save_checkpoint(self.path, raw)


def carry(config: Config, pages: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """What a checkpoint carries beside weights and epoch: config, post-processing, and the pages it has seen."""
    return {
        "format": CHECKPOINT_FORMAT,
        "config": config.to_dict(),
        "postprocess": config.models.head.postprocess.model_dump(),
        "history": [],
        "pages": {part: torch.from_numpy(keys) for part, keys in pages.items()},
    }


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Nothing in it is run: tensors and plain values only (``weights_only``).

    Raises:
        InputError: if it is missing, damaged, holds code, or is not hmean's.
    """
    raw = _load(path)
    try:
        own = raw["hmean"]
        if own["format"] != CHECKPOINT_FORMAT:
            raise InputError(
                f"{path}: has format {own['format']}, this hmean reads {CHECKPOINT_FORMAT}: train it again"
            )
        config = {**own["config"]}
        config["models"] = {**config["models"], "head": {**config["models"]["head"], "postprocess": own["postprocess"]}}
        weights = {k.removeprefix(_PREFIX): v for k, v in raw["state_dict"].items() if k.startswith(_PREFIX)}
        pages = {part: keys.numpy() for part, keys in own["pages"].items()}
        history = [{**entry, "pages": entry["pages"].numpy()} for entry in own["history"]]
        return Checkpoint(path, config, int(own["epoch"]), history, pages, weights)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a checkpoint of hmean's (it has no {error})") from error


def save_checkpoint(path: Path, raw: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically; a full disk is an ``InputError``, which torch's own writer would hide."""
    buffer = io.BytesIO()
    torch.save(raw, buffer)
    write_with(path, lambda file: file.write(buffer.getbuffer()))


def write_checkpoint(checkpoint: Checkpoint, members: Sequence[str]) -> None:
    """Write a model that no training made, with the weight hashes of those that it was made of."""
    c = checkpoint
    pages = {part: torch.from_numpy(keys) for part, keys in c.pages.items()}
    history = [{**entry, "pages": torch.from_numpy(entry["pages"])} for entry in c.history]
    own = {"format": CHECKPOINT_FORMAT, "config": c.config, "postprocess": c.config["models"]["head"]["postprocess"],
           "history": history, "pages": pages, "epoch": c.epoch, "members": list(members)}  # fmt: skip
    save_checkpoint(c.path, {"state_dict": {_PREFIX + k: v for k, v in c.weights.items()}, "hmean": own})


def restore_detector(config: Config, checkpoint: Checkpoint) -> Detector:
    """The network with its trained weights, in evaluation mode, on the machine's best device."""
    detector = build_detector(config, pretrained=False)
    load_weights(detector, checkpoint)
    device = "cuda" if torch.cuda.is_available() and config.trainer.accelerator in ("auto", "gpu") else "cpu"
    layout = torch.channels_last if config.trainer.channels_last else torch.contiguous_format
    detector.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack this pair
    return detector.eval()


def load_weights(detector: Detector, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a network.

    Raises:
        InputError: if that is of another architecture.
    """
    try:
        detector.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        raise InputError(f"{checkpoint.path}: its weights do not fit models of the config ({error})") from error


def pages_behind(folder: Path) -> NDArray[np.int64]:
    """Keys of the pages that the models behind a folder of maps have seen: a run's, its folds', or in ``seen.json``.

    Raises:
        InputError: if the folder does not tell.
    """
    models = [load_checkpoint(path) for path in folder.rglob("checkpoints/best.ckpt")]
    found = [keys for model in models for keys in model.pages.values()]
    found += [np.array(read_json(path), dtype=np.int64) for path in folder.glob("seen.json")]
    if not found:
        raise InputError(f"{folder}: nothing says which pages its maps' models had seen; take a run folder, or what "
                         "hmean evaluate checkpoint_path=.../ensemble.json maps=true wrote")  # fmt: skip
    return np.concatenate(found)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe file
        reason = str(error).split("\n", 1)[0].split(". ", 1)[0][:200]  # what follows is advice to trust the file
        raise InputError(
            f"{path}: is damaged, no checkpoint, or holds code, which is never run ({type(error).__name__}: {reason})"
        ) from error
