"""Probability maps drawn from labels, with faults: needs no network."""

from __future__ import annotations

import cv2
import numpy as np

from hmean.data.views import letterbox
from hmean.postprocess.decoding import PageMap
from hmean.types import Page


def planted_map(page: Page, long_side: int, rng: np.random.Generator, faults: float = 0.15) -> PageMap:
    """Shrunk words of differing P, blurred; of some nothing or two halves, some joined to the next, spots beside them."""
    view = letterbox(page.width, page.height, long_side, "stride")
    drawn = np.zeros((view.height, view.width), dtype=np.float32)
    corners = [cv2.transform(p[None], view.matrix[:2])[0] for p in page.polygons]
    for i, corner in enumerate(corners):
        (x, y), (w, h), angle = cv2.minAreaRect(corner.astype(np.float32))
        d = 0.35 * w * h / (w + h)
        p, fault = float(rng.uniform(0.6, 1.0)), rng.random() / faults
        inner = (x, y), (max(w - 2 * d, 1), max(h - 2 * d, 1)), angle
        if fault < 0.3:
            continue
        if 0.3 <= fault < 0.6 and i:
            cv2.line(drawn, *(tuple(int(v) for v in corners[k].mean(axis=0)) for k in (i - 1, i)), p, 2)
        box = cv2.boxPoints(inner)
        cv2.fillPoly(drawn, [np.round(box).astype(np.int32)], p)
        if 0.6 <= fault < 0.8:
            cv2.line(drawn, (int(x), int(y - h)), (int(x), int(y + h)), 0.0, 3)
    for _ in range(rng.poisson(20 * faults)):
        x, y = rng.integers(0, view.width), rng.integers(0, view.height)
        cv2.ellipse(drawn, (int(x), int(y)), (12, 4), 0, 0, 360, float(rng.uniform(0.35, 0.8)), -1)
    drawn = cv2.GaussianBlur(drawn, (0, 0), 0.8)
    return PageMap(page.name, drawn, view.to_page, page.width, page.height)
