"""Image files of any kind to upright RGB; the only place that reads EXIF."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.geometry import Image

PDF_DPI = 150  # dots an inch at which a PDF's pages are drawn: A4 is 1240 x 1754 pixels
PDF_LONGEST = 10_000  # pixels, whatever size of paper a file states
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"})
# Images as well, but hmean does not read them, or not with every installation.
_UNSUPPORTED = frozenset({".avif", ".djvu", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jxl", ".psd", ".svg"})
# Numbers of TIFF's tags.
_TAG_WIDTH = 0x0100
_TAG_HEIGHT = 0x0101
_TAG_BITS = 0x0102
_TAG_ORIENTATION = 0x0112
_TAG_WHITE = 0x0119
_PDF_START = b"%PDF-"
_JPEG_END = b"\xff\xd9"
# Other eighths (3, 5, 6, 7) take longer than the whole image: libjpeg-turbo has fast transforms for these only.
_JPEG_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# Pillow's plugins raise errors of any type, TypeError among them, for files that are cut off, damaged, or made to
# exhaust the memory.
_DAMAGED = Exception
_PAGE_SUFFIX = re.compile(r"(.+)#page=(\d+)")  # RFC 8118 counts from 1, too
_PDFIUM_LOCK = threading.Lock()  # pdfium must not be called by two threads at once
# Pillow warns of files that are cut off and of images of many pixels. Where that matters, it is an error here.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, eq=False)
class Pixels:
    """A decoded page.

    Attributes:
        image: uint8 (ceil(height / shrink), ceil(width / shrink), 3), RGB, upright.
        width: of the upright page, pixels.
        height: likewise.
        shrink: 1, 2, 4 or 8. A pixel of ``image`` stands for shrink x shrink pixels of the page, from (0, 0) on.
    """

    image: Image
    width: int
    height: int
    shrink: int = 1


# ``decode``, or a cache in front of it.
Decoder = Callable[[Path, int], Pixels]


def read_image(source: Path | BinaryIO) -> Image:
    """Decode to upright RGB, uint8 (H, W, 3): EXIF turned, 10 to 16 bits scaled to 8, transparency laid on white.

    Raises:
        InputError: if the file is missing, damaged or not an image.
    """
    return decode(source).image


def decode(source: Path | BinaryIO, shrink: int = 1) -> Pixels:
    """Like ``read_image``; a JPEG may be decoded at a part of its size, which is quicker.

    Args:
        source: a path, or a file opened in binary mode. A path may end in ``#page=N``, for the N-th page of a PDF or
            TIFF file; without it, the first page is read.
        shrink: decode at 1 / shrink of the size (1, 2, 4 or 8), but only as far as that is exact: files of other kinds,
            and pages whose EXIF turn would bring an incomplete block of pixels to the left or top, come less shrunk or
            whole. The result says how far it is.

    Raises:
        InputError: if the file is missing, damaged or not an image.
    """
    with _as_input_error(source):
        if isinstance(source, Path):
            return _decode_file(source, shrink)
        return _decode_bytes(source.read(), 0, shrink)


def _decode_file(path: Path, shrink: int) -> Pixels:
    file, page = split_page(path)
    with file.open("rb") as opened:
        start = opened.read(len(_PDF_START))
        if start == _PDF_START:
            return _decode_pdf_page(file, page)  # reads no more than the page: the file may have thousands
        return _decode_bytes(start + opened.read(), page, shrink)


def _decode_bytes(data: bytes, page: int, shrink: int) -> Pixels:
    if data.startswith(_PDF_START):
        return _decode_pdf_page(data, page)
    with PIL.Image.open(io.BytesIO(data)) as image:
        _seek(image, page)
        if image.format == "TIFF":
            image.load()  # Pillow turns the pixels itself, and removes the tag
        upright = _upright(image)
        shrink = _exact_shrink(upright, shrink)
        pixels = None
        if _opencv_can_decode(image, data):
            pixels = _decode_jpeg(data, shrink)
        if pixels is None:
            pixels = to_rgb(image)
            shrink = 1
    return Pixels(_turn(pixels, upright), upright.width, upright.height, shrink)


class _Upright(NamedTuple):
    """How the stored pixels are to be turned, and the page's size after that."""

    orientation: int  # EXIF's number, 1 to 8
    width: int
    height: int

    @property
    def is_transposed(self) -> bool:
        return self.orientation in (5, 6, 7, 8)

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right are exchanged, after the transposition."""
        return self.orientation in (2, 3, 6, 7)

    @property
    def is_upended(self) -> bool:
        """Whether top and bottom are exchanged, after the transposition."""
        return self.orientation in (3, 4, 7, 8)


def _upright(image: PIL.Image.Image) -> _Upright:
    orientation = image.getexif().get(_TAG_ORIENTATION, 1)
    width, height = image.size
    if orientation in (5, 6, 7, 8):
        # Of a TIFF that is not loaded yet, some versions of Pillow give the size that it will have after the turn.
        tags = getattr(image, "tag_v2", {})
        stored_width = tags.get(_TAG_WIDTH, width)
        stored_height = tags.get(_TAG_HEIGHT, height)
        width = stored_height
        height = stored_width
    return _Upright(orientation, width, height)


def _exact_shrink(upright: _Upright, shrink: int) -> int:
    """The largest shrink up to this one whose blocks of pixels still begin at the page's top-left corner."""
    while (upright.is_mirrored and upright.width % shrink) or (upright.is_upended and upright.height % shrink):
        shrink //= 2
    return shrink


def _opencv_can_decode(image: PIL.Image.Image, data: bytes) -> bool:
    """Whether OpenCV decodes the file to the same values as Pillow, which it does in half the time.

    It ignores the profiles of CMYK, and some versions of it take a JPEG that is cut off for a whole one.
    """
    is_jpeg = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
    return is_jpeg and data.rstrip(b"\0").endswith(_JPEG_END)


def _decode_jpeg(data: bytes, shrink: int) -> Image | None:
    """RGB as it is stored, not turned; None if OpenCV cannot decode it."""
    flags = _JPEG_FLAGS[shrink] | cv2.IMREAD_IGNORE_ORIENTATION
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if stored is None:
        return None
    return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB, dst=stored), dtype=np.uint8)


def _turn(pixels: Image, upright: _Upright) -> Image:
    if upright.is_transposed:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    if upright.is_mirrored and upright.is_upended:
        return np.asarray(cv2.flip(pixels, -1), dtype=np.uint8)
    if upright.is_mirrored:
        return np.asarray(cv2.flip(pixels, 1), dtype=np.uint8)
    if upright.is_upended:
        return np.asarray(cv2.flip(pixels, 0), dtype=np.uint8)
    return pixels


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright image, from the file's header alone; a path may end in ``#page=N``.

    Raises:
        InputError: if the file is missing or its header is not an image's.
    """
    with _as_input_error(path):
        file, page = split_page(path)
        with PIL.Image.open(file) as image:
            _seek(image, page)
            upright = _upright(image)
    return upright.width, upright.height


# --- files of several pages -------------------------------------------------------------------------------------------


def split_page(path: Path) -> tuple[Path, int]:
    """The file of ``FILE#page=N``, and which of its pages, counted from 0."""
    found = _PAGE_SUFFIX.fullmatch(path.name)
    if found is None or path.exists():
        return path, 0
    return path.with_name(found[1]), int(found[2]) - 1


def page_paths(path: Path) -> list[Path]:
    """``FILE#page=N`` of each page of a PDF or TIFF file that has several; else the path alone."""
    try:
        count = _page_count(path)
    except _DAMAGED:
        count = 1  # whoever reads it will get the error
    if count < 2:
        return [path]
    return [path.with_name(f"{path.name}#page={number}") for number in range(1, count + 1)]


def _page_count(path: Path) -> int:
    if path.suffix.lower() == ".pdf":
        with _PDFIUM_LOCK, _open_pdf(path) as document:
            return len(document)
    if path.suffix.lower() in (".tif", ".tiff"):
        with PIL.Image.open(path) as image:
            return _frame_count(image)
    return 1


def _frame_count(image: PIL.Image.Image) -> int:
    """Pages of a TIFF file, with the one at which it is cut off: Pillow's own count leaves that out."""
    count = 1
    while True:
        try:
            image.seek(count)
        except EOFError:
            return count
        except _DAMAGED:
            return count + 1
        count += 1


def _seek(image: PIL.Image.Image, page: int) -> None:
    try:
        image.seek(page)
    except EOFError as error:
        raise ValueError(f"the file has no page {page + 1}") from error
    except _DAMAGED as error:
        raise ValueError(f"the file is cut off before page {page + 1} is whole") from error


def _decode_pdf_page(source: Path | bytes, page: int) -> Pixels:
    with _PDFIUM_LOCK, _open_pdf(source) as document:
        if page >= len(document):
            raise ValueError(f"the file has no page {page + 1}, only {len(document)}")
        longest = max(document[page].get_size())  # points, 72 to the inch
        scale = min(PDF_DPI / 72, PDF_LONGEST / longest)
        bitmap = document[page].render(scale=scale, rev_byteorder=True)
        pixels = np.array(to_rgb(bitmap.to_pil()))
    height, width = pixels.shape[:2]
    return Pixels(pixels, width, height)


def _open_pdf(source: Path | bytes) -> Any:
    if find_spec("pypdfium2") is None:
        raise ValueError("PDF files need: pip install 'hmean[pdf]'")
    import pypdfium2  # noqa: PLC0415 - an extra

    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        raise ValueError(str(error)) from error


# --- errors -----------------------------------------------------------------------------------------------------------


@contextmanager
def _as_input_error(source: Path | BinaryIO) -> Iterator[None]:
    """Raise whatever goes wrong with an image as an ``InputError`` that names it."""
    if isinstance(source, Path):
        name = str(source)
    else:
        name = "the image"
    try:
        yield
    except IsADirectoryError as error:
        raise InputError(f"{name}: is a folder that holds no images") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{name}: no such image") from error
    except PIL.Image.DecompressionBombError as error:
        count, limit = (int(number) / 1e6 for number in re.findall(r"\d+", str(error))[:2])
        raise InputError(
            f"{name}: {count:.1f} megapixels, over the limit of {limit:.1f}; shrink or cut the image"
        ) from error
    except PIL.UnidentifiedImageError as error:  # its text is about a buffer of ours
        raise InputError(f"{name}: damaged, or not an image") from error
    except _DAMAGED as error:
        raise InputError(f"{name}: damaged, or not an image ({error})") from error


# --- listing ----------------------------------------------------------------------------------------------------------


def list_images(folder: Path, *, suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """All image files under a folder, sorted; hidden files and folders are left out."""
    return sorted(path for path in _visible(folder) if path.suffix.lower() in suffixes and path.is_file())


def left_out(folder: Path) -> Counter[str]:
    """What ``list_images`` leaves out: images of kinds that hmean does not read, by suffix, and ``broken link``."""
    kinds: Counter[str] = Counter()
    for path in _visible(folder):
        if path.is_symlink() and not path.exists():
            kinds["broken link"] += 1
        elif path.suffix.lower() in _UNSUPPORTED:
            kinds[path.suffix.lower()] += 1
    return kinds


def _visible(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


# --- pixels -----------------------------------------------------------------------------------------------------------


def to_rgb(image: PIL.Image.Image) -> Image:
    """uint8 RGB (H, W, 3): 10 to 16 bits scaled to 8, transparency laid on white; not turned."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_to_rgb(np.asarray(image, dtype=np.float64), _stated_white(image))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = PIL.Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.asarray(PIL.Image.alpha_composite(paper, rgba).convert("RGB"))
    if image.mode != "RGB":
        image = image.convert("RGB")
    return np.asarray(image)


def _stated_white(image: PIL.Image.Image) -> float:
    """The value of white that a TIFF file states, or 0."""
    tags = getattr(image, "tag_v2", {})
    bits = np.max(tags.get(_TAG_BITS, 16))
    if bits < 16:
        white = 2**bits - 1
    else:
        white = 0
    return float(np.max(tags.get(_TAG_WHITE, white)))


def _grey_to_rgb(grey: NDArray[np.float64], stated_white: float) -> Image:
    """Grey values (H, W) scaled so that white is 255.

    A file that states no white (0), or one that its pixels exceed, is taken to have a range of [0, 1] or of 8, 10, 12,
    14 or 16 bits, the first that holds the brightest pixel. Scanners put 12 bits into 16 and do not say so, and such a
    page would be black to the eye and to the network. A page has paper: if its brightest pixel is below a quarter of
    the range, it is rather a scan of fewer bits than a dark page, which this makes brighter.
    """
    grey = np.nan_to_num(grey, nan=0, posinf=0, neginf=0)  # one such pixel would make the whole page black
    brightest = grey.max(initial=0.0)
    white = stated_white
    if not 0 < brightest <= stated_white:
        white = _guess_white(brightest)
    eight_bits = np.clip(np.round(grey * (255 / white)), 0, 255).astype(np.uint8)
    return np.repeat(eight_bits[:, :, None], 3, axis=2)


def _guess_white(brightest: float) -> float:
    for white in (1, 255, 1023, 4095, 16383):
        if brightest <= white:
            return white
    return 65535
