"""PP-LCNetV3: the encoder of the PP-OCRv5 mobile text detector (PaddleOCR, Apache-2.0), branches and BatchNorm fused.

A published layer is a sum of up to six branches, each with BatchNorm, times a number, plus a number: all of that is one
convolution. What stands after an activation is kept, since zeros pad the next convolution's input.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from hmean.network.paddle_encoder import PaddleEncoder
from hmean.network.squeeze import SqueezeExcitation


class Layer(NamedTuple):
    """One block: kernel, channels before and after at scale 1, stride, and whether it squeezes."""

    kernel: int
    before: int
    after: int
    stride: int
    squeezes: bool


STEM = 16
STAGES: tuple[tuple[Layer, ...], ...] = (
    (Layer(3, 16, 32, 1, squeezes=False),),
    (Layer(3, 32, 64, 2, squeezes=False), Layer(3, 64, 64, 1, squeezes=False)),
    (Layer(3, 64, 128, 2, squeezes=False), Layer(3, 128, 128, 1, squeezes=False)),
    (Layer(3, 128, 256, 2, squeezes=False), *(4 * (Layer(5, 256, 256, 1, squeezes=False),))),
    (
        Layer(5, 256, 512, 2, squeezes=True),
        Layer(5, 512, 512, 1, squeezes=True),
        Layer(5, 512, 512, 1, squeezes=False),
        Layer(5, 512, 512, 1, squeezes=False),
    ),
)
SCALE = 0.75
DIVISOR = 16  # of all channels, after the scale
EXITS = (12, 18, 42, 360)  # channels of the four feature maps, by a 1x1 convolution of each


class LCNetV3(PaddleEncoder):
    """PP-LCNetV3 at scale 0.75 as a text detector's encoder: four feature maps of stride 4, 8, 16 and 32.

    Args:
        model_name: ``pp_lcnet_v3_075``.
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder; 0 freezes it.
    """

    def __init__(self, model_name: Literal["pp_lcnet_v3_075"] = "pp_lcnet_v3_075", lr_scale: float = 1.0) -> None:
        super().__init__(lr_scale)
        if model_name != "pp_lcnet_v3_075":
            raise ValueError(f"model_name must be pp_lcnet_v3_075, got {model_name}")
        self.channels = list(EXITS)
        self.stem = nn.Conv2d(3, _scaled(STEM), 3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        self.exits = nn.ModuleList()
        for layers in STAGES:
            self.stages.append(nn.Sequential(*(Block(layer) for layer in layers)))
        for layers, channels in zip(STAGES[1:], EXITS, strict=True):
            self.exits.append(nn.Conv2d(_scaled(layers[-1].after), channels, 1))

    def levels(self, planes: Tensor) -> list[Tensor]:
        """See ``PaddleEncoder``."""
        features = self.stages[0](self.stem(planes))
        levels = []
        for stage, leave in zip(self.stages[1:], self.exits, strict=True):
            features = stage(features)
            levels.append(leave(features))
        return levels


def _scaled(channels: int) -> int:
    """Channels at the network's scale, a multiple of the divisor."""
    return max(DIVISOR, int(channels * SCALE + DIVISOR / 2) // DIVISOR * DIVISOR)


class Block(nn.Module):
    """A depthwise convolution, a squeeze-and-excitation in some, and a 1x1 convolution."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        before = _scaled(layer.before)
        self.depthwise = nn.Conv2d(
            before, before, layer.kernel, stride=layer.stride, padding=layer.kernel // 2, groups=before
        )
        # The published network has none where the map is halved.
        self.depthwise_activation: nn.Module = nn.Identity()
        if layer.stride != 2:
            self.depthwise_activation = ScaledHardswish()
        self.squeeze: nn.Module = nn.Identity()
        if layer.squeezes:
            self.squeeze = SqueezeExcitation(before, slope=1 / 6)
        self.pointwise = nn.Conv2d(before, _scaled(layer.after), 1)
        self.pointwise_activation = ScaledHardswish()

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H/stride, W/stride)."""
        mixed = self.squeeze(self.depthwise_activation(self.depthwise(features)))
        projected: Tensor = self.pointwise_activation(self.pointwise(mixed))
        return projected


class ScaledHardswish(nn.Module):
    """Hard swish, times a trained number, plus another."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return self.scale * F.hardswish(features) + self.bias
