import io
import subprocess
import sys

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from PIL import TiffImagePlugin

from hmean.errors import InputError
from hmean.images import decode, image_size, list_images, page_paths, read_image


def picture(width=40, height=24):
    """Red left half, dark top-left corner: every turn and mirror looks different."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[:, : width // 2] = (200, 30, 30)
    pixels[: height // 2, : width // 4] = 0
    return pixels


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_turned_upright_once(tmp_path, orientation, suffix):
    upright = PIL.Image.fromarray(picture())
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        orientation
    ]  # PIL.Image.Transpose that a camera would have done
    stored = upright if undo is None else upright.transpose(PIL.Image.Transpose(undo))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo = 사진.{suffix}"
    stored.save(path, exif=exif)
    assert np.array_equal(read_image(path), picture())
    assert image_size(path) == (40, 24)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_each_page_of_a_tiff_is_turned_by_its_own_mark(tmp_path, compression):
    path = tmp_path / "book.tif"
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as book:
        for orientation, undo in ((6, 2), (1, None), (3, 3), (8, 4)):
            page = PIL.Image.fromarray(picture())
            page = page if undo is None else page.transpose(PIL.Image.Transpose(undo))
            page.save(book, "TIFF", compression=compression, tiffinfo={0x0112: orientation})
            book.newFrame()
    for page in page_paths(path):
        assert np.array_equal(read_image(page), picture()), page
        assert image_size(page) == (40, 24), page


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"mode": "L"}, {"mode": "CMYK"}])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("width", "height"), [(203, 148), (160, 121), (7, 5), (8, 8)])
def test_a_jpeg_is_shrunk_in_place(tmp_path, options, orientation, width, height):
    """A pixel of the shrunk page stands for a block of the page's, whatever its size, kind and turn."""
    grey = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (4, 5), dtype=np.uint8))
    upright = grey.resize((width, height), PIL.Image.Resampling.BICUBIC).convert(options.get("mode", "RGB"))
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if undo is None else upright.transpose(PIL.Image.Transpose(undo))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    stored.save(path, quality=95, exif=exif, **{k: v for k, v in options.items() if k != "mode"})
    with PIL.Image.open(path) as image:  # Pillow's own way
        whole = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read_image(path), whole)
    for asked in (1, 2, 4, 8):
        page = decode(path, asked)
        k = page.shrink
        assert (page.width, page.height) == (width, height)
        assert page.image.shape == (-(-height // k), -(-width // k), 3)
        if options.get("mode") == "CMYK" or (orientation == 3 and width % 2 and height % 2):
            assert k == 1
        if options.get("mode") != "CMYK" and orientation in (1, 5):
            assert k == asked
        means = whole[: height // k * k, : width // k * k].astype(float)
        means = means.reshape(height // k, k, width // k, k, 3).mean(axis=(1, 3))
        shown = page.image[: height // k, : width // k].astype(float)
        if width > 100:  # on larger pages: half a pixel of the shrunk one out of place would show
            assert np.abs(shown - means).mean() < 0.8
            if shown.shape[1] > 40:
                assert np.abs(shown[:, 1:] - means[:, :-1]).mean() > 2 * np.abs(shown - means).mean()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode):
    grey = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None], 24, axis=0)
    if mode == "I;16":
        image = PIL.Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode in ("I", "F"):
        image = PIL.Image.fromarray(grey.astype(np.int32 if mode == "I" else np.float32))
    else:
        image = (
            PIL.Image.fromarray(grey).convert("RGB").convert(mode) if mode != "1" else PIL.Image.fromarray(grey > 127)
        )
    path = tmp_path / "image.tif"
    image.save(path)
    read = read_image(path)
    assert read.dtype == np.uint8
    assert read.shape == (24, 40, 3)
    if mode != "1":
        assert np.abs(read.astype(int) - grey[:, :, None]).max() <= {"CMYK": 6, "YCbCr": 6, "P": 60}.get(
            mode, 1
        )  # P: few colours


def test_a_value_that_is_no_number_does_not_black_out_a_page(tmp_path):
    grey = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    grey[0, 0], grey[0, 1] = np.nan, np.inf
    PIL.Image.fromarray(grey).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif").max() == 255


@pytest.mark.parametrize(
    ("brightest", "tags", "white"),
    [
        (4095, {}, 4095),  # a 12-bit scan in 16 bits
        (4000, {}, 4095),
        (900, {}, 1023),
        (16_000, {}, 16_383),
        (16_500, {}, 65_535),  # a dark page: as it is
        (60_000, {}, 65_535),
        (3000, {0x0119: 65_535}, 65_535),  # a dark page that says so
        (3000, {0x0119: 3500}, 3500),
        (3000, {0x0119: 255}, 4095),  # wrong: passed by the pixels
    ],
)
def test_scans_of_fewer_bits_in_16_are_not_black(tmp_path, brightest, tags, white):
    grey = np.linspace(0, brightest, 960).round().astype(np.uint16).reshape(24, 40)
    PIL.Image.fromarray(grey).save(tmp_path / "scan.tif", tiffinfo=tags)
    PIL.Image.fromarray(grey).save(tmp_path / "scan.png")
    assert np.array_equal(read_image(tmp_path / "scan.tif")[:, :, 0], np.round(grey * (255 / white)))
    if not tags:
        assert np.array_equal(read_image(tmp_path / "scan.png"), read_image(tmp_path / "scan.tif"))


def test_packed_12_bits_are_read(tmp_path):
    """Pillow writes none: the tags of an 8-bit file, half as wide again, are changed."""
    data = io.BytesIO()
    PIL.Image.fromarray(np.full((4, 12), 0x11, np.uint8)).save(data, "TIFF")
    raw = bytearray(data.getvalue())
    for tag, old, new in ((256, 12, 8), (258, 8, 12)):
        at = next(i for i in range(len(raw)) if raw[i : i + 2] == tag.to_bytes(2, "little") and raw[i + 8] == old)
        raw[at + 8] = new
    (tmp_path / "scan.tif").write_bytes(raw)
    assert (read_image(tmp_path / "scan.tif") == 17).all()  # 0x111 of 0xfff: 12 bits are what the file says


def test_cmyk_jpeg_and_transparency(tmp_path):
    PIL.Image.fromarray(picture()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "cmyk.jpg").astype(int) - picture()).mean() < 8
    see_through = PIL.Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    see_through.save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()  # paper, not ink


def test_one_pixel_and_thirty_megapixels(tmp_path):
    PIL.Image.new("RGB", (1, 1), (9, 9, 9)).save(tmp_path / "one.png")
    assert read_image(tmp_path / "one.png").shape == (1, 1, 3)
    PIL.Image.new("L", (6000, 5000), 7).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png").shape == (5000, 6000, 3)


def test_damaged_missing_and_other_files_are_named(tmp_path):
    data = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(data, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(data.getvalue()[:1500])
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("cut.jpg", "text.jpg", "empty.png"):
        with pytest.raises(InputError, match="damaged"):
            decode(tmp_path / name, 2)
        with pytest.raises(InputError, match=rf"{name}: damaged, or not an image"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match=r"none\.jpg: no such image"):
        read_image(tmp_path / "none.jpg")


def test_large_images_are_told_in_megapixels_and_not_warned_of(tmp_path):
    for name, side in (("large.png", 10_000), ("larger.png", 14_000)):
        PIL.Image.new("1", (side, side)).save(tmp_path / name)
    code = "import sys, pathlib; from hmean.images import image_size; print(image_size(pathlib.Path(sys.argv[1])))"
    ended = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, text=True, check=True)  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("(10000, 10000)\n", "")
    with pytest.raises(InputError, match=r"larger\.png: 196\.0 megapixels, over the limit of 179\.0"):
        image_size(tmp_path / "larger.png")
    with pytest.raises(InputError, match=r"^the image: damaged, or not an image$"):
        decode(io.BytesIO(b"none"))


def test_list_images_is_sorted_and_leaves_hidden_files_out(tmp_path):
    for name in ("b/2.JPG", "a 1.png", ".hidden/3.png", "notes.txt"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"")
    assert [p.relative_to(tmp_path).as_posix() for p in list_images(tmp_path)] == ["a 1.png", "b/2.JPG"]
