"""ONNX files of exported models: their metadata, and the bytes of their network.

The metadata is one text under a key of ``metadata_props``. ONNX Runtime reads it; the onnx package is needed only to
write it. It is the last thing in the file: a file is the network, followed by a model that has nothing but metadata,
and protobuf reads two messages in a row as one. So the network's bytes stay as they are whenever metadata is written.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hmean.errors import InputError
from hmean.files import write_with

KEY = "hmean"


def open_session(path: Path, *, threads: int | None = None, optimised: bool = True) -> Any:
    """An ``onnxruntime.InferenceSession`` on the processor.

    Args:
        path: the file.
        threads: that the network may use; None leaves it to the runtime (all cores).
        optimised: whether the network will run; without that, opening a file takes less time.

    Raises:
        InputError: if ONNX Runtime cannot read the file.
    """
    import onnxruntime  # noqa: PLC0415 - slow to import, and not needed for OpenVINO

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises kinds of its own that share no base
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: is damaged, or not a model for ONNX Runtime ({reason})") from error


def session_text(session: Any) -> str | None:
    """The metadata of the file that a session has opened; None if there is none."""
    text: str | None = session.get_modelmeta().custom_metadata_map.get(KEY)
    return text


def read_text(path: Path) -> str | None:
    """The metadata of a file; None if there is none.

    Raises:
        InputError: if ONNX Runtime cannot read the file.
    """
    return session_text(open_session(path, threads=1, optimised=False))


def network_bytes(path: Path, text: str | None) -> bytes:
    """The file without its metadata ``text``.

    Raises:
        InputError: if the metadata is not the last thing in the file: another program has written it.
    """
    data = path.read_bytes()
    if text is None:
        return data
    encoded = text.encode()
    if not data.endswith(encoded):
        raise InputError(f"{path}: was changed by another program; export the model again")
    return data[: -_metadata_length(len(encoded))]


def _metadata_length(text_length: int) -> int:
    """Length of the metadata at the end of a file: one entry of ``metadata_props``, which is a key and a value."""
    return _field_length(_field_length(len(KEY)) + _field_length(text_length))


def _field_length(content_length: int) -> int:
    """Length of a field in protobuf: a tag of one byte, the content's length with 7 bits in each byte, the content."""
    length_bytes = max(1, -(-content_length.bit_length() // 7))
    return 1 + length_bytes + content_length


def require_writer(path: Path) -> None:
    """Check that metadata can be written.

    Raises:
        InputError: if the onnx package is not installed.
    """
    if find_spec("onnx") is None:
        raise InputError(
            f"{path}: writing into an ONNX file needs the onnx package; install it with: pip install 'hmean[export]', "
            "or alone with: pip install onnx"
        )


def write_text(path: Path, text: str) -> None:
    """Replace the metadata of a file, atomically.

    Raises:
        InputError: if the onnx package is not installed, or the file cannot be read or written.
    """
    require_writer(path)
    import onnx  # noqa: PLC0415 - an extra

    network = network_bytes(path, read_text(path))
    entry = onnx.StringStringEntryProto(key=KEY, value=text)
    metadata = onnx.ModelProto(metadata_props=[entry]).SerializeToString()
    write_with(path, lambda file: file.write(network + metadata))
