"""Polygons measured for the scores: packed for the kernels, and as shapely regions where these cannot do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray

from hmean.metrics import kernels
from hmean.metrics.kernels import NOT_A_QUAD, Flags, Floats, Ints
from hmean.types import Polygons

GRID = 1e-6  # pixels


class Packed(NamedTuple):
    """Polygons of many pages behind one another, as the kernels take them.

    Attributes:
        points: of all polygons (P, 2).
        offsets: of the first point of each polygon (K + 1,).
        starts: the first polygon of each page (pages + 1,).
    """

    points: Floats
    offsets: Ints
    starts: Ints

    def of_page(self, page: int) -> slice:
        """Where the polygons of a page stand among all."""
        return slice(int(self.starts[page]), int(self.starts[page + 1]))


def pack(sets: Sequence[Polygons]) -> Packed:
    """Put the polygons of pages behind one another."""
    if len(sets) == 1:
        (only,) = sets
        return Packed(only.points, only.offsets, np.array([0, len(only)], dtype=np.int64))
    polygon_counts = np.array([len(polygons) for polygons in sets], dtype=np.int64)
    point_counts = np.array([len(polygons.points) for polygons in sets], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(polygon_counts)])
    point_starts = np.concatenate([[0], np.cumsum(point_counts)])
    points = np.concatenate([np.zeros((0, 2)), *(polygons.points for polygons in sets)])
    offsets = np.concatenate([[0], *(polygons.offsets[1:] for polygons in sets)])
    offsets[1:] += np.repeat(point_starts[:-1], polygon_counts)
    return Packed(points, offsets, starts)


class Overlaps(NamedTuple):
    """Pairs of words and detections whose bounds meet: see ``kernels``.

    Attributes:
        first: the first pair of each word (K + 1,).
        detection: of each pair (N,).
        area: that the two have in common (N,), square pixels.
    """

    first: Ints
    detection: Ints
    area: Floats

    @property
    def word(self) -> Ints:
        """The word of each pair (N,)."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


@dataclass(frozen=True, eq=False)
class Shapes:
    """K polygons measured once: quads as convex parts for the compiled kernels, any other as shapely regions.

    Attributes:
        polygons: the coordinates that areas are taken of.
        quad: polygons that count as quads (K,).
        corners: of the quads (K, 4, 2), zeros elsewhere.
        bounds: x0, y0, x1, y1 of each (K, 4).
        parts: convex parts of the quads (K, 2, 4, 2).
        part_count: number of parts (K,): 0 for what is no quad.
        shoelace: unsigned shoelace area of the quads (K,), zeros elsewhere.
    """

    polygons: Polygons
    quad: Flags
    corners: Floats
    bounds: Floats
    parts: Floats
    part_count: Ints
    shoelace: Floats

    @classmethod
    def of(cls, polygons: Polygons, quad: Flags | None = None) -> Self:
        """Measure polygons; those with four points are quads, unless ``quad`` (K,) says that they are not."""
        is_quad = np.diff(polygons.offsets) == 4
        if quad is not None:
            is_quad &= quad
        corners, bounds, parts, part_count, shoelace = kernels.measure(polygons.points, polygons.offsets, False)
        return cls(polygons, is_quad, corners, bounds, parts, part_count * is_quad, shoelace)

    @cached_property
    @np.errstate(all="ignore")  # GEOS leaves floating-point flags behind, of which numpy would warn; so below
    def regions(self) -> NDArray[Any]:
        """Valid shapely regions (K,): even-odd for quads, by ``buffer(0)`` for other polygons; may be empty."""
        owner = np.repeat(np.arange(len(self.polygons)), np.diff(self.polygons.offsets))
        regions = np.asarray(shapely.polygons(shapely.linearrings(self.polygons.points, indices=owner)))
        broken = ~shapely.is_valid(regions)
        crossed = broken & self.quad
        regions[crossed] = shapely.make_valid(regions[crossed])  # may leave lines, which the buffer drops
        regions[broken] = shapely.buffer(regions[broken], 0)
        return regions

    @cached_property
    def areas(self) -> Floats:
        """Area of each region (K,), square pixels."""
        areas: Floats = kernels.part_areas(self.parts, self.part_count)
        other = self.part_count == 0
        if other.any():
            areas[other] = shapely.area(self.regions[other])
        return areas

    @np.errstate(all="ignore")
    def overlaps(self, detections: Shapes, reach: Floats | None = None) -> Overlaps:
        """The overlaps of these words with detections; ``reach`` (K, 4) widens the bounds by which pairs are found."""
        if reach is None:
            reach = self.bounds
        found = kernels.find_pairs(
            reach,
            self.parts,
            self.part_count,
            self.bounds,
            detections.parts,
            detections.part_count,
            detections.bounds,
        )
        pairs = Overlaps(*found)
        unknown = np.flatnonzero(pairs.area == NOT_A_QUAD)
        if len(unknown):
            words = self.regions[pairs.word[unknown]]
            others = detections.regions[pairs.detection[unknown]]
            pairs.area[unknown] = shared_areas(words, others)
        return pairs


def shared_areas(words: NDArray[Any], others: NDArray[Any]) -> Floats:
    """The areas (N,) that pairs of shapely regions (N,) share."""
    try:
        return np.asarray(shapely.area(shapely.intersection(words, others)), dtype=np.float64)
    except shapely.errors.GEOSException:  # corners so close to an edge that floats cannot tell the side: pair by pair
        return np.array([_shared_area(a, b) for a, b in zip(words, others, strict=True)], dtype=np.float64)


def _shared_area(word: Any, other: Any) -> float:
    """The area that two regions share; of those that fail, with corners on a grid of a millionth of a pixel."""
    try:
        return float(shapely.area(shapely.intersection(word, other)))
    except shapely.errors.GEOSException:
        snapped = shapely.set_precision([word, other], GRID)  # each by itself, so that both stay valid
        return float(shapely.area(shapely.intersection(*snapped)))
