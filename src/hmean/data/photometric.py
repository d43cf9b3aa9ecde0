"""Photometric augmentation: torchvision's, and the two it lacks (shadow, fog). Pixels change, places do not."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from hmean.geometry import Image


@dataclass(frozen=True)
class Photometric:
    """Strengths and probabilities; the defaults change nothing.

    Attributes:
        brightness: factor drawn from [1 - b, 1 + b]; likewise contrast, saturation.
        contrast: see brightness.
        saturation: see brightness.
        hue: shift drawn from [-h, h], as a share of the colour circle (at most 0.5).
        p_color: probability of the four above.
        noise: largest standard deviation of Gaussian noise, as a share of full scale.
        p_noise: its probability.
        blur: largest standard deviation of Gaussian blur, pixels.
        p_blur: its probability.
        sharpen: largest sharpness factor (1 = unchanged).
        p_sharpen: its probability.
        jpeg: lowest JPEG quality.
        p_jpeg: its probability.
        p_gray: probability of losing all colour.
        p_shadow: probability of a soft-edged shadow over part of the view.
        p_fog: probability of washed-out patches.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    p_color: float = 1.0
    noise: float = 0.05
    p_noise: float = 0.0
    blur: float = 1.5
    p_blur: float = 0.0
    sharpen: float = 2.0
    p_sharpen: float = 0.0
    jpeg: int = 40
    p_jpeg: float = 0.0
    p_gray: float = 0.0
    p_shadow: float = 0.0
    p_fog: float = 0.0

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Change an image (H, W, 3); all chance comes from ``rng``, torch's own state is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**62)))
            return self._apply(image, rng)

    def _apply(self, image: Image, rng: np.random.Generator) -> Image:
        if rng.random() < self.p_shadow:
            image = _shade(image, _shadow(rng, image.shape[0], image.shape[1]))
        if rng.random() < self.p_fog:
            haze = _clouds(rng, image.shape[0], image.shape[1])[:, :, None]
            image = (image * (1 - haze) + 255 * haze).astype(np.uint8)
        steps: list[torch.nn.Module] = []
        if rng.random() < self.p_color and (self.brightness or self.contrast or self.saturation or self.hue):
            steps.append(v2.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue))
        if rng.random() < self.p_gray:
            steps.append(v2.Grayscale(3))
        if rng.random() < self.p_blur:
            sigma = rng.uniform(0.1, self.blur)
            steps.append(v2.GaussianBlur(2 * int(np.ceil(2 * sigma)) + 1, sigma))
        if rng.random() < self.p_sharpen:
            steps.append(v2.RandomAdjustSharpness(rng.uniform(1.0, self.sharpen), p=1.0))
        tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        for step in steps:
            tensor = step(tensor)
        if rng.random() < self.p_noise:
            sigma = 255 * rng.uniform(0.0, self.noise)
            tensor = (tensor + sigma * torch.randn(tensor.shape)).clamp(0, 255).to(torch.uint8)
        out: Image = np.ascontiguousarray(tensor.permute(1, 2, 0).numpy())
        if rng.random() < self.p_jpeg:  # torchvision's own codec is deprecated
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(self.jpeg, 96))]
            out = np.asarray(cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR), dtype=np.uint8)
        return out


def _shade(image: Image, factor: NDArray[np.float32]) -> Image:
    return (image * factor[:, :, None]).astype(np.uint8)


def _shadow(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Brightness factors (H, W): a half-plane darkened to 0.4-0.85, with an edge of random softness."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.arange(width) / width - rng.uniform(0.2, 0.8), np.arange(height) / height - rng.uniform(0.2, 0.8)
    distance = np.cos(angle) * x[None, :] + np.sin(angle) * y[:, None]
    depth = rng.uniform(0.15, 0.6)
    return np.asarray(1 - depth / (1 + np.exp(-distance / rng.uniform(0.005, 0.1))), dtype=np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Opacity (H, W) of a smooth random haze, at most 0.5."""
    coarse = rng.random((rng.integers(2, 6), rng.integers(2, 6))).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0, 1) * rng.uniform(0.1, 0.5), dtype=np.float32)
