"""Optimizer and learning-rate schedule of a training, built from the components that the config names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import Optimizer

from hmean.network.detector import Detector
from hmean.plugins import Component


@dataclass(frozen=True)
class Optimization:
    """How the weights of a network are changed.

    Attributes:
        optimizer: takes ``params``.
        scheduler: takes ``optimizer``; one that also takes ``total_steps`` moves with every optimizer step, others
            with every epoch.
        lr: learning rate of decoder and head; the encoder's is multiplied by its ``lr_scale``, and 0 freezes it.
    """

    optimizer: Component
    scheduler: Component
    lr: float

    def configure(self, detector: Detector, total_steps: int) -> OptimizerLRSchedulerConfig:
        """Build both, with two parameter groups: the encoder unless it is frozen, then decoder and head.

        Args:
            detector: the network.
            total_steps: optimizer steps of the whole run.
        """
        groups = []
        if not detector.encoder_is_frozen:
            encoder = {
                "params": list(detector.encoder.parameters()),
                "lr": self.lr * detector.encoder.lr_scale,
            }
            groups.append(encoder)
        others = {
            "params": [*detector.decoder.parameters(), *detector.head.parameters()],
            "lr": self.lr,
        }
        groups.append(others)
        optimizer = self._build_optimizer(groups)
        return {"optimizer": optimizer, "lr_scheduler": self._build_schedule(optimizer, total_steps)}

    def check(self) -> None:
        """Build both for a single weight, so that values that they do not accept are reported before any work.

        Raises:
            InputError: if they do not accept their arguments.
        """
        weight = nn.Parameter(torch.zeros(1))
        optimizer = self._build_optimizer([{"params": [weight], "lr": self.lr}])
        self._build_schedule(optimizer, total_steps=100)

    def _build_optimizer(self, groups: list[dict[str, Any]]) -> Optimizer:
        optimizer: Optimizer = self.optimizer.build(params=groups)
        return optimizer

    def _build_schedule(self, optimizer: Optimizer, total_steps: int) -> LRSchedulerConfigType:
        interval: Literal["step", "epoch"] = "epoch"
        if self.scheduler.accepts("total_steps"):
            interval = "step"
        scheduler = self.scheduler.build(optimizer=optimizer, total_steps=total_steps)
        return {"scheduler": scheduler, "interval": interval}
