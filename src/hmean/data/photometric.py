"""Photometric augmentation: pixels change, places do not.

What each change does is in ``effects``; here its strength is drawn. They act in the order in which they happen to a
page: print and paper, light, camera, file. Brightness, contrast, saturation, hue and the loss of all colour are linear,
so they are one 3 x 4 matrix and one pass; values are cut to [0, 255] once, at its end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmean.data import effects
from hmean.geometry import Image

_LUMA = np.array([0.299, 0.587, 0.114])
# RGB to luma and the two chroma axes of NTSC: a turn of these two is a shift of hue.
_YIQ = np.array([_LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_BEST_QUALITY = 95  # of a JPEG
_SENSOR_NOISE = (0.01, 0.08)  # standard deviation at white in low light, as a share of full scale
# Coffee, tea, grease and ink: factors of red, green and blue.
_SPILLS = ((0.7, 0.55, 0.4), (0.85, 0.7, 0.45), (0.85, 0.85, 0.8), (0.6, 0.65, 0.85))


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
        fade: least share of the print that is left where it has bleached.
        p_fade: probability that print has bleached, in patches or everywhere.
        creases: most creases of the paper.
        crease_depth: largest share of the light that is missing in a crease.
        p_crease: probability of creases.
        p_stain: probability of stains.
        light: largest share of the light that is missing where a lamp reaches least.
        p_light: probability of uneven light.
        faint: least contrast, a factor; what it is lowered towards is anything from black to white.
        p_faint: probability of low contrast.
        gamma: largest exponent of the tone curve; it is drawn from [1 / gamma, gamma].
        p_gamma: probability of another tone curve.
        p_invert: probability of a negative.
        motion: longest path of a camera that was moved, pixels.
        p_motion: probability of motion.
        small: least factor by which resolution was lost.
        p_small: probability of lost resolution.
        dark: least share of the light in low light, which brings noise of the sensor.
        p_dark: probability of low light.
        specks: largest share of pixels that are black or white.
        p_specks: probability of specks.
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
    fade: float = 0.25
    p_fade: float = 0.0
    creases: int = 16
    crease_depth: float = 0.3
    p_crease: float = 0.0
    p_stain: float = 0.0
    light: float = 0.6
    p_light: float = 0.0
    faint: float = 0.25
    p_faint: float = 0.0
    gamma: float = 2.5
    p_gamma: float = 0.0
    p_invert: float = 0.0
    motion: float = 9.0
    p_motion: float = 0.0
    small: float = 0.4
    p_small: float = 0.0
    dark: float = 0.15
    p_dark: float = 0.0
    specks: float = 0.02
    p_specks: float = 0.0

    def __call__(self, image: Image, rng: Generator) -> Image:
        """Change an image (H, W, 3); all chance comes from ``rng``."""
        image = self._wear(image, rng)
        image = self._light(image, rng)
        image = self._change_tones(image, rng)
        image = self._take(image, rng)
        if rng.random() < self.p_jpeg:
            image = effects.compress(image, int(rng.integers(self.jpeg, _BEST_QUALITY + 1)))
        return image

    def _wear(self, image: Image, rng: Generator) -> Image:
        """Print and paper."""
        height, width = image.shape[:2]
        if _happens(self.p_fade, rng):
            least = _log_uniform(rng, self.fade, 1)
            if rng.random() < 0.5:
                left = np.full((height, width), least, dtype=np.float32)
            else:
                left = 1 - np.float32(1 - least) * effects.smooth_field(rng, height, width)
            image = effects.fade(image, left)
        if _happens(self.p_stain, rng):
            colour = _SPILLS[int(rng.integers(len(_SPILLS)))]
            image = effects.stain(image, colour, effects.spill(rng, height, width))
        if _happens(self.p_crease, rng):
            count = round(_log_uniform(rng, 1, self.creases))
            depth = rng.uniform(0, self.crease_depth)
            image = effects.scale_freely(image, effects.creases(rng, height, width, count=count, depth=depth))
        return image

    def _light(self, image: Image, rng: Generator) -> Image:
        height, width = image.shape[:2]
        if rng.random() < self.p_shadow:
            image = effects.scale(image, _shadow(rng, height, width))
        if _happens(self.p_light, rng):
            missing = np.float32(rng.uniform(0, self.light))
            image = effects.scale(image, 1 - missing * effects.smooth_field(rng, height, width, most=3))
        if rng.random() < self.p_fog:
            image = ~effects.scale(~image, 1 - _haze(rng, height, width))
        return image

    def _change_tones(self, image: Image, rng: Generator) -> Image:
        image = self._change_colours(image, rng)
        if _happens(self.p_invert, rng):
            image = ~image
        if _happens(self.p_faint, rng):
            factor = _log_uniform(rng, self.faint, 1)
            image = effects.lower_contrast(image, factor, rng.uniform(0, 255))
        if _happens(self.p_gamma, rng):
            image = effects.change_gamma(image, _log_uniform(rng, 1 / self.gamma, self.gamma))
        return image

    def _take(self, image: Image, rng: Generator) -> Image:
        """Lens and sensor."""
        if rng.random() < self.p_blur:
            image = effects.blur(image, rng.uniform(0.1, self.blur))
        if _happens(self.p_motion, rng):
            image = effects.blur_by_motion(image, rng.uniform(1, self.motion), rng.uniform(0, 180))
        if _happens(self.p_small, rng):
            image = effects.lose_resolution(image, rng.uniform(self.small, 1))
        if rng.random() < self.p_sharpen:
            image = effects.sharpen(image, rng.uniform(1.0, self.sharpen))
        if _happens(self.p_dark, rng):
            light = _log_uniform(rng, self.dark, 1)
            image = effects.take_in_low_light(image, light, rng.uniform(*_SENSOR_NOISE), rng)
        if rng.random() < self.p_noise:
            image = effects.add_noise(image, rng.uniform(0.0, self.noise), rng)
        if _happens(self.p_specks, rng):
            image = effects.add_specks(image, rng.uniform(0, self.specks), rng)
        return image

    def _change_colours(self, image: Image, rng: Generator) -> Image:
        is_changed = rng.random() < self.p_color
        if not any((self.brightness, self.contrast, self.saturation, self.hue)):
            is_changed = False
        is_grey = rng.random() < self.p_gray
        if not is_changed and not is_grey:
            return image
        matrix = self._colour_matrix(rng, cv2.mean(image)[:3], is_changed=is_changed, is_grey=is_grey)
        return effects.as_image(cv2.transform(image, matrix))

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


def _happens(probability: float, rng: Generator) -> bool:
    """Draws nothing where the probability is 0, so that views without this change are those of earlier versions."""
    return probability > 0 and rng.random() < probability


def _log_uniform(rng: Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _shadow(rng: Generator, height: int, width: int) -> effects.Factors:
    """A half-plane darkened to 0.4-0.85, with an edge of random softness."""
    return effects.shadow(
        height,
        width,
        angle=rng.uniform(0, 2 * np.pi),
        x=rng.uniform(0.2, 0.8),
        y=rng.uniform(0.2, 0.8),
        depth=rng.uniform(0.15, 0.6),
        softness=rng.uniform(0.005, 0.1),
    )


def _haze(rng: Generator, height: int, width: int) -> effects.Factors:
    """Opacity (H, W) of a smooth random haze, at most 0.5."""
    smooth = effects.smooth_field(rng, height, width)
    return np.asarray(smooth * rng.uniform(0.1, 0.5), dtype=np.float32)
