"""Polygons measured for the scores: packed for the kernels, and as shapely regions where these cannot do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import NDArray

from hmean.metrics import kernels
from hmean.metrics.kernels import EXOTIC, Flags, Floats, Ints
from hmean.types import Polygons


def pack(sets: Sequence[Polygons]) -> tuple[Floats, Ints, Ints]:
    """Polygons of N pages behind one another: points (P, 2), offsets (K + 1,), first of each page (N + 1,)."""
    if len(sets) == 1:
        return sets[0].points, sets[0].offsets, np.array([0, len(sets[0])], dtype=np.int64)
    counts = np.array([[len(polygons), len(polygons.points)] for polygons in sets], dtype=np.int64).reshape(-1, 2)
    starts, point_starts = np.zeros((2, len(sets) + 1), dtype=np.int64)
    np.cumsum(counts[:, 0], out=starts[1:])
    np.cumsum(counts[:, 1], out=point_starts[1:])
    offsets = np.concatenate([[0], *(p.offsets[1:] for p in sets)])
    offsets[1:] += np.repeat(point_starts[:-1], counts[:, 0])
    return np.concatenate([np.zeros((0, 2)), *(p.points for p in sets)]), offsets, starts


@dataclass(frozen=True, eq=False)
class Shapes:
    """K polygons measured once: quads as convex parts for the compiled kernels, any other as shapely regions."""

    polygons: Polygons  # the coordinates that areas are taken of
    quad: Flags  # polygons with four points (K,), or those that the maker says
    corners: Floats  # of the quads (K, 4, 2), zeros elsewhere
    bounds: Floats  # x0, y0, x1, y1 of each (K, 4)
    parts: Floats  # convex parts of the quads (K, 2, 4, 2)
    count: Ints  # how many (K,): 0 for what is no quad
    shoelace: Floats  # unsigned shoelace area of the quads (K,), zeros elsewhere

    @classmethod
    def of(cls, polygons: Polygons, quad: Flags | None = None) -> Self:
        """Measure polygons; ``quad`` (K,) is by default where there are four points."""
        four = np.diff(polygons.offsets) == 4
        quad = four if quad is None else four & quad
        corners, bounds, parts, count, shoelace = kernels.measure(polygons.points, polygons.offsets, False)
        return cls(polygons, quad, corners, bounds, parts, count * quad, shoelace)

    @cached_property
    @np.errstate(all="ignore")  # GEOS leaves floating-point flags behind, of which numpy would warn; so below
    def regions(self) -> NDArray[Any]:
        """Valid shapely regions (K,): even-odd for quads, by ``buffer(0)`` for other polygons, may be empty."""
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
        areas: Floats = kernels.part_areas(self.parts, self.count)
        if not self.count.all():
            areas[self.count == 0] = shapely.area(self.regions[self.count == 0])
        return areas

    @np.errstate(all="ignore")
    def overlaps(self, other: Shapes, reach: Floats | None = None) -> tuple[Ints, Ints, Floats]:
        """``first`` (K + 1,), ``region`` (N,) and the area (N,) of each overlap with ``other``: see ``kernels``.

        ``reach`` (K, 4) widens the bounds by which pairs are found.
        """
        first, region, area = kernels.find_pairs(
            self.bounds if reach is None else reach,
            self.parts, self.count, self.bounds, other.parts, other.count, other.bounds,
        )  # fmt: skip
        exotic = np.flatnonzero(area == EXOTIC)
        if len(exotic):
            word = np.repeat(np.arange(len(first) - 1), np.diff(first))
            area[exotic] = shapely.area(shapely.intersection(self.regions[word[exotic]], other.regions[region[exotic]]))
        return first, region, area
