"""Encoder, decoder and head in a row."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from hmean.network.encoder import TimmEncoder


class Head(Protocol):
    """What the detector asks of its head (see ``DBHead``)."""

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits of P and, in training, of T."""


class Detector(nn.Module):
    """Images (N, 3, H, W), 0..255, H and W multiples of 32, to logits (N, H, W) of P and, in training, of T."""

    def __init__(self, encoder: TimmEncoder, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder, self.head = encoder, decoder, head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """See the class."""
        out: tuple[Tensor, Tensor | None] = self.head(self.decoder(self.encoder(images)))
        return out
