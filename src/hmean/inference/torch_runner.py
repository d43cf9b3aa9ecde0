"""The network of a checkpoint at work (see ``trained.Runner``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmean.data.datamodule import eval_loader
from hmean.data.dataset import EvalDataset, PageBatch, view_tensor
from hmean.data.views import PageView, same_size
from hmean.images import Decoder, decode
from hmean.inference.looks import SeenPage, look_at
from hmean.inference.trained import PageFile, Unreadable
from hmean.network.detector import Detector, probability_maps
from hmean.postprocess.decoding import PageMap
from hmean.types import View

Map = NDArray[np.float32]  # (H, W), P


class TorchRunner:
    """Batches of pages through a network, in inference mode.

    Args:
        detector: in evaluation mode, on its device.
        view: how it sees pages.
        layout: memory format of the network and its input.
        shrink_ratio: that it was trained with.
    """

    def __init__(self, detector: Detector, view: View, layout: torch.memory_format, shrink_ratio: float) -> None:
        self.detector = detector
        self.view = view
        self.layout = layout
        self.shrink_ratio = shrink_ratio

    def at(self, view: View) -> TorchRunner:
        """See ``Runner``."""
        return TorchRunner(self.detector, view, self.layout, self.shrink_ratio)

    def __call__(
        self, pages: Sequence[PageFile], *, batch_size: int = 1, workers: int = 0
    ) -> Iterator[PageMap | Unreadable]:
        """See ``Runner``."""
        dataset = eval_dataset([page.path for page in pages], self.view, self.detector.encoder.fill)
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
        names = [pages[position].name for position in batch.positions]
        with torch.inference_mode():
            maps = look_at_batch(self.detector, batch, names, self.view, self.shrink_ratio, self.layout)
        return dict(zip(batch.positions, maps, strict=True))


def eval_dataset(
    files: Sequence[Path], view: View, fill: tuple[int, int, int], decode: Decoder = decode
) -> EvalDataset:
    """The first look at each page; ``look_at_batch`` takes the looks that follow.

    Args:
        files: images.
        view: how a network sees pages.
        fill: colour of the padding, RGB.
        decode: ``hmean.images.decode``, or a cache in front of it.
    """
    long_side = view.long_side
    if view.text is not None:
        long_side = view.text.first_look
    return EvalDataset(
        files, long_side=long_side, pad=view.pad, fill=fill, decode=decode, keep_pages=view.text is not None
    )


def look_at_batch(
    detector: Detector,
    batch: PageBatch,
    names: Sequence[str],
    view: View,
    shrink_ratio: float,
    layout: torch.memory_format,
) -> list[PageMap]:
    """The maps of the readable pages of a batch.

    Args:
        detector: in evaluation mode.
        batch: of ``eval_dataset``.
        names: of its readable pages.
        view: that ``eval_dataset`` was made with.
        shrink_ratio: that the detector was trained with.
        layout: memory format of the network's input.
    """
    device = next(detector.parameters()).device
    fill = detector.encoder.fill
    pages = [SeenPage(name, *size) for name, size in zip(names, batch.sizes, strict=True)]

    def run(images: Tensor, views: Sequence[PageView]) -> list[Map]:
        return probability_maps(detector, images.to(device).contiguous(memory_format=layout), views)

    def draw(position: int, seen: PageView) -> Tensor:
        if seen is batch.views[position]:
            return batch.images[position, :, : seen.height, : seen.width]
        return view_tensor(batch.pages[position], seen, fill)

    def see(positions: Sequence[int], views: Sequence[PageView]) -> list[Map]:
        if not batch.pages:  # there is one look only
            return run(batch.images, views)
        maps: dict[int, Map] = {}
        for some in same_size(views, len(views)):
            images = torch.stack([draw(positions[k], views[k]) for k in some])
            maps |= zip(some, run(images, [views[k] for k in some]), strict=True)
        return [maps[k] for k in range(len(views))]

    return look_at(pages, view, shrink_ratio, see, batch.views)
