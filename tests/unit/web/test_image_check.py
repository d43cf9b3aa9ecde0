"""Images are judged by their headers: what is too large, damaged or not an image is refused before it is decoded."""

import io
import zipfile
import zlib

import PIL.ImageFile
import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")

from hmean.web.image_check import FORMATS, count_pixels
from hmean.web.refusals import RefusalError
from support.serving import huge_png, many_scans, picture, two_pages


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("page.png", bytes(10_000_000))
    return out.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_of_every_format(kind):
    assert count_pixels(picture(kind), 1200) == 1200


def test_pixels_come_from_the_header_alone(monkeypatch):
    data = picture(size=(40, 30))
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    assert count_pixels(data, 1200) == 1200


TOO_LARGE = {
    "png of 50,000 x 50,000": huge_png(),
    "png of 19,000 x 19,000, which Pillow opens": huge_png(19_000),
    "more pixels than the limit": picture(size=(301, 300)),
    "a side that OpenCV cannot warp": picture(size=(33_000, 1)),
}
INVALID = {
    "zip": zipped(),
    "gzip of an image": zlib.compress(picture()),
    "jpeg of 200 scans": many_scans(),
    "tiff of two pages": two_pages(),
    "gif": picture("GIF"),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "text": b"no image",
    "nothing": b"",
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large(name):
    with pytest.raises(RefusalError) as refused:
        count_pixels(TOO_LARGE[name], 90_000)
    assert refused.value.refusal.error == "too_large"


@pytest.mark.parametrize("name", INVALID)
def test_what_is_not_one_image(name):
    with pytest.raises(RefusalError) as refused:
        count_pixels(INVALID[name], 90_000)
    assert refused.value.refusal.error == "invalid"
    (fault,) = refused.value.refusal.faults
    assert len(fault) > len("image: a")
    assert "0x" not in fault  # no repr of an object


def test_pages_of_a_tiff_are_not_dropped_silently():
    with pytest.raises(RefusalError) as refused:
        count_pixels(two_pages(), 90_000)
    assert refused.value.refusal.faults == ["image: is a TIFF of several pages; send each page in a request of its own"]
