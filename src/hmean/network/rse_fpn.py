"""The decoder of the small PP-OCR text detectors: a feature pyramid with squeeze-and-excitation (RSE-FPN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it

from hmean.network.squeeze import SqueezeExcitation


class RSEFPN(nn.Module):
    """Residual squeeze-and-excitation pyramid (PaddleOCR, Apache-2.0): lateral 1x1, top-down sum, large kernels.

    Args:
        in_channels: channels of the encoder's four levels.
        inner_channels: channels of the pyramid, and of the output.
        kernel_size: of the last convolutions.
        depthwise: whether these are depthwise with a 1x1 behind them, as in PP-OCRv6, or full, as in PP-OCRv5.
    """

    def __init__(
        self, in_channels: Sequence[int], inner_channels: int = 96, kernel_size: int = 7, *, depthwise: bool = True
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList()
        self.smooth = nn.ModuleList()
        for channels in in_channels:
            self.lateral.append(Lateral(channels, inner_channels))
        for _ in in_channels:
            if depthwise:
                self.smooth.append(Smooth(inner_channels, kernel_size))
            else:
                self.smooth.append(Lateral(inner_channels, inner_channels // 4, kernel_size))
        self.channels = inner_channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Four maps (N, C_i, H/s_i, W/s_i), finest first, to one (N, inner_channels, H/4, W/4)."""
        top = self.lateral[-1](features[-1])
        levels = [top]
        for level in reversed(range(len(features) - 1)):
            upsampled = F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = self.lateral[level](features[level]) + upsampled
            levels.append(top)
        smoothed = []  # coarsest first, as the pretrained head expects them
        for above, level in enumerate(levels):
            position = len(levels) - 1 - above
            smooth = self.smooth[position](level)
            if position > 0:
                smooth = F.interpolate(smooth, scale_factor=float(2**position), mode="nearest")
            smoothed.append(smooth)
        return torch.cat(smoothed, dim=1)


class Lateral(nn.Module):
    """A convolution and a residual squeeze-and-excitation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.squeeze = SqueezeExcitation(out_channels, slope=0.2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        lateral: Tensor = self.conv(features)
        squeezed: Tensor = self.squeeze(lateral)
        return lateral + squeezed


class Smooth(nn.Module):
    """A large depthwise kernel, a 1x1 convolution to a quarter of the channels, a residual squeeze-and-excitation."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.squeeze = SqueezeExcitation(channels // 4, slope=0.2)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, channels / 4, H, W)."""
        smoothed: Tensor = self.pointwise(self.depthwise(features))
        squeezed: Tensor = self.squeeze(smoothed)
        return smoothed + squeezed
