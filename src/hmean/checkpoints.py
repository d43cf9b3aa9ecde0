"""Checkpoints: weights that carry their config and thresholds, read without running what is in them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmean.builders import build_detector
from hmean.config import Config, check_components, compose
from hmean.errors import InputError
from hmean.files import write_with
from hmean.models.detector import Detector
from hmean.types import PostprocessParams

_PREFIX = "detector."


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        path: the file.
        config: the resolved config of its training, with the post-processing values that hold now.
        weights: tensors of the detector (the moving average, where the run kept one).
        epoch: epochs trained, less one.
        history: earlier post-processing values, oldest first, each with when and why it was replaced.
    """

    path: Path
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    epoch: int
    history: Sequence[Mapping[str, Any]]

    def weights_hash(self) -> str:
        """Hash of all weights: equal only for the same model."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.weights.items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return digest.hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Nothing in it is run: tensors and plain values only (``weights_only``).

    Raises:
        InputError: if it is missing, damaged, holds code, or is not hmean's.
    """
    raw = _load(path)
    try:
        own = raw["hmean"]
        config = {**own["config"]}
        config["models"] = {**config["models"], "head": {**config["models"]["head"], "postprocess": own["postprocess"]}}
        weights = {k.removeprefix(_PREFIX): v for k, v in raw["state_dict"].items() if k.startswith(_PREFIX)}
        return Checkpoint(path, config, weights, int(own["epoch"]), list(own["history"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a checkpoint of hmean's (it has no {error})") from error


def open_checkpoint(overrides: Sequence[str]) -> tuple[Config, Checkpoint]:
    """The config of a job that uses a trained model: the checkpoint's model and preprocessing, all else as told.

    Raises:
        InputError: if the config is wrong, names no checkpoint, or the checkpoint cannot be used.
    """
    config = compose(overrides)
    if config.checkpoint_path is None:
        raise InputError("checkpoint_path: say which model, such as checkpoint_path=outputs/NAME/checkpoints/best.ckpt")
    checkpoint = load_checkpoint(Path(config.checkpoint_path))
    carried = {section: checkpoint.config[section] for section in ("models", "transforms")}
    config = compose(overrides, carried)
    check_components(config, trusted=config.trusted_targets)
    return config, checkpoint


def restore_detector(config: Config, checkpoint: Checkpoint) -> Detector:
    """The network with its trained weights, in evaluation mode, on the machine's best device."""
    detector = build_detector(config, pretrained=False)
    try:
        detector.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        raise InputError(f"{checkpoint.path}: its weights do not fit its config ({error})") from error
    device = "cuda" if torch.cuda.is_available() and config.trainer.accelerator in ("auto", "gpu") else "cpu"
    layout = torch.channels_last if config.trainer.channels_last else torch.contiguous_format
    detector.to(device=device, memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack this pair
    return detector.eval()


def write_postprocess(path: Path, params: PostprocessParams, why: str) -> None:
    """Put post-processing values into a checkpoint, atomically; the earlier ones are kept in its history."""
    raw = _load(path)
    own = raw["hmean"]
    own["history"].append({"postprocess": own["postprocess"], "until": time.strftime("%Y-%m-%dT%H:%M:%S"), "why": why})
    own["postprocess"] = params.to_dict()
    write_with(path, lambda file: torch.save(raw, file))


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or unsafe file
        reason = str(error).split("\n", 1)[0][:200]
        raise InputError(
            f"{path}: is damaged, no checkpoint, or holds code, which is never run ({type(error).__name__}: {reason})"
        ) from error
