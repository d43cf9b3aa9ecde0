"""What was found, in other programs' formats."""

import json

import numpy as np
import pytest

from hmean.inference.formats import to_coco, to_icdar, to_supervision
from hmean.types import Detections, Polygons


def box(x, y, w, h):
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)


def test_other_formats():
    found = Detections(
        Polygons.of([box(1.4, 2, 10, 5), [[0, 0], [4, 0], [6, 3], [4, 6], [0, 6]]]), np.array([0.9, 0.5])
    )
    coco = json.loads(json.dumps(to_coco({"a.jpg": (found, 50, 40), "b.jpg": (Detections.empty(), 5, 4)})))
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "b.jpg"]
    first, second = coco["annotations"]
    assert first["bbox"] == [1.4, 2, 10, 5]
    assert first["area"] == 50
    assert second["segmentation"] == [[0, 0, 4, 0, 6, 3, 4, 6, 0, 6]]
    assert {a["image_id"] for a in coco["annotations"]} == {1}
    assert to_icdar(found) == "1,2,11,2,11,7,1,7\n0,0,4,0,6,3,4,6,0,6\n"
    assert to_icdar(found, scores=True).splitlines()[0] == "1,2,11,2,11,7,1,7,0.90000"


def test_supervision():
    supervision = pytest.importorskip("supervision")
    found = Detections(
        Polygons.of([box(1.4, 2, 10, 5), [[0, 0], [4, 0], [6, 3], [4, 6], [0, 6]]]), np.array([0.9, 0.5])
    )
    for regions in (found, Detections.empty()):
        assert isinstance(to_supervision(regions), supervision.Detections)
        assert len(to_supervision(regions)) == len(regions)
    assert to_supervision(found).xyxy[0].tolist() == pytest.approx([1.4, 2, 11.4, 7])
