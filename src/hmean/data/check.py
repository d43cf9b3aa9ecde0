"""Checks of a data set before any long work: every fault of its labels and images at once."""

from __future__ import annotations

from hmean.data.pages import LabelledImages, size_fault
from hmean.errors import InputError
from hmean.images import image_size, read_image
from hmean.progress import track


def check_pages(pages: LabelledImages, *, decode: bool = False) -> list[str]:
    """Every fault of labels and images, one sentence each, that names the file and the word.

    Args:
        pages: what is checked.
        decode: read every image whole. Otherwise its header only, which finds everything but damaged pixels.
    """
    faults: list[str] = []
    with track("checking labels", len(pages)) as advance:
        for position in range(len(pages)):
            faults += _page_faults(pages, position, decode=decode)
            advance()
    return faults


def _page_faults(pages: LabelledImages, position: int, *, decode: bool) -> list[str]:
    faults: list[str] = []
    page = pages.page(position, faults)
    size_is_wrong = any("not the image's size" in fault for fault in faults)
    file = pages.file(position)
    try:
        if decode:
            height, width = read_image(file).shape[:2]
        else:
            width, height = image_size(file)
    except InputError as error:
        faults.append(str(error))
        return faults
    fault = size_fault(file, page, width, height)
    if fault is not None and not size_is_wrong:
        faults.append(fault)
    return faults


def label_faults(pages: LabelledImages) -> list[str]:
    """Every fault of pages that a model is trained or scored on: those of ``check_pages``, and pages without labels."""
    faults = check_pages(pages)
    unlabelled = []
    for position in range(len(pages)):
        if not pages.page(position, []).words_known:
            unlabelled.append(pages.name(position))
    if unlabelled:
        faults.append(
            f"{pages.labels.source}: {len(unlabelled)} images are unlabelled (no words), first {unlabelled[0]}"
        )
    return faults


def require_sound(pages: LabelledImages) -> None:
    """Check labels and images before any long work.

    Raises:
        InputError: listing every fault.
    """
    faults = label_faults(pages)
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)
