"""A model that descends from a PP-OCR detector as an ONNX file for RapidOCR (``Det.model_path``), and its values there.

RapidOCR shows a network blue first, with x / 127.5 - 1, whatever the network was trained with: ImageNet's mean and
deviation. The difference is a multiplication and an addition in front of the first convolution. (They could be folded
into its weights and biases, but its padding with zeros would then be grey instead of the mean colour.)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hmean.data.pages import LabelledImages
from hmean.data.views import STRIDE
from hmean.errors import InputError
from hmean.images import decode
from hmean.inference.checkpoints import Checkpoint
from hmean.inference.export.graph import trace
from hmean.inference.trained import PageFile
from hmean.network.detector import Detector
from hmean.network.paddle_encoder import PaddleEncoder
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.rapidocr import RapidOcrView
from hmean.progress import track

MAX_DIFFERENCE = 1e-3  # in P, from the checkpoint's network


def rapidocr_values(view: RapidOcrView, params: PostprocessParams) -> dict[str, float | int | str | bool]:
    """The keys of RapidOCR's section Det."""
    return {
        **asdict(view),
        "thresh": params.thresh,
        "box_thresh": params.box_thresh,
        "unclip_ratio": params.unclip_ratio,
        "use_dilation": False,
    }


class RapidOcrGraph(nn.Module):
    """What RapidOCR shows, (N, 3, H, W), blue first, x / 127.5 - 1, to P (N, 1, H, W)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        encoder = detector.encoder
        assert isinstance(encoder, PaddleEncoder)  # noqa: S101 - require_pp_ocr has said so
        mean = encoder.mean.flip(1)
        deviation = encoder.std.flip(1)
        self.register_buffer("scale", 127.5 / deviation)
        self.register_buffer("shift", (127.5 - mean) / deviation)
        self.encoder = encoder
        self.decoder = detector.decoder
        self.head = detector.head

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        planes = images * self.scale + self.shift  # what the network was trained with
        logits, _ = self.head(self.decoder(self.encoder.levels(planes)))
        probability: Tensor = logits.float().sigmoid()[:, None]
        return probability


def require_pp_ocr(checkpoint: Checkpoint, detector: Detector) -> None:
    """Check that RapidOCR can use a model.

    Raises:
        InputError: if it is not of the architecture of a PP-OCR detector.
    """
    if not isinstance(detector.encoder, PaddleEncoder):
        encoder = type(detector.encoder).__name__
        raise InputError(
            f"format=rapidocr: {checkpoint.path} is not of a PP-OCR detector's architecture (its encoder is {encoder});"
            " train with preset=pp_ocrv6_small, or export it with format=onnx"
        )


def write_for_rapidocr(checkpoint: Checkpoint, path: Path, check: Sequence[PageFile], view: RapidOcrView) -> float:
    """Write a model for RapidOCR.

    Args:
        checkpoint: the model.
        path: file to write.
        check: pages on which P must be that of the checkpoint.
        view: how RapidOCR will scale pages.

    Returns:
        The largest difference of P on these pages.

    Raises:
        InputError: if the model is not of a PP-OCR detector's architecture, or P is not the checkpoint's.
    """
    detector = checkpoint.build("cpu")
    require_pp_ocr(checkpoint, detector)
    write_graph(detector, path)
    difference = _difference(Session(path), detector, check, view)
    if not difference <= MAX_DIFFERENCE:
        raise InputError(
            f"format=rapidocr: P differs from the checkpoint's by up to {difference:.2g}, more than {MAX_DIFFERENCE:g};"
            " nothing was written"
        )
    return difference


def notice_of(checkpoint: Checkpoint) -> str:
    """Where the weights come from, and that they were changed: what Apache-2.0 asks of a changed file."""
    training = checkpoint.carried.provenance.training
    endorsed = "Neither PaddlePaddle nor RapidOCR has made or endorsed it."
    if training is None or not training.started_from:
        return f"This network was trained with hmean; what it started from is not recorded. {endorsed}"
    named = "; before that ".join(start.describe() for start in training.started_from)
    return f"This network was changed: it was fine-tuned with hmean, starting from {named}. {endorsed}"


def write_graph(detector: Detector, path: Path) -> None:
    """Write the network as an ONNX file for any height and width that are multiples of the stride."""
    example = torch.zeros((1, 3, 2 * STRIDE, 3 * STRIDE))
    trace(RapidOcrGraph(detector).eval(), example, path, "x", {0: "pages", 2: "height", 3: "width"})


def describe(path: Path, notice: str, view: RapidOcrView, params: PostprocessParams) -> None:
    """Write into the file where it comes from, and RapidOCR's values for it."""
    import onnx  # noqa: PLC0415 - an extra

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"notice": notice, "rapidocr": json.dumps(rapidocr_values(view, params))})
    onnx.save(model, path)


class Session:
    """The network in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - slow to import

        self._session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def __call__(self, planes: np.ndarray) -> np.ndarray:
        """What RapidOCR shows (1, 3, H, W) to P (H, W)."""
        found: np.ndarray = self._session.run(None, {"x": planes})[0][0, 0]
        return found


def _difference(run: Session, detector: Detector, pages: Sequence[PageFile], view: RapidOcrView) -> float:
    """The largest difference of P from the checkpoint's own network, which sees the same pixels."""
    largest = 0.0
    detector.eval()
    for page in pages:
        pixels = decode(page.path).image
        planes = view.image(pixels)
        rgb = torch.from_numpy((planes[:, ::-1] + 1) * 127.5)
        with torch.inference_mode():
            logits, _ = detector(rgb)
        expected = logits[0].sigmoid().numpy()
        largest = max(largest, float(np.abs(run(planes) - expected).max()))
    return largest


def maps_for_rapidocr(path: Path, labelled: LabelledImages, view: RapidOcrView) -> dict[str, PageMap]:
    """The maps of pages by name, in 8 bits, as the file gives them under RapidOCR."""
    run = Session(path)
    maps: dict[str, PageMap] = {}
    with track("detecting", len(labelled)) as advance:
        for position in range(len(labelled)):
            page = labelled.page(position)
            probability = run(view.image(labelled.pixels(position, page).image))
            height, width = probability.shape
            to_page = np.diag([page.width / width, page.height / height, 1.0])
            pixels = np.round(probability * 255).astype(np.uint8)
            maps[page.name] = PageMap(page.name, pixels, to_page, page.width, page.height)
            advance()
    return maps
