"""A checkpoint's network at work: see ``trained.Run``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from hmean.data.datamodule import eval_loader
from hmean.data.dataset import EvalDataset
from hmean.inference.trained import MapOrError
from hmean.network.detector import Detector, probability_maps
from hmean.postprocess.decoding import PageMap
from hmean.settings.config import Config, Dataloader


def run_detector(
    detector: Detector, asked: Sequence[tuple[str, Path]], config: Config, loader: Dataloader
) -> Iterator[MapOrError]:
    """See ``trained.Run``."""
    device = next(detector.parameters()).device
    layout = torch.channels_last if config.trainer.channels_last else torch.contiguous_format
    files = [file for _, file in asked]
    dataset = EvalDataset(
        files, long_side=config.transforms.long_side, pad=config.transforms.pad, fill=detector.encoder.fill
    )
    batches = eval_loader(dataset, loader.batch_size, min(loader.num_workers, len(files)), range(len(files)))
    for batch in batches:
        results = [MapOrError(position, error) for position, error in batch["errors"]]
        if batch["position"]:
            with torch.inference_mode():
                images = batch["image"].to(device).contiguous(memory_format=layout)
                maps = probability_maps(detector, images, batch["view"])
            results += [
                MapOrError(position, PageMap(asked[position][0], probability, view.to_page, *size))
                for position, probability, view, size in zip(
                    batch["position"], maps, batch["view"], batch["size"], strict=True
                )
            ]
        yield from sorted(results, key=lambda result: result.position)
