"""The differentiable-binarization head: probability and threshold maps at input resolution, as logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it


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


class RefinedDBHead(DBHead):
    """A head whose P is the mean of two: DBHead's, and one that a full-size 3x3 convolution makes of it (PFHead-Local).

    It belongs to PP-OCRv5 server (PaddleOCR, Apache-2.0), with BatchNorm fused away.

    Args:
        in_channels: channels of the decoder's output.
        inner_channels: channels of the branches; by default a quarter of ``in_channels``.
    """

    def __init__(self, in_channels: int, inner_channels: int | None = None) -> None:
        super().__init__(in_channels, inner_channels, batch_norm=False)
        inner = inner_channels or in_channels // 4
        self.refine = nn.Conv2d(inner + 1, inner, 3, padding=1)
        self.refined = nn.Conv2d(inner, 1, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, C, H/4, W/4) to logits of P and, in training only, of T: each (N, H, W)."""
        half_size = self.probability[:-1](features)
        first = self.probability[-1](half_size)
        full_size = F.interpolate(half_size, scale_factor=2.0, mode="nearest")
        refined = F.relu(self.refine(torch.cat([first.sigmoid(), full_size], dim=1)))
        probability = _logit_of_mean(first, self.refined(refined))[:, 0]
        if not self.training:
            return probability, None
        return probability, self.threshold(features)[:, 0]


def _logit_of_mean(first: Tensor, second: Tensor) -> Tensor:
    """The logit of the mean of two probabilities that are given as logits, without their rounding to 0 or 1."""
    logits = torch.stack([first, second]).float()
    present = (-F.softplus(-logits)).logsumexp(0)  # log(p1 + p2)
    absent = (-F.softplus(logits)).logsumexp(0)  # log(1 - p1 + 1 - p2)
    return present - absent


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
