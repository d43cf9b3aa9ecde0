"""The network of ``receipts_lite`` as hmean exports it, on ONNX Runtime and OpenVINO, against torch eager: one page, two threads."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Result, compare

from hmean.cli import main
from hmean.images import read_image
from hmean.inference.detector import TextDetector
from hmean.inference.networks import open_network
from hmean.network.build import build_detector, without_pretrained
from hmean.runs.carried import Carried, PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.settings.compose import compose_all
from hmean.synth.dataset import write_dataset

PEERS = ("onnxruntime", "openvino")
ABOUT = (
    "The network alone, one drawn receipt at a time at long side 960, two threads each. Its weights are random: they play no part "
    "in the time, and what a trained model loses by int8 is in its file and in what `hmean export` prints."
)
KINDS = (("fp32", "onnx"), ("fp16", "onnx"), ("int8", "onnx"), ("fp32", "openvino"), ("int8", "openvino"))


def run() -> Iterator[Result]:
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_dataset(folder / "data", train=8, val=8, seed=3)
        config = compose_all(
            ["preset=receipts_lite", "models.encoder.pretrained=false", f"dataset_base_path={folder / 'data'}"]
        )
        torch.manual_seed(0)
        parts = config.models.components()
        network = build_detector(without_pretrained(parts.encoder), parts.decoder, parts.head)
        network = network.eval().to(memory_format=torch.channels_last)
        carried = Carried(
            epoch=0,
            config=config.to_dict(),
            postprocess=config.models.head.postprocess.params(),
            history=(),
            pages=PagesSeen(train=[], val=[]),
        )
        write_checkpoint(folder / "best.ckpt", carried, network.state_dict())
        files = sorted((folder / "data" / "images").glob("*.jpg"))[:6]

        def eager(page: np.ndarray) -> Any:
            with torch.inference_mode():
                images = torch.from_numpy(page).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
                return network(images)[0].sigmoid().numpy()

        for precision, form in KINDS:
            target = folder / f"{precision}_{form}.{'xml' if form == 'openvino' else 'onnx'}"
            with contextlib.redirect_stdout(io.StringIO()):
                code = main(["export", f"checkpoint_path={folder / 'best.ckpt'}", f"precision={precision}",
                             f"format={form}", f"output={target}", f"dataset_base_path={folder / 'data'}"])  # fmt: skip
            assert code == 0
            detector = TextDetector(target, threads=2)
            views = [detector.draw(i, detector.view_of(i))[None] for i in map(read_image, files)]
            size = sum(part.stat().st_size for part in folder.glob(f"{precision}_{form}.*"))
            runtime = "OpenVINO" if form == "openvino" else "ONNX Runtime"
            yield compare(
                f"{runtime} {precision}, {size / 1e6:.1f} MB", "torch eager", views, open_network(target, 2), eager, rounds=5,
                exact=f"P differs by up to {detector.metadata.check.max_difference:.1g}",
            )  # fmt: skip
