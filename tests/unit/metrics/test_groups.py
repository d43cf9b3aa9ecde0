"""Groups of pages: numbers, effective number, warnings, sums."""

import numpy as np
import pytest

from hmean.metrics.groups import PageGroups


def test_a_page_without_a_group_is_one_of_its_own():
    groups = PageGroups.of(["a", "b", "c", "d"], ["shop", None, "shop", None])
    assert groups.count == 3
    assert groups.index[0] == groups.index[2]
    assert len({*groups.index.tolist()}) == 3


def test_a_page_and_a_group_of_one_name_are_not_joined():
    assert PageGroups.of(["a", "b"], [None, "a"]).count == 2


def test_grouping_counts_pages_and_groups_and_says_how_unequal_they_are():
    grouping = PageGroups.of_keys([0] * 6 + [1] * 3 + [2]).grouping()
    assert (grouping.pages, grouping.groups, grouping.unit) == (10, 3, "group")
    assert grouping.largest_share == pytest.approx(0.6)
    assert grouping.effective == pytest.approx(100 / (36 + 9 + 1))
    assert grouping.text() == "10 pages of 3 groups, the largest with 60 % of them; 2.2 effective groups"


def test_pages_without_groups_are_the_unit():
    grouping = PageGroups.of(["a", "b"], [None, None]).grouping()
    assert (grouping.unit, grouping.groups, grouping.effective) == ("page", 2, 2.0)
    assert grouping.text() == "2 pages, each a group of its own"


def test_it_warns_of_few_groups_and_of_a_large_one():
    assert "only 19 groups" in str(PageGroups.of_keys(range(19)).grouping().warning())
    assert "no interval can be given" in str(PageGroups.of_keys(range(5)).grouping().warning())
    assert PageGroups.of_keys(range(20)).grouping().warning() is None
    one_is_large = [*range(30), *[30] * 12]
    assert "29 % of the pages" in str(PageGroups.of_keys(one_is_large).grouping().warning())


def test_sums_over_the_pages_of_each_group():
    groups = PageGroups.of_keys([1, 0, 1])
    values = np.array([[[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]])
    assert groups.sums(values).tolist() == [[[2.0, 20.0], [4.0, 40.0]]]


def test_some_of_the_pages_keep_their_groups():
    groups = PageGroups.of_keys([0, 1, 1, 2]).of_pages(np.array([1, 2, 3]))
    assert groups.count == 2
    assert groups.index.tolist() == [0, 0, 1]
