"""Weights of a published PP-OCRv6 detector for a network of ours, convolution by convolution in the graph's order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from hmean.errors import InputError
from hmean.network.detector import Detector
from hmean.network.fused_onnx import Convolution, read_convolutions
from hmean.network.head import DBHead
from hmean.network.lcnet import Block, LCNetV4
from hmean.network.rse_fpn import RSEFPN
from hmean.network.squeeze import SqueezeExcitation

OwnConvolution = nn.Conv2d | nn.ConvTranspose2d


def load_fused(detector: Detector, path: Path) -> None:
    """Fill a network from a fused ONNX file; T starts from the features of P, and is 0.5 everywhere.

    Args:
        detector: an ``LCNetV4`` encoder, an ``RSEFPN`` decoder and a ``DBHead`` without BatchNorm.
        path: the ONNX file, as PaddleOCR's converter writes it.

    Raises:
        InputError: if the file cannot be read, or its convolutions are not those of the network.
    """
    own = _in_graph_order(detector, path)
    found = read_convolutions(path)
    fault = _mismatch(own, found)
    if fault is not None:
        raise InputError(f"{path}: does not fit the network of the config ({fault})")
    with torch.no_grad():
        for module, convolution in zip(own, found, strict=True):
            module.weight.copy_(torch.from_numpy(convolution.weight.copy()))
            if module.bias is not None and convolution.bias is not None:
                module.bias.copy_(torch.from_numpy(convolution.bias.copy()))
    head = detector.head
    assert isinstance(head, DBHead)  # noqa: S101 - for the type checker: the order would not have been found
    head.threshold_from_probability()


def _in_graph_order(detector: Detector, path: Path) -> list[OwnConvolution]:
    """The convolutions in the order of PaddleOCR's graph: laterals and smoothed levels come coarsest first."""
    encoder, decoder, head = detector.encoder, detector.decoder, detector.head
    if not isinstance(encoder, LCNetV4) or not isinstance(decoder, RSEFPN) or not isinstance(head, DBHead):
        raise InputError(
            f"{path}: is a PP-OCRv6 detector, and the network of the config is not: it needs LCNetV4, RSEFPN and "
            "DBHead with batch_norm=false; remove the keys that change models.encoder, models.decoder or models.head"
        )
    stem = encoder.stem
    order: list[OwnConvolution] = [stem.first, stem.narrow, stem.widen, stem.join, stem.last]
    for stage in encoder.stages:
        assert isinstance(stage, nn.Sequential)  # noqa: S101 - for the type checker
        for block in stage:
            assert isinstance(block, Block)  # noqa: S101 - likewise
            order += _of_block(block)
    for lateral in reversed(decoder.lateral):
        order += _convolutions(lateral)
    for smooth in reversed(decoder.smooth):
        order += _convolutions(smooth)
    order += _convolutions(head.probability)
    return order


def _of_block(block: Block) -> Iterator[OwnConvolution]:
    yield block.depthwise
    if isinstance(block.squeeze, SqueezeExcitation):
        yield from _convolutions(block.squeeze)
    yield block.expand
    yield block.project


def _convolutions(module: nn.Module) -> Iterator[OwnConvolution]:
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            yield part


def _mismatch(own: list[OwnConvolution], found: list[Convolution]) -> str | None:
    """The first difference in words; None if all convolutions fit."""
    if len(own) != len(found):
        return f"it has {len(found)} convolutions, the network {len(own)}"
    for position, (module, convolution) in enumerate(zip(own, found, strict=True), start=1):
        expected = Convolution(
            module.weight.detach().numpy(), None if module.bias is None else module.bias.detach().numpy()
        )
        same_shape = expected.weight.shape == convolution.weight.shape
        same_bias = (expected.bias is None) == (convolution.bias is None)
        if not same_shape or not same_bias:
            return f"convolution {position} of {len(own)} has {convolution}, the network {expected}"
    return None
