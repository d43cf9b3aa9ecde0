"""Exported models: what the metadata of an ONNX or OpenVINO file says, read and written without either library.

One JSON text under the key ``hmean``: in ONNX an entry of ``metadata_props``, in OpenVINO one of the ``rt_info`` of the
.xml file (its weights lie beside it, in the .bin file of the same name). ``docs/reference/export.md`` lists its fields.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from hmean.errors import InputError
from hmean.files import write_with

FORMAT = 1
SUFFIXES = (".onnx", ".xml")
_KEY = "hmean"
# Of onnx.proto: ModelProto.metadata_props, whose entries are (1: key, 2: value).
_PROPS = 14


def read_about(path: Path) -> dict[str, Any]:
    """The metadata of an exported model.

    Raises:
        InputError: if the file is missing, damaged, or not written by ``hmean export``.
    """
    if path.suffix not in SUFFIXES:
        made_of = f"checkpoint_path={path}" if path.suffix == ".ckpt" else "run=FOLDER"
        raise InputError(f"{path}: is no exported model (.onnx, .xml); make one with: hmean export {made_of}")
    try:
        text = _xml_value(path) if path.suffix == ".xml" else _onnx_value(path.read_bytes())
        about = json.loads(text) if text is not None else {}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such model") from error
    except (OSError, ValueError, IndexError, ET.ParseError) as error:
        raise InputError(f"{path}: damaged, or no exported model ({error})") from error
    if about.get("format") != FORMAT:
        said = f"has format {about['format']}, this hmean reads {FORMAT}" if "format" in about else "hmean made it not"
        raise InputError(f"{path}: {said}; make it with: hmean export run=FOLDER")
    return dict(about)


def write_about(path: Path, about: dict[str, Any]) -> None:
    """Put metadata into an exported model in place of what it says now: atomic, the network's bytes stay."""
    text = json.dumps({**about, "format": FORMAT}, ensure_ascii=False, allow_nan=False)
    if path.suffix == ".xml":
        tree = ET.parse(path)  # noqa: S314 - of the user's own model, which OpenVINO parses next
        info = tree.getroot().find("rt_info")
        info = ET.SubElement(tree.getroot(), "rt_info") if info is None else info
        for old in info.findall(_KEY):
            info.remove(old)
        ET.SubElement(info, _KEY, value=text)
        write_with(path, lambda file: tree.write(file, encoding="utf-8", xml_declaration=True))
        return
    data = path.read_bytes()
    kept = [data[start:end] for field, start, _, end in _fields(data, 0, len(data)) if not _is_ours(data, field, start)]
    entry = _chunk(1, _KEY.encode()) + _chunk(2, text.encode())
    write_with(path, lambda file: file.write(b"".join([*kept, _chunk(_PROPS, entry)])))


def network_hash(path: Path) -> str:
    """SHA-256 of ``network_bytes``."""
    digest = hashlib.sha256()
    for part in network_bytes(path):
        digest.update(part)
    return digest.hexdigest()


def network_bytes(path: Path) -> Iterator[bytes]:
    """All that makes the maps, and no metadata: what stays when thresholds are tuned."""
    data = path.read_bytes()
    if path.suffix == ".xml":
        yield path.with_suffix(".bin").read_bytes()
        yield data.partition(b"<rt_info")[0]
        return
    for field, start, _, end in _fields(data, 0, len(data)):
        if not _is_ours(data, field, start):
            yield data[start:end]


def _xml_value(path: Path) -> str | None:
    found = ET.parse(path).getroot().find(f"rt_info/{_KEY}")  # noqa: S314 - as above
    return None if found is None else found.get("value")


def _onnx_value(data: bytes) -> str | None:
    values = [
        _entry(data, body, end)[2] for field, _, body, end in _fields(data, 0, len(data))
        if field == _PROPS and _entry(data, body, end).get(1) == _KEY.encode()
    ]  # fmt: skip
    return values[-1].decode() if values else None


def _is_ours(data: bytes, field: int, start: int) -> bool:
    if field != _PROPS:
        return False
    (_, _, body, end), *_ = _fields(data, start, len(data))
    return _entry(data, body, end).get(1) == _KEY.encode()


def _entry(data: bytes, start: int, end: int) -> dict[int, bytes]:
    return {field: data[body:stop] for field, _, body, stop in _fields(data, start, end)}


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, start, start of its value, end) of each field of a protobuf message.

    Encoding: https://protobuf.dev/programming-guides/encoding/ ; a model has varints (0) and sized values (2) only.
    """
    while at < end:
        start = at
        tag, at = _varint(data, at)
        if tag & 7 not in (0, 2):
            raise ValueError("no ONNX model")
        size, body = _varint(data, at)
        at = body + size if tag & 7 == 2 else body
        if at > end:
            raise ValueError("cut off")
        yield tag >> 3, start, body, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _chunk(field: int, value: bytes) -> bytes:
    head = b""
    for number in (field << 3 | 2, len(value)):
        while number > 127:
            head += bytes([number & 127 | 128])
            number >>= 7
        head += bytes([number])
    return head + value
