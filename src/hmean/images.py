"""Image files of any kind to upright RGB; the only place that reads EXIF."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.geometry import Image

PDF_DPI = 150  # a PDF's pages are drawn at so many dots an inch: A4 is 1240 x 1754 pixels
PDF_LONGEST = 10_000  # pixels, whatever size a file says it is
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
# Images, too, but not read, or not by every installation.
_OTHERS = frozenset({".avif", ".djvu", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jxl", ".psd", ".svg"})
_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _MOST = 0x0100, 0x0101, 0x0102, 0x0112, 0x0119  # TIFF's numbers
_TURNED = (5, 6, 7, 8)
_PDF = b"%PDF-"
_JPEG_END = b"\xff\xd9"
# Other eighths (3, 5, 6, 7) take longer than the whole image: libjpeg-turbo has fast transforms for these only.
_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# For files that are cut off, damaged or made to exhaust memory, Pillow's plugins raise any kind, TypeError among them.
_DAMAGED = Exception
_PAGE = re.compile(r"(.+)#page=(\d+)")  # RFC 8118 counts from 1, too
_PDFIUM = threading.Lock()  # it has no threads
# What Pillow warns of is a message here, if it matters: a file that is cut off, an image of many pixels.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, eq=False)
class Pixels:
    """A decoded page.

    Attributes:
        image: uint8 (ceil(height / shrink), ceil(width / shrink), 3), RGB, upright.
        width: of the upright page, pixels.
        height: likewise.
        shrink: 1, 2, 4 or 8: each of ``image``'s pixels stands for so many of the page's, in x and y, from (0, 0) on.
    """

    image: Image
    width: int
    height: int
    shrink: int = 1


Decoder = Callable[[Path, int], Pixels]  # ``decode``, or a cache in front of it


def read_image(source: Path | BinaryIO) -> Image:
    """Decode to upright RGB, uint8 (H, W, 3): EXIF turned, 10 to 16 bits scaled to 8, transparency laid on white.

    Raises:
        InputError: if the file is missing, damaged or not an image.
    """
    return decode(source).image


def decode(source: Path | BinaryIO, shrink: int = 1) -> Pixels:
    """Like ``read_image``, but a JPEG may be decoded at 1 / ``shrink`` (1, 2, 4 or 8) of its size, which is quicker.

    A path may end in ``#page=N``, for the N-th page of a PDF or TIFF file; without it, the first is read.
    Only where that is exact: files of other kinds, and pages whose EXIF turn would bring an incomplete block of pixels
    to the left or top, come less shrunk or whole. See ``Pixels.shrink`` of the result.

    Raises:
        InputError: if the file is missing, damaged or not an image.
    """
    with _told(source):
        file, page = split_page(source) if isinstance(source, Path) else (source, 0)
        with file.open("rb") if isinstance(file, Path) else nullcontext(file) as opened:
            data = opened.read(len(_PDF))
            if data == _PDF and isinstance(file, Path):
                return _pdf_page(file, page)  # which reads no more than the page: the file may be of thousands
            data += opened.read()
        if data[: len(_PDF)] == _PDF:
            return _pdf_page(data, page)
        with PIL.Image.open(io.BytesIO(data)) as image:
            _seek(image, page)
            if image.format == "TIFF":
                image.load()  # Pillow turns these itself, and takes the mark away
            orientation, width, height = _upright(image)
            turned, mirrored, upended = (orientation in which for which in (_TURNED, (2, 3, 6, 7), (3, 4, 7, 8)))
            while (mirrored and width % shrink) or (upended and height % shrink):
                shrink //= 2
            # OpenCV and Pillow decode a JPEG to the same values, OpenCV in half the time; but it knows no CMYK profile,
            # and some of its versions take a cut-off file for a whole one.
            stored = None
            if (
                image.format in ("JPEG", "MPO")
                and image.mode in ("RGB", "L")
                and data.rstrip(b"\0").endswith(_JPEG_END)
            ):
                stored = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[shrink] | cv2.IMREAD_IGNORE_ORIENTATION)
            if stored is None:
                pixels, shrink = to_rgb(image), 1
            else:
                pixels = np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB, dst=stored), dtype=np.uint8)
    if turned:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    if mirrored or upended:
        pixels = np.asarray(cv2.flip(pixels, int(mirrored) if mirrored != upended else -1), dtype=np.uint8)
    return Pixels(pixels, width, height, shrink)


def split_page(path: Path) -> tuple[Path, int]:
    """The file of ``FILE#page=N``, and which page, from 0 on."""
    found = _PAGE.fullmatch(path.name)
    return (path, 0) if found is None or path.exists() else (path.with_name(found[1]), int(found[2]) - 1)


def page_paths(path: Path) -> list[Path]:
    """``FILE#page=N`` of each page of a PDF or TIFF file that has several; else the path alone."""
    count = 1
    try:
        if path.suffix.lower() == ".pdf":
            with _PDFIUM, _open_pdf(path) as document:
                count = len(document)
        elif path.suffix.lower() in (".tif", ".tiff"):
            with PIL.Image.open(path) as image:
                count = _frames(image)
    except _DAMAGED:
        return [path]  # reading it will tell
    return [path] if count < 2 else [path.with_name(f"{path.name}#page={n + 1}") for n in range(count)]


def _frames(image: PIL.Image.Image) -> int:
    """Pages of a TIFF file, and the one at which it is cut off: Pillow's own count takes the rest for the whole."""
    count = 1
    while True:
        try:
            image.seek(count)
        except EOFError:
            return count
        except _DAMAGED:
            return count + 1
        count += 1


def _open_pdf(source: Path | bytes) -> Any:
    if find_spec("pypdfium2") is None:
        raise ValueError("PDF files need: pip install 'hmean[pdf]'")
    import pypdfium2  # noqa: PLC0415 - an extra

    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        raise ValueError(str(error)) from error


def _pdf_page(source: Path | bytes, page: int) -> Pixels:
    with _PDFIUM, _open_pdf(source) as document:
        if page >= len(document):
            raise ValueError(f"it has {len(document)} pages")
        scale = min(PDF_DPI / 72, PDF_LONGEST / max(document[page].get_size()))
        bitmap = document[page].render(scale=scale, rev_byteorder=True)
        pixels = np.array(to_rgb(bitmap.to_pil()))
    return Pixels(pixels, pixels.shape[1], pixels.shape[0])


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright image, from the file's header alone; of a TIFF's page, as ``decode`` takes it.

    Raises:
        InputError: if the file is missing or its header is not an image's.
    """
    with _told(path):
        file, page = split_page(path)
        with PIL.Image.open(file) as image:
            _seek(image, page)
            return _upright(image)[1:]


@contextmanager
def _told(source: Path | BinaryIO) -> Iterator[None]:
    """What goes wrong with an image, as an ``InputError``."""
    name = source if isinstance(source, Path) else "the image"
    try:
        yield
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder that holds no images") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{name}: no such image") from error
    except PIL.Image.DecompressionBombError as error:
        count, limit = (int(number) / 1e6 for number in re.findall(r"\d+", str(error))[:2])
        raise InputError(f"{name}: {count:.1f} megapixels, over the limit of {limit:.1f}; shrink or cut it") from error
    except PIL.UnidentifiedImageError as error:  # whose text is about a buffer of ours
        raise InputError(f"{name}: damaged, or not an image") from error
    except _DAMAGED as error:
        raise InputError(f"{name}: damaged, or not an image ({error})") from error


def _seek(image: PIL.Image.Image, page: int) -> None:
    try:
        image.seek(page)
    except _DAMAGED as error:
        what = (
            f"has no page {page + 1}" if isinstance(error, EOFError) else f"is cut off before page {page + 1} is whole"
        )
        raise ValueError(f"the file {what}") from error


def _upright(image: PIL.Image.Image) -> tuple[int, int, int]:
    """How its pixels, as they are now, have yet to be turned; width and height after that."""
    orientation, (width, height) = image.getexif().get(_ORIENTATION, 1), image.size
    if orientation in _TURNED:
        tags = getattr(image, "tag_v2", {})  # TIFF: before they are turned, some versions of Pillow say the size after
        width, height = tags.get(_HEIGHT, height), tags.get(_WIDTH, width)
    return orientation, width, height


def list_images(folder: Path, *, suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """All image files under a folder, sorted, hidden ones left out."""
    return sorted(p for p in _visible(folder) if p.suffix.lower() in suffixes and p.is_file())


def left_out(folder: Path) -> Counter[str]:
    """Images under a folder that ``list_images`` does not take, by suffix, and links to nothing."""
    kinds = ("broken link" if p.is_symlink() and not p.exists() else p.suffix.lower() for p in _visible(folder))
    return Counter(kind for kind in kinds if kind in _OTHERS | {"broken link"})


def _visible(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if not any(part.startswith(".") for part in p.relative_to(folder).parts))


def to_rgb(image: PIL.Image.Image) -> Image:
    """uint8 RGB (H, W, 3): 10 to 16 bits scaled to 8, transparency laid on white; as it lies, not turned."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        tags = getattr(image, "tag_v2", {})  # TIFF
        bits = np.max(tags.get(_BITS, 16))
        white = np.max(tags.get(_MOST, 2**bits - 1 if bits < 16 else 0))
        return _grey_to_rgb(np.asarray(image, dtype=np.float64), float(white))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.asarray(PIL.Image.alpha_composite(paper, rgba).convert("RGB"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _grey_to_rgb(grey: NDArray[np.float64], white: float) -> Image:
    """Grey values whose white the file says, or, with 0 or a value that is passed, of unknown range.

    That is taken to be [0, 1], 8, 10, 12, 14 or 16 bits, the first that holds the brightest pixel. Scanners put 12 bits
    into 16 and say nothing of it; a page has paper, so one whose brightest pixel is below a quarter of the range is
    rather that than a dark page, which comes out brighter, and would be black to the eye and to the network otherwise.
    """
    grey = np.nan_to_num(grey, nan=0, posinf=0, neginf=0)  # one such pixel would black out the page
    top = grey.max(initial=0.0)
    if not 0 < top <= white:
        white = next((most for most in (1, 255, 1023, 4095, 16383) if top <= most), 65535)
    eight = np.clip(np.round(grey * (255 / white)), 0, 255).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)
