"""Learning-rate schedules that torch does not have. Each is a function that ``models.scheduler._target_`` can name."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_flat_linear(optimizer: Optimizer, total_steps: int, warmup: float = 0.03, decay: float = 0.5) -> LambdaLR:
    """A linear warm-up, then flat, then linear to 0; it moves with every optimizer step.

    Args:
        optimizer: its learning rates are multiplied.
        total_steps: optimizer steps of the whole run.
        warmup: share of the steps, from the start, in which the rate rises.
        decay: share of the steps, up to the end, in which it falls.
    """

    def factor(step: int) -> float:
        rising = (step + 1) / max(1.0, warmup * total_steps)
        falling = (total_steps - step) / max(1.0, decay * total_steps)
        return max(0.0, min(1.0, rising, falling))

    return LambdaLR(optimizer, factor)
