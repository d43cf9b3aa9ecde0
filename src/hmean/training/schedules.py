"""Learning-rate schedules that torch does not have."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_flat_linear(optimizer: Optimizer, total_steps: int, warmup: float = 0.03, decay: float = 0.5) -> LambdaLR:
    """Linear warm-up over the first share of the steps, flat, then linear to 0 over the last share, a step at a time.

    Args:
        optimizer: whose learning rates are multiplied.
        total_steps: optimizer steps of the whole run.
        warmup: share of them, from the start.
        decay: share of them, to the end.
    """

    def factor(step: int) -> float:
        rising = (step + 1) / max(1.0, warmup * total_steps)
        falling = (total_steps - step) / max(1.0, decay * total_steps)
        return max(0.0, min(1.0, rising, falling))

    return LambdaLR(optimizer, factor)
