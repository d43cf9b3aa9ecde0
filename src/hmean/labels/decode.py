"""Label files as text and as JSON: whatever the bytes are, the result is right or the message is clear."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TypeVar

import msgspec

from hmean.errors import InputError

T = TypeVar("T")

# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def to_utf8(content: bytes) -> bytes:
    """UTF-8 without a byte order mark; UTF-16 and UTF-32 are known by theirs.

    Raises:
        UnicodeDecodeError: if the content is not what its mark says.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            content = content[len(mark) :]
            if encoding != "utf-8":
                content = content.decode(encoding).encode()
            break
    return content


def decode_text(content: bytes, source: object) -> str:
    """A text file whose lines end with a line feed: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Args:
        content: of the file.
        source: the file (and place in it), for the message.

    Raises:
        InputError: if it is none of these.
    """
    try:
        text = to_utf8(content).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: is not UTF-8 text ({error}); save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def decode_json(content: bytes, source: object, kind: type[T], title: str = "") -> T:
    """A JSON value of a type that msgspec knows.

    Args:
        content: of the file, UTF-8, or UTF-16 and UTF-32 with a byte order mark.
        source: the file (and place in it), for the message.
        kind: the type.
        title: the format that the file looks like ("a COCO file"), for the message.

    Raises:
        InputError: if it is no JSON, or not of this type; the message says where.
    """
    try:
        return msgspec.json.decode(to_utf8(content), type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{source}: {describe_mismatch(str(error), title)}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: is not UTF-8 text ({error}); save it as UTF-8") from None
    except msgspec.DecodeError as error:
        raise InputError(f"{source}: is not JSON ({error}){_hint(content)}") from None
    except RecursionError:
        raise InputError(f"{source}: is nested too deeply for a label file") from None


def _hint(content: bytes) -> str:
    """What may be wrong with a file that is not JSON."""
    if b"NaN" in content or b"Infinity" in content:
        return "; NaN and Infinity are not numbers of JSON"
    return ""


def describe_mismatch(message: str, title: str) -> str:
    """A message of msgspec's, ``Expected `str`, got `int` - at `$.images[3].file_name```, in words."""
    what, _, place = message.partition(" - at `$")
    place = place.strip(".`") or "the whole file"
    missing = what.partition("Object missing required field `")[2].rstrip("`")
    if missing and place == "the whole file":
        fault = f"has no {missing}"
    elif missing:
        fault = f"{place} has no {missing}"
    else:
        fault = f"{place} is wrong ({what[:1].lower()}{what[1:]})"
    if title:
        return f"looks like {title}, but {fault}"
    return fault
