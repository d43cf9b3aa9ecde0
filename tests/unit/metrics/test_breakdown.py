"""Where the errors are: every character that CLEval counts against a page stands at one word or region."""

import json
from itertools import pairwise

import numpy as np
import pytest

from hmean.metrics.breakdown import COLUMNS, Breakdown, break_down, page_faults
from hmean.metrics.cleval import Counts, count_page
from hmean.runs.pictures import FALSE, MERGED, MISSED, SPLIT, draw_faults
from hmean.types import Detections, Page, Polygons
from support.cleval import detections_of, rect, rotated, texts_for

KINDS = ["quads", "polygons"]


def random_page(rng, kind, name="page"):
    """Words, some ignored, and regions near them, beside them and over several."""
    count = int(rng.integers(0, 9))
    words = [rotated(rng) for _ in range(count)]
    found = [w + rng.normal(0, 3, w.shape) for w in words if rng.random() < 0.8]
    found += [rotated(rng) for _ in range(rng.integers(0, 4))]
    found += [np.concatenate([a[:2], b[2:]]) for a, b in pairwise(words) if rng.random() < 0.5]
    if kind == "polygons":
        found = [np.insert(f, 1, (f[0] + f[1]) / 2 + 0.3, axis=0) if rng.random() < 0.5 else f for f in found]
        words = [
            np.insert(w, [1, 3], [(w[0] + w[1]) / 2, (w[2] + w[3]) / 2], axis=0) if rng.random() < 0.3 else w
            for w in words
        ]
    ignore, texts = rng.random(count) < 0.2, texts_for(rng, count)
    page = Page(name, 120, 120, Polygons.of(words), texts=tuple(texts), ignore=ignore, group=name[-1])
    return page, detections_of(found) if found else Detections.empty()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("characters", ["transcription", "aspect"])
def test_the_faults_of_words_and_regions_sum_to_the_counts_of_the_page(kind, characters):
    rng = np.random.default_rng(0)
    seen = np.zeros(9, dtype=np.int64)
    for _ in range(150):
        page, found = random_page(rng, kind)
        faults = page_faults(page, found, characters)
        total = dict(zip(COLUMNS, faults.total().tolist(), strict=True))
        counted = Counts(
            gt=total["characters"],
            tp=total["characters"] - total["missed"],
            overlapped=total["doubled"],
            fp=total["false"],
            recall_penalty=total["split"],
            precision_penalty=total["merged"],
            split=int((faults.words[:, COLUMNS.index("split")] > 0).sum()),
            merged=int((faults.detections[:, COLUMNS.index("merged")] > 0).sum()),
        )
        assert counted == count_page(page, found, characters)
        assert total["claimed"] == counted.det
        assert total["words"] == (~page.ignored).sum()
        assert (faults.words >= 0).all()
        assert (faults.detections >= 0).all()
        assert not faults.words[:, 5:].any()
        assert not faults.detections[:, :5].any()
        seen += faults.total()
    assert (seen > 5).all()  # every kind of fault was met


def test_bins_of_every_trait_sum_to_the_total_and_to_what_p_and_r_lack():
    rng = np.random.default_rng(1)
    pages, found = zip(*(random_page(rng, "quads", f"page {i % 3}") for i in range(40)), strict=True)
    errors = break_down(pages, found, "transcription", 240)
    pooled = sum((count_page(p, f, "transcription") for p, f in zip(pages, found, strict=True)), Counts())
    for trait, rows in errors.by.items():
        for column in COLUMNS:
            assert sum(getattr(row, column) for row in rows) == getattr(errors.total, column), (trait, column)
        assert sum(row.recall_lost for row in rows) == pytest.approx(1 - pooled.prh.r)
        assert sum(row.precision_lost for row in rows) == pytest.approx(1 - pooled.prh.p)
        assert sum(row.excess for row in rows) == pytest.approx(0, abs=1e-12)
    assert [row.bin for row in errors.by["group"]] == ["0", "1", "2"]
    for column in COLUMNS:
        assert sum(getattr(page, column) for page in errors.pages) == getattr(errors.total, column)


def test_each_fault_stands_at_its_word_or_region():
    words = [rect(0, 0, 40, 10), rect(50, 0, 40, 10), rect(0, 30, 80, 10), rect(0, 60, 40, 10), rect(100, 100, 10, 30)]
    page = Page("p", 120, 140, Polygons.of(words), texts=("ABCD",) * 5, ids=("a", "b", "c", "d", "up"), group="shop")
    regions = [rect(0, 0, 90, 10), rect(0, 30, 39, 10), rect(41, 30, 39, 10), rect(0, 100, 60, 20)]
    errors = break_down([page], [detections_of(regions)], "transcription", 70)
    (faults,) = errors.to_json()["pages"]
    nothing = {"missed": 0, "split": 0, "doubled": 0, "characters": 4}
    assert faults["faulty_words"] == {
        "c": {**nothing, "split": 1},
        "d": {**nothing, "missed": 4},
        "up": {**nothing, "missed": 4},
    }
    assert faults["faulty_detections"] == {
        "0001": {"claimed": 8, "false": 0, "merged": 1},
        "0004": {"claimed": 1, "false": 1, "merged": 0},
    }
    assert {row.bin: row.missed for row in errors.by["angle"]} == {"under 1": 4, "80 and more": 4}
    assert {row.bin for row in errors.by["height"]} == {"under 8", "8 to 12"}  # at half the page's size
    assert {row.bin: row.missed for row in errors.by["position"]}["bottom right"] == 4
    picture = draw_faults(np.full((140, 120, 3), 255, np.uint8), detections_of(regions), page, "transcription")
    for (x, y), color in (((20, 60), MISSED), ((20, 30), SPLIT), ((20, 100), FALSE), ((45, 0), MERGED)):
        np.testing.assert_allclose(picture[y, x], color, atol=40)


def test_pages_without_words_or_regions():
    blank, empty = Page("a", 9, 9, Polygons.of([])), Detections.empty()
    errors = break_down([blank], [empty], "aspect", 960)
    assert errors.total.to_json() == dict.fromkeys(COLUMNS, 0)
    assert errors.by["height"] == []


def test_errors_of_an_earlier_version_are_read():
    page, found = random_page(np.random.default_rng(2), "quads")
    now = break_down([page], [found], "aspect", 240)
    text = json.dumps(now.to_json()).replace('"detections"', '"regions"').replace("faulty_detections", "faulty_regions")
    assert Breakdown.parse(json.loads(text), "errors.json") == now
