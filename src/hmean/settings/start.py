"""Which network a training's start is: the parts of ``models`` that ``models.pretrained`` decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hmean.network.catalogue import CATALOGUE, by_name
from hmean.network.fused_onnx import read_convolutions
from hmean.runs.carried import read_carried

PARTS = ("encoder", "decoder", "head")


def start_parts(source: str) -> Mapping[str, Any]:
    """``encoder``, ``decoder`` and ``head`` of the network whose weights ``source`` names.

    Nothing is checked here that ``training.start.open_start`` checks: what is not found, or does not say its network,
    gives an empty mapping, and the network is then that of the preset.

    Raises:
        InputError: if a checkpoint cannot be read.
    """
    published = by_name(source)
    if published is not None:
        return published.components
    path = Path(source)
    if not path.is_file():
        return {}
    if path.suffix == ".ckpt":
        models = read_carried(path).config["models"]
        return {part: models[part] for part in PARTS}
    if path.suffix == ".onnx":
        return _of_onnx(path)
    return {}


def _of_onnx(path: Path) -> Mapping[str, Any]:
    """The published detector whose first convolution has as many channels."""
    convolutions = read_convolutions(path)
    if not convolutions:
        return {}
    channels = len(convolutions[0].weight)
    for published in CATALOGUE:
        if published.first_channels == channels:
            return published.components
    return {}
