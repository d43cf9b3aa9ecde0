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
from numpy.random import Generator
from numpy.typing import NDArray

from hmean.geometry import Image

_LUMA = np.array([0.299, 0.587, 0.114])
# RGB to luma and the two chroma axes of NTSC: a turn of these two is a shift of hue.
_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
# What sharpening moves away from.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
# Normal deviates at the middles of 256 equal shares: a random byte through this table is Gaussian noise.
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_BEST_QUALITY = 95  # of a JPEG
_LARGEST_EXPONENT = 80  # e^80 is within float32


@dataclass(frozen=True)
class Photometric:
    """Strengths of the changes and their probabilities; the defaults change nothing.

    Attributes:
        brightness: b; the factor is drawn from [1 - b, 1 + b].
        contrast: likewise.
        saturation: likewise.
        hue: h; the shift is drawn from [-h, h], as a share of the colour circle (at most 0.5).
        p_color: probability of the four above.
        noise: largest standard deviation of Gaussian noise, as a share of full scale.
        p_noise: probability of noise.
        blur: largest standard deviation of Gaussian blur, pixels.
        p_blur: probability of blur.
        sharpen: largest sharpness factor; 1 is unchanged.
        p_sharpen: probability of sharpening.
        jpeg: lowest quality of compression as a JPEG.
        p_jpeg: probability of compression.
        p_gray: probability of the loss of all colour.
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

    def __call__(self, image: Image, rng: Generator) -> Image:
        """Change an image (H, W, 3); all chance comes from ``rng``."""
        height, width = image.shape[:2]
        if rng.random() < self.p_shadow:
            image = _scale(image, _shadow(rng, height, width))
        if rng.random() < self.p_fog:
            image = ~_scale(~image, 1 - _clouds(rng, height, width))
        image = self._change_colours(image, rng)
        if rng.random() < self.p_blur:
            image = _blur(image, rng.uniform(0.1, self.blur))
        if rng.random() < self.p_sharpen:
            image = _sharpen(image, rng.uniform(1.0, self.sharpen))
        if rng.random() < self.p_noise:
            image = _add_noise(image, rng.uniform(0.0, self.noise), rng)
        if rng.random() < self.p_jpeg:
            image = _compress(image, int(rng.integers(self.jpeg, _BEST_QUALITY + 1)))
        return image

    def _change_colours(self, image: Image, rng: Generator) -> Image:
        is_changed = rng.random() < self.p_color
        if not any((self.brightness, self.contrast, self.saturation, self.hue)):
            is_changed = False
        is_grey = rng.random() < self.p_gray
        if not is_changed and not is_grey:
            return image
        matrix = self._colour_matrix(rng, cv2.mean(image)[:3], is_changed=is_changed, is_grey=is_grey)
        return _as_image(cv2.transform(image, matrix))

    def _colour_matrix(
        self, rng: Generator, mean: tuple[float, ...], *, is_changed: bool, is_grey: bool
    ) -> NDArray[np.float64]:
        """The matrix (3, 4) of the colour changes on an image with this mean colour."""
        strengths = np.array([self.brightness, self.contrast, self.saturation])
        largest_turn = self.hue
        if not is_changed:
            strengths = np.zeros(3)
            largest_turn = 0.0
        brightness, contrast, saturation = rng.uniform(1 - strengths, 1 + strengths)
        angle = 2 * math.pi * rng.uniform(-largest_turn, largest_turn)
        if is_grey:
            saturation = 0.0
        cos = saturation * math.cos(angle)
        sin = saturation * math.sin(angle)
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        matrix = np.linalg.inv(_YIQ) @ turn @ _YIQ * contrast * brightness
        offset = (1 - contrast) * brightness * float(_LUMA @ mean)  # contrast is about the mean luma
        return np.column_stack([matrix, np.full(3, offset)])


def _as_image(values: cv2.typing.MatLike) -> Image:
    return np.asarray(values, dtype=np.uint8)


def _blur(image: Image, sigma: float) -> Image:
    side = 2 * math.ceil(2 * sigma) + 1
    return _as_image(cv2.GaussianBlur(image, (side, side), sigma))


def _sharpen(image: Image, factor: float) -> Image:
    kernel = (1 - factor) * _SMOOTH
    kernel[1, 1] += factor
    return _as_image(cv2.filter2D(image, -1, kernel))


def _add_noise(image: Image, deviation: float, rng: Generator) -> Image:
    """Add Gaussian noise; ``deviation`` is a share of full scale."""
    noise_of_byte = np.round(255 * deviation * _NORMAL).astype(np.int16)
    random_bytes = np.frombuffer(rng.bytes(image.size), dtype=np.uint8).reshape(image.shape)
    noise = cv2.LUT(random_bytes, noise_of_byte)
    return _as_image(cv2.add(image, noise, dtype=cv2.CV_8U))


def _compress(image: Image, quality: int) -> Image:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _scale(image: Image, factor: NDArray[np.float32]) -> Image:
    """Each pixel (H, W, 3) times a factor (H, W) in [0, 1]."""
    in_255 = cv2.convertScaleAbs(factor, alpha=255)
    return _as_image(cv2.multiply(image, cv2.merge([in_255] * 3), scale=1 / 255))


def _shadow(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Brightness factors (H, W): a half-plane darkened to 0.4-0.85, with an edge of random softness."""
    angle = rng.uniform(0, 2 * np.pi)
    x = np.arange(width) / width - rng.uniform(0.2, 0.8)
    y = np.arange(height) / height - rng.uniform(0.2, 0.8)
    depth = rng.uniform(0.15, 0.6)
    softness = rng.uniform(0.005, 0.1)
    along_x = (-math.cos(angle) / softness * x).astype(np.float32)
    along_y = (-math.sin(angle) / softness * y).astype(np.float32)
    exponent = np.minimum(along_x[None, :] + along_y[:, None], _LARGEST_EXPONENT)
    return np.asarray(1 - np.float32(depth) / (1 + np.exp(exponent)), dtype=np.float32)


def _clouds(rng: Generator, height: int, width: int) -> NDArray[np.float32]:
    """Opacity (H, W) of a smooth random haze, at most 0.5."""
    coarse = rng.random((rng.integers(2, 6), rng.integers(2, 6))).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0, 1) * rng.uniform(0.1, 0.5), dtype=np.float32)
