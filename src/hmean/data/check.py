"""Checks of a data set before any long work: every fault of its labels and images at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from hmean.data.pages import LabelledImages, size_fault
from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import image_size, read_image
from hmean.progress import track
from hmean.types import Page

Floats = NDArray[np.float64]

# Words that stick out of the page are right where they do so by little; what lies mostly beside it is in a wrong unit,
# or for another size of the image.
_MOST_OUTSIDE = 0.5  # share of a word's area


@dataclass(frozen=True, eq=False)
class CheckedPage:
    """One page after its check.

    Attributes:
        page: its labels, without the words that have faults.
        faults: one sentence each, that names the file and the word.
        image: its pixels (H, W, 3); None if they cannot be read, or were not asked for.
    """

    page: Page
    faults: list[str]
    image: Image | None = None


def check_pages(pages: LabelledImages, *, decode: bool = False) -> list[str]:
    """Every fault of labels and images, one sentence each, that names the file and the word.

    Args:
        pages: what is checked.
        decode: read every image whole. Otherwise its header only, which finds everything but damaged pixels.
    """
    faults: list[str] = []
    with track("checking labels", len(pages)) as advance:
        for position in range(len(pages)):
            faults += check_page(pages, position, decode=decode).faults
            advance()
    return faults


def check_page(pages: LabelledImages, position: int, *, decode: bool) -> CheckedPage:
    """Check the labels and the image of one page; see ``check_pages``."""
    faults: list[str] = []
    page = pages.page(position, faults)
    size_is_wrong = any("not the image's size" in fault for fault in faults)
    page = _without_words_beside(page, faults)
    file = pages.file(position)
    image = None
    try:
        if decode:
            image = read_image(file)
            height, width = image.shape[:2]
        else:
            width, height = image_size(file)
    except InputError as error:
        faults.append(str(error))
        return CheckedPage(page, faults)
    fault = size_fault(file, page, width, height)
    if fault is not None and not size_is_wrong:
        faults.append(fault)
    return CheckedPage(page, faults, image)


def _without_words_beside(page: Page, faults: list[str]) -> Page:
    """The page without the words that lie mostly outside it, each of which is a fault."""
    outside = _shares_outside(page)
    is_beside = outside > _MOST_OUTSIDE
    if not is_beside.any():
        return page
    for k in np.flatnonzero(is_beside).tolist():
        faults.append(
            f"{page.name}: word {page.ids[k]}: {outside[k]:.0%} of it lies outside of the page "
            f"({page.width} x {page.height}): {page.polygons[k].round(1).tolist()}; "
            "are the labels in another unit, or for another size of the image?"
        )
    kept = np.flatnonzero(~is_beside).tolist()
    return replace(
        page,
        polygons=page.polygons.select(~is_beside),
        ids=tuple(page.ids[k] for k in kept),
        texts=tuple(page.texts[k] for k in kept),
        ignore=page.ignored[~is_beside],
    )


def _shares_outside(page: Page) -> Floats:
    """Share of each word's area that lies outside of its page (K,)."""
    shares = np.zeros(len(page.polygons))
    whole = shapely.box(0, 0, page.width, page.height)
    for k, polygon in enumerate(page.polygons):
        if polygon.min() < 0 or (polygon > (page.width, page.height)).any():
            word = shapely.Polygon(polygon)
            shares[k] = 1 - shapely.area(shapely.intersection(word, whole)) / shapely.area(word)
    return shares


def label_faults(pages: LabelledImages) -> list[str]:
    """Every fault of pages that a model is trained or scored on: those of ``check_pages``, and pages without labels."""
    faults = check_pages(pages)
    unlabelled = []
    for position in range(len(pages)):
        if not pages.page(position, []).words_known:
            unlabelled.append(pages.name(position))
    if unlabelled:
        images = "1 image is" if len(unlabelled) == 1 else f"{len(unlabelled)} images are"
        faults.append(f"{pages.labels.source}: {images} unlabelled (no words), first {unlabelled[0]}")
    return faults


def require_sound(pages: LabelledImages) -> None:
    """Check labels and images before any long work.

    Raises:
        InputError: listing every fault.
    """
    faults = label_faults(pages)
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)
