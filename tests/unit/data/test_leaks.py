import numpy as np

from hmean.data.leaks import find_leaks
from hmean.data.likeness import print_of
from hmean.data.survey import SurveyedPage, SurveyedPages, WordShapes
from hmean.types import Page, Polygons
from support.pages import drawn_page


def surveyed(name, words, group=None):
    image = np.array(drawn_page(words).convert("RGB"))
    height, width = image.shape[:2]
    shapes = WordShapes.of(Page(name, width, height, Polygons.of([])))
    return SurveyedPage(name, group, width, height, True, (), shapes, 0, {}, None, print_of(image))


def test_the_same_page_in_two_splits_is_a_leak_and_in_one_a_copy():
    train = [surveyed("a", 1), surveyed("b", 2), surveyed("c", 2), surveyed("d", 3)]
    val = [surveyed("e", 1), surveyed("f", 4)]
    leaks = find_leaks([SurveyedPages("train", train), SurveyedPages("val", val)])
    assert [leak.text() for leak in leaks.pages] == ["train: a and val: e show the same page (likeness 1.000)"]
    assert [copy.text() for copy in leaks.copies] == ["train: b and train: c show the same page (likeness 1.000)"]
    assert leaks.groups == []


def test_a_set_of_three_names_all():
    splits = [SurveyedPages(name, [surveyed(f"{name}.jpg", 5)]) for name in ("train", "val", "test")]
    (leak,) = find_leaks(splits).pages
    assert leak.splits == ["train", "val", "test"]
    assert leak.text().startswith("train: train.jpg, val: val.jpg and test: test.jpg show")


def test_a_group_in_two_splits_is_named_with_its_pages():
    train = [surveyed("a", 1, "shop 7"), surveyed("b", 2, "shop 7"), surveyed("c", 3, "shop 8")]
    val = [surveyed("d", 4, "shop 7"), surveyed("e", 5, None), surveyed("f", 6, "shop 9")]
    (group,) = find_leaks([SurveyedPages("train", train), SurveyedPages("val", val)]).groups
    assert group.pages == {"train": 2, "val": 1}
    assert group.text() == "group 'shop 7' is in train (2 pages) and val (1 page)"
