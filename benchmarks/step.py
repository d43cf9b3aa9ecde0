"""One training step on the processor: what the layout of the tensors and the moving average of the weights make of it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from gpu import Steps
from harness import Result, compare

PEERS = ("timm",)
ABOUT = (
    "Forward, loss, backward, optimizer and, where the preset has one (`trainer.ema_decay`), the moving average of the weights, "
    "on one batch that is there already, fp32, random weights, on one thread of the processor."
)
MODELS = (("receipts_lite", 384, 2), ("resnet50", 320, 1))


def run() -> Iterator[Result]:
    torch.set_num_threads(1)
    for preset, side, size in MODELS:
        steps = Steps(preset, side, size, "cpu")
        step = steps.make("32-true")
        contiguous = steps.make("32-true", layout=torch.contiguous_format)
        item = f"{preset}, {size} x {side} px"
        told = "with a moving average"
        if steps.decay is None:
            told = "the preset has no moving average"
        yield compare(
            item, "contiguous instead of channels_last", [None], step, contiguous, exact=told, rounds=5, cpu=True
        )
        if steps.decay is not None:
            plain = steps.make("32-true", averaged=False)
            yield compare(
                item,
                "the same without the moving average",
                [None],
                step,
                plain,
                exact="what the average costs",
                rounds=5,
                cpu=True,
            )
