"""The records that everything passes on: frozen, checked when made, JSON both ways.

Coordinates are pixels of the upright page image, origin at its top-left corner, x to the right, y down. They are
continuous: the centre of the first pixel is (0.5, 0.5) and the page spans [0, width] x [0, height].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]  # (n, 2)
Characters = Literal["transcription", "aspect"]
Statistic = Literal["macro", "pooled", "iou50", "iou70"]  # an hmean
Pad = Literal["square", "stride"]


@dataclass(frozen=True)
class View:
    """How a network sees whole pages.

    Attributes:
        long_side: length of the page's longest side, in pixels.
        pad: ``square`` fills the view up to ``long_side`` x ``long_side``, ``stride`` only to the next multiple of 32.
    """

    long_side: int
    pad: Pad


@dataclass(frozen=True, eq=False)
class Polygons:
    """K polygons of any vertex count as one ragged array: ``points`` (P, 2) and ``offsets`` (K + 1,).

    Float64, so that labels survive a trip through JSON unchanged.

    Raises:
        ValueError: if the offsets do not fit the points, a polygon has fewer than 3 of them, or one is not finite.
    """

    points: Points
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2 or self.points.dtype != np.float64:
            raise ValueError(f"points must be a float64 array of shape (P, 2), got {self.points.shape}")
        if (
            self.offsets.ndim != 1
            or len(self.offsets) == 0
            or self.offsets[0] != 0
            or self.offsets[-1] != len(self.points)
        ):
            raise ValueError("offsets must run from 0 to the number of points")
        if len(self.offsets) > 1 and int(np.diff(self.offsets).min()) < 3:
            raise ValueError("a polygon needs at least 3 points")
        if not np.isfinite(self.points).all():
            raise ValueError("a polygon has a coordinate that is not a finite number")

    @classmethod
    def of(cls, polygons: Iterable[ArrayLike]) -> Self:
        """Make from a sequence of (n, 2) point lists."""
        arrays = [np.asarray(p, dtype=np.float64) for p in polygons]
        if any(a.ndim != 2 or a.shape[1] != 2 for a in arrays):
            raise ValueError("a polygon is a list of [x, y] pairs")
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(a) for a in arrays], out=offsets[1:])
        return cls(np.concatenate(arrays) if arrays else np.zeros((0, 2)), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Points:
        if not -len(self) <= index < len(self):  # the sequence protocol ends a for loop on this
            raise IndexError(index)
        index %= len(self)
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[Points]:
        return (self[i] for i in range(len(self)))

    def select(self, which: NDArray[Any]) -> Polygons:
        """The polygons at a boolean mask (K,) or integer indices, in the order given."""
        index = np.arange(len(self))[which]
        lengths = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        from_start = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], lengths)
        return Polygons(self.points[from_start], offsets)

    def with_points(self, points: Points) -> Polygons:
        """The same polygons, moved: ``points`` (P, 2) replaces the coordinates one for one."""
        return Polygons(np.ascontiguousarray(points, dtype=np.float64), self.offsets)


@dataclass(frozen=True, eq=False)
class Page:
    """One labelled (or unlabelled) image: K words, each a polygon with its id, text and ignore flag.

    ``words_known`` is False for an unlabelled image, which has no words; a labelled page without text has none either.
    """

    name: str
    width: int
    height: int
    polygons: Polygons
    ids: tuple[str, ...] = ()
    texts: tuple[str | None, ...] = ()
    ignore: NDArray[np.bool_] | None = None
    group: str | None = None
    words_known: bool = True

    def __post_init__(self) -> None:
        k = len(self.polygons)
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.name}: size {self.width} x {self.height} is not a page")
        object.__setattr__(self, "ids", self.ids or tuple(f"{i + 1:04d}" for i in range(k)))
        object.__setattr__(self, "texts", self.texts or (None,) * k)
        flags = np.zeros(k, dtype=np.bool_) if self.ignore is None else np.asarray(self.ignore, dtype=np.bool_)
        object.__setattr__(self, "ignore", flags)
        if not len(self.ids) == len(self.texts) == len(flags) == k:
            raise ValueError(f"{self.name}: ids, texts and ignore flags must be as many as the polygons ({k})")

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """Ignore flag of each word (K,)."""
        return np.zeros(len(self.polygons), dtype=np.bool_) if self.ignore is None else self.ignore

    def to_ufo(self) -> dict[str, Any]:
        """The page as the value of one UFO ``images`` entry."""
        out: dict[str, Any] = {"img_w": self.width, "img_h": self.height}
        if self.group is not None:
            out["group"] = self.group
        if self.words_known:
            out["words"] = {
                i: {"points": polygon.tolist(), "transcription": text, "illegibility": bool(skip)}
                for i, polygon, text, skip in zip(self.ids, self.polygons, self.texts, self.ignored, strict=True)
            }
        return out


@dataclass(frozen=True, eq=False)
class Detections:
    """K found regions: polygons in page pixels, scores (K,) in [0, 1], and, where known, texts."""

    polygons: Polygons
    scores: NDArray[np.float32]
    texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores, dtype=np.float32)
        object.__setattr__(self, "scores", scores)
        if scores.shape != (len(self.polygons),):
            raise ValueError(f"{len(self.polygons)} polygons but scores of shape {scores.shape}")
        if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError("scores must lie in [0, 1]")
        if self.texts is not None and len(self.texts) != len(scores):
            raise ValueError(f"{len(scores)} regions but {len(self.texts)} texts")

    @classmethod
    def empty(cls) -> Self:
        """No regions."""
        return cls(Polygons.of([]), np.zeros(0, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.polygons)

    def select(self, which: NDArray[Any]) -> Detections:
        """The regions at a boolean mask (K,) or integer indices, in the order given."""
        index = np.arange(len(self))[which]
        texts = None if self.texts is None else tuple(self.texts[int(i)] for i in index)
        return Detections(self.polygons.select(index), self.scores[index], texts)

    def to_ufo(self, width: int | None, height: int | None) -> dict[str, Any]:
        """The regions as the value of one UFO ``images`` entry, in falling order of score, each with its ``score``."""
        order = np.argsort(-self.scores, kind="stable")
        words: dict[str, Any] = {}
        for rank, i in enumerate(order.tolist(), start=1):
            words[f"{rank:04d}"] = {
                "points": np.round(self.polygons[i], 3).tolist(),
                "score": round(float(self.scores[i]), 5),
            }
            if self.texts is not None:
                words[f"{rank:04d}"]["transcription"] = self.texts[i]
        return {"img_w": width, "img_h": height, "words": words}


@dataclass(frozen=True)
class PRH:
    """Precision, recall and hmean of one rule over one set of pages: one record, never mixed.

    ``h`` is not always 2pr/(p+r) of the same record: a macro mean averages the hmean of each page.
    """

    p: float
    r: float
    h: float


@dataclass(frozen=True)
class Score:
    """What one set of predictions scored on one set of pages, in [0, 1]."""

    images: int
    macro: PRH
    pooled: PRH
    characters: Characters
    iou50: PRH
    iou70: PRH

    def to_dict(self) -> dict[str, Any]:
        """The layout that ``hmean score`` prints."""
        return {
            "images": self.images,
            "cleval": {"macro": asdict(self.macro), "pooled": asdict(self.pooled), "characters": self.characters},
            "iou50": asdict(self.iou50),
            "iou70": asdict(self.iou70),
        }
