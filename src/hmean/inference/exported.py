"""Exported models as trained models: they run without torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import read_image
from hmean.inference.detector import BOX, TextDetector
from hmean.inference.metadata import network_bytes, read_about, write_about
from hmean.inference.trained import Accelerator, PageFile, TrainedModel, Unreadable
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import Carried, PostprocessChange
from hmean.types import View

if TYPE_CHECKING:
    from torch import Tensor


class ExportedModel(TrainedModel):
    """A file that ``hmean export`` wrote."""

    def __init__(self, path: Path) -> None:
        self._about = read_about(path)
        super().__init__(path, Carried.parse(self._about, path))

    @property
    def folder(self) -> Path | None:
        """A folder of the file's name beside it; None for a bundled model."""
        if self.path in BOX.values():
            return None
        return self.path.with_suffix("")

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """See ``TrainedModel``."""
        raise InputError(
            f"{self.path}: is an exported model, which holds no weights; give the checkpoint it was made of"
        )

    @property
    def size(self) -> int:
        """Size of the network as stored, in bytes."""
        return sum(len(part) for part in network_bytes(self.path))

    def weights_hash(self) -> str:
        """That of the checkpoint for the same network in single precision, of the file's own network otherwise."""
        return str(self._about["weights_hash"])

    def start(self, view: View, accelerator: Accelerator = "auto") -> ExportedRunner:  # noqa: ARG002
        """See ``TrainedModel``."""
        return ExportedRunner(TextDetector(self.path), view)

    def _replace_postprocess(self, change: PostprocessChange, params: PostprocessParams) -> None:
        about = read_about(self.path)
        about["history"].append(change.to_json())
        about["provenance"]["scores"] = None  # they are of the earlier values
        write_about(self.path, {**about, "postprocess": params.to_dict()})


class ExportedRunner:
    """Pages through an exported network, while threads read images ahead of it (see ``trained.Runner``)."""

    def __init__(self, detector: TextDetector, view: View) -> None:
        self.detector = detector.at(view.long_side, view.pad)

    def at(self, view: View) -> ExportedRunner:
        """See ``Runner``."""
        return ExportedRunner(self.detector, view)

    def __call__(
        self, pages: Sequence[PageFile], *, batch_size: int = 1, workers: int = 0
    ) -> Iterator[PageMap | Unreadable]:
        """See ``Runner``."""
        with ThreadPoolExecutor(max(1, workers)) as pool:
            images = _read_ahead(pool, pages, 2 * batch_size)
            rest = iter(pages)
            while batch := list(islice(rest, batch_size)):
                yield from self._run_batch(batch, list(islice(images, len(batch))))

    def _run_batch(
        self, pages: Sequence[PageFile], images: Sequence[Image | Unreadable]
    ) -> Iterator[PageMap | Unreadable]:
        names = []
        readable = []
        for page, image in zip(pages, images, strict=True):
            if not isinstance(image, Unreadable):
                names.append(page.name)
                readable.append(image)
        maps = iter(self.detector.maps(readable, names))
        for image in images:
            if isinstance(image, Unreadable):
                yield image
            else:
                yield next(maps)


def _read(page: PageFile) -> Image | Unreadable:
    try:
        return read_image(page.path)
    except InputError as error:
        return Unreadable(page.name, str(error))


def _read_ahead(pool: ThreadPoolExecutor, pages: Sequence[PageFile], limit: int) -> Iterator[Image | Unreadable]:
    """The image of each page, in order; at most ``limit`` of them wait to be taken."""
    pending: deque[Future[Image | Unreadable]] = deque()
    for page in pages:
        pending.append(pool.submit(_read, page))
        if len(pending) > limit:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
