"""Detectors as ``config.json`` and ``model.safetensors``: in a folder, or in a repository of the Hugging Face hub.

This module imports no tensor library, and huggingface_hub only where a repository is asked for.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hmean.errors import InputError
from hmean.network.catalogue import PretrainedDetector, by_architecture, by_hub

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_FILES = (".ckpt", ".onnx", ".safetensors", ".pth", ".pt")
# What shapes of tensors do not show: values that networks of ours have, where the config says something of them.
_VALUES: dict[str, list[Any]] = {"interpolate_mode": ["nearest"], "scale_factor_list": [[1, 2, 4, 8]]}
_BACKBONE_VALUES: dict[str, list[Any]] = {
    "hidden_act": ["relu", "hardswish"],
    "stem_strides": [[2, 1, 1, 2, 1]],
    "stage_downsample_strides": [[2, 2, 2, 2]],
}


def is_repository(source: str) -> bool:
    """Whether a start is to be looked for on the hub: ``owner/name``, and neither is a file or folder here.

    Where there is a folder ``owner``, a name below it that does not exist is a typing error, not a repository.
    """
    if source.endswith(_FILES) or _REPOSITORY.fullmatch(source) is None:
        return False
    owner = source.partition("/")[0]
    return not Path(source).exists() and not Path(owner).is_dir()


def find_file(source: str, name: str) -> Path:
    """A file of a folder or of a repository, which is downloaded once.

    Raises:
        InputError: if there is no such file, or the hub cannot be reached.
    """
    if not is_repository(source):
        path = Path(source) / name
        if not path.is_file():
            raise InputError(
                f"models.pretrained={source}: the folder has no {name}; a folder to start from holds {CONFIG} and "
                f"{WEIGHTS} of a detector (of a run, give its checkpoints/best.ckpt)"
            )
        return path
    return _download(source, name)


def network_of(source: str) -> PretrainedDetector:
    """The detector of the catalogue that has the network of a folder or of a repository.

    Raises:
        InputError: if its ``config.json`` cannot be read, or is of another network.
    """
    path = find_file(source, CONFIG)
    try:
        config = json.loads(path.read_text())
        model_type = str(config["model_type"])
        backbone = config.get("backbone_config") or {}
        detector = by_architecture(model_type, _first_channels(backbone))
        fault = _difference(config, _VALUES) or _difference(backbone, _BACKBONE_VALUES)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not the config of a detector ({error!r})") from error
    if detector is None:
        raise InputError(
            f"models.pretrained={source}: its network (model_type {model_type}) is not supported; PP-OCRv6 tiny, small "
            "and medium and PP-OCRv5 mobile and server are"
        )
    if fault is not None:
        raise InputError(f"models.pretrained={source}: is {detector.title} with {fault}, which is not supported")
    return detector


def _first_channels(backbone: Mapping[str, Any]) -> int | None:
    stem = backbone.get("stem_channels")
    if isinstance(stem, list) and len(stem) > 1:
        return int(stem[1])
    return None


def _difference(config: Mapping[str, Any], values: Mapping[str, list[Any]]) -> str | None:
    """The first value that networks of ours do not have."""
    for key, known in values.items():
        if config.get(key, known[0]) not in known:
            return f"{key} {config[key]}"
    return None


def _download(repository: str, name: str) -> Path:
    try:
        import huggingface_hub  # noqa: PLC0415 - only the hub needs it; timm brings it
    except ImportError as error:
        raise InputError(f"models.pretrained={repository}: install hmean[train]") from error
    try:
        with _quiet(huggingface_hub):
            known = huggingface_hub.try_to_load_from_cache(repository, name)
            if isinstance(known, str):
                return Path(known)
            print(f"asking huggingface.co for {name} of {repository}", file=sys.stderr, flush=True)
            return Path(huggingface_hub.hf_hub_download(repository, name))
    except (OSError, ValueError, huggingface_hub.errors.EntryNotFoundError) as error:
        raise InputError(_not_reached(repository, name, error)) from error


@contextmanager
def _quiet(hub: Any) -> Iterator[None]:
    """Without a warning for each try: what comes of them is told once, at the end."""
    before = hub.utils.logging.get_verbosity()
    hub.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        hub.utils.logging.set_verbosity(before)


def _not_reached(repository: str, name: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    published = by_hub(repository)
    start = f"{name} of {repository} cannot be had from huggingface.co ({reason})"
    if published is not None:
        return f"{start}; get the weights of {published.title}: {published.how_to_get()}"
    return (
        f"{start}; nothing of this machine has that name either; download {CONFIG} and {WEIGHTS} elsewhere and give "
        "their folder"
    )
