"""Which kind of weights ``models.pretrained`` names.

The network of a training (``settings.start``) and its weights (``training.start``) are read by the kind that is told
here. No tensor library is imported, and the hub is not asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from hmean.errors import InputError
from hmean.inference.bundled import BUNDLED
from hmean.inference.onnx_file import read_text
from hmean.network.catalogue import by_name, names
from hmean.network.hub import is_repository
from hmean.plugins import did_you_mean

SourceKind = Literal[
    "published", "bundled", "snapshot", "checkpoint", "exported", "fused", "tensors", "missing", "unsupported"
]
KIND_OF_SUFFIX: dict[str, SourceKind] = {
    ".ckpt": "checkpoint",
    ".safetensors": "tensors",
    ".pth": "tensors",
    ".pt": "tensors",
}
WEIGHTS_FILES = [suffix for suffix, kind in KIND_OF_SUFFIX.items() if kind == "tensors"]


def kind_of(source: str) -> SourceKind:
    """What a start is.

    Args:
        source: a name, a repository of the hub, or the path of a file or folder.

    Returns:
        ``published``: a detector of the catalogue; ``bundled``: a model that comes with hmean; ``snapshot``: a folder
        or a repository of the hub with ``config.json`` and ``model.safetensors``; ``checkpoint``, ``exported``: models
        of ours; ``fused``: an ONNX file of another program; ``tensors``: a weights file, which does not say its
        network; ``missing``: neither a name nor a file; ``unsupported``: a file of another kind.
    """
    if by_name(source) is not None:
        return "published"
    if source in BUNDLED:
        return "bundled"
    path = Path(source)
    if path.is_dir() or is_repository(source):
        return "snapshot"
    if not path.is_file():
        return "missing"
    if path.suffix == ".onnx":
        return _kind_of_onnx(path)
    return KIND_OF_SUFFIX.get(path.suffix, "unsupported")


def require_found(source: str) -> None:
    """Refuse a start that is neither a name nor there.

    Raises:
        InputError: with the names that there are.
    """
    if kind_of(source) != "missing":
        return
    known = [*names(), *BUNDLED]
    hint = did_you_mean(source.lower(), known)
    raise InputError(f"models.pretrained={source}: not found; name a file, a folder or one of {', '.join(known)}{hint}")


def _kind_of_onnx(path: Path) -> SourceKind:
    if read_text(path) is None:
        return "fused"
    return "exported"
