"""One training step on a CUDA device in mixed precision against fp32; ``step.py`` has the same on the processor."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from harness import Result, compare
from targets import letterboxed, real_or_drawn
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from hmean.data import targets
from hmean.network.build import build_detector, without_pretrained
from hmean.settings.compose import compose_all

PEERS = ("timm",)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # the processor only rehearses
ABOUT = (
    f"On {torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'}. A step is forward, loss, backward, "
    "optimizer and, where the preset has one (`trainer.ema_decay`), the moving average of the weights, on one batch that is "
    "there already, random weights; fp32 lets convolutions use TF32, as torch does by "
    "default. Memory is the step's peak above the weights and states of all forms. That mixed precision learns the same "
    "is in `tests/e2e/test_cuda.py`."
)
MODELS = (("receipts_lite", 384, 16), ("resnet50", 960, 4), ("efficientnet_b4_lr_optimized", 960, 4))
RULE = {"shrink_ratio": 0.4, "min_side": 3.0}


def run() -> Iterator[Result]:
    for preset, side, batch in MODELS if DEVICE == "cuda" else [("receipts_lite", 64, 2)]:
        yield from _steps(preset, side, batch)


def _steps(preset: str, side: int, size: int) -> Iterator[Result]:
    steps = Steps(preset, side, size, DEVICE)
    base = steps.make("32-true")
    forms: dict[str, Callable[[object], None]] = {
        "bf16-mixed": steps.make("bf16-mixed"),
        "16-mixed": steps.make("16-mixed"),
        "bf16-mixed, contiguous": steps.make("bf16-mixed", layout=torch.contiguous_format),
    }
    if preset == "receipts_lite":
        forms["bf16-mixed, compiled"] = steps.make("bf16-mixed", compiled=True)
    for name, form in forms.items():
        form(None)
        told = f"peak {_peak(form):.1f} GB, of fp32 {_peak(base):.1f} GB"
        yield compare(f"{preset}, {size} x {side} px: {name}", "fp32", [None], form, base, exact=told, rounds=20)
    if steps.decay is not None:
        plain = steps.make("bf16-mixed", averaged=False)
        yield compare(
            f"{preset}, {size} x {side} px: bf16-mixed", "the same without the moving average of the weights", [None],
            forms["bf16-mixed"], plain, exact="what the average costs", rounds=20,
        )  # fmt: skip


class Steps:
    """Training steps of one preset on one batch, each with weights of its own."""

    def __init__(self, preset: str, side: int, size: int, device: str) -> None:
        settings = compose_all([f"preset={preset}"])
        self.parts = settings.models.components()
        self.decay = settings.trainer.ema_decay
        self.device = device
        network = build_detector(without_pretrained(self.parts.encoder), self.parts.decoder, self.parts.head)
        self.network = network.to(device, memory_format=torch.channels_last).train()
        self.loss = self.parts.loss.build()
        self.batch = _batch(side, size, device)

    def make(
        self,
        precision: str,
        *,
        compiled: bool = False,
        layout: torch.memory_format = torch.channels_last,
        averaged: bool = True,
    ) -> Callable[[object], None]:
        """A step with the preset's moving average of the weights, if it has one, as ``training.callbacks`` sets it up."""
        own = copy.deepcopy(self.network).to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack it
        average = None
        if self.decay is not None and averaged:
            average = AveragedModel(own, device=self.device, use_buffers=True, avg_fn=get_ema_avg_fn(self.decay))
        if compiled:
            own.compile()
        optimizer = self.parts.optimizer.build(params=[{"params": list(own.parameters())}])
        scaler = torch.amp.GradScaler(self.device, enabled=precision == "16-mixed" and self.device == "cuda")
        kind = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(precision)
        images = self.batch["image"].contiguous(memory_format=layout)

        def step(_: object) -> None:
            with torch.autocast(self.device, dtype=kind) if kind else contextlib.nullcontext():
                total = torch.stack(list(self.loss(*own(images), self.batch).values())).sum()
            optimizer.zero_grad()
            scaler.scale(total).backward()
            scaler.step(optimizer)
            scaler.update()
            if average is not None:
                average.update_parameters(own)
            _wait()

        return step


def _batch(side: int, size: int, device: str) -> dict[str, Tensor]:
    """Noise with the maps of real or drawn pages."""
    views = [letterboxed(page, side) for page in real_or_drawn()[:size]]
    maps = [targets.make_targets(*view, **RULE) for view in views]
    names = ("shrink", "threshold", "band", "valid")
    drawn = {name: torch.from_numpy(np.stack([getattr(m, name) for m in maps])).to(device) for name in names}
    return {"image": torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8, device=device), **drawn}


def _peak(step: Callable[[object], None]) -> float:
    """GB that one step takes beside what is there."""
    if DEVICE == "cpu":
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(None)
    return (torch.cuda.max_memory_allocated() - before) / 1e9


def _wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()
