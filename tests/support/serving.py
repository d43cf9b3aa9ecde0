"""A detector and images for tests of the service."""

import io
import struct
import threading
import zlib

import numpy as np
import PIL.Image

from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections, Polygons


class FakeDetector:
    """Finds the whole image, scored by its mean grey; fails on red images, and waits while ``go`` is not set."""

    def __init__(self):
        self.params = PostprocessParams(unclip="inverse")
        self.calls = []  # (number of images, parameters)
        self.go = threading.Event()
        self.busy = threading.Event()
        self.go.set()

    def detect(self, images, params=None):
        self.calls.append((len(images), params))
        self.busy.set()
        assert self.go.wait(20)
        if any(image[0, 0].tolist() == [255, 0, 0] for image in images):
            raise RuntimeError("red")
        return [self._whole(image) for image in images]

    def _whole(self, image):
        height, width = image.shape[:2]
        corners = [[0, 0], [width, 0], [width, height], [0, height]]
        return Detections(Polygons.of([corners]), np.array([image.mean() / 255]))


def picture(kind="PNG", size=(40, 30), color=(128, 128, 128)) -> bytes:
    """An image file of one colour."""
    out = io.BytesIO()
    PIL.Image.new("RGB", size, color).save(out, kind)
    return out.getvalue()


def noise(kind: str) -> bytes:
    """An image file that cannot be compressed."""
    out = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)).save(out, kind)
    return out.getvalue()


def huge_png(side=50_000) -> bytes:
    """A whole PNG that is much work for a decoder that trusts it: a header and one short stream of zeros."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def two_pages() -> bytes:
    """A TIFF of two pages."""
    out = io.BytesIO()
    page = PIL.Image.new("RGB", (40, 30))
    page.save(out, "TIFF", save_all=True, append_images=[page])
    return out.getvalue()


def many_scans() -> bytes:
    """A JPEG of 200 scans."""
    whole = picture("JPEG")
    start = whole.index(b"\xff\xda")
    return whole[:start] + whole[start:-2] * 200 + whole[-2:]
