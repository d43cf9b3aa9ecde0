"""Image files of any kind to upright RGB; the only place that reads EXIF."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import PIL.ImageOps
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.geometry import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
_ORIENTATION = 0x0112
# What Pillow raises for files that are cut off, damaged or made to exhaust memory.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError)


def read_image(source: Path | BinaryIO) -> Image:
    """Decode to upright RGB, uint8 (H, W, 3): EXIF turned, 16 bits scaled to 8, transparency laid on white.

    Raises:
        InputError: if the file is missing, damaged or not an image.
    """
    try:
        with PIL.Image.open(source) as image:
            return _to_rgb(PIL.ImageOps.exif_transpose(image))
    except FileNotFoundError as error:
        raise InputError(f"{source}: no such image") from error
    except _DAMAGED as error:
        raise InputError(f"{source}: damaged, or not an image ({error})") from error


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright image, from the file's header alone.

    Raises:
        InputError: if the file is missing or its header is not an image's.
    """
    try:
        with PIL.Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else image.size
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such image") from error
    except _DAMAGED as error:
        raise InputError(f"{path}: damaged, or not an image ({error})") from error


def list_images(folder: Path) -> list[Path]:
    """All image files under a folder, sorted, hidden ones left out."""
    found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def _to_rgb(image: PIL.Image.Image) -> Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_to_rgb(np.asarray(image, dtype=np.float64))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.asarray(PIL.Image.alpha_composite(paper, rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _grey_to_rgb(grey: NDArray[np.float64]) -> Image:
    """Grey values of unknown range: [0, 1] if none is above 1, else 8 bits if none is above 255, else 16."""
    top = grey.max(initial=0.0)
    scale = 255.0 if top <= 1 else 1.0 if top <= 255 else 1 / 257
    eight = np.clip(np.round(grey * scale), 0, 255).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)
