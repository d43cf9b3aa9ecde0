"""PaddleOCR's detectors as ``transformers`` builds them, with random weights, and the networks of ours for them."""

import torch
import transformers

from hmean.network.build import build_detector
from hmean.network.detector import Detector
from hmean.network.paddle_encoder import DEVIATION, MEAN
from hmean.plugins import Component

NAMES = ("pp-ocrv6-tiny", "pp-ocrv6-small", "pp-ocrv6-medium", "pp-ocrv5-mobile", "pp-ocrv5-server")
# Kernels, strides and paddings of the blocks that LK-PAN ends with, as the configs of transformers write them.
INTRACLASS = {"reduce_channel": [1, 1, 0], "return_channel": [1, 1, 0]}
for size, ratio in ((7, "long"), (5, "mid"), (3, "short")):
    pad = size // 2
    INTRACLASS[f"vertical_long_to_small_conv_{ratio}ratio"] = [[size, 1], [1, 1], [pad, 0]]
    INTRACLASS[f"horizontal_small_to_long_conv_{ratio}ratio"] = [[1, size], [1, 1], [0, pad]]
    INTRACLASS[f"symmetric_conv_long_{ratio}ratio"] = [[size, size], [1, 1], [pad, pad]]


def network_of(published) -> Detector:
    """The network of a detector of the catalogue, with random weights."""
    parts = []
    for name in ("encoder", "decoder", "head"):
        arguments = dict(published.components[name])
        parts.append(Component(f"models.{name}", arguments.pop("_target_"), arguments))
    return build_detector(*parts)


def random_published(name: str):
    """The detector of transformers, in evaluation mode, with random weights that let an image through to P.

    BatchNorm has the statistics of a random image, and scales and shifts of its own.
    """
    torch.manual_seed(3)
    detector = BUILDERS[name]()
    with torch.no_grad():
        for part_name, part in detector.named_modules():
            if isinstance(part, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                torch.nn.init.kaiming_normal_(part.weight)
                if part_name.endswith("_final"):  # the last layer: logits as large as trained ones
                    part.weight *= 0.1
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = None
                part.weight.uniform_(0.7, 1.3)
                part.bias.normal_(0, 0.1)
            if part_name.endswith("lab") and hasattr(part, "scale"):
                part.scale.fill_(1.1)
                part.bias.fill_(0.05)
        detector.train()(pixels_of(torch.randint(0, 256, (1, 3, 128, 128)).float()))
    return detector.eval()


def pixels_of(image: torch.Tensor) -> torch.Tensor:
    """An RGB image (N, 3, H, W) in 0..255 as the published preprocessing hands it on: blue first, normalised."""
    blue_first = image.flip(1) / 255
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    return (blue_first - mean) / torch.tensor(DEVIATION).view(1, 3, 1, 1)


def lcnet_v4(stem: int, stages: tuple[int, ...]) -> dict:
    """Config of the encoder of PP-OCRv6: every second block but the first of a stage squeezes."""
    blocks = []
    width = stages[0]
    for position, after in enumerate(stages):
        first = [3, width, after, 1 if position == 0 else 2, position == 0]
        rest = 4 if position == 2 else 1 if position == 0 else 2
        stage = [first]
        for number in range(rest):
            stage.append([3, after, after, 1, position > 0 and number % 2 == 0])
        blocks.append(stage)
        width = after
    names = ["stage1", "stage2", "stage3", "stage4"]
    return {
        "model_type": "pp_lcnet_v4",
        "out_features": names,
        "stem_channels": [3, stem, stages[0]],
        "block_configs": blocks,
    }


def v6_small(stem: int, stages: tuple[int, ...], inner: int, kernel: int):
    config = transformers.PPOCRV6SmallDetConfig(
        backbone_config=lcnet_v4(stem, stages),
        neck_out_channels=inner,
        dilated_kernel_size=kernel,
        layer_list_out_channels=list(stages),
    )
    return transformers.PPOCRV6SmallDetForObjectDetection(config)


def v6_medium():
    config = transformers.PPOCRV6MediumDetConfig(
        backbone_config=lcnet_v4(64, (128, 256, 512, 896)),
        intraclass_block_config=INTRACLASS,
        scale_factor_list=[1, 2, 4, 8],
        kernel_list=[3, 2, 2],
    )
    return transformers.PPOCRV6MediumDetForObjectDetection(config)


def v5_mobile():
    config = transformers.PPOCRV5MobileDetConfig(
        backbone_config={
            "model_type": "pp_lcnet_v3",
            "scale": 0.75,
            "divisor": 16,
            "out_features": ["stage2", "stage3", "stage4", "stage5"],
        },
    )
    return transformers.PPOCRV5MobileDetForObjectDetection(config)


def v5_server():
    config = transformers.PPOCRV5ServerDetConfig(
        backbone_config={"model_type": "hgnet_v2", "out_features": ["stage1", "stage2", "stage3", "stage4"]},
        intraclass_block_config=INTRACLASS,
        scale_factor_list=[1, 2, 4, 8],
        kernel_list=[3, 2, 2],
    )
    return transformers.PPOCRV5ServerDetForObjectDetection(config)


BUILDERS = {
    "pp-ocrv6-tiny": lambda: v6_small(16, (32, 48, 64, 160), inner=64, kernel=5),
    "pp-ocrv6-small": lambda: v6_small(24, (48, 96, 192, 384), inner=96, kernel=7),
    "pp-ocrv6-medium": v6_medium,
    "pp-ocrv5-mobile": v5_mobile,
    "pp-ocrv5-server": v5_server,
}
