"""How pages are looked at: as a whole, or, with a view of the text, in two looks or three.

The first look is a small view of the whole page. It finds where text is and how tall, and the view of the next look is
cut and scaled to that. Where text turns out to have another height than was thought, which happens where the first look
was too small to tell lines apart, there is one more look. The way a view is found does not depend on the
post-processing parameters of the model: they may change while maps are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hmean.data.views import PageView, TextPlace, letterbox, text_view
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Look, TextView, View

MOST_LOOKS = 3
TOLERANCE = 1.3  # a view is seen again if its text is smaller or taller than it should be by more than this factor
THRESH = 0.25
BOX_THRESH = 0.4
MIN_SIZE = 1.0  # the core of small text is one pixel tall in the first look
# In a first look of 480 pixels cores are fatter than their targets: as those of a shrink ratio larger by so much. With
# it the heights found on SROIE are those of the labels, in the median over pages.
FATTER = 0.15
LARGEST_RATIO = 0.9

# From positions of pages, and a view of each, to the probability maps, (height, width) of each view.
See = Callable[[Sequence[int], Sequence[PageView]], Sequence[NDArray[np.float32]]]


class SeenPage(NamedTuple):
    """A page that is looked at."""

    name: str
    width: int
    height: int


def first_view(width: int, height: int, view: View) -> PageView:
    """The view that the network is shown first: of the whole page."""
    long_side = view.long_side
    if view.text is not None:
        long_side = view.text.first_look
    return letterbox(width, height, long_side, view.pad)


def look_at(
    pages: Sequence[SeenPage], view: View, shrink_ratio: float, see: See, first: Sequence[PageView] | None = None
) -> list[PageMap]:
    """The map of each page.

    Args:
        pages: any number of them, whose looks are batched: all first looks, then those that follow.
        view: how the network sees pages.
        shrink_ratio: that the network was trained with (``data.targets.make_targets``): it tells the height of text
            from that of its core.
        see: runs the network.
        first: view of each page that is seen first, if that is known already (``first_view``).
    """
    if first is None:
        first = [first_view(page.width, page.height, view) for page in pages]
    looks = [_Looks(page, seen, view, shrink_ratio) for page, seen in zip(pages, first, strict=True)]
    while True:
        waiting: list[int] = []
        views: list[PageView] = []
        for position, one in enumerate(looks):
            if one.next is not None:
                waiting.append(position)
                views.append(one.next)
        if not waiting:
            return [one.map for one in looks]
        started = time.perf_counter()
        maps = see(waiting, views)
        seconds = (time.perf_counter() - started) / len(waiting)
        for position, seen, probability in zip(waiting, views, maps, strict=True):
            looks[position].add(seen, probability, seconds)


class _Looks:
    """The looks at one page.

    Attributes:
        next: the view to see next; None: there is nothing more to see.
        looks: what the looks so far have cost.
    """

    def __init__(self, page: SeenPage, first: PageView, view: View, shrink_ratio: float) -> None:
        self._page = page
        self._view = view
        ratio = min(shrink_ratio + FATTER, LARGEST_RATIO)
        self._params = PostprocessParams(
            thresh=THRESH, box_thresh=BOX_THRESH, unclip="inverse", inverse_r=ratio, min_size=MIN_SIZE
        )
        self._looks: list[Look] = []
        self._map: PageMap | None = None
        self._place: TextPlace | None = None
        self.next: PageView | None = first

    @property
    def map(self) -> PageMap:
        """The map of the last look."""
        if self._map is None:
            raise ValueError("the page was not looked at")
        return self._map

    def add(self, seen: PageView, probability: NDArray[np.float32], seconds: float) -> None:
        """What a look has brought."""
        page = self._page
        self._looks.append(Look(seen.width * seen.height, seconds))
        self._map = PageMap(page.name, probability, seen.to_page, page.width, page.height, tuple(self._looks))
        self.next = None
        if self._view.text is not None and len(self._looks) < MOST_LOOKS:
            self.next = self._closer(seen, self._map, self._view.text)

    def _closer(self, seen: PageView, found: PageMap, text: TextView) -> PageView | None:
        """The view of the text that a look has found; None if the look was as good."""
        page = self._page
        words = list(detect(found, self._params).polygons)
        place = TextPlace.of(words)
        if place is None:
            if len(self._looks) > 1:
                return None
            return letterbox(page.width, page.height, self._view.long_side, self._view.pad)
        if self._place is not None:
            place = place.reaching(self._place)  # what an earlier look has found stays in view
        self._place = place
        view = text_view(page.width, page.height, place, text.height, self._view.long_side)
        if 1 / TOLERANCE <= view.scale / seen.scale <= TOLERANCE:
            return None
        return view
