"""PP-LCNetV4: the encoder of the PP-OCRv6 text detectors (PaddleOCR, Apache-2.0), with BatchNorm fused away.

The published networks train with BatchNorm and several branches a convolution, and are published for inference with all
of that fused into plain convolutions. This module has the fused form, which trains on as it is: fine-tuning starts from
outputs that are normalised already, and batches of a few crops estimate no statistics.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from hmean.network.paddle_encoder import PaddleEncoder, each_stage
from hmean.network.squeeze import SqueezeExcitation

Size = Literal["tiny", "small", "medium"]
Activation = Literal["gelu", "gelu_tanh", "relu"]


class Widths(NamedTuple):
    """Channels of one size of the network: of the stem's inside, and of the four stages."""

    stem: int
    stages: tuple[int, int, int, int]


WIDTHS: dict[Size, Widths] = {
    "tiny": Widths(16, (32, 48, 64, 160)),
    "small": Widths(24, (48, 96, 192, 384)),
    "medium": Widths(64, (128, 256, 512, 896)),
}
# Blocks of each stage: whether each has a squeeze-and-excitation. The first block of stages 2 to 4 halves the map.
BLOCKS = ((True, False), (False, True, False), (False, True, False, True, False), (False, True, False))


class LCNetV4(PaddleEncoder):
    """PP-LCNetV4 as a text detector's encoder: four feature maps of stride 4, 8, 16 and 32.

    Args:
        model_name: ``pp_lcnet_v4_tiny``, ``pp_lcnet_v4_small`` or ``pp_lcnet_v4_medium``.
        activation: inside the blocks. The published networks have ``gelu`` (with the error function).
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder; 0 freezes it.
    """

    def __init__(
        self,
        model_name: Literal["pp_lcnet_v4_tiny", "pp_lcnet_v4_small", "pp_lcnet_v4_medium"],
        activation: Activation = "gelu",
        lr_scale: float = 1.0,
    ) -> None:
        super().__init__(lr_scale)
        widths = _widths(model_name)
        self.channels = list(widths.stages)
        self.stem = Stem(widths.stem, widths.stages[0])
        self.stages = nn.ModuleList()
        width = widths.stages[0]
        for stage, (width_after, blocks) in enumerate(zip(widths.stages, BLOCKS, strict=True)):
            layers = []
            for position, squeezes in enumerate(blocks):
                stride = 1
                if stage > 0 and position == 0:
                    stride = 2
                layers.append(Block(width, width_after, stride, activation, squeezes=squeezes))
                width = width_after
            self.stages.append(nn.Sequential(*layers))

    def levels(self, planes: Tensor) -> list[Tensor]:
        """See ``PaddleEncoder``."""
        return each_stage(self.stages, self.stem(planes))


def _widths(model_name: str) -> Widths:
    size = model_name.removeprefix("pp_lcnet_v4_")
    for name, widths in WIDTHS.items():
        if name == size:
            return widths
    raise ValueError(f"model_name must be one of pp_lcnet_v4_{{tiny,small,medium}}, got {model_name}")


class Stem(nn.Module):
    """Images to features of stride 4, by a path of convolutions beside a path of pooling.

    Kernels of 2 pixels are padded at the right and at the bottom only.
    """

    def __init__(self, inner: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, inner, 3, stride=2, padding=1)
        self.narrow = nn.Conv2d(inner, inner // 2, 2)
        self.widen = nn.Conv2d(inner // 2, inner, 2)
        self.join = nn.Conv2d(2 * inner, inner, 3, stride=2, padding=1)
        self.last = nn.Conv2d(inner, out_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, out_channels, H/4, W/4)."""
        padded = _pad_right_and_bottom(F.relu(self.first(images)))
        narrow = F.relu(self.narrow(padded))
        convolved = F.relu(self.widen(_pad_right_and_bottom(narrow)))
        pooled = F.max_pool2d(padded, 2, stride=1)
        joined = F.relu(self.join(torch.cat([pooled, convolved], dim=1)))
        return F.relu(self.last(joined))


def _pad_right_and_bottom(features: Tensor) -> Tensor:
    return F.pad(features, (0, 1, 0, 1))


class Block(nn.Module):
    """A depthwise 3x3 convolution, a squeeze-and-excitation in some, and a residual pair of 1x1 convolutions.

    The residual is there where the block changes neither size nor channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, activation: Activation, *, squeezes: bool
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels)
        self.squeeze: nn.Module = nn.Identity()
        if squeezes:
            self.squeeze = SqueezeExcitation(in_channels, slope=1 / 6)
        self.expand = nn.Conv2d(in_channels, 2 * in_channels, 1)
        self.activation = _activation(activation)
        self.project = nn.Conv2d(2 * in_channels, out_channels, 1)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H/stride, W/stride)."""
        mixed: Tensor = self.squeeze(self.depthwise(features))
        projected: Tensor = self.project(self.activation(self.expand(mixed)))
        if self.is_residual:
            return mixed + projected
        return projected


def _activation(name: Activation) -> nn.Module:
    if name == "relu":
        return nn.ReLU(inplace=True)
    if name == "gelu_tanh":
        return nn.GELU(approximate="tanh")
    return nn.GELU()
