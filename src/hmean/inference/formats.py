"""What was found, in the formats of other programs: COCO, ICDAR and supervision (UFO: ``Detections.to_ufo``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hmean import geometry
from hmean.inference.reading import quad_of
from hmean.inference.trained import FoundPage
from hmean.types import Detections


def to_coco(pages: Mapping[str, FoundPage]) -> dict[str, Any]:
    """A COCO data set of pages by name, whose annotations have a ``score``.

    Args:
        pages: what was found on each page, with the page's width and height: (detections, width, height).
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (name, page) in enumerate(pages.items(), start=1):
        found, width, height = page[:3]
        images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for polygon, score in zip(found.polygons, found.scores.tolist(), strict=True):
            left, top = polygon.min(axis=0).tolist()
            box_width, box_height = np.ptp(polygon, axis=0).tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "score": score,
                    "segmentation": [polygon.flatten().tolist()],
                    "bbox": [left, top, box_width, box_height],
                    "area": geometry.area(polygon),
                }
            )
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "text"}]}


def to_icdar(found: Detections, *, scores: bool = False) -> str:
    """The txt file of one page: a line ``x1,y1,x2,y2,...`` in whole pixels for each text polygon.

    Args:
        found: the text polygons.
        scores: add the score at the end of each line.
    """
    lines = []
    for polygon, score in zip(found.polygons, found.scores.tolist(), strict=True):
        fields = [str(round(value)) for value in polygon.flatten().tolist()]
        if scores:
            fields.append(f"{score:.5f}")
        lines.append(",".join(fields) + "\n")
    return "".join(lines)


def to_supervision(found: Detections) -> Any:
    """``supervision.Detections``: boxes, scores, and quads as oriented boxes; needs ``pip install supervision``."""
    import supervision  # noqa: PLC0415 - not a dependency

    boxes = []
    quads = []
    for polygon in found.polygons:
        boxes.append(np.concatenate([polygon.min(axis=0), polygon.max(axis=0)]))
        quads.append(quad_of(polygon))
    return supervision.Detections(
        xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        confidence=found.scores,
        class_id=np.zeros(len(found), dtype=int),
        data={"xyxyxyxy": np.array(quads, dtype=np.float32).reshape(-1, 4, 2)},
    )
