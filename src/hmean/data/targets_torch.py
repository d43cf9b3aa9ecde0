"""The maps of ``hmean.data.targets`` made on the training device: padded polygons travel there instead of maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hmean.data.targets import THRESHOLD_HIGH, THRESHOLD_LOW
from hmean.types import Polygons

# Pixels of the words' windows that are worked on at a time: about 150 MB.
PIXELS = 1 << 21


def pack(polygons: Polygons, distances: NDArray[np.float64]) -> dict[str, Tensor]:
    """K words of one view as ``words`` (K, V, 2), the last corner repeated up to V, and ``distances`` (K,): float32.

    Args:
        polygons: in view pixels.
        distances: D of each, or -1, see ``targets.shrink_distances``.
    """
    counts = np.diff(polygons.offsets)
    corner = np.minimum(np.arange(counts.max(initial=3)), counts[:, None] - 1)
    words = polygons.points[polygons.offsets[:-1, None] + corner]
    return {"words": torch.from_numpy(np.float32(words)), "distances": torch.from_numpy(np.float32(distances))}


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Packed views of N pages as one: ``words`` (W, V, 2), ``distances`` (W,) and ``page`` (W,), each word's page."""
    corners = max(item["words"].shape[1] for item in items)
    words = [torch.cat([w, w[:, -1:].expand(-1, corners - w.shape[1], -1)], dim=1) for w in (i["words"] for i in items)]
    counts = torch.tensor([len(w) for w in words])
    return {
        "words": torch.cat(words),
        "distances": torch.cat([item["distances"] for item in items]),
        "page": torch.repeat_interleave(torch.arange(len(items)), counts),
    }


def make_targets(
    words: Tensor, distances: Tensor, page: Tensor, *, shape: tuple[int, int, int], antialias: bool
) -> dict[str, Tensor]:
    """The maps of ``targets.Targets``, each (N, H, W), from collated words.

    Each word is measured in the window that it reaches; windows of like size are stacked, so that the work is
    pixels x corners with bounded memory. In float32: coordinates of more than some thousand pixels lose digits.

    Args:
        words: (W, V, 2).
        distances: (W,).
        page: (W,).
        shape: N, H, W.
        antialias: see ``targets.make_targets``.
    """
    pages, height, width = shape
    reach = (distances.clamp(min=0) + 0.5 * antialias)[:, None]
    size = words.new_tensor([width, height])
    low = (words.amin(dim=1) - reach - 0.5).ceil().clamp(min=0).minimum(size)
    high = (words.amax(dim=1) + reach + 0.5).ceil().clamp(min=0).minimum(size)
    # Five maxima over words, and one place for the pixels of a stack that are beyond a word's own window.
    canvas = words.new_zeros(5, pages * height * width + 1)
    for stack, columns, rows in _stacks((high - low).long().cpu().numpy()):
        which = torch.from_numpy(stack).to(words.device)
        x, y = (torch.arange(n, device=words.device) for n in (columns, rows))
        corner, (right, bottom) = low[which], (high - low)[which].T[..., None, None]
        nearest, inside = _measure(words[which] - corner[:, None], x + 0.5, y[:, None] + 0.5)
        d = distances[which][:, None, None]
        is_word, distance = d >= 0, nearest.sqrt()
        if antialias:
            covered = (0.5 + torch.where(inside, distance, -distance) - d).clamp(0, 1)
        else:
            covered = (inside & (distance >= d)).float()
        closeness = (1 - distance / d.clamp(min=1e-6)).clamp(min=0)
        found = torch.stack([covered, closeness, (inside | (distance <= d)).float(), inside.float(), inside.float()])
        found *= torch.stack([is_word, is_word, is_word, is_word, ~is_word])
        left, top = corner.long().T[..., None, None]
        place = (page[which][:, None, None] * height + top + y[:, None]) * width + left + x
        place = torch.where((x < right) & (y[:, None] < bottom), place, canvas.shape[1] - 1)
        canvas.scatter_reduce_(1, place.reshape(1, -1).expand(5, -1), found.reshape(5, -1), "amax")
    shrink, closeness, band, text, ignored = canvas[:, :-1].reshape(5, pages, height, width)
    return {
        "shrink": (255 * shrink + 0.5).to(torch.uint8),
        "threshold": THRESHOLD_LOW + (THRESHOLD_HIGH - THRESHOLD_LOW) * closeness,
        "band": band.to(torch.uint8),
        "valid": (1 - ignored * (1 - text)).to(torch.uint8),
    }


def _stacks(sides: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int, int]]:
    """Indices of words whose windows (W, 2) are worked on together, and the window (columns, rows) that holds each."""
    order = np.argsort(-sides.prod(axis=1), kind="stable")
    order = order[sides[order].all(axis=1)]  # none is in view of the rest
    start = 0
    while start < len(order):
        widest = np.maximum.accumulate(sides[order[start:]], axis=0)
        pixels = widest.prod(axis=1) * np.arange(1, len(widest) + 1)
        count = max(1, int(np.searchsorted(pixels, PIXELS, side="right")))
        yield order[start : start + count], *widest[count - 1].tolist()
        start += count


def _measure(words: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance (n, h, w) of points x (w,), y (h, 1) to outlines (n, V, 2), and whether they are inside."""
    nearest = words.new_full((len(words), y.shape[0], x.shape[0]), torch.inf)
    inside = torch.zeros_like(nearest, dtype=torch.bool)
    starts = words.roll(1, dims=1)
    lengths = (words - starts).norm(dim=2)
    directions = (words - starts) / lengths.clamp(min=1e-12)[..., None]
    for i in range(words.shape[1]):
        (ax, ay), (bx, by) = starts[:, i].T[..., None, None], words[:, i].T[..., None, None]
        ux, uy = directions[:, i].T[..., None, None]
        length = lengths[:, i, None, None]
        along, across = (x - ax) * ux + (y - ay) * uy, (x - ax) * uy - (y - ay) * ux
        beyond = torch.maximum(-along, along - length).clamp(min=0)
        square = torch.where(length > 0, across.square() + beyond.square(), torch.inf)  # a point is its neighbours' end
        nearest = torch.minimum(nearest, square)
        inside ^= ((ay > y) != (by > y)) & (x < ax + (bx - ax) * ((y - ay) / (by - ay)))
    return nearest, inside
