"""Checkpoints as trained models: their network is built and run with torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmean.errors import InputError
from hmean.files import read_json
from hmean.inference.torch_runner import TorchRunner
from hmean.inference.trained import Accelerator, TrainedModel
from hmean.network.build import DECODER, ENCODER, HEAD, SUPPLIED, build_detector, without_pretrained
from hmean.network.detector import Detector
from hmean.plugins import Component, present_name
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PostprocessChange
from hmean.runs.checkpoints import read_checkpoint, replace_postprocess
from hmean.types import View


class Checkpoint(TrainedModel):
    """A model as a training keeps it.

    Args:
        path: the file.
        carried: what it says beside the weights.
        weights: tensors of the network by name.
        trusted_targets: packages whose classes and functions the carried config may name, beside hmean's own.
    """

    def __init__(
        self, path: Path, carried: Carried, weights: Mapping[str, Tensor], trusted_targets: Sequence[str] = ()
    ) -> None:
        super().__init__(path, carried)
        self._weights = weights
        self._trusted = tuple(trusted_targets)

    @property
    def folder(self) -> Path | None:
        """The run folder, if the file lies in one."""
        parent = self.path.parent
        if parent.resolve().name != "checkpoints":
            return None
        return parent.parent

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """See ``TrainedModel``."""
        return self._weights

    @property
    def size(self) -> int:
        """See ``TrainedModel``."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._weights.values())

    def weights_hash(self) -> str:
        """See ``TrainedModel``."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self._weights.items()):
            digest.update(name.encode())
            values = tensor.detach().cpu().contiguous().view(-1)
            digest.update(values.numpy().tobytes())
        return digest.hexdigest()

    def start(self, view: View, accelerator: Accelerator = "auto") -> TorchRunner:
        """See ``TrainedModel``."""
        return TorchRunner(self.build(accelerator), view, self.layout, self.carried.shrink_ratio)

    @property
    def layout(self) -> torch.memory_format:
        """Memory format that the network was trained in."""
        if self.training.get("trainer", {}).get("channels_last", True):
            return torch.channels_last
        return torch.contiguous_format

    def build(self, accelerator: Accelerator = "auto") -> Detector:
        """The network with its trained weights, in evaluation mode, on a GPU or the processor.

        Raises:
            InputError: if the carried config names code that is not trusted, or the weights do not fit its network.
        """
        encoder, decoder, head = self.components()
        detector = build_detector(without_pretrained(encoder), decoder, head)
        load_weights(detector, self)
        device = "cuda" if accelerator in ("auto", "gpu") and torch.cuda.is_available() else "cpu"
        detector.to(device=device, memory_format=self.layout)  # type: ignore[call-overload]  # torch's stubs lack this pair
        return detector.eval()

    def components(self) -> tuple[Component, Component, Component]:
        """Encoder, decoder and head that the carried config names; nothing is imported.

        Raises:
            InputError: if one is missing, or of a package that is not trusted: a file from elsewhere must not choose
                what is called.
        """
        encoder, decoder, head = (self._component(key) for key in (ENCODER, DECODER, HEAD))
        faults = []
        for component in (encoder, decoder, head):
            if not component.is_trusted(self._trusted):
                package = component.target.split(".")[0]
                faults.append(
                    f"{component.key}._target_: {component.target} is not hmean's own; if you trust this checkpoint, "
                    f"add trusted_targets=[{package}]"
                )
        if faults:
            raise InputError.listing(f"{self.path}: cannot be used:", faults)
        return encoder, decoder, head

    def _component(self, key: str) -> Component:
        try:
            values = dict(self.training["models"][key.removeprefix("models.")])
            target = str(values.pop("_target_"))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.path}: its config does not say what {key} is ({error!r})") from error
        values.pop("postprocess", None)  # of the head: what is done with its maps
        return Component(key, present_name(target), values, SUPPLIED.get(key, ()))

    def _replace_postprocess(self, change: PostprocessChange, params: PostprocessParams) -> None:
        replace_postprocess(self.path, change, params)


def load_checkpoint(path: Path, trusted_targets: Sequence[str] = ()) -> Checkpoint:
    """Open a checkpoint. Nothing in it is run.

    Raises:
        InputError: if it is missing, damaged, holds code, or is not a checkpoint of hmean.
    """
    content = read_checkpoint(path)
    return Checkpoint(path, content.carried, content.weights, trusted_targets)


def load_weights(detector: Detector, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a network.

    Raises:
        InputError: if the network is of another architecture.
    """
    try:
        detector.load_state_dict(dict(checkpoint.weights))
    except RuntimeError as error:
        raise InputError(f"{checkpoint.path}: its weights do not fit the network of the config ({error})") from error


def pages_behind(folder: Path) -> NDArray[np.int64]:
    """Keys of the pages that the models behind a folder of maps have seen.

    The folder is a run, a cross-validation with runs in it, or the maps of an ensemble with their ``seen.json``.

    Raises:
        InputError: if the folder does not say.
    """
    found = [load_checkpoint(path).pages.all() for path in folder.rglob("checkpoints/best.ckpt")]
    for path in folder.glob("seen.json"):
        found.append(np.array(read_json(path), dtype=np.int64))
    if not found:
        raise InputError(
            f"{folder}: does not say which pages the models that made its maps have seen; give a run folder, or what "
            "hmean evaluate checkpoint_path=.../ensemble.json maps=true wrote"
        )
    return np.concatenate(found)
