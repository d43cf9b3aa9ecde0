"""The comparison of an exported network with the checkpoint, on pages: maps, text polygons, and scores."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
    boxes = exported_boxes = same = 0
    with track("checking", len(pages)) as advance:
        theirs = execution.run(checkpoint, pages)
        ours = execution.run(exported, pages)
        for a, b in zip(theirs, ours, strict=True):
            advance()
            if not isinstance(a, PageMap) or not isinstance(b, PageMap):
                continue
            count += 1
            max_difference = max(max_difference, float(np.abs(a.probability - b.probability).max()))
            expected = detect(a, params)
            page = Page(a.name, a.page_width, a.page_height, expected.polygons)
            (matches,) = match_counts(page, detect(b, params), [SAME_IOU])
            boxes += matches.gt
            exported_boxes += matches.det
            same += matches.tp
    share = 1.0
    if boxes + exported_boxes > 0:
        share = 2 * same / (boxes + exported_boxes)
    return Check(
        pages=count,
        max_difference=max_difference,
        boxes=boxes,
        exported_boxes=exported_boxes,
        same_boxes=share,
        postprocess=params,
    )


def require_same(target: Path, check: Check, precision: Precision) -> None:
    """Refuse a file that does not find what the checkpoint finds.

    Raises:
        InputError: if it does not keep to the limit, or no page could be read.
    """
    if check.pages == 0:
        raise InputError(f"{target}: not written, since none of the pages to check it with could be read")
    limit = LIMITS[precision]
    if check.max_difference <= limit.max_difference and check.same_boxes >= limit.same_boxes:
        return
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
