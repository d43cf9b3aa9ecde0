"""What happens to a page on its way from printer to file, each as a function of an image and of how strong it is.

Pixels change, places do not: whatever moves a page is a matrix (``hmean.geometry``). Training draws the strengths at
random (``photometric``), the table of robustness has them fixed. Images are RGB, uint8 (H, W, 3).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hmean.geometry import Image

Factors = NDArray[np.float32]  # (H, W), of each pixel's brightness

# What sharpening moves away from.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13
# Normal deviates at the middles of 256 equal shares: a random byte through this table is Gaussian noise.
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_LARGEST_EXPONENT = 80  # e^80 is within float32
_READ_NOISE = 0.3  # of a sensor that sees nothing, as a share of its noise at white
_STROKE = 25  # pixels: lines of print are thinner than this
_STEPS = 4  # samples along a motion for each pixel


def as_image(values: cv2.typing.MatLike) -> Image:
    """OpenCV's result as the type that it is."""
    return np.asarray(values, dtype=np.uint8)


# --- tones ------------------------------------------------------------------------------------------------------------


def lower_contrast(image: Image, factor: float, level: float) -> Image:
    """Each value as far from ``level`` (0..255) as ``factor`` leaves of its distance."""
    return as_image(cv2.convertScaleAbs(image, alpha=factor, beta=(1 - factor) * level))


def change_gamma(image: Image, exponent: float) -> Image:
    """Values, as shares of white, to a power: over 1 is darker, under 1 brighter."""
    table = np.round(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return as_image(cv2.LUT(image, table))


def scale(image: Image, factors: Factors) -> Image:
    """Each pixel times its factor, in [0, 1]."""
    in_255 = cv2.convertScaleAbs(factors, alpha=255)
    return as_image(cv2.multiply(image, cv2.merge([in_255] * 3), scale=1 / 255))


def scale_freely(image: Image, factors: Factors) -> Image:
    """Each pixel times its factor, which may be over 1."""
    return as_image(cv2.multiply(image, cv2.merge([factors] * 3), dtype=cv2.CV_8U))


# --- sharpness --------------------------------------------------------------------------------------------------------


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur of this standard deviation, pixels, within two of them."""
    side = 2 * math.ceil(2 * sigma) + 1
    return as_image(cv2.GaussianBlur(image, (side, side), sigma))


def blur_by_motion(image: Image, length: float, degrees: float) -> Image:
    """The mean along a straight path of this length, pixels, with the pixel in its middle."""
    radius = math.ceil(length / 2) + 1
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1))
    samples = max(2, math.ceil(length * _STEPS))
    for along in np.linspace(-length / 2, length / 2, samples):
        x = radius + along * math.cos(math.radians(degrees))
        y = radius + along * math.sin(math.radians(degrees))
        left = int(x)
        top = int(y)
        right_share = x - left
        lower_share = y - top
        kernel[top, left] += (1 - lower_share) * (1 - right_share)
        kernel[top, left + 1] += (1 - lower_share) * right_share
        kernel[top + 1, left] += lower_share * (1 - right_share)
        kernel[top + 1, left + 1] += lower_share * right_share
    return as_image(cv2.filter2D(image, -1, kernel / samples, borderType=cv2.BORDER_REPLICATE))


def lose_resolution(image: Image, factor: float) -> Image:
    """The image made smaller by a factor under 1, and as large as before again."""
    height, width = image.shape[:2]
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return as_image(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_LINEAR))


def sharpen(image: Image, factor: float) -> Image:
    """The image moved away from a smooth one; a factor of 1 changes nothing."""
    kernel = (1 - factor) * _SMOOTH
    kernel[1, 1] += factor
    return as_image(cv2.filter2D(image, -1, kernel))


def compress(image: Image, quality: int) -> Image:
    """The image as a JPEG has it."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


# --- noise ------------------------------------------------------------------------------------------------------------


def add_noise(image: Image, deviation: float, rng: Generator) -> Image:
    """Gaussian noise; ``deviation`` is a share of full scale."""
    noise_of_byte = np.round(255 * deviation * _NORMAL).astype(np.int16)
    noise = cv2.LUT(_random_bytes(image.shape, rng), noise_of_byte)
    return as_image(cv2.add(image, noise, dtype=cv2.CV_8U))


def take_in_low_light(image: Image, light: float, noise: float, rng: Generator) -> Image:
    """The image with a share of its light, and with the noise of a sensor: its variance grows with the light.

    Args:
        image: to be darkened.
        light: what is left, as a share.
        noise: standard deviation at white, as a share of full scale.
        rng: all chance.
    """
    levels = np.arange(256) * light
    deviation = 255 * noise * np.sqrt(_READ_NOISE**2 + (1 - _READ_NOISE**2) * levels / 255)
    deviates = cv2.LUT(_random_bytes(image.shape, rng), _NORMAL.astype(np.float32))
    seen = cv2.LUT(image, levels.astype(np.float32))
    spread = cv2.LUT(image, deviation.astype(np.float32))
    return as_image(cv2.add(seen, cv2.multiply(spread, deviates), dtype=cv2.CV_8U))


def add_specks(image: Image, share: float, rng: Generator) -> Image:
    """A share of the pixels black or white: salt and pepper."""
    height, width = image.shape[:2]
    count = round(share * height * width)
    places = rng.integers(0, height * width, count)
    specked = image.copy()
    pixels = specked.reshape(-1, 3)
    pixels[places] = 255 * rng.integers(0, 2, (count, 1), dtype=np.uint8)
    return specked


def _random_bytes(shape: tuple[int, ...], rng: Generator) -> Image:
    return np.frombuffer(rng.bytes(math.prod(shape)), dtype=np.uint8).reshape(shape)


# --- light ------------------------------------------------------------------------------------------------------------


def smooth_field(rng: Generator, height: int, width: int, most: int = 5) -> Factors:
    """Smooth values in [0, 1] (H, W), with at most so many waves (and at least 2 grid points) down and across."""
    smooth = _random_field(rng, height, width, 2, most)
    return np.asarray(np.clip(smooth, 0, 1), dtype=np.float32)


def _random_field(rng: Generator, height: int, width: int, fewest: int, most: int) -> Factors:
    """Random values on a coarse grid (of so many points down, and so many across), made as large as a page (H, W)."""
    down = rng.integers(fewest, most + 1)
    across = rng.integers(fewest, most + 1)
    coarse = rng.random((down, across)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def shadow(height: int, width: int, *, angle: float, x: float, y: float, depth: float, softness: float) -> Factors:
    """Brightness factors (H, W) of a shadow over one side of a line.

    Args:
        height: of the image.
        width: of the image.
        angle: of the line's normal, which points into the shadow, radians.
        x: of a point of the line, as a share of the width.
        y: likewise, of the height.
        depth: share of the light that is missing.
        softness: width of the shadow's edge, as a share of the image.
    """
    across = np.arange(width) / width - x
    down = np.arange(height) / height - y
    along_x = (-math.cos(angle) / softness * across).astype(np.float32)
    along_y = (-math.sin(angle) / softness * down).astype(np.float32)
    exponent = np.minimum(along_x[None, :] + along_y[:, None], _LARGEST_EXPONENT)
    return np.asarray(1 - np.float32(depth) / (1 + np.exp(exponent)), dtype=np.float32)


# --- paper and print --------------------------------------------------------------------------------------------------


def creases(rng: Generator, height: int, width: int, *, count: int, depth: float) -> Factors:
    """Brightness factors (H, W) of paper that was folded or crumpled, and smoothed again.

    Each crease is a straight line, dark on its one side and bright on its other; the paper beyond it leans another way
    and so is brighter or darker. Print is shaded, but not moved.

    Args:
        rng: all chance.
        height: of the image.
        width: of the image.
        count: of creases: one to three are folds, from ten on the paper is crumpled.
        depth: share of the light that is missing in a crease, and twice what the leaning changes.
    """
    small_height = max(2, height // 2)
    small_width = max(2, width // 2)
    side = math.sqrt(small_height * small_width)
    columns = np.arange(small_width, dtype=np.float32)
    rows = np.arange(small_height, dtype=np.float32)[:, None]
    factors = np.ones((small_height, small_width), dtype=np.float32)
    lean = depth / 2 / math.sqrt(count)
    for _ in range(count):
        angle = rng.uniform(0, 2 * math.pi)
        x, y = rng.random(2) * (small_width, small_height)
        away = (columns - np.float32(x)) * np.float32(math.cos(angle))
        away = away + (rows - np.float32(y)) * np.float32(math.sin(angle))
        edge = np.float32(side * rng.uniform(0.002, 0.006) + 0.5)
        away /= edge
        dark = np.exp(-(away**2))
        bright = np.exp(-((away - 1.6) ** 2))
        beyond = np.clip(away / 8, -1, 1)
        strength = rng.uniform(0.4, 1.0)
        factors *= 1 + np.float32(strength * depth) * (np.float32(0.5) * bright - dark)
        factors *= 1 + np.float32(strength * lean) * beyond
    return np.asarray(cv2.resize(factors, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def fade(image: Image, left: Factors) -> Image:
    """Print that has bleached, as on old thermal paper: what is left of its difference from the paper around it."""
    height, width = image.shape[:2]
    quarter = (max(1, width // 4), max(1, height // 4))
    small = cv2.resize(image, quarter, interpolation=cv2.INTER_AREA)
    side = _STROKE // 4 * 2 + 1
    bright = cv2.dilate(small, np.ones((side, side), dtype=np.uint8))
    paper = cv2.resize(cv2.blur(bright, (side, side)), (width, height), interpolation=cv2.INTER_LINEAR)
    paper = cv2.max(paper, image)
    print_layer = cv2.subtract(paper, image)
    return as_image(cv2.subtract(paper, scale(as_image(print_layer), left)))


def stain(image: Image, colour: tuple[float, float, float], wet: Factors) -> Image:
    """Paper that something was spilled on.

    Args:
        image: of the paper.
        colour: factors of red, green and blue where it is wettest.
        wet: how wet each pixel is, in [0, 1].
    """
    planes = []
    for plane, factor in zip(cv2.split(image), colour, strict=True):
        planes.append(cv2.multiply(plane, 1 - np.float32(1 - factor) * wet, dtype=cv2.CV_8U))
    return as_image(cv2.merge(planes))


def spill(rng: Generator, height: int, width: int) -> Factors:
    """How wet each pixel of a stained paper is (H, W): a few blots that are darkest at their edges."""
    field = _random_field(rng, height, width, 3, 6)
    inside = 1 / (1 + np.exp(np.float32(-40) * (field - np.float32(0.7))))
    edge = np.exp(-(((field - np.float32(0.72)) * 25) ** 2))
    return np.asarray(np.clip(0.6 * inside + 0.4 * edge, 0, 1), dtype=np.float32)
