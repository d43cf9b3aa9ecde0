"""What the table of robustness does to a page: each damage at several strengths, the same for everybody.

Damages that change pixels are those of training (``hmean.data.effects``), damages that move pages are matrices, by
which the labels go too. Lengths such as that of a blur are given for a page whose long side is 1000 px, and scaled to
the page at hand. Chance depends on the page and the damage alone, not on the strength: a shadow deepens where it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator

from hmean import geometry
from hmean.data import effects
from hmean.data.views import PageView
from hmean.geometry import Image, Matrix
from hmean.images import Pixels
from hmean.synth.render import desk
from hmean.types import Page

SEED = 16
WHITE = (255, 255, 255)
Apply = Callable[[Image, Page, float, Generator], tuple[Image, Page]]
Change = Callable[[Image, float, Generator], Image]

SENSOR_NOISE = 0.05  # of low light, at white
CREASES = 8
LONG_SIDE_OVER_SHORT_OF_A4 = 297 / 210
LEAST_LEFT = 0.999  # of a word's area: with less it is cut by the edge, and ignored


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        name: in words.
        unit: what its strengths are.
        strengths: from the mildest on.
        apply: to an image and its labels.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Apply

    def __call__(self, image: Image, page: Page, strength: float) -> tuple[Image, Page]:
        """The damaged page: always the same."""
        rng = np.random.default_rng([SEED, zlib.crc32(self.name.encode()), zlib.crc32(page.name.encode())])
        return self.apply(image, page, strength, rng)


def pixels_only(change: Change) -> Apply:
    """A damage that leaves the labels as they are."""

    def apply(image: Image, page: Page, strength: float, rng: Generator) -> tuple[Image, Page]:
        return change(image, strength, rng), page

    return apply


def per_mille(image: Image, length: float) -> float:
    """A length in pixels of this image, from one of a page of long side 1000."""
    longest = max(image.shape[:2])
    return length * longest / 1000


# --- moved pages ------------------------------------------------------------------------------------------------------


def moved(image: Image, page: Page, matrix: Matrix, width: int, height: int) -> tuple[Image, Page]:
    """The page through a matrix, on a white sheet of this size."""
    view = PageView(matrix, width, height)
    seen = view.image(Pixels(image, page.width, page.height), WHITE)
    return seen, replace(page, width=width, height=height, polygons=view.polygons(page.polygons))


def whole(image: Image, page: Page, matrix: Matrix) -> tuple[Image, Page]:
    """The page through a matrix, on a white sheet that holds all of it."""
    corners = geometry.transform(matrix, geometry.corners(page.width, page.height))
    left, top = corners.min(axis=0)
    width, height = np.ceil(np.ptp(corners, axis=0) - 1e-6).astype(int).tolist()
    return moved(image, page, geometry.translation(-left, -top) @ matrix, width, height)


def turn(image: Image, page: Page, degrees: float, _rng: Generator) -> tuple[Image, Page]:
    """By right angles."""
    return whole(image, page, geometry.quarter_turns(round(degrees / 90)))


def tilt(image: Image, page: Page, degrees: float, _rng: Generator) -> tuple[Image, Page]:
    """By any angle."""
    return whole(image, page, geometry.rotation(degrees))


def look_from_the_side(image: Image, page: Page, share: float, rng: Generator) -> tuple[Image, Page]:
    """Each corner moved inwards by up to a share of the page's sides."""
    corners = geometry.corners(1, 1)
    inwards = (0.5 - corners) * 2 * rng.uniform(0.3, 1, (4, 2)) * share
    size = np.array([page.width, page.height])
    matrix = cv2.getPerspectiveTransform(
        (corners * size).astype(np.float32), ((corners + inwards) * size).astype(np.float32)
    )
    return whole(image, page, np.asarray(matrix, dtype=np.float64))


def cut_left(image: Image, page: Page, share: float, _rng: Generator) -> tuple[Image, Page]:
    """A strip of the page missing at its left; words that the edge cuts are ignored, words beyond it are gone."""
    left = round(share * page.width)
    polygons = page.polygons.with_points(page.polygons.points - (left, 0))
    inside = polygons.with_points(geometry.clamp(polygons.points, page.width - left, page.height))
    shares = np.array([geometry.area(b) / max(geometry.area(a), 1e-9) for a, b in zip(polygons, inside, strict=True)])
    kept = np.flatnonzero(shares > 0)
    cut = replace(
        page,
        width=page.width - left,
        polygons=inside.select(kept),
        ids=tuple(page.ids[i] for i in kept),
        texts=tuple(page.texts[i] for i in kept),
        ignore=page.ignored[kept] | (shares[kept] < LEAST_LEFT),
    )
    return np.ascontiguousarray(image[:, left:]), cut


def lay_on_a_table(image: Image, page: Page, share: float, rng: Generator) -> tuple[Image, Page]:
    """A picture of a table with other things on it, of whose sides the page takes this share."""
    width = round(page.width / share)
    height = round(page.height / share)
    left, top = (rng.uniform(0, 1, 2) * (width - page.width, height - page.height)).astype(int).tolist()
    table = np.clip(desk(rng, (height, width)), 0, 255).astype(np.uint8)
    return _laid(cv2.merge(list(table)), image, page, left, top)


def lay_on_a4(image: Image, page: Page, share: float, rng: Generator) -> tuple[Image, Page]:
    """The scan of a white A4 sheet, of whose area the page takes this share (more where it is too long for that)."""
    area = page.width * page.height / share
    height = max(round((area * LONG_SIDE_OVER_SHORT_OF_A4) ** 0.5), page.height)
    width = max(round(height / LONG_SIDE_OVER_SHORT_OF_A4), page.width)
    left, top = (rng.uniform(0, 1, 2) * (width - page.width, height - page.height)).astype(int).tolist()
    return _laid(np.full((height, width, 3), 255, dtype=np.uint8), image, page, left, top)


def _laid(under: Image, image: Image, page: Page, left: int, top: int) -> tuple[Image, Page]:
    under = np.ascontiguousarray(under)
    under[top : top + page.height, left : left + page.width] = image
    polygons = page.polygons.with_points(page.polygons.points + np.array([left, top]))
    return under, replace(page, width=under.shape[1], height=under.shape[0], polygons=polygons)


# --- changed pixels ---------------------------------------------------------------------------------------------------


def faint(image: Image, factor: float, _rng: Generator) -> Image:
    """Contrast about the page's mean."""
    return effects.lower_contrast(image, factor, float(image.mean()))


def brighter(image: Image, exponent: float, _rng: Generator) -> Image:
    """Overexposed."""
    return effects.change_gamma(image, 1 / exponent)


def darker(image: Image, exponent: float, _rng: Generator) -> Image:
    """Underexposed."""
    return effects.change_gamma(image, exponent)


def in_low_light(image: Image, light: float, rng: Generator) -> Image:
    """Dark and noisy."""
    return effects.take_in_low_light(image, light, SENSOR_NOISE, rng)


def blurred(image: Image, sigma: float, _rng: Generator) -> Image:
    """Out of focus."""
    return effects.blur(image, per_mille(image, sigma))


def smeared(image: Image, length: float, rng: Generator) -> Image:
    """A camera that moved."""
    return effects.blur_by_motion(image, per_mille(image, length), rng.uniform(0, 180))


def compressed(image: Image, quality: float, _rng: Generator) -> Image:
    """A JPEG."""
    return effects.compress(image, int(quality))


def small(image: Image, long_side: float, _rng: Generator) -> Image:
    """Scanned too coarsely."""
    return effects.lose_resolution(image, long_side / max(image.shape[:2]))


def shadowed(image: Image, depth: float, rng: Generator) -> Image:
    """A shadow over a part, with a rather hard edge."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    x, y = rng.uniform(0.3, 0.7, 2)
    return effects.scale(image, effects.shadow(height, width, angle=angle, x=x, y=y, depth=depth, softness=0.01))


def folded(image: Image, depth: float, rng: Generator) -> Image:
    """Crumpled, and smoothed again."""
    height, width = image.shape[:2]
    return effects.scale_freely(image, effects.creases(rng, height, width, count=CREASES, depth=depth))


def unevenly_lit(image: Image, missing: float, rng: Generator) -> Image:
    """Light that does not reach everywhere."""
    height, width = image.shape[:2]
    return effects.scale(image, 1 - np.float32(missing) * effects.smooth_field(rng, height, width, most=3))


def faded(image: Image, left: float, rng: Generator) -> Image:
    """Old thermal paper: in patches, where this share of the print is left at the least."""
    height, width = image.shape[:2]
    patches = effects.smooth_field(rng, height, width)
    patches = patches / max(float(patches.max()), 1e-3)
    return effects.fade(image, 1 - np.float32(1 - left) * patches)


def stained(image: Image, darkness: float, rng: Generator) -> Image:
    """Coffee."""
    height, width = image.shape[:2]
    red, green, blue = 1 - darkness * np.array([0.6, 0.8, 1.0])
    return effects.stain(image, (red, green, blue), effects.spill(rng, height, width))


def inverted(image: Image, _strength: float, _rng: Generator) -> Image:
    """A negative."""
    return np.asarray(~image, dtype=np.uint8)


DAMAGES = (
    Damage("turned by right angles", "degrees", (90, 180, 270), turn),
    Damage("tilted", "degrees", (5, 10, 20, 30, 45), tilt),
    Damage("perspective", "share of a side", (0.05, 0.1, 0.15), look_from_the_side),
    Damage("low contrast", "factor", (0.5, 0.25, 0.15), pixels_only(faint)),
    Damage("overexposed", "gamma, 1 over", (1.5, 2.5, 4), pixels_only(brighter)),
    Damage("underexposed", "gamma", (1.5, 2.5, 4), pixels_only(darker)),
    Damage("low light with noise", "share of the light", (0.4, 0.2, 0.1), pixels_only(in_low_light)),
    Damage("noise", "share of white", (0.05, 0.1, 0.2), pixels_only(effects.add_noise)),
    Damage("salt and pepper", "share of pixels", (0.01, 0.03, 0.06), pixels_only(effects.add_specks)),
    Damage("blur", "sigma, px", (1, 2, 3), pixels_only(blurred)),
    Damage("motion blur", "px", (4, 8, 12), pixels_only(smeared)),
    Damage("low resolution", "long side, px", (700, 500, 350), pixels_only(small)),
    Damage("JPEG", "quality", (30, 10, 5), pixels_only(compressed)),
    Damage("shadow", "depth", (0.4, 0.6, 0.8), pixels_only(shadowed)),
    Damage("uneven light", "missing light", (0.4, 0.6, 0.8), pixels_only(unevenly_lit)),
    Damage("folds", "depth", (0.2, 0.4, 0.6), pixels_only(folded)),
    Damage("faded print", "share left", (0.5, 0.25, 0.12), pixels_only(faded)),
    Damage("stains", "darkness", (0.3, 0.5, 0.7), pixels_only(stained)),
    Damage("inverted colours", "", (1,), pixels_only(inverted)),
    Damage("cut at the left", "share of the width", (0.05, 0.15), cut_left),
    Damage("on a table", "share of the sides", (0.8, 0.6, 0.4), lay_on_a_table),
    Damage("on an A4 scan", "share of the area", (0.5, 0.25, 0.12), lay_on_a4),
)
