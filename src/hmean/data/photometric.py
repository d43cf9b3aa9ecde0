"""Photometric augmentation on uint8 images: pixels change, places do not.

Brightness, contrast, saturation, hue and the loss of all colour are linear, so they are one 3 x 4 matrix and one pass;
values are cut to [0, 255] once, at its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from hmean.geometry import Image

_LUMA = np.array([0.299, 0.587, 0.114])
# RGB to luma and the two chroma axes of NTSC: a turn of these two is a shift of hue.
_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_SHARPEN = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13  # what sharpening moves away from
# Normal deviates at the middles of 256 equal shares: a random byte through this table is Gaussian noise.
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])


@dataclass(frozen=True)
class Photometric:
    """Strengths, and probabilities ``p_``; the defaults change nothing."""

    brightness: float = 0.0  # factor drawn from [1 - b, 1 + b]; likewise the next two
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # shift drawn from [-h, h], as a share of the colour circle (at most 0.5)
    p_color: float = 1.0  # of the four above
    noise: float = 0.05  # largest standard deviation of Gaussian noise, as a share of full scale
    p_noise: float = 0.0
    blur: float = 1.5  # largest standard deviation of Gaussian blur, pixels
    p_blur: float = 0.0
    sharpen: float = 2.0  # largest sharpness factor (1 = unchanged)
    p_sharpen: float = 0.0
    jpeg: int = 40  # lowest quality
    p_jpeg: float = 0.0
    p_gray: float = 0.0  # of losing all colour
    p_shadow: float = 0.0  # of a soft-edged shadow over part of the view
    p_fog: float = 0.0  # of washed-out patches

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """Change an image (H, W, 3); all chance comes from ``rng``."""
        height, width = image.shape[:2]
        if rng.random() < self.p_shadow:
            image = _scale(image, _shadow(rng, height, width))
        if rng.random() < self.p_fog:
            image = ~_scale(~image, 1 - _clouds(rng, height, width))
        colour = rng.random() < self.p_color and any((self.brightness, self.contrast, self.saturation, self.hue))
        grey = rng.random() < self.p_gray
        if colour or grey:
            image = _u8(cv2.transform(image, self._colour(rng, cv2.mean(image)[:3], colour=colour, grey=grey)))
        if rng.random() < self.p_blur:
            sigma = rng.uniform(0.1, self.blur)
            side = 2 * math.ceil(2 * sigma) + 1
            image = _u8(cv2.GaussianBlur(image, (side, side), sigma))
        if rng.random() < self.p_sharpen:
            factor = rng.uniform(1.0, self.sharpen)
            kernel = (1 - factor) * _SHARPEN
            kernel[1, 1] += factor
            image = _u8(cv2.filter2D(image, -1, kernel))
        if rng.random() < self.p_noise:
            deviates = np.round(255 * rng.uniform(0.0, self.noise) * _NORMAL).astype(np.int16)
            bytes_ = np.frombuffer(rng.bytes(image.size), dtype=np.uint8).reshape(image.shape)
            image = _u8(cv2.add(image, cv2.LUT(bytes_, deviates), dtype=cv2.CV_8U))
        if rng.random() < self.p_jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(self.jpeg, 96))]
            image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), dtype=np.uint8)
        return image

    def _colour(
        self, rng: np.random.Generator, mean: tuple[float, ...], *, colour: bool, grey: bool
    ) -> NDArray[np.float64]:
        """The matrix (3, 4) of the colour changes on an image with this mean colour."""
        strengths = np.array([self.brightness, self.contrast, self.saturation]) * colour
        brightness, contrast, saturation = rng.uniform(1 - strengths, 1 + strengths)
        angle = 2 * math.pi * rng.uniform(-self.hue, self.hue) * colour
        chroma = 0.0 if grey else saturation
        c, s = chroma * math.cos(angle), chroma * math.sin(angle)
        turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        matrix = np.linalg.inv(_YIQ) @ turn @ _YIQ * contrast * brightness
        offset = (1 - contrast) * brightness * float(_LUMA @ mean)  # contrast is about the mean luma
        return np.column_stack([matrix, np.full(3, offset)])


def _u8(image: cv2.typing.MatLike) -> Image:
    return np.asarray(image, dtype=np.uint8)


def _scale(image: Image, factor: NDArray[np.float32]) -> Image:
    """Each pixel (H, W, 3) times a factor (H, W) in [0, 1]."""
    bits = cv2.convertScaleAbs(factor, alpha=255)
    return _u8(cv2.multiply(image, cv2.merge([bits] * 3), scale=1 / 255))


def _shadow(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Brightness factors (H, W): a half-plane darkened to 0.4-0.85, with an edge of random softness."""
    angle = rng.uniform(0, 2 * np.pi)
    x, y = np.arange(width) / width - rng.uniform(0.2, 0.8), np.arange(height) / height - rng.uniform(0.2, 0.8)
    depth, softness = rng.uniform(0.15, 0.6), rng.uniform(0.005, 0.1)
    along_x = (-math.cos(angle) / softness * x).astype(np.float32)
    along_y = (-math.sin(angle) / softness * y).astype(np.float32)
    exponent = np.minimum(along_x[None, :] + along_y[:, None], 80)  # e^80 is within float32
    return np.asarray(1 - np.float32(depth) / (1 + np.exp(exponent)), dtype=np.float32)


def _clouds(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Opacity (H, W) of a smooth random haze, at most 0.5."""
    coarse = rng.random((rng.integers(2, 6), rng.integers(2, 6))).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0, 1) * rng.uniform(0.1, 0.5), dtype=np.float32)
