"""Records: the layout of every JSON file that hmean writes is one class, which checks what it reads.

``Record`` is a frozen pydantic model. A field's ``description`` is its line in the reference pages, and
``validation_alias`` reads the name that the field had in an earlier version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic
from pydantic import ConfigDict

from hmean.errors import InputError
from hmean.files import read_json, write_json


class Record(pydantic.BaseModel):
    """Base of the records. Keys that a newer version of hmean has added are ignored.

    Attributes:
        remedy: what to do about a file that does not have this layout, for the message.
    """

    remedy: ClassVar[str] = ""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that holds one record.

        Raises:
            InputError: if the file is missing, is not JSON, or does not have this layout; the message names the keys.
        """
        return cls.parse(read_json(path), path)

    @classmethod
    def parse(cls, value: Any, source: Path | str) -> Self:
        """Check plain JSON values; ``source`` is the file (and key) that they come from, for the message."""
        try:
            return cls.model_validate(value)
        except pydantic.ValidationError as error:
            faults = [describe_fault(detail) for detail in error.errors()]
            heading = f"{source}: is not a {cls.__name__} that this version of hmean reads"
            if cls.remedy:
                heading += f"; {cls.remedy}"
            raise InputError.listing(f"{heading}:", faults) from None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, under the names of this version."""
        return self.model_dump(mode="json")

    def write(self, path: Path, *, indent: int | None = 1) -> None:
        """Write the record atomically."""
        write_json(path, self.to_json(), indent=indent)


def describe_fault(detail: Any) -> str:
    """One fault that pydantic found, in words: dotted key, what is wrong, what was given."""
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "missing":
        return f"{key}: is missing"
    message = detail["msg"]
    if detail["type"] == "value_error":
        return f"{key}: {message.removeprefix('Value error, ')}"
    return f"{key}: {message[0].lower()}{message[1:]}, got {detail['input']!r}"
