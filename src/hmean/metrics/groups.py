"""Groups of pages: the units that intervals are made of.

Pages of one shop (or one document, one scanner) resemble each other, so that twenty of them tell less than twenty pages
of twenty shops. A page without a group is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hmean.data.folds import group_keys
from hmean.metrics.kernels import Floats
from hmean.records import Record

FEWEST_GROUPS = 6  # with fewer, 5 % of the flips have all signs equal, and no value can be rejected
FEW_GROUPS = 20
LARGE_SHARE = 0.2


class Grouping(Record):
    """How the pages of a result lie in groups, which is what its intervals depend on."""

    pages: int = Field(description="number of pages")
    groups: int = Field(description="number of groups; a page without a group is one of its own")
    unit: Literal["group", "page"] = Field(description="page: no two pages share a group, or no groups are known")
    known: bool = Field(
        default=True,
        description="false: the pages come from files of earlier versions, which named no groups, and are taken as "
        "independent",
    )
    largest_share: float = Field(description="share of the pages that the largest group has")
    effective: float = Field(description="number of equal groups that would tell as much: (sum n)^2 / sum n^2")

    def text(self) -> str:
        """In words, such as ``100 pages of 27 groups, the largest with 49 % of them; 4.0 effective groups``."""
        if not self.known:
            return f"{self.pages} pages, groups unknown: pages are taken as independent"
        if self.unit == "page":
            return f"{self.pages} pages, each a group of its own"
        return (
            f"{self.pages} pages of {self.groups} groups, the largest with {100 * self.largest_share:.0f} % of them; "
            f"{self.effective:.1f} effective groups"
        )

    def warning(self) -> str | None:
        """What to be careful about, in one line; None if there is nothing."""
        if self.groups < FEWEST_GROUPS:
            return f"fewer than {FEWEST_GROUPS} groups of pages ({self.groups}): no interval can be given"
        if not self.known:
            return "if these pages lie in groups (shops, documents), the intervals are too narrow"
        if self.groups < FEW_GROUPS:
            return f"only {self.groups} groups of pages: intervals are wide, and rest on few shops or documents"
        if self.largest_share > LARGE_SHARE:
            return (
                f"one group has {100 * self.largest_share:.0f} % of the pages: the score is largely that of one shop "
                "or document"
            )
        return None


@dataclass(frozen=True, eq=False)
class PageGroups:
    """The group of each of N pages.

    Attributes:
        index: number of each page's group, from 0 on without gaps (N,).
        count: number of groups, G.
    """

    index: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, names: Sequence[str], groups: Sequence[str | None]) -> Self:
        """From the names and groups of the pages; a page without a group is one of its own."""
        return cls.of_keys(group_keys(names, groups))

    @classmethod
    def of_keys(cls, keys: Sequence[object] | NDArray[np.int64]) -> Self:
        """From anything that is equal for pages of one group and different for others."""
        unique, index = np.unique(np.asarray(keys), return_inverse=True)
        return cls(index.astype(np.int64), len(unique))

    def of_pages(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """The groups of some of the pages, given by a mask (N,) or by indices."""
        return self.of_keys(self.index[which])

    def sums(self, values: Floats) -> Floats:
        """Sums over the pages of each group: from (..., N, C) to (..., G, C)."""
        order = np.argsort(self.index, kind="stable")
        sorted_values = np.take(values, order, axis=-2)
        starts = np.searchsorted(self.index[order], np.arange(self.count))
        found: Floats = np.add.reduceat(sorted_values, starts, axis=-2)
        return found

    def grouping(self, *, known: bool = True) -> Grouping:
        """Numbers of pages and groups, and how unequal the groups are.

        Args:
            known: whether a page without a group is known to have none; where groups are named, they are known.
        """
        sizes = np.bincount(self.index, minlength=self.count)
        pages = int(sizes.sum())
        unit: Literal["group", "page"] = "group"
        if self.count == pages:
            unit = "page"
        return Grouping(
            pages=pages,
            groups=self.count,
            unit=unit,
            known=known or unit == "group",
            largest_share=float(sizes.max() / pages),
            effective=float(pages**2 / (sizes.astype(np.float64) ** 2).sum()),
        )
