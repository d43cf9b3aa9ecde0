"""What the header of an image file says, before anything of it is decoded: a few bytes may stand for gigabytes."""

from __future__ import annotations

import io

import PIL.Image

from hmean.web.refusals import RefusalError

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
MAX_SIDE = 32_000  # OpenCV cannot warp an image with a side of 2^15 pixels
MAX_SCANS = 100  # a progressive JPEG usually has about 10 scans; thousands take hours to decode


def count_pixels(data: bytes, max_pixels: int) -> int:
    """Number of pixels of an image, from its header alone.

    Raises:
        RefusalError: if they are too many, or the file is not one image in a supported format.
    """
    too_large = RefusalError(
        "too_large", f"image: has more than {max_pixels / 1e6:g} megapixels, or a side of more than {MAX_SIDE} pixels"
    )
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            scans = _count_scans(image, data)
            several_pages = image.format == "TIFF" and _has_second_page(image)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise too_large from None
    except Exception as error:
        raise RefusalError("invalid", f"image: is damaged, or not {' or '.join(FORMATS)}") from error
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise too_large
    if scans > MAX_SCANS:
        raise RefusalError("invalid", f"image: is a JPEG of more than {MAX_SCANS} scans")
    if several_pages:
        raise RefusalError("invalid", "image: is a TIFF of several pages; send each page in a request of its own")
    return width * height


def _count_scans(image: PIL.Image.Image, data: bytes) -> int:
    """Number of start-of-scan markers of a JPEG."""
    if image.format not in ("JPEG", "MPO"):
        return 0
    return data.count(b"\xff\xda")


def _has_second_page(image: PIL.Image.Image) -> bool:
    try:
        image.seek(1)  # n_frames would read all pages, which may be millions
    except EOFError:
        return False
    return True
