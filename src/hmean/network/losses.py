"""The loss of DBNet on logits, in fp32, as named terms; defined also for a page without text.

Liao et al. 2020, eq. 5-7: L = probability_weight * L_s + threshold_weight * L_t + binary_weight * L_b, with L_s the
balanced cross-entropy of P (hard negatives 3:1), L_t the L1 distance of T inside the dilated text, L_b the dice
distance of the approximate binary map B = sigmoid(k (P - T)).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def balanced_bce(logits: Tensor, target: Tensor, valid: Tensor, negative_ratio: float, min_negatives: int) -> Tensor:
    """Mean binary cross-entropy over all positives and the hardest ``negative_ratio`` times as many negatives.

    All arguments (N, H, W). ``target`` may be soft: a pixel is a positive from 0.5 on. At least ``min_negatives``
    negatives count, so that pages without text teach as well.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    positive, negative = (target >= 0.5) * valid, (target < 0.5) * valid
    negatives = (loss * negative).flatten()
    wanted = torch.clamp(positive.sum() * negative_ratio, min=min_negatives)
    count = int(torch.minimum(wanted, negative.sum()).item())
    hard = negatives.topk(count, sorted=False).values.sum() if count else negatives.sum() * 0
    return ((loss * positive).sum() + hard) / (positive.sum() + count).clamp(min=1)


def masked_l1(value: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference where ``mask`` is 1; 0 if it is nowhere."""
    return ((value - target).abs() * mask).sum() / mask.sum().clamp(min=1)


def dice(value: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - 2 |v t| / (|v| + |t|) over the whole batch, where ``mask`` is 1 (Milletari et al. 2016, without squares).

    The 1 added above and below makes it 0 for an empty map on an empty page.
    """
    value, target = value * mask, target * mask
    return 1 - (2 * (value * target).sum() + 1) / (value.sum() + target.sum() + 1)


class DBLoss(nn.Module):
    """Weighted terms of the DBNet loss.

    Args:
        probability_weight: of the cross-entropy term (the original code weighs it 5, the paper 1).
        threshold_weight: of the L1 term.
        binary_weight: of the dice term.
        k: steepness of the approximate binarization.
        negative_ratio: hard negatives per positive.
        min_negatives: hard negatives of a batch, at the least.
    """

    def __init__(
        self,
        probability_weight: float = 5.0,
        threshold_weight: float = 10.0,
        binary_weight: float = 1.0,
        k: float = 50.0,
        negative_ratio: float = 3.0,
        min_negatives: int = 1000,
    ) -> None:
        super().__init__()
        self.probability_weight, self.threshold_weight, self.binary_weight = (
            probability_weight,
            threshold_weight,
            binary_weight,
        )
        self.k, self.negative_ratio, self.min_negatives = k, negative_ratio, min_negatives

    def forward(self, probability: Tensor, threshold: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Logits (N, H, W) and the maps of ``Targets`` to weighted terms, whose sum is the loss."""
        with torch.autocast(probability.device.type, enabled=False):
            p_logits, t_logits = probability.float(), threshold.float()
            shrink, valid = batch["shrink"].float() / 255, batch["valid"].float()
            band = batch["band"].float() * valid
            t = t_logits.sigmoid()
            binary = (self.k * (p_logits.sigmoid() - t)).sigmoid()
            return {
                "loss_probability": self.probability_weight
                * balanced_bce(p_logits, shrink, valid, self.negative_ratio, self.min_negatives),
                "loss_threshold": self.threshold_weight * masked_l1(t, batch["threshold"].float(), band),
                "loss_binary": self.binary_weight * dice(binary, shrink, valid),
            }
