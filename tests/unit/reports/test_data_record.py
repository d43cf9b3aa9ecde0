import pytest

from hmean.data.survey import SurveyedPages
from hmean.reports.data_record import LONG_SIDES, SMALL, data_statistics
from hmean.types import TextView, View
from support.surveyed import surveyed_page

VIEW = View(400, "stride")


def of_one(*pages, view=VIEW):
    (split,) = data_statistics([SurveyedPages("train", pages)], view).splits
    return split


def test_words_that_count_are_measured_without_ignore_regions():
    page = surveyed_page(
        "a", [(0, 0, 60, 20), (0, 100, 100, 10), (0, 200, 300, 100)], ignored=[2], texts=["a", "b", "c"]
    )
    found = of_one(page)
    assert (found.pages, found.words, found.ignored, found.texts) == (1, 2, 1, 3)
    assert (found.height.least, found.height.most) == pytest.approx((10, 20))
    assert (found.aspect.least, found.aspect.most) == pytest.approx((3, 10))
    assert found.words_of_page.median == 2
    assert found.density.median == pytest.approx(2 / 0.32)
    assert found.covered.median == pytest.approx((1200 + 1000 + 30000) / 320000, abs=1e-4)
    assert found.long_side.median == 800
    assert found.page_aspect.median == 2


def test_what_a_model_sees_follows_its_long_side():
    page = surveyed_page("a", [(0, 0, 60, 20), (0, 100, 100, 10), (0, 200, 100, 10), (0, 300, 100, 12)])
    seen = of_one(page).page_view
    assert (seen.height.least, seen.height.most) == pytest.approx((5, 10))
    assert seen.small == 0.75
    assert seen.pixels == pytest.approx(224 * 416 / 1e6)
    assert of_one(page, view=View(800, "stride")).page_view.small == 0
    small_at = of_one(page).small_at
    assert list(small_at) == list(LONG_SIDES)
    assert small_at[480] == 0.75
    assert small_at[640] == 0.0  # 10 pixels of 800 are 8 of 640, which is not less than that
    assert SMALL == 8


def test_a_view_of_the_text_is_cut_where_the_labels_say_that_text_is():
    page = surveyed_page("a", [(180, 400, 40, 10), (180, 420, 40, 10)])
    found = data_statistics([SurveyedPages("train", [page])], View(400, "stride", TextView(20)))
    assert (found.view, found.text_height) == ("text", 20)
    assert found.splits[0].text_view.height.median == pytest.approx(20, rel=0.05)
    assert found.splits[0].text_view.small == 0
    assert found.splits[0].page_view.small == 1
    assert of_one(surveyed_page("b", [])).text_view is None


def test_angles_are_those_of_the_longer_side_unless_a_word_is_square():
    page = surveyed_page("a", [(0, 0, 60, 20), (100, 0, 10, 60), (200, 0, 20, 22)])
    found = of_one(page)
    assert (found.slope.least, found.slope.most) == pytest.approx((0, 90))
    assert found.upright == pytest.approx(1 / 3)


def test_groups_are_counted_and_pages_without_one_too():
    pages = [surveyed_page(str(i), [], group=group) for i, group in enumerate(["x", "x", "x", "y", None])]
    found = of_one(*pages)
    assert found.groups == {"x": 3, "y": 1}
    assert found.ungrouped == 1
    assert found.grouping.groups == 3
    assert found.grouping.largest_share == pytest.approx(0.6)
    assert found.grouping.effective == pytest.approx(25 / 11)


def test_pages_that_cannot_be_read_are_left_out_and_named_as_faults():
    found = of_one(surveyed_page("a", [(0, 0, 60, 20)]), surveyed_page("b", [(0, 0, 60, 20)], readable=False))
    assert (found.pages, found.words, found.faults) == (1, 1, 1)


def test_pages_without_labels_and_without_words_are_told_apart():
    pages = [surveyed_page("a", []), surveyed_page("b", [], labelled=False), surveyed_page("c", [(0, 0, 9, 9)])]
    found = of_one(*pages)
    assert (found.unlabelled, found.empty) == (1, 1)
    assert found.words_of_page.median == 0.5


def test_several_splits_are_also_taken_together():
    train = SurveyedPages("train", [surveyed_page("a", [(0, 0, 60, 20)], texts=["ab1"], group="x")])
    val = SurveyedPages("val", [surveyed_page("a", [(0, 0, 60, 40)], texts=["가"], group="x")])
    found = data_statistics([train, val], VIEW)
    assert [split.name for split in found.splits] == ["train", "val", "all"]
    whole = found.splits[-1]
    assert (whole.pages, whole.words, whole.groups) == (2, 2, {"x": 2})
    assert whole.scripts == {"Latin": 2, "digits and signs": 1, "Hangul": 1}
    assert [group.pages for group in found.leaks.groups] == [{"train": 1, "val": 1}]
    assert [len(same.pages) for same in found.leaks.pages] == [2]


def test_a_split_without_pages_has_no_numbers():
    found = of_one()
    assert (found.pages, found.height, found.grouping, found.page_view, found.small_at) == (0, None, None, None, {})
