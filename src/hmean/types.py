"""The records that all parts exchange: frozen, and checked when they are made.

Coordinates are pixels of the upright page image, origin at its top-left corner, x to the right, y down. They are
continuous: the centre of the first pixel is (0.5, 0.5) and the page spans [0, width] x [0, height].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]  # (n, 2)
Characters = Literal["transcription", "aspect"]
Statistic = Literal["macro", "pooled", "iou50", "iou70"]  # the scores that an hmean is computed for
TrackerName = Literal["csv", "tensorboard", "wandb", "mlflow"]  # of a training's metrics
Pad = Literal["square", "stride"]
ExportFormat = Literal["onnx", "openvino", "rapidocr"]
Precision = Literal["fp32", "fp16", "int8"]  # of exported weights


@dataclass(frozen=True)
class TextView:
    """How a network is shown the text of a page, instead of the whole page.

    Attributes:
        height: that the page's typical text is scaled to, in pixels.
        first_look: longest side of the page in the look that finds where text is, and how tall, in pixels.
    """

    height: float = 20.0
    first_look: int = 480


@dataclass(frozen=True)
class View:
    """How a network sees pages.

    Attributes:
        long_side: length of the page's longest side, in pixels. A view of the text has at most as many pixels as a
            square of that side.
        pad: ``square`` fills the view up to ``long_side`` x ``long_side``, ``stride`` only to the next multiple of 32.
        text: how the view is cut to the text of the page; None: the view is of the whole page.
    """

    long_side: int
    pad: Pad
    text: TextView | None = None

    def scaled(self, factor: float) -> View:
        """The same view of pages at another size."""
        text = self.text
        if text is not None:
            text = replace(text, height=text.height * factor)
        return replace(self, long_side=round(self.long_side * factor), text=text)


@dataclass(frozen=True)
class Look:
    """One pass of the network over a view of a page: what it costs.

    Attributes:
        pixels: of the view.
        seconds: time of the pass; of several pages together, the share of each.
    """

    pixels: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Polygons:
    """K polygons with any number of points each, as one ragged array.

    Attributes:
        points: of all polygons, one after another (P, 2). Float64, so that labels are the same after a trip through
            JSON.
        offsets: position of the first point of each polygon, and the number of points (K + 1,).

    Raises:
        ValueError: if the offsets do not fit the points, a polygon has fewer than 3 points, or a coordinate is not
            finite.
    """

    points: Points
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        points = self.points
        offsets = self.offsets
        if points.ndim != 2 or points.shape[1] != 2 or points.dtype != np.float64:
            raise ValueError(f"points must be a float64 array of shape (P, 2), got {points.dtype} {points.shape}")
        is_row = offsets.ndim == 1 and len(offsets) > 0
        if not is_row or offsets[0] != 0 or offsets[-1] != len(points):
            raise ValueError("offsets must run from 0 to the number of points")
        if len(offsets) > 1 and int(np.diff(offsets).min()) < 3:
            raise ValueError("a polygon needs at least 3 points")
        if not np.isfinite(self.points).all():
            raise ValueError("a polygon has a coordinate that is not a finite number")

    @classmethod
    def of(cls, polygons: Iterable[ArrayLike]) -> Self:
        """Make from the points of each polygon (n, 2).

        Raises:
            ValueError: if a polygon is not a list of at least 3 pairs of finite numbers.
        """
        arrays = [np.zeros((0, 2))]
        for polygon in polygons:
            array = np.asarray(polygon, dtype=np.float64)
            if array.ndim != 2 or array.shape[1] != 2:
                raise ValueError("a polygon must be a list of [x, y] pairs")
            arrays.append(array)
        offsets = np.cumsum([len(array) for array in arrays], dtype=np.int64)
        return cls(np.concatenate(arrays), offsets)

    @classmethod
    def joined(cls, polygons: Sequence[Sequence[tuple[float, float]]]) -> Self:
        """``of`` for polygons that are lists of pairs of numbers, made as one array: much quicker for a whole page."""
        numbers = chain.from_iterable(chain.from_iterable(polygons))
        points = np.fromiter(numbers, dtype=np.float64).reshape(-1, 2)
        offsets = np.zeros(len(polygons) + 1, dtype=np.int64)
        np.cumsum(list(map(len, polygons)), out=offsets[1:])
        return cls(points, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Points:
        if not -len(self) <= index < len(self):  # the sequence protocol ends a for loop on this
            raise IndexError(index)
        index %= len(self)
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[Points]:
        for i in range(len(self)):
            yield self[i]

    def select(self, which: NDArray[Any]) -> Polygons:
        """The polygons at a boolean mask (K,) or integer indices, in the order given."""
        index = np.arange(len(self))[which]
        lengths = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], lengths)
        return Polygons(self.points[positions], offsets)

    def with_points(self, points: Points) -> Polygons:
        """Polygons with the same offsets and other ``points`` (P, 2)."""
        return Polygons(np.ascontiguousarray(points, dtype=np.float64), self.offsets)


@dataclass(frozen=True, eq=False)
class Page:
    """One image with K labelled words, or without labels.

    Attributes:
        name: of the image.
        width: of the upright image, pixels.
        height: likewise.
        polygons: of the words (K).
        ids: of the words (K); numbers from 0001 on if not given.
        texts: of the words (K); None where a text is not known.
        ignore: which words are ignore regions (K,), which no score counts; none of them if not given.
        group: pages of one group are in one fold, such as the receipts of a shop; None: a group of its own.
        words_known: False for an image without labels. A labelled page without text has no words either.

    Raises:
        ValueError: if the size is not positive, or ids, texts and flags are not as many as the polygons.
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
        count = len(self.polygons)
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.name}: a page must be at least 1 x 1 pixels, got {self.width} x {self.height}")
        if not self.ids:
            object.__setattr__(self, "ids", tuple(f"{i + 1:04d}" for i in range(count)))
        if not self.texts:
            object.__setattr__(self, "texts", (None,) * count)
        object.__setattr__(self, "ignore", self.ignored)
        if not len(self.ids) == len(self.texts) == len(self.ignored) == count:
            raise ValueError(f"{self.name}: ids, texts and ignore flags must be as many as the polygons ({count})")

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """The flags of ``ignore`` (K,)."""
        if self.ignore is None:
            return np.zeros(len(self.polygons), dtype=np.bool_)
        return np.asarray(self.ignore, dtype=np.bool_)

    def to_ufo(self) -> dict[str, Any]:
        """The page as the value of an entry of ``images`` in a UFO file."""
        entry: dict[str, Any] = {"img_w": self.width, "img_h": self.height}
        if self.group is not None:
            entry["group"] = self.group
        if not self.words_known:
            return entry
        words = {}
        for name, polygon, text, is_ignored in zip(self.ids, self.polygons, self.texts, self.ignored, strict=True):
            words[name] = {"points": polygon.tolist(), "transcription": text, "illegibility": bool(is_ignored)}
        entry["words"] = words
        return entry


@dataclass(frozen=True, eq=False)
class Detections:
    """K detected text polygons.

    Attributes:
        polygons: in pixels of the page.
        scores: of the polygons (K,), in [0, 1].
        texts: of the polygons (K), where they are known.

    Raises:
        ValueError: if scores or texts are not as many as the polygons, or a score is out of range.
    """

    polygons: Polygons
    scores: NDArray[np.float32]
    texts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        scores = np.asarray(self.scores, dtype=np.float32)
        object.__setattr__(self, "scores", scores)
        if scores.shape != (len(self.polygons),):
            raise ValueError(f"scores must have the shape ({len(self.polygons)},), one a polygon, got {scores.shape}")
        if len(scores) and not (scores.min() >= 0 and scores.max() <= 1):
            raise ValueError("scores must lie in [0, 1]")
        if self.texts is not None and len(self.texts) != len(scores):
            raise ValueError(f"texts must be as many as the polygons ({len(scores)}), got {len(self.texts)}")

    @classmethod
    def empty(cls) -> Self:
        """No text polygons."""
        return cls(Polygons.of([]), np.zeros(0, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.polygons)

    def select(self, which: NDArray[Any]) -> Detections:
        """The text polygons at a boolean mask (K,) or integer indices, in the order given."""
        index = np.arange(len(self))[which]
        texts = None
        if self.texts is not None:
            texts = tuple(self.texts[i] for i in index.tolist())
        return Detections(self.polygons.select(index), self.scores[index], texts)

    def to_ufo(self, width: int | None, height: int | None) -> dict[str, Any]:
        """The text polygons as the value of an entry of ``images`` in a UFO file: with scores, the best first."""
        order = np.argsort(-self.scores, kind="stable")
        words: dict[str, Any] = {}
        for rank, i in enumerate(order.tolist(), start=1):
            word: dict[str, Any] = {
                "points": np.round(self.polygons[i], 3).tolist(),
                "score": round(float(self.scores[i]), 5),
            }
            if self.texts is not None:
                word["transcription"] = self.texts[i]
            words[f"{rank:04d}"] = word
        return {"img_w": width, "img_h": height, "words": words}


@dataclass(frozen=True)
class PRH:
    """Precision, recall and hmean, by one rule, on one set of pages.

    ``h`` is not always 2 p r / (p + r) of the same record: the macro mean averages the hmeans of the pages.
    """

    p: float
    r: float
    h: float


@dataclass(frozen=True)
class Score:
    """The scores of one set of predictions on one set of pages, in [0, 1].

    Attributes:
        images: number of pages.
        macro: CLEval, mean over pages.
        pooled: CLEval, from counts summed over pages.
        characters: how CLEval counted characters: from transcriptions, or from the aspect of the boxes.
        iou50: one-to-one matches at IoU 0.5.
        iou70: one-to-one matches at IoU 0.7.
    """

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
