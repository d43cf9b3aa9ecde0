"""Values for RapidOCR, on planted maps."""

import numpy as np

from hmean.tuning import rapidocr
from hmean.types import Page, Polygons
from support.planted_maps import planted_map


def test_values_at_an_end_of_their_list_are_told_as_tuning_tells_them(monkeypatch):
    rng = np.random.default_rng(0)
    pages = []
    for i in range(4):
        quads = []
        for top in range(10, 170, 40):
            quads.append([[20, top], [100, top], [100, top + 24], [20, top + 24]])
        pages.append(Page(f"{i}.png", 120, 200, Polygons.of(quads), group=f"shop {i % 2}"))
    maps = {page.name: planted_map(page, 192, rng, 0.01) for page in pages}
    axes = {"thresh": [0.3], "box_thresh": [0.3, 0.4, 0.5], "unclip_ratio": [0.2, 1.6]}
    monkeypatch.setattr(rapidocr, "AXES", axes)
    chosen, scores = rapidocr.choose_for_rapidocr(pages, lambda page: maps[page.name])
    ratio = chosen.unclip_ratio  # either is an end; thresh has one value, and no end
    assert scores.at_list_ends["unclip_ratio"] == ratio
    assert "thresh" not in scores.at_list_ends
    assert f"unclip_ratio={ratio} is at an end of its list: try values beyond it" in scores.describe()
