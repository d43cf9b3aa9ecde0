"""Models that come with hmean, by name."""

from __future__ import annotations

from pathlib import Path

from hmean.errors import InputError

BUNDLED = {"receipts-lite": Path(__file__).parents[1] / "weights" / "receipts_lite.onnx"}


def model_path(source: str | Path) -> Path:
    """The file of a bundled model by its name, or the path itself.

    Raises:
        InputError: if there is no such model.
    """
    bundled = BUNDLED.get(str(source))
    if bundled is None:
        path = Path(source)
        if path.suffix == "" and not path.exists():
            raise InputError(f"{source}: not found, neither as a file nor as a bundled model ({', '.join(BUNDLED)})")
        return path
    if not bundled.is_file():
        raise InputError(
            f"{source}: this build of hmean has no bundled model. Give an exported model, or train one: hmean train "
            "preset=receipts_lite, then hmean export run=outputs/receipts_lite"
        )
    return bundled


def is_bundled(path: Path) -> bool:
    """Whether a file is that of a bundled model, which no command writes to."""
    return path in BUNDLED.values()
