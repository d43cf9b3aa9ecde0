"""The network of a checkpoint as an ONNX graph: uint8 RGB in, P out.

What would drift if it were written down elsewhere is in the graph: normalisation, sigmoid and padding.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from hmean.data.views import STRIDE
from hmean.network.detector import Detector

OPSET = 17


class ExportGraph(nn.Module):
    """uint8 images (N, H, W, 3) to P (N, H, W)."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        logits, _ = self.detector(image.permute(0, 3, 1, 2))
        probability: Tensor = logits.float().sigmoid()
        return probability


class _PaddedConvolution(torch.autograd.Function):
    """A convolution that is padded differently on each side: two operators of torch, but one of ONNX."""

    @staticmethod
    def forward(_: Any, x: Tensor, weight: Tensor, bias: Tensor | None, settings: dict[str, Any]) -> Tensor:
        top, left, bottom, right = settings["pads_i"]
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, weight, bias, settings["strides_i"], groups=settings["group_i"])

    @staticmethod
    def symbolic(graph: Any, x: Any, weight: Any, bias: Any, settings: dict[str, Any]) -> Any:
        inputs = [x, weight]
        if bias is not None:
            inputs.append(bias)
        return graph.op("Conv", *inputs, **settings)


class _SamePadded(nn.Module):
    """``timm.layers.Conv2dSame`` ("same" padding as in TensorFlow) for sizes that are multiples of the strides.

    timm works the padding out for each image, and a runtime then copies the largest features of the network to pad
    them; here it is a constant of the convolution.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.bias = conv.bias
        before = []
        after = []
        for size, stride in zip(conv.kernel_size, conv.stride, strict=True):
            total = max(size - stride, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        self.settings = {
            "kernel_shape_i": conv.kernel_size,
            "strides_i": conv.stride,
            "group_i": conv.groups,
            "pads_i": before + after,  # top, left, bottom, right
        }

    def forward(self, x: Tensor) -> Tensor:
        padded: Tensor = _PaddedConvolution.apply(x, self.weight, self.bias, self.settings)
        return padded


def with_constant_padding(detector: Detector) -> Detector:
    """A copy of a network in which "same" padding is a constant of each convolution."""
    copied = deepcopy(detector)
    for name, module in list(copied.named_modules()):
        if isinstance(module, Conv2dSame) and module.dilation == (1, 1):
            copied.set_submodule(name, _SamePadded(module))
    return copied


def write_onnx(detector: Detector, path: Path) -> None:
    """Write a network as an ONNX file for any number of pages, any height and width (multiples of the stride).

    What tracing gets wrong, such as a size that became a constant, the comparison with the checkpoint finds.
    """
    example = torch.zeros((1, 2 * STRIDE, 3 * STRIDE, 3), dtype=torch.uint8)
    axes = {0: "pages", 1: "height", 2: "width"}
    trace(ExportGraph(with_constant_padding(detector)), example, path, "image", axes)


def trace(graph: nn.Module, example: Tensor, path: Path, name: str, axes: dict[int, str]) -> None:
    """Write a network with one input and the output ``probability`` as an ONNX file.

    By tracing, which any torch from 2.6 on can do: the newer exporter takes far longer and needs onnxscript.

    Args:
        graph: the network.
        example: an input.
        path: file to write.
        name: of the input.
        axes: names of the axes, of input and output, that may have any length.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter itself, and about sizes that it takes for constants
        torch.onnx.export(
            graph,
            (example,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[name],
            output_names=["probability"],
            dynamic_axes={name: axes, "probability": axes},
        )
