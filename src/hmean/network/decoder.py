"""Decoders: four feature maps in, one of stride 4 out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it


class UNet(nn.Module):
    """The feature pyramid of DBNet (Liao et al. 2020, fig. 3): lateral 1x1, top-down sum, 3x3, concatenation.

    Args:
        in_channels: channels of the encoder's four levels.
        inner_channels: channels of the pyramid.
        output_channels: channels of each level before they are concatenated; the output has 4 times as many.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        inner_channels: int = 256,
        output_channels: int = 64,
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList()
        self.smooth = nn.ModuleList()
        for channels in in_channels:
            self.lateral.append(nn.Conv2d(channels, inner_channels, 1, bias=False))
        for _ in in_channels:
            self.smooth.append(nn.Conv2d(inner_channels, output_channels, 3, padding=1, bias=False))
        self.channels = output_channels * len(in_channels)

    def pyramid(self, features: Sequence[Tensor]) -> list[Tensor]:
        """From the coarsest level down: each level's lateral plus the level above. Maps (N, inner_channels, H/s, W/s).

        The list is in the order of ``features``: finest first.
        """
        top = self.lateral[-1](features[-1])
        levels = [top]
        for level in reversed(range(len(features) - 1)):
            upsampled = F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = self.lateral[level](features[level]) + upsampled
            levels.insert(0, top)
        return levels

    def levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each level of the pyramid smoothed and brought to stride 4: four maps (N, output_channels, H/4, W/4)."""
        levels = []
        for i, level in enumerate(self.pyramid(features)):
            smoothed = self.smooth[i](level)
            if i > 0:
                smoothed = F.interpolate(smoothed, scale_factor=float(2**i), mode="nearest")
            levels.append(smoothed)
        return levels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """(N, C_i, H/s_i, W/s_i) for s = 4..32 to (N, channels, H/4, W/4)."""
        return torch.cat(self.levels(features), dim=1)


class DBNetPP(UNet):
    """DBNet++ (Liao et al. 2022, TPAMI): the levels are weighted by adaptive scale fusion before the head.

    A 3x3 convolution of the concatenated levels is attended over space, then turned into one weight map a level.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        inner_channels: int = 256,
        output_channels: int = 64,
    ) -> None:
        super().__init__(in_channels, inner_channels, output_channels)
        self.fuse = nn.Conv2d(self.channels, output_channels, 3, padding=1)
        self.spatial = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(1, 1, 1, bias=False),
            nn.Sigmoid(),
        )
        self.scales = nn.Sequential(
            nn.Conv2d(output_channels, len(in_channels), 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """See ``UNet.forward``."""
        levels = self.levels(features)
        fused = self.fuse(torch.cat(levels, dim=1))
        attended = fused + self.spatial(fused.mean(dim=1, keepdim=True))
        weights = self.scales(attended)
        weighted = []
        for i, level in enumerate(levels):
            weighted.append(level * weights[:, i : i + 1])
        return torch.cat(weighted, dim=1)
