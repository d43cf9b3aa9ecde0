"""The network: encoder, decoder and head in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from hmean.data.views import PageView
from hmean.network.encoder import Encoder


class Detector(nn.Module):
    """Finds text: images in, logits of the probability map P and, in training, of the threshold map T out.

    Args:
        encoder: images (N, 3, H, W) to four feature maps of stride 4, 8, 16 and 32. Beside ``forward`` it has
            ``channels`` (of each map), ``fill`` (the colour that pads a page) and ``lr_scale`` (``Encoder``). With an
            ``lr_scale`` of 0 it is frozen: its weights have no gradients, and BatchNorm and dropout in it stay in
            evaluation mode.
        decoder: the four feature maps to one of stride 4 with ``channels`` channels.
        head: that map to a pair of logits, each (N, H, W): of P, and of T, which is None outside of training.
    """

    def __init__(self, encoder: Encoder, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.encoder_is_frozen = encoder.lr_scale == 0
        if self.encoder_is_frozen:
            encoder.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> Detector:
        """Training mode, with a frozen encoder left in evaluation mode."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.train(mode=False)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (N, 3, H, W), 0..255, H and W multiples of 32, to logits of P and, in training, of T: (N, H, W)."""
        levels = self.encoder(images)
        features = self.decoder(levels)
        probability, threshold = self.head(features)
        return probability, threshold


def probability_maps(detector: Detector, images: Tensor, views: Sequence[PageView]) -> list[NDArray[np.float32]]:
    """P of each page, (height, width) of its view, from a batch of images (N, 3, H, W) padded to one size."""
    logits, _ = detector(images)
    batch = logits.float().sigmoid().cpu().numpy()
    maps = []
    for probability, view in zip(batch, views, strict=True):
        maps.append(np.ascontiguousarray(probability[: view.height, : view.width]))
    return maps
