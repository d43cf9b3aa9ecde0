"""What the encoders of PaddleOCR's text detectors share: the input that their weights were trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# ImageNet's, in PaddleOCR's order of planes: blue, green, red. transformers' image processor of these detectors
# (models/pp_ocrv5_server_det/image_processing_pp_ocrv5_server_det.py) has the same values, written from red to blue,
# and turns the planes around after the normalisation.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class PaddleEncoder(nn.Module):
    """The base of PaddleOCR's encoders.

    Args:
        lr_scale: the optimizer's learning rate is multiplied by this for the encoder; 0 freezes it.

    Attributes:
        channels: of each of the four feature maps.
        mean: of the pixels that the weights were pretrained on, RGB, 0..255, (1, 3, 1, 1).
        std: their standard deviation, likewise.
    """

    channels: list[int]
    mean: Tensor
    std: Tensor

    def __init__(self, lr_scale: float) -> None:
        super().__init__()
        self.lr_scale = lr_scale
        self.register_buffer("mean", _as_rgb(MEAN), persistent=False)
        self.register_buffer("std", _as_rgb(DEVIATION), persistent=False)

    @property
    def fill(self) -> tuple[int, int, int]:
        """The colour that pads a view: it normalises to about 0."""
        red, green, blue = (round(float(v)) for v in self.mean.flatten())
        return red, green, blue

    def forward(self, images: Tensor) -> list[Tensor]:
        """RGB images (N, 3, H, W) in 0..255 to features (N, C_i, H/s_i, W/s_i), s = 4, 8, 16, 32."""
        return self.levels(self.normalised(images))

    def levels(self, planes: Tensor) -> list[Tensor]:
        """What ``normalised`` gives (N, 3, H, W) to the four feature maps."""
        raise NotImplementedError

    def normalised(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W) in 0..255 to what the pretrained network reads: normalised, blue first."""
        return ((images.to(self.mean.dtype) - self.mean) / self.std).flip(1)


def each_stage(stages: nn.ModuleList, features: Tensor) -> list[Tensor]:
    """The features after each of a row of stages."""
    levels = []
    for stage in stages:
        features = stage(features)
        levels.append(features)
    return levels


def _as_rgb(blue_green_red: tuple[float, float, float]) -> Tensor:
    """One value a plane, 0..1, to 0..255 in the order of RGB, in the shape of an image."""
    blue, green, red = blue_green_red
    return torch.tensor((red, green, blue)).view(1, 3, 1, 1) * 255
