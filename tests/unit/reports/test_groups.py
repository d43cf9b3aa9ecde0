import pytest

from hmean.metrics.groups import PageGroups
from hmean.reports.groups import say_grouping, say_warning
from hmean.reports.words import Words

FEW = PageGroups.of_keys([0, 0, 1, 2])
LARGE = PageGroups.of_keys([0] * 20 + list(range(1, 31)))
MANY = PageGroups.of_keys(list(range(40)) * 2)
PAGES = PageGroups.of_keys(list(range(40)))


@pytest.mark.parametrize("groups", [FEW, LARGE, MANY, PAGES])
def test_english_reports_say_what_the_terminal_says(groups):
    grouping = groups.grouping()
    assert say_grouping(grouping, Words("en")) == grouping.text()
    assert say_warning(grouping, Words("en")) == grouping.warning()


def test_korean_reports_warn_of_the_same():
    assert "6개 미만(3개)" in say_warning(FEW.grouping(), Words("ko"))
    assert "40%" in say_warning(LARGE.grouping(), Words("ko"))
    assert say_warning(MANY.grouping(), Words("ko")) is None
    assert "40개 그룹의 80페이지" in say_grouping(MANY.grouping(), Words("ko"))
