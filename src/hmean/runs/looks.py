"""What it costs to look at pages: pixels that the network sees, and its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import Field

from hmean.records import Record
from hmean.types import Look


class LookCosts(Record):
    """Mean costs of the looks at a page, of the first and of those that follow (see ``hmean.inference.looks``)."""

    pages: int = Field(description="number of pages")
    looks: float = Field(description="mean number of looks at a page")
    first_megapixels: float = Field(description="millions of pixels of the first look, mean over pages")
    first_ms: float = Field(description="milliseconds of the network in the first look, mean over pages")
    later_megapixels: float = Field(description="the same of all later looks at a page together")
    later_ms: float = Field(description="the same of all later looks at a page together")

    @classmethod
    def of(cls, pages: Sequence[Sequence[Look]]) -> Self | None:
        """Of the looks at each page; None if those of a page are not known."""
        if not pages or not all(pages):
            return None
        first = [looks[0] for looks in pages]
        later = [look for looks in pages for look in looks[1:]]
        count = len(pages)
        return cls(
            pages=count,
            looks=round((count + len(later)) / count, 3),
            first_megapixels=_megapixels(first, count),
            first_ms=_milliseconds(first, count),
            later_megapixels=_megapixels(later, count),
            later_ms=_milliseconds(later, count),
        )

    def text(self) -> str:
        """One line."""
        if self.looks == 1:
            return f"a page costs one look of {self.first_megapixels:.2f} megapixels in {self.first_ms:.0f} ms"
        return (
            f"a page costs {self.looks:.2f} looks: the first {self.first_megapixels:.2f} megapixels in "
            f"{self.first_ms:.0f} ms, the others {self.later_megapixels:.2f} megapixels in {self.later_ms:.0f} ms"
        )


def _megapixels(looks: Sequence[Look], pages: int) -> float:
    return round(sum(look.pixels for look in looks) / pages / 1e6, 4)


def _milliseconds(looks: Sequence[Look], pages: int) -> float:
    return round(1e3 * sum(look.seconds for look in looks) / pages, 2)
