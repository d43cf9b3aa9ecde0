"""The decoder of PP-OCRv6 medium and PP-OCRv5 server: a path aggregation with large kernels (LK-PAN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it


class LKPAN(nn.Module):
    """Large-kernel path aggregation network (PaddleOCR, Apache-2.0), with BatchNorm fused away.

    Levels are brought to the same channels and summed from coarse to fine, narrowed by 9x9 kernels, summed again from
    fine to coarse, refined by 9x9 kernels and by ``Intraclass``, enlarged to the finest level and joined.

    Args:
        in_channels: channels of the encoder's four levels.
        inner_channels: channels of the first sum, and of the output.
        biases: whether the 9x9 kernels have biases: those of PP-OCRv6 medium do, those of PP-OCRv5 server do not.
        separable: whether each 9x9 kernel is a depthwise one with a 1x1 behind it, which takes a small part of the
            time. PaddleOCR trains PP-OCRv6 medium so (RepLKPAN); the modules for the hub's file multiply them out.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        inner_channels: int = 256,
        *,
        biases: bool = True,
        separable: bool = False,
    ) -> None:
        super().__init__()
        narrow = inner_channels // 4
        self.lateral = nn.ModuleList()
        self.narrow = nn.ModuleList()
        self.down = nn.ModuleList()
        self.refine = nn.ModuleList()
        self.intraclass = nn.ModuleList()
        for level, channels in enumerate(in_channels):
            self.lateral.append(nn.Conv2d(channels, inner_channels, 1, bias=False))
            self.narrow.append(_large(inner_channels, narrow, biases=biases, separable=separable))
            if level > 0:
                self.down.append(nn.Conv2d(narrow, narrow, 3, stride=2, padding=1, bias=False))
            self.refine.append(_large(narrow, narrow, biases=biases, separable=separable))
            self.intraclass.append(Intraclass(narrow))
        self.channels = inner_channels

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Four maps (N, C_i, H/s_i, W/s_i), finest first, to one (N, inner_channels, H/4, W/4)."""
        narrowed = self._summed_from_coarse(features)
        level = narrowed[0]
        joined: list[Tensor] = []
        for position, refine in enumerate(self.refine):
            if position > 0:
                level = narrowed[position] + self.down[position - 1](level)
            refined = self.intraclass[position](refine(level))
            if position > 0:
                refined = F.interpolate(refined, scale_factor=float(2**position), mode="nearest")
            joined.insert(0, refined)  # coarsest first, as the pretrained head expects them
        return torch.cat(joined, dim=1)

    def _summed_from_coarse(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each level with all coarser ones added, narrowed; finest first."""
        top = self.lateral[-1](features[-1])
        narrowed = [self.narrow[-1](top)]
        for level in reversed(range(len(features) - 1)):
            upsampled = F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = self.lateral[level](features[level]) + upsampled
            narrowed.insert(0, self.narrow[level](top))
        return narrowed


class Separable(nn.Module):
    """A depthwise 9x9 convolution and a 1x1."""

    def __init__(self, in_channels: int, out_channels: int, *, biases: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 9, padding=4, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=biases)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        projected: Tensor = self.pointwise(self.depthwise(features))
        return projected


def _large(in_channels: int, out_channels: int, *, biases: bool, separable: bool) -> nn.Module:
    if separable:
        return Separable(in_channels, out_channels, biases=biases)
    return nn.Conv2d(in_channels, out_channels, 9, padding=4, bias=biases)


class Intraclass(nn.Module):
    """Sums of square, tall and flat kernels of 7, 5 and 3 pixels, added to the input: text is long in one direction."""

    SIZES = (7, 5, 3)

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.reduce = nn.Conv2d(channels, inner, 1)
        self.square = nn.ModuleList()
        self.tall = nn.ModuleList()
        self.flat = nn.ModuleList()
        for size in self.SIZES:
            pad = size // 2
            self.square.append(nn.Conv2d(inner, inner, size, padding=pad))
            self.tall.append(nn.Conv2d(inner, inner, (size, 1), padding=(pad, 0)))
            self.flat.append(nn.Conv2d(inner, inner, (1, size), padding=(0, pad)))
        self.restore = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        inner = self.reduce(features)
        for square, tall, flat in zip(self.square, self.tall, self.flat, strict=True):
            inner = square(inner) + tall(inner) + flat(inner)
        related = F.relu(self.restore(inner))
        return features + related
