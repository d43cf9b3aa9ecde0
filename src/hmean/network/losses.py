"""The loss of DBNet, as plain functions and a module that weighs their terms.

Liao et al. 2020, eq. 5-7: L = probability_weight * L_s + threshold_weight * L_t + binary_weight * L_b, where

- L_s is the balanced cross-entropy of P (hard negatives 3:1),
- L_t is the L1 distance of T inside the dilated text,
- L_b is the dice distance of the approximate binary map B = sigmoid(k (P - T)).

All terms are computed on logits, in fp32, and are defined also for a page without text. Shapes: N pages of a batch,
H and W of the map. A loss of your own is any module with the signature of ``DBLoss.forward``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the field's name for it


def balanced_bce(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    negative_ratio: float,
    min_negatives: int,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean binary cross-entropy over all positives and the hardest negatives.

    Args:
        logits: of P (N, H, W).
        target: P as it should be (N, H, W), 0..1. It may be soft: a pixel is a positive from 0.5 on.
        valid: 1 where a pixel counts, else 0 (N, H, W).
        negative_ratio: hard negatives for each positive.
        min_negatives: hard negatives of a batch at least, so that pages without text teach as well.
        weight: what each positive counts beside the others (N, H, W); together they count as much as without it.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    positive = (target >= 0.5) * valid
    negative = (target < 0.5) * valid
    wanted = torch.clamp(positive.sum() * negative_ratio, min=min_negatives)
    count = int(torch.minimum(wanted, negative.sum()).item())

    negative_loss = (loss * negative).flatten()
    if count > 0:
        hard_loss = negative_loss.topk(count, sorted=False).values.sum()
    else:
        hard_loss = negative_loss.sum() * 0  # zero, but part of the graph
    share = positive
    if weight is not None:
        share = positive * weight
        share = share * (positive.sum() / share.sum().clamp(min=1e-6))
    return ((loss * share).sum() + hard_loss) / (positive.sum() + count).clamp(min=1)


def masked_l1(value: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference where ``mask`` is 1; 0 if it is 1 nowhere."""
    return ((value - target).abs() * mask).sum() / mask.sum().clamp(min=1)


def dice(value: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - 2 |v t| / (|v| + |t|) over the whole batch, where ``mask`` is 1 (Milletari et al. 2016, without squares).

    ``mask`` may also be a weight of each pixel. The 1 added to numerator and denominator makes it 0 for an empty map on
    an empty page.
    """
    value = value * mask
    weighted = target * mask
    common = 2 * (value * target).sum() + 1
    both = value.sum() + weighted.sum() + 1
    return 1 - common / both


def approximate_binary(probability: Tensor, threshold: Tensor, k: float) -> Tensor:
    """B = sigmoid(k (P - T)): a binarization that has a gradient (Liao et al. 2020, eq. 3)."""
    return (k * (probability - threshold)).sigmoid()


class DBLoss(nn.Module):
    """Weighted terms of the DBNet loss.

    Args:
        probability_weight: of the cross-entropy term (5 in the authors' code, 1 in the paper).
        threshold_weight: of the L1 term.
        binary_weight: of the dice term.
        k: steepness of the approximate binarization.
        negative_ratio: hard negatives for each positive.
        min_negatives: hard negatives of a batch at least.
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
        self.probability_weight = probability_weight
        self.threshold_weight = threshold_weight
        self.binary_weight = binary_weight
        self.k = k
        self.negative_ratio = negative_ratio
        self.min_negatives = min_negatives

    def forward(self, probability: Tensor, threshold: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weighted terms by name; their sum is the loss.

        Args:
            probability: logits of P (N, H, W).
            threshold: logits of T (N, H, W).
            batch: the maps of ``Targets``: ``shrink`` (uint8, 0..255), ``threshold``, ``band`` and ``valid`` (N, H, W);
                where words are balanced, also the ``weight`` of each pixel.
        """
        with torch.autocast(probability.device.type, enabled=False):
            p_logits = probability.float()
            p = p_logits.sigmoid()
            t = threshold.float().sigmoid()
            shrink = batch["shrink"].float() / 255
            valid = batch["valid"].float()
            band = batch["band"].float() * valid

            weight = None
            weighted_valid = valid
            if "weight" in batch:
                weight = batch["weight"].float()
                weighted_valid = valid * weight

            cross_entropy = balanced_bce(p_logits, shrink, valid, self.negative_ratio, self.min_negatives, weight)
            distance = masked_l1(t, batch["threshold"].float(), band)
            overlap = dice(approximate_binary(p, t, self.k), shrink, weighted_valid)
            return {
                "loss_probability": self.probability_weight * cross_entropy,
                "loss_threshold": self.threshold_weight * distance,
                "loss_binary": self.binary_weight * overlap,
            }
