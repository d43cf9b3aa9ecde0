"""The network's forward in channels_last, and compiled, against plain eager, with wide and slim decoders."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from harness import Result, compare

from hmean.network.build import build_detector, without_pretrained
from hmean.settings.compose import compose_all

PEERS = ("torchvision", "timm")
ABOUT = (
    "The network of `receipts_lite` (lite0 encoder) with random weights, since only its speed is told, on one page, on the "
    "processor with all its cores. Layout and compiler (`trainer.channels_last`, `trainer.compile`) against neither. "
    "Compiling itself, once for each size of page, is not counted."
)
WIDTHS = ((256, 64), (96, 24), (48, 12))
SIZES = ((640, 480), (960, 704))
SAME = "compared here, to 1e-3 of a logit"


def run() -> Iterator[Result]:
    for inner, outer in WIDTHS:
        widths = [f"models.decoder.inner_channels={inner}", f"models.decoder.output_channels={outer}"]
        parts = compose_all(["preset=receipts_lite", *widths]).models.components()
        eager = build_detector(without_pretrained(parts.encoder), parts.decoder, parts.head).eval()
        layout = copy.deepcopy(eager).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        for height, width in SIZES:
            torch._dynamo.reset()  # noqa: SLF001 - sizes of their own, not one graph for all
            forms = {"channels_last": layout, "channels_last, compiled": torch.compile(layout, dynamic=False)}
            image = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
            turned = image.contiguous(memory_format=torch.channels_last)
            for name, form in forms.items():
                with torch.inference_mode():
                    torch.testing.assert_close(form(turned)[0], eager(image)[0], rtol=0, atol=1e-3)
                    result = compare(
                        f"Decoder {inner}/{outer}, {height} x {width}: {name}", "eager, contiguous", [None],
                        lambda _, form=form, page=turned: form(page), lambda _, page=image, net=eager: net(page),
                        exact=SAME, rounds=15,
                    )  # fmt: skip
                yield result
