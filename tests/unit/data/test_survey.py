from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from hmean.data.pages import LabelledImages
from hmean.data.survey import NamedPages, WordShapes, look_at, survey
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.types import Page, Polygons


def test_shapes_of_words():
    flat = [[10, 10], [70, 10], [70, 30], [10, 30]]
    upright = [[10, 40], [20, 40], [20, 100], [10, 100]]
    page = Page("a", 200, 200, Polygons.of([flat, upright]), ignore=np.array([False, True]))
    words = WordShapes.of(page)
    assert words.heights.tolist() == pytest.approx([20, 10])
    assert words.lengths.tolist() == pytest.approx([60, 60])
    assert words.slopes.tolist() == pytest.approx([0, 90])
    assert words.areas.tolist() == pytest.approx([1200, 600])
    assert words.ignored.tolist() == [False, True]


def test_a_page_is_looked_at_once(pages):
    found = look_at(pages, 0)
    page = pages.page(0)
    assert (found.name, found.width, found.height) == (page.name, page.width, page.height)
    assert len(found.words.heights) == len(page.polygons) == found.texts
    assert sum(found.scripts.values()) == sum(len("".join(text.split())) for text in page.texts)
    assert not found.faults
    assert found.print is not None
    assert found.long_side == max(page.width, page.height)


def test_a_page_whose_image_is_missing_has_a_fault_and_no_print(receipts, tmp_path):
    labels = open_labels(receipts / "jsons" / "val.json", tmp_path)
    found = look_at(LabelledImages(labels, tmp_path, range(3)), 0)
    assert "no such image" in found.faults[0]
    assert found.print is None


def test_many_processes_find_the_same_in_the_same_order(receipts):
    splits = []
    for name in ("train", "val"):
        labels = open_labels(receipts / "jsons" / f"{name}.json", receipts / "images")
        splits.append(NamedPages(name, LabelledImages(labels, receipts / "images", range(len(labels.names)))))
    alone = survey(splits, workers=1)
    together = survey(splits, workers=2)
    assert [split.name for split in together] == ["train", "val"]
    for one, other in zip(alone, together, strict=True):
        assert [page.name for page in one.pages] == [page.name for page in other.pages]
        for a, b in zip(one.pages, other.pages, strict=True):
            assert np.array_equal(a.print, b.print)
            assert np.array_equal(a.words.heights, b.words.heights)
            assert (a.faults, a.scripts, a.place.height) == (b.faults, b.scripts, b.place.height)


def break_down(*_, **__):
    raise BrokenProcessPool


def test_a_process_that_is_ended_is_told(receipts, monkeypatch):
    monkeypatch.setattr("hmean.data.survey.ProcessPoolExecutor.map", break_down)
    labels = open_labels(receipts / "jsons" / "val.json", receipts / "images")
    pages = LabelledImages(labels, receipts / "images", range(3))
    with pytest.raises(InputError, match="use fewer with --workers"):
        survey([NamedPages("val", pages)], workers=2)
