"""The detector of a library user: an exported model, images in, text polygons out. It needs no torch.

detector = hmean.load("receipts-lite")  # a bundled model, or the path of an exported model
found = detector("photo.jpg")           # also bytes, a PIL image, a uint8 array (RGB or grey), or a list of these
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from hmean.data.views import PageView, same_size
from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import Pixels, decode, to_rgb
from hmean.inference.bundled import model_path
from hmean.inference.looks import SeenPage, first_view, look_at
from hmean.inference.metadata import parse_metadata, require_exported, require_same_network
from hmean.inference.networks import open_network
from hmean.postprocess import decoding
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PARAMETERS, PostprocessParams, present_names
from hmean.types import Detections, View

BATCH = 16  # images of a list that are in memory, and at most in one pass of the network
Map = NDArray[np.float32]  # (H, W), P
Source = str | Path | bytes | PIL.Image.Image | NDArray[np.uint8]


def load(source: str | Path, *, threads: int | None = None) -> TextDetector:
    """Open a detector.

    Args:
        source: ``"receipts-lite"``, the bundled model, or the path of an exported model.
        threads: that the network may use; None leaves it to the runtime (all cores).

    Raises:
        InputError: if there is no such model, or the file was not written by ``hmean export``.
    """
    return TextDetector(model_path(source), threads=threads)


class TextDetector:
    """Finds the text on images. It may be used by several threads at a time.

    Args:
        path: of an exported model.
        threads: that the network may use; None leaves it to the runtime (all cores).

    Attributes:
        params: post-processing values, where a call does not give others.
        view: how the network sees pages.
        fill: RGB colour of what pads a view.
        metadata: what the file says: preprocessing, classes, provenance, scores (docs/reference/export.md).
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        require_exported(path)
        self._network = open_network(path, threads)
        self.metadata = parse_metadata(self._network.metadata, path)
        require_same_network(path, self._network.metadata, self.metadata)
        self.params: PostprocessParams = self.metadata.postprocess
        self.view: View = self.metadata.preprocess.view
        self.fill: tuple[int, int, int] = self.metadata.preprocess.fill

    @overload
    def __call__(self, images: Source, **parameters: Any) -> Detections: ...
    @overload
    def __call__(self, images: Sequence[Source], **parameters: Any) -> list[Detections]: ...
    def __call__(self, images: Source | Sequence[Source], **parameters: Any) -> Detections | list[Detections]:
        """The text polygons of one image, or of each of a list, in page pixels and falling order of score.

        Args:
            images: path, bytes of a file, PIL image, or uint8 array (H, W, 3) RGB, (H, W) grey; or a list of these.
            parameters: post-processing parameters for this call, such as ``box_thresh=0.4``
                (``hmean.postprocess.parameters``).

        Raises:
            InputError: if an image cannot be read, or a parameter is unknown or out of range.
        """
        params = with_parameters(self.params, parameters)
        if not isinstance(images, (list, tuple)):
            image = read_source(cast("Source", images))
            return self.detect([image], params)[0]
        found = []
        for some in _batches(images):  # so that a long list need not fit in memory
            found += self.detect([read_source(image) for image in some], params)
        return found

    def detect(self, images: Sequence[Image], params: PostprocessParams | None = None) -> list[Detections]:
        """The text polygons of each uint8 RGB image (H, W, 3); they do not depend on the other images."""
        return [decoding.detect(page, params or self.params) for page in self.maps(images)]

    def maps(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[PageMap]:
        """The probability map of each image, with the way back to its pixels.

        Images whose views have the same size share passes of the network. No view is padded further than it is: what
        lies there would have an influence on the page. With a view of the text there are two passes over a page, or
        three (``looks``).

        Args:
            images: uint8 RGB (H, W, 3).
            names: of the pages, for the maps; by default empty.
        """
        pages = []
        for i, image in enumerate(images):
            height, width = image.shape[:2]
            name = names[i] if names else ""
            pages.append(SeenPage(name, width, height))

        def see(positions: Sequence[int], views: Sequence[PageView]) -> list[Map]:
            maps: dict[int, Map] = {}
            for some in same_size(views, BATCH):
                batch = np.stack([self.draw(images[positions[k]], views[k]) for k in some])
                maps |= zip(some, self._network(batch), strict=True)
            return [maps[k] for k in range(len(views))]

        return look_at(pages, self.view, self.metadata.shrink_ratio, see)

    def at(self, view: View) -> TextDetector:
        """The same network in memory, which sees pages in another way."""
        other = copy(self)
        other.view = view
        return other

    def view_of(self, image: Image) -> PageView:
        """The view of an image that the network is shown first."""
        height, width = image.shape[:2]
        return first_view(width, height, self.view)

    def draw(self, image: Image, view: PageView) -> Image:
        """The pixels of an image's view, the input of the network."""
        height, width = image.shape[:2]
        return view.image(Pixels(image, width, height), self.fill)


def with_parameters(params: PostprocessParams, parameters: dict[str, Any]) -> PostprocessParams:
    """``params`` with some values replaced.

    Raises:
        InputError: if a parameter is unknown or out of range.
    """
    given = present_names(parameters)
    unknown = [name for name in given if name not in PARAMETERS]
    if unknown:
        raise InputError(f"{', '.join(unknown)}: unknown post-processing parameter; there are {', '.join(PARAMETERS)}")
    try:
        return params.replaced(given)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error


def read_source(image: Source) -> Image:
    """Upright uint8 RGB (H, W, 3) of anything that is an image.

    Raises:
        InputError: if it is not an image.
    """
    if isinstance(image, np.ndarray):
        return _check_array(image)
    if isinstance(image, PIL.Image.Image):
        return to_rgb(image)
    if isinstance(image, bytes | bytearray):
        return decode(io.BytesIO(image)).image
    if isinstance(image, str | os.PathLike):
        return decode(Path(image)).image
    raise InputError(f"an image must be a path, bytes, a PIL image or a uint8 array, not {type(image).__name__}")


def _check_array(array: NDArray[Any]) -> Image:
    is_image = array.dtype == np.uint8 and array.size > 0
    if is_image and array.ndim == 3 and array.shape[2] == 3:
        return array
    if is_image and array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if is_image and array.ndim == 3 and array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    raise InputError(f"an array must be uint8 (H, W, 3) RGB or (H, W) grey, got {array.dtype} {array.shape}")


def _batches(images: Sequence[Source]) -> Iterator[Sequence[Source]]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]
