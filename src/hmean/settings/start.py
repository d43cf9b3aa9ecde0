"""Which network a training's start is: the parts of ``models`` that ``models.pretrained`` decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmean.errors import InputError
from hmean.inference.bundled import BUNDLED
from hmean.inference.metadata import parse_metadata
from hmean.inference.onnx_file import read_text
from hmean.inference.start_source import kind_of
from hmean.network.catalogue import CATALOGUE, published_detector
from hmean.network.fused_onnx import read_convolutions
from hmean.network.hub import network_of
from hmean.plugins import Component, present_name
from hmean.runs.carried import Carried, read_carried

PARTS = ("encoder", "decoder", "head")


def start_parts(source: str) -> Mapping[str, Any]:
    """``encoder``, ``decoder`` and ``head`` of the network whose weights ``source`` names.

    Nothing is checked here that ``training.start.open_start`` checks: what is not found, or does not say its network,
    gives an empty mapping, and the network is then that of the preset.

    Raises:
        InputError: if a model of ours cannot be read, or names code that is not hmean's own; if a folder or a
            repository of the hub holds no detector that is supported.
    """
    kind = kind_of(source)
    path = BUNDLED.get(source, Path(source))
    if kind == "published":
        return published_detector(source).components
    if kind == "snapshot":
        return network_of(source).components
    if kind == "checkpoint":
        return _of_ours(path, read_carried(path))
    if kind == "exported" or (kind == "bundled" and path.is_file()):
        return _of_ours(path, parse_metadata(read_text(path), path))
    if kind == "fused":
        return _of_fused(path)
    return {}


# What training may change of a start's network: none of it decides which weights there are.
FREE_ARGUMENTS = ("activation", "drop_path_rate", "freeze_bn", "lr_scale", "postprocess", "pretrained")


@dataclass(frozen=True)
class Difference:
    """A key of the network that a config and a start do not agree on.

    Attributes:
        key: dotted key.
        configured: its value in the config; None: not set.
        of_start: likewise, in the network whose weights the start names.
    """

    key: str
    configured: Any
    of_start: Any


def network_differences(configured: Mapping[str, Any], source: str) -> list[Difference]:
    """The keys that decide which weights a network has, and that a config and a start do not agree on.

    Args:
        configured: the section ``models`` of a config, as plain values.
        source: the start; one that does not say its network differs nowhere.

    Raises:
        InputError: as ``start_parts`` does.
    """
    found = []
    for part, of_start in start_parts(source).items():
        found += part_differences(part, configured[part], of_start)
    return found


def part_differences(part: str, configured: Mapping[str, Any], of_start: Mapping[str, Any]) -> list[Difference]:
    """Likewise of ``encoder``, ``decoder`` or ``head``; where the components differ, their arguments are not told."""
    names = [name for name in of_start if name not in FREE_ARGUMENTS]
    if present_name(configured["_target_"]) != present_name(of_start["_target_"]):
        names = ["_target_"]
    found = []
    for name in names:
        if configured.get(name) != of_start[name]:
            found.append(Difference(f"models.{part}.{name}", configured.get(name), of_start[name]))
    return found


def _of_ours(path: Path, model: Carried) -> Mapping[str, Any]:
    """The parts that a model of ours carries, with its present post-processing values."""
    parts = {}
    for name in PARTS:
        part = dict(model.config["models"][name])
        target = present_name(str(part.get("_target_")))
        if not Component(f"models.{name}", target).is_trusted(()):
            raise InputError(
                f"{path}: its models.{name}._target_ is {target}, which is not hmean's own; if you trust it, choose a "
                "preset that names it, and start from a weights file (.safetensors)"
            )
        parts[name] = part
    parts["head"]["postprocess"] = model.postprocess.to_dict()
    return parts


def _of_fused(path: Path) -> Mapping[str, Any]:
    """Those of the published detector whose first convolution has as many channels."""
    convolutions = read_convolutions(path)
    if not convolutions:
        return {}
    channels = len(convolutions[0].weight)
    for published in CATALOGUE:
        if published.files and published.first_channels == channels:  # the others are not published as ONNX
            return published.components
    return {}
