"""Trained models, opened the same way: a checkpoint, which needs torch, or an exported file, which does not."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import read_image
from hmean.inference.detector import BOX, TextDetector, model_path
from hmean.inference.exported import SUFFIXES, network_bytes, read_about, write_about
from hmean.inference.trained import MapOrError, Run, Trained
from hmean.settings.config import Config, Dataloader, check_components, compose
from hmean.types import PostprocessParams


def open_model(overrides: Sequence[str]) -> tuple[Config, Trained]:
    """The config of a job that uses a trained model: the model's architecture and preprocessing, all else as told.

    Raises:
        InputError: if the config is wrong, names no model, or the model cannot be used.
    """
    config = compose(overrides)
    if config.checkpoint_path is None:
        raise InputError("checkpoint_path: say which model, such as checkpoint_path=outputs/NAME/checkpoints/best.ckpt")
    model = read_model(model_path(config.checkpoint_path))
    carried = {section: model.config[section] for section in ("models", "transforms")}
    config = compose(overrides, carried)
    if not isinstance(model, Exported):
        check_components(config, trusted=config.trusted_targets)
    return config, model


def read_model(path: Path) -> Trained:
    """A checkpoint or an exported file.

    Raises:
        InputError: if it cannot be read, or is a checkpoint where there is no torch.
    """
    if path.suffix in SUFFIXES:
        return Exported(path)
    if path.suffix == ".json":
        raise InputError(f"{path}: an ensemble predicts and is evaluated; all else is done with its members, or with a "
                         "student of theirs (docs/concepts/ensembles.md)")  # fmt: skip
    missing = [name for name in ("torch", "timm", "lightning") if find_spec(name) is None]
    if missing and path.is_file():
        raise InputError(
            f"{path}: a checkpoint needs {', '.join(missing)} (pip install 'hmean[train]'); exported, it does not: "
            "hmean export checkpoint_path=... where it was trained"
        )
    from hmean.inference.checkpoints import load_checkpoint  # noqa: PLC0415 - torch

    return load_checkpoint(path)


class Exported(Trained):
    """A file that ``hmean export`` wrote; it runs without torch."""

    def __init__(self, path: Path) -> None:
        about = read_about(path)
        config, pages = {**about["config"]}, about["pages"]
        head = {**config["models"]["head"], "postprocess": about["postprocess"]}
        config["models"] = {**config["models"], "head": head}
        keys = {part: np.array(pages[part], np.int64) for part in ("train", "val")}
        history = [{**entry, "pages": np.array(entry["pages"], np.int64)} for entry in about["history"]]
        super().__init__(path, config, about["epoch"], history, keys)
        object.__setattr__(self, "about", about)

    about: dict[str, Any]

    @property
    def folder(self) -> Path | None:
        """A folder of the file's name beside it; none for the model in the box."""
        return None if self.path in BOX.values() else self.path.with_suffix("")

    @property
    def size(self) -> int:
        """Bytes of the network, as stored."""
        return sum(len(part) for part in network_bytes(self.path))

    def start(self, config: Config) -> Run:  # noqa: ARG002 - a checkpoint looks there for its device
        """See ``Trained``."""
        return partial(run_exported, TextDetector(self.path))

    def weights_hash(self) -> str:
        """The checkpoint's for the same network in single precision, of the file's own otherwise."""
        return str(self.about["weights_hash"])

    def write_postprocess(self, params: PostprocessParams, why: str, keys: NDArray[np.int64]) -> None:
        """See ``Trained``."""
        about = read_about(self.path)
        until = time.strftime("%Y-%m-%dT%H:%M:%S")
        about["history"].append(
            {"postprocess": about["postprocess"], "until": until, "why": why, "pages": keys.tolist()}
        )
        about["provenance"]["scores"] = None  # of the values until now
        write_about(self.path, {**about, "postprocess": params.to_dict()})


def run_exported(
    detector: TextDetector, asked: Sequence[tuple[str, Path]], config: Config, loader: Dataloader
) -> Iterator[MapOrError]:
    """See ``trained.Run``: threads read ahead of the network."""
    detector = detector.at(config.transforms.long_side, config.transforms.pad)
    with ThreadPoolExecutor(max(1, loader.num_workers)) as pool:
        stream = enumerate(_ahead(pool, _read, [file for _, file in asked], 2 * loader.batch_size))
        while batch := list(islice(stream, loader.batch_size)):
            good = [(position, image) for position, image in batch if not isinstance(image, str)]
            maps = detector.maps([image for _, image in good], [asked[position][0] for position, _ in good])
            found = dict(zip((position for position, _ in good), maps, strict=True))
            for position, image in batch:
                yield MapOrError(position, image if isinstance(image, str) else found[position])


def _read(file: Path) -> Image | str:
    try:
        return read_image(file)
    except InputError as error:
        return str(error)


def _ahead(
    pool: ThreadPoolExecutor, call: Callable[[Path], Image | str], items: Sequence[Path], most: int
) -> Iterator[Image | str]:
    """``call`` of each item in order, at most ``most`` of them waiting to be taken."""
    pending: deque[Future[Image | str]] = deque()
    for item in items:
        pending.append(pool.submit(call, item))
        if len(pending) > most:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
