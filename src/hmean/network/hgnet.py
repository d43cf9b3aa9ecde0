"""PP-HGNetV2: the encoder of the PP-OCRv5 server text detector (PaddleOCR, Apache-2.0), with BatchNorm fused away."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from hmean.network.lcnet import Stem
from hmean.network.paddle_encoder import PaddleEncoder, each_stage


class StageShape(NamedTuple):
    """One stage: channels inside and after it, its blocks, and whether kernels are depthwise (5x5) or full (3x3)."""

    inner: int
    after: int
    blocks: int
    is_light: bool


STEM = (32, 48)  # channels inside and after the stem
LAYERS = 6  # in each block
B4 = (
    StageShape(48, 128, 1, is_light=False),
    StageShape(96, 512, 1, is_light=False),
    StageShape(192, 1024, 3, is_light=True),
    StageShape(384, 2048, 1, is_light=True),
)


class HGNetV2(PaddleEncoder):
    """PP-HGNetV2-B4 as a text detector's encoder: four feature maps of stride 4, 8, 16 and 32.

    Args:
        model_name: ``pp_hgnet_v2_b4``.
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder; 0 freezes it.
    """

    def __init__(self, model_name: Literal["pp_hgnet_v2_b4"] = "pp_hgnet_v2_b4", lr_scale: float = 1.0) -> None:
        super().__init__(lr_scale)
        if model_name != "pp_hgnet_v2_b4":
            raise ValueError(f"model_name must be pp_hgnet_v2_b4, got {model_name}")
        self.stem = Stem(*STEM)
        self.stages = nn.ModuleList()
        self.channels = []
        width = STEM[1]
        for position, shape in enumerate(B4):
            self.stages.append(Stage(width, shape, halves=position > 0))
            width = shape.after
            self.channels.append(width)

    def levels(self, planes: Tensor) -> list[Tensor]:
        """See ``PaddleEncoder``."""
        return each_stage(self.stages, self.stem(planes))


class Stage(nn.Module):
    """Blocks of one map size; all but the first stage begin by halving the map."""

    def __init__(self, in_channels: int, shape: StageShape, *, halves: bool) -> None:
        super().__init__()
        self.halve: nn.Module = nn.Identity()
        if halves:
            self.halve = nn.Conv2d(in_channels, in_channels, 3, stride=2, padding=1, groups=in_channels)
        self.blocks = nn.ModuleList()
        for position in range(shape.blocks):
            self.blocks.append(Block(in_channels, shape, is_residual=position > 0))
            in_channels = shape.after

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H/2, W/2), or H, W in the first stage."""
        features = self.halve(features)
        for block in self.blocks:
            features = block(features)
        return features


class Block(nn.Module):
    """Layers in a row, whose outputs are all joined and mixed by two 1x1 convolutions (HG block)."""

    def __init__(self, in_channels: int, shape: StageShape, *, is_residual: bool) -> None:
        super().__init__()
        self.is_residual = is_residual
        self.layers = nn.ModuleList()
        joined = in_channels
        width = in_channels
        for _ in range(LAYERS):
            self.layers.append(Light(width, shape.inner) if shape.is_light else Full(width, shape.inner))
            width = shape.inner
            joined += width
        self.squeeze = nn.Conv2d(joined, shape.after // 2, 1)
        self.mix = nn.Conv2d(shape.after // 2, shape.after, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        outputs = [features]
        for layer in self.layers:
            outputs.append(layer(outputs[-1]))
        squeezed = F.relu(self.squeeze(torch.cat(outputs, dim=1)))
        mixed = F.relu(self.mix(squeezed))
        if self.is_residual:
            return mixed + features
        return mixed


class Full(nn.Module):
    """A 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.relu(self.conv(features))


class Light(nn.Module):
    """A 1x1 convolution and a depthwise 5x5."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        self.depthwise = nn.Conv2d(out_channels, out_channels, 5, padding=2, groups=out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.relu(self.depthwise(self.pointwise(features)))
