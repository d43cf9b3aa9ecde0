import re

import numpy as np

from hmean.synth.sheet import MARGIN
from support.receipts import sheet_and_view


def test_separators_and_barcodes_have_no_label():
    apart = 0
    for seed in range(40):
        sheet, _ = sheet_and_view(seed)
        polygons, texts = sheet.labels("word")
        boxes = polygons.points.reshape(-1, 4, 2)
        assert not any(re.fullmatch(r"[-=*._:]+", text) for text in texts)
        inner = np.concatenate([boxes[:, 0] + MARGIN, boxes[:, 2] - MARGIN], axis=1)
        for mark in sheet.marks:
            assert min(mark.box) >= 0
            assert mark.box[2] <= sheet.width
            assert mark.box[3] <= sheet.height
            if mark.text is None:  # a block or a frame holds whole words, everything else none
                x0, y0, x1, y1 = mark.box
                away = (inner[:, 2] <= x0) | (inner[:, 0] >= x1) | (inner[:, 3] <= y0) | (inner[:, 1] >= y1)
                held = (inner[:, :2] >= (x0, y0)).all(axis=1) & (inner[:, 2:] <= (x1, y1)).all(axis=1)
                assert (away | held).all()
                apart += away.all()
    assert apart > 80
