"""Exported networks at work, on ONNX Runtime or OpenVINO."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.inference import onnx_file, openvino_file

Images = NDArray[np.uint8]
Maps = NDArray[np.float32]


class Network(Protocol):
    """An exported network. It may be called by several threads at a time."""

    metadata: str | None  # as it is in the file

    def __call__(self, images: Images) -> Maps:
        """Views of pages (N, H, W, 3), H and W multiples of 32, to P (N, H, W)."""


class OnnxNetwork:
    """A network on ONNX Runtime."""

    def __init__(self, path: Path, threads: int | None) -> None:
        self._session = onnx_file.open_session(path, threads=threads)
        self.metadata = onnx_file.session_text(self._session)

    def __call__(self, images: Images) -> Maps:
        """See ``Network``."""
        maps: Maps = self._session.run(None, {"image": images})[0]
        return maps


class OpenVinoNetwork:
    """A network on OpenVINO."""

    def __init__(self, path: Path, threads: int | None) -> None:
        if find_spec("openvino") is None:
            raise InputError(f"{path}: needs OpenVINO; install it with: pip install openvino")
        import openvino  # noqa: PLC0415 - an extra

        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        self.metadata = openvino_file.read_text(path)
        try:
            self._compiled = openvino.Core().compile_model(path, "CPU", options)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"{path}: OpenVINO cannot read it ({path.stem}.bin must lie beside it): {reason}"
            ) from error

    def __call__(self, images: Images) -> Maps:
        """See ``Network``."""
        # Each call has a request of its own: the compiled model's is shared by all threads.
        maps: Maps = self._compiled.infer_new_request(images)[0]
        return maps


def open_network(path: Path, threads: int | None = None) -> Network:
    """Bring the network of an exported model into memory.

    Args:
        path: an .onnx or .xml file.
        threads: that it may use; None leaves it to the runtime (all cores).

    Raises:
        InputError: if the runtime is not installed, or cannot read the file.
    """
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, or None for all cores; got {threads}")
    if path.suffix == ".xml":
        return OpenVinoNetwork(path, threads)
    return OnnxNetwork(path, threads)
