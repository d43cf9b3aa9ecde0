"""The comparison of an exported network with the checkpoint, on pages: maps, text polygons, and scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.inference.metadata import Check, Loss
from hmean.inference.trained import Execution, PageFile, Runner, Unreadable, page_files
from hmean.metrics.iou import match_counts
from hmean.metrics.scorer import PageScore, Scorer, choose_characters
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.progress import track
from hmean.runs.comparison import compare
from hmean.runs.sides import Result
from hmean.types import Page, Precision

SAME_IOU = 0.9  # from which two boxes count as the same
SAME_IN_OTHER_VIEWS = 0.9  # share of the boxes, where a rounding in the first look has moved the view by a pixel


class Limit(NamedTuple):
    """What an export must keep to."""

    max_difference: float  # in P
    same_boxes: float  # share


# Another library adds up in another order: where P of a pixel is near thresh, the outline of a small word may move by
# more than SAME_IOU allows. What int8 loses is not limited, but stated (Loss).
LIMITS: Mapping[Precision, Limit] = {
    "fp32": Limit(1e-3, 0.995),
    "fp16": Limit(0.1, 0.98),
    "int8": Limit(1.0, 0.0),
}


def compare_maps(
    checkpoint: Runner, exported: Runner, pages: Sequence[PageFile], params: PostprocessParams, execution: Execution
) -> Check:
    """How far two runners are apart, in P and in the boxes that the parameters give. Unreadable pages do not count."""
    count = 0
    max_difference = 0.0
    alike = _Boxes()
    elsewhere = _Boxes()
    other_views = 0
    with track("checking", len(pages)) as advance:
        theirs = execution.run(checkpoint, pages)
        ours = execution.run(exported, pages)
        for a, b in zip(theirs, ours, strict=True):
            advance()
            if not isinstance(a, PageMap) or not isinstance(b, PageMap):
                continue
            count += 1
            if not _same_view(a, b):
                other_views += 1
                elsewhere.add(a, b, params)
                continue
            max_difference = max(max_difference, float(np.abs(a.probability - b.probability).max()))
            alike.add(a, b, params)
    return Check(
        pages=count,
        max_difference=max_difference,
        boxes=alike.expected,
        exported_boxes=alike.exported,
        same_boxes=alike.share,
        postprocess=params,
        other_views=other_views,
        same_boxes_in_other_views=elsewhere.share if other_views else None,
    )


@dataclass
class _Boxes:
    """How many text polygons two runners find, and how many of these are the same."""

    expected: int = 0
    exported: int = 0
    same: int = 0

    def add(self, expected: PageMap, exported: PageMap, params: PostprocessParams) -> None:
        """Those of a page."""
        page = Page(expected.name, expected.page_width, expected.page_height, detect(expected, params).polygons)
        (matches,) = match_counts(page, detect(exported, params), [SAME_IOU])
        self.expected += matches.gt
        self.exported += matches.det
        self.same += matches.tp

    @property
    def share(self) -> float:
        """Of the same ones; 1 if there are none at all."""
        if self.expected + self.exported == 0:
            return 1.0
        return 2 * self.same / (self.expected + self.exported)


def _same_view(a: PageMap, b: PageMap) -> bool:
    """Whether two maps show the same part of a page at the same scale."""
    return a.probability.shape == b.probability.shape and np.array_equal(a.to_page, b.to_page)


def require_same(target: Path, check: Check, precision: Precision) -> None:
    """Refuse a file that does not find what the checkpoint finds.

    Raises:
        InputError: if it does not keep to the limit, or no page could be read.
    """
    if check.pages == 0:
        raise InputError(f"{target}: not written, since none of the pages to check it with could be read")
    limit = LIMITS[precision]
    if 2 * check.other_views > check.pages:
        raise InputError(
            f"{target}: not written, since it cuts other views of the text than the checkpoint on "
            f"{check.other_views} of {check.pages} pages; try precision=fp32 or a larger transforms.first_look"
        )
    others = check.same_boxes_in_other_views
    is_alike_elsewhere = others is None or others >= min(limit.same_boxes, SAME_IN_OTHER_VIEWS)
    is_alike = check.max_difference <= limit.max_difference and check.same_boxes >= limit.same_boxes
    if is_alike and is_alike_elsewhere:
        return
    if is_alike:
        raise InputError(
            f"{target}: not written: on {check.other_views} pages it cuts another view of the text than the "
            f"checkpoint, and there only {100 * (others or 0):.2f} % of the boxes are the same (required: "
            f"{100 * SAME_IN_OTHER_VIEWS:g} %); try precision=fp32 or a larger transforms.first_look"
        )
    raise InputError(
        f"{target}: not written, since it does not find what the checkpoint finds on {check.pages} pages: P differs by "
        f"up to {check.max_difference:.2g} (allowed: {limit.max_difference:g}), and {100 * check.same_boxes:.2f} % of "
        f"the boxes are the same (required: {100 * limit.same_boxes:g} %). Try format=onnx precision=fp32; if that "
        "differs, too, it is a bug"
    )


def measure_loss(
    checkpoint: Runner,
    exported: Runner,
    pages: LabelledImages,
    split: str,
    params: PostprocessParams,
    execution: Execution,
) -> Loss:
    """What an int8 network loses on labelled pages, with paired intervals.

    Raises:
        InputError: if a page cannot be read.
    """
    base = _score("checkpoint", checkpoint, pages, params, execution)
    other = _score("int8", exported, pages, params, execution)
    comparison = compare(base, other)
    return Loss(
        pages=len(pages),
        split=split,
        page_keys=hashlib.sha256(pages.page_keys().tobytes()).hexdigest(),
        postprocess=params,
        macro=comparison.macro,
        pooled=comparison.pooled,
        iou50=comparison.iou50,
        iou70=comparison.iou70,
        macro_p=comparison.macro_p,
        macro_r=comparison.macro_r,
    )


def _score(name: str, runner: Runner, pages: LabelledImages, params: PostprocessParams, execution: Execution) -> Result:
    truth = [pages.page(position) for position in range(len(pages))]
    scorer = Scorer(choose_characters(truth))
    scored: list[PageScore] = []
    with track(f"scoring {name}", len(truth)) as advance:
        for page, found in zip(truth, execution.run(runner, page_files(pages)), strict=True):
            if isinstance(found, Unreadable):
                raise InputError(found.reason)
            scored.append(scorer.update(page, detect(found, params)))
            advance()
    return Result(name, scored, scorer.characters, None, None)
