"""Squeeze-and-excitation (Hu et al. 2018): each channel is weighted by what all of the map says."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it


class SqueezeExcitation(nn.Module):
    """Weights of channels from their means, by two 1x1 convolutions and a hard sigmoid: clamp(slope * x + 0.5).

    Args:
        channels: of the map.
        slope: of the hard sigmoid.
    """

    def __init__(self, channels: int, slope: float) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.restore = nn.Conv2d(channels // 4, channels, 1)
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to the same, weighted."""
        means = features.mean((2, 3), keepdim=True)
        weights = self.restore(F.relu(self.reduce(means)))
        weighted: Tensor = features * (self.slope * weights + 0.5).clamp(0, 1)
        return weighted
