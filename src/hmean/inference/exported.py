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
from hmean.inference.bundled import is_bundled
from hmean.inference.detector import TextDetector
from hmean.inference.metadata import ExportedMetadata, network_bytes, read_metadata, require_writable, write_metadata
from hmean.inference.trained import Accelerator, PageFile, TrainedModel, Unreadable
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PostprocessChange
from hmean.types import View

if TYPE_CHECKING:
    from torch import Tensor


class ExportedModel(TrainedModel):
    """A file that ``hmean export`` wrote."""

    carried: ExportedMetadata

    def __init__(self, path: Path) -> None:
        super().__init__(path, read_metadata(path))

    @property
    def view(self) -> View:
        """See ``TrainedModel``; an export may have another view than the training."""
        return self.carried.preprocess.view

    @property
    def folder(self) -> Path | None:
        """A folder of the file's name beside it; None for a bundled model."""
        if is_bundled(self.path):
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
        return len(network_bytes(self.path))

    def weights_hash(self) -> str:
        """That of the checkpoint for the same network in single precision, of the file's own network otherwise."""
        return self.carried.weights_hash

    def start(self, view: View, accelerator: Accelerator = "auto") -> ExportedRunner:  # noqa: ARG002
        """See ``TrainedModel``."""
        return ExportedRunner(TextDetector(self.path), view)

    def require_writable(self) -> None:
        """See ``TrainedModel``."""
        if is_bundled(self.path):
            raise InputError(
                f"{self.path}: is a bundled model, which is never changed; copy it to a folder of yours and give the "
                "copy"
            )
        require_writable(self.path)

    def _replace_postprocess(self, change: PostprocessChange, params: PostprocessParams) -> None:
        metadata = read_metadata(self.path)
        provenance = metadata.provenance.model_copy(update={"scores": None})  # they are of the earlier values
        metadata = metadata.model_copy(update={"provenance": provenance})
        write_metadata(self.path, metadata.with_postprocess(change, params))


class ExportedRunner:
    """Pages through an exported network, while threads read images ahead of it (see ``trained.Runner``)."""

    def __init__(self, detector: TextDetector, view: View) -> None:
        self.detector = detector.at(view)

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
