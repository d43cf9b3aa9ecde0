"""The differentiable-binarization head: probability and threshold maps at input resolution, as logits."""

from __future__ import annotations

from torch import Tensor, nn


class DBHead(nn.Module):
    """Twin branches of a 3x3 convolution and two x2 upsamplings (Liao et al. 2020, fig. 3).

    Args:
        in_channels: channels of the decoder's output.
        inner_channels: channels of the branches; by default a quarter of ``in_channels``.
        batch_norm: whether each branch has BatchNorm, or biases in place of it, as networks with fused BatchNorm have.
    """

    def __init__(self, in_channels: int, inner_channels: int | None = None, *, batch_norm: bool = True) -> None:
        super().__init__()
        inner = inner_channels or in_channels // 4
        self.probability = _branch(in_channels, inner, batch_norm=batch_norm)
        self.threshold = _branch(in_channels, inner, batch_norm=batch_norm)
        # Text covers about a tenth of a page: starting there spares the first steps of learning the base rate.
        nn.init.constant_(self.probability[-1].bias, -2.0)  # type: ignore[arg-type]  # a Tensor, typed as a union

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, C, H/4, W/4) to logits of P and, in training only, of T: each (N, H, W)."""
        probability = self.probability(features)[:, 0]
        if not self.training:
            return probability, None
        threshold = self.threshold(features)[:, 0]
        return probability, threshold

    def threshold_from_probability(self) -> None:
        """Give T the features of P, for a pretrained head that has P only; T itself is 0.5 everywhere at first."""
        self.threshold.load_state_dict(self.probability.state_dict())
        last = self.threshold[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]  # a Tensor, typed as a union
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # likewise


def _branch(in_channels: int, inner: int, *, batch_norm: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, inner, 3, padding=1, bias=not batch_norm),
        _norm(inner, batch_norm=batch_norm),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(inner, inner, 2, stride=2),
        _norm(inner, batch_norm=batch_norm),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(inner, 1, 2, stride=2),
    )


def _norm(channels: int, *, batch_norm: bool) -> nn.Module:
    if batch_norm:
        return nn.BatchNorm2d(channels)
    return nn.Identity()
