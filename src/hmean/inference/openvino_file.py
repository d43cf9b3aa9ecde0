"""OpenVINO files of exported models: their metadata, and the bytes of their network.

A model is an .xml file, which describes the network, and a .bin file of the same name next to it, with the weights. The
metadata is a value of ``rt_info``, the last element of the .xml file.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from hmean.errors import InputError
from hmean.files import write_with

KEY = "hmean"


def _parse(path: Path) -> ET.ElementTree[ET.Element]:
    try:
        return ET.parse(path)  # noqa: S314 - a model of the user's own, which OpenVINO parses next
    except (OSError, ET.ParseError) as error:
        raise InputError(f"{path}: is damaged, or not a model for OpenVINO ({error})") from error


def read_text(path: Path) -> str | None:
    """The metadata of a file; None if there is none.

    Raises:
        InputError: if the file is damaged.
    """
    found = _parse(path).getroot().find(f"rt_info/{KEY}")
    if found is None:
        return None
    return found.get("value")


def network_bytes(path: Path) -> bytes:
    """The weights, and the description without the metadata.

    Raises:
        InputError: if the .bin file is missing.
    """
    weights = path.with_suffix(".bin")
    try:
        description = path.read_bytes().partition(b"<rt_info")[0]
        return weights.read_bytes() + description
    except OSError as error:
        raise InputError(f"{path}: {weights.name} must lie beside it ({error.strerror})") from error


def write_text(path: Path, text: str) -> None:
    """Replace the metadata of a file, atomically.

    Raises:
        InputError: if the file is damaged or cannot be written.
    """
    tree = _parse(path)
    info = tree.getroot().find("rt_info")
    if info is None:
        info = ET.SubElement(tree.getroot(), "rt_info")
    for old in info.findall(KEY):
        info.remove(old)
    ET.SubElement(info, KEY, value=text)
    write_with(path, lambda file: tree.write(file, encoding="utf-8", xml_declaration=True))
