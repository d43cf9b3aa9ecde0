"""A detector that needs no torch: an exported model on ONNX Runtime (or OpenVINO), images in, ``Detections`` out.

detector = hmean.load("receipts-lite")  # the model in the box, or the path of one that hmean export wrote
found = detector("photo.jpg")           # also bytes, a PIL image, a uint8 array (RGB or grey), or a list of these
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from hmean.data.views import PageView, letterbox
from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import Pixels, decode, to_rgb
from hmean.inference.metadata import network_hash, read_about
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.decoding import detect as find_regions
from hmean.postprocess.parameters import PostprocessParams, present_names
from hmean.types import Detections, Pad

BOX = {"receipts-lite": Path(__file__).parents[1] / "weights" / "receipts_lite.onnx"}
AT_ONCE = 16  # pages of a list that are in memory, and at most in one pass of the network
Source = str | Path | bytes | PIL.Image.Image | NDArray[np.uint8]
Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # pages (N, H, W, 3) -> P (N, H, W)


def load(source: str | Path, *, threads: int | None = None) -> TextDetector:
    """Open a detector: ``"receipts-lite"``, the model in the box, or a file that ``hmean export`` wrote.

    Args:
        source: name or path.
        threads: of the network; None leaves it to the runtime (all cores).

    Raises:
        InputError: if there is no such model, or the file is not one of hmean's.
    """
    return TextDetector(model_path(source), threads=threads)


def model_path(source: str | Path) -> Path:
    """The file of a model in the box, or the path itself."""
    boxed = BOX.get(str(source))
    if boxed is not None and not boxed.is_file():
        raise InputError(
            f"{source}: this build of hmean has no model in the box. Give one that hmean export wrote, or train one: "
            "hmean train preset=receipts_lite, then hmean export run=outputs/receipts_lite"
        )
    if boxed is None and Path(source).suffix == "" and not Path(source).exists():
        raise InputError(f"{source}: no such file, nor the name of a model in the box; there is {', '.join(BOX)}")
    return boxed or Path(source)


class TextDetector:
    """Text regions of images. Safe to use from several threads at a time.

    Attributes:
        params: post-processing values that hold unless a call says otherwise.
        long_side: pixels of a page's longest side, as the network sees it.
        pad, fill: how its view is filled up (``data.views.letterbox``), and with what colour.
        about: the model's metadata: preprocessing, classes, provenance, scores (docs/reference/export.md).
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self.about: dict[str, Any] = read_about(path)
        self.params = PostprocessParams.from_dict(self.about["postprocess"])
        preprocess = self.about["preprocess"]
        self.long_side: int = preprocess["long_side"]
        self.pad: Pad = preprocess["pad"]
        self.fill: tuple[int, int, int] = tuple(preprocess["fill"])
        self._network = open_network(path, threads)
        if "network_hash" not in self.about:
            raise InputError(f"{path}: was exported by an earlier hmean; export it again: hmean export run=FOLDER")
        if network_hash(path) != self.about["network_hash"]:
            raise InputError(f"{path}: holds another network than was exported: damaged or changed; export it again")

    @overload
    def __call__(self, images: Source, **knobs: Any) -> Detections: ...
    @overload
    def __call__(self, images: Sequence[Source], **knobs: Any) -> list[Detections]: ...
    def __call__(self, images: Source | Sequence[Source], **knobs: Any) -> Detections | list[Detections]:
        """Regions of one image, or of each of a list, in page pixels and falling order of score.

        Args:
            images: path, bytes of a file, PIL image, or uint8 array (H, W, 3) RGB, (H, W) grey; or a list of these.
            knobs: post-processing values for this call, such as ``box_thresh=0.4`` (``hmean.postprocess.decoding``).

        Raises:
            InputError: if an image cannot be read, or a knob is unknown or out of range.
        """
        params = with_knobs(self.params, knobs)
        if not isinstance(images, (list, tuple)):
            return self.detect([read(cast("Source", images))], params)[0]
        rest = iter(images)
        parts = iter(lambda: [read(image) for image in islice(rest, AT_ONCE)], [])  # a long list need not fit in memory
        return [found for part in parts for found in self.detect(part, params)]

    def detect(self, images: Sequence[Image], params: PostprocessParams | None = None) -> list[Detections]:
        """Regions of each uint8 RGB image (H, W, 3); they do not depend on what else is in the batch."""
        return [find_regions(page, params or self.params) for page in self.maps(images)]

    def maps(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[PageMap]:
        """P of each image, with the way back to its pixels.

        Images whose views are of one size share passes of the network. None is padded beyond its own view, since what
        lies there would reach into the page.
        """
        views = [self.view(image.shape[1], image.shape[0]) for image in images]
        found: list[PageMap | None] = [None] * len(images)
        for batch in _alike(views):
            pages = np.stack([self.draw(images[i], views[i]) for i in batch])
            for i, p in zip(batch, self._network(pages), strict=True):
                height, width = images[i].shape[:2]
                found[i] = PageMap(names[i] if names else "", p, views[i].to_page, width, height)
        return cast("list[PageMap]", found)

    def at(self, long_side: int, pad: Pad) -> TextDetector:
        """The same network on another view of the page."""
        other = copy(self)
        other.long_side, other.pad = long_side, pad
        return other

    def view(self, width: int, height: int) -> PageView:
        """How the network sees a page of this size."""
        return letterbox(width, height, self.long_side, self.pad)

    def draw(self, image: Image, view: PageView) -> Image:
        """The page in a view that ``self.view`` gave: what the network is shown."""
        return view.image(Pixels(image, image.shape[1], image.shape[0]), self.fill)


def with_knobs(params: PostprocessParams, knobs: dict[str, Any]) -> PostprocessParams:
    """``params`` with some values replaced.

    Raises:
        InputError: naming every unknown knob, or values out of range.
    """
    knobs = present_names(knobs)
    unknown = [name for name in knobs if name not in params.to_dict()]
    if unknown:
        raise InputError(
            f"{', '.join(unknown)}: no such post-processing value; there are {', '.join(params.to_dict())}"
        )
    try:
        return params.replaced(knobs)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error


def read(image: Source) -> Image:
    """Upright uint8 RGB (H, W, 3) of anything that is an image.

    Raises:
        InputError: if it is none.
    """
    if isinstance(image, np.ndarray):
        if (
            image.dtype != np.uint8
            or image.ndim not in (2, 3)
            or image.shape[2:] not in ((), (1,), (3,))
            or not image.size
        ):
            raise InputError(f"an array must be uint8 (H, W, 3) RGB or (H, W) grey, got {image.dtype} {image.shape}")
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2) if image.shape[2:] != (3,) else image
    if isinstance(image, PIL.Image.Image):
        return to_rgb(image)
    if isinstance(image, bytes | bytearray):
        return decode(io.BytesIO(image)).image
    if isinstance(image, str | os.PathLike):
        return decode(Path(image)).image
    raise InputError(f"an image is a path, bytes, a PIL image or a uint8 array, not {type(image).__name__}")


def _alike(views: Sequence[PageView]) -> Iterator[list[int]]:
    """Positions of views of one size, at most ``AT_ONCE`` together."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for i, view in enumerate(views):
        by_size.setdefault((view.width, view.height), []).append(i)
    for group in by_size.values():
        for start in range(0, len(group), AT_ONCE):
            yield group[start : start + AT_ONCE]


def open_network(path: Path, threads: int | None) -> Network:
    """The network of an exported model on the processor: ONNX Runtime, or OpenVINO for an .xml file.

    Raises:
        InputError: if the runtime is not installed, or refuses the file.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, or None for all cores; got {threads}")
    if path.suffix == ".xml":
        if find_spec("openvino") is None:
            raise InputError(f"{path}: needs OpenVINO: pip install openvino")
        import openvino  # noqa: PLC0415 - an extra

        options = {} if threads is None else {"INFERENCE_NUM_THREADS": threads}
        try:
            compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **options})
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"{path}: OpenVINO cannot use it ({path.stem}.bin must lie beside it): {reason}"
            ) from error
        return lambda pages: compiled.infer_new_request(pages)[0]  # calling it would share one request among threads
    import onnxruntime  # noqa: PLC0415 - slow to import, and not needed for OpenVINO

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = threads or 0
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises kinds of its own that share no base
        raise InputError(f"{path}: ONNX Runtime cannot use it ({str(error).splitlines()[0]})") from error
    return lambda pages: session.run(None, {"image": pages})[0]
