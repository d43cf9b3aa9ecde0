"""The network of a checkpoint at work (see ``trained.Runner``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from hmean.data.datamodule import eval_loader
from hmean.data.dataset import EvalDataset, PageBatch
from hmean.inference.trained import PageFile, Unreadable
from hmean.network.detector import Detector, probability_maps
from hmean.postprocess.decoding import PageMap
from hmean.types import View


class TorchRunner:
    """Batches of letterboxed pages through a network, in inference mode.

    Args:
        detector: in evaluation mode, on its device.
        view: how it sees pages.
        layout: memory format of the network and its input.
    """

    def __init__(self, detector: Detector, view: View, layout: torch.memory_format) -> None:
        self.detector = detector
        self.view = view
        self.layout = layout

    def at(self, view: View) -> TorchRunner:
        """See ``Runner``."""
        return TorchRunner(self.detector, view, self.layout)

    def __call__(
        self, pages: Sequence[PageFile], *, batch_size: int = 1, workers: int = 0
    ) -> Iterator[PageMap | Unreadable]:
        """See ``Runner``."""
        dataset = EvalDataset(
            [page.path for page in pages],
            long_side=self.view.long_side,
            pad=self.view.pad,
            fill=self.detector.encoder.fill,
        )
        for batch in eval_loader(dataset, batch_size, min(workers, len(pages)), range(len(pages))):
            found: dict[int, PageMap | Unreadable] = {}
            for page in batch.unreadable:
                found[page.position] = Unreadable(pages[page.position].name, page.error)
            if batch.positions:
                found |= self._run_batch(batch, pages)
            for position in sorted(found):
                yield found[position]

    def _run_batch(self, batch: PageBatch, pages: Sequence[PageFile]) -> dict[int, PageMap | Unreadable]:
        """The maps of the readable pages of a batch, by position."""
        device = next(self.detector.parameters()).device
        with torch.inference_mode():
            images = batch.images.to(device).contiguous(memory_format=self.layout)
            maps = probability_maps(self.detector, images, batch.views)
        found: dict[int, PageMap | Unreadable] = {}
        for position, probability, view, size in zip(batch.positions, maps, batch.views, batch.sizes, strict=True):
            found[position] = PageMap(pages[position].name, probability, view.to_page, *size)
        return found
