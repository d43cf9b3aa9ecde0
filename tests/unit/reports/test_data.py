import re

import pytest

from hmean.data.survey import SurveyedPages
from hmean.reports.data import render_table, write_data_report
from hmean.reports.data_record import data_statistics
from hmean.types import View
from support.surveyed import surveyed_page

VIEW = View(400, "stride")


def some_splits():
    pages = []
    for i in range(6):
        boxes = [(10, 30 * k, 20 + 7 * i * k, 8 + 2 * i) for k in range(1, 9)]
        pages.append(surveyed_page(f"{i}.jpg", boxes, group=f"shop {i // 2}", texts=["TOTAL 1"] * 8))
    return [SurveyedPages("train", pages[:4]), SurveyedPages("val", [*pages[4:], pages[0]])]


def test_the_terminal_gets_a_column_for_each_split_and_what_to_be_careful_about():
    table = render_table(data_statistics(some_splits(), VIEW))
    assert re.search(r"^ +train +val +all$", table, re.MULTILINE)
    assert re.search(r"^  pages +4 +3 +7$", table, re.MULTILINE)
    assert re.search(r"^  words +32 +24 +56$", table, re.MULTILINE)
    assert re.search(r"^  the largest group's share +50 % \(shop 0\) +67 % \(shop 2\)", table, re.MULTILINE)
    assert "Pages that are in more than one split: 1." in table
    assert "Groups that are in more than one split: 1." in table
    assert "are less than 8 pixels high" in table


def test_a_sound_set_with_large_text_has_no_remarks():
    pages = [surveyed_page("a", [(0, 0, 90, 30)]), surveyed_page("b", [(0, 0, 90, 40)])]
    table = render_table(data_statistics([SurveyedPages("train", pages)], VIEW))
    assert table.endswith("ignore regions.")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_page_is_one_file_with_figures(tmp_path, lang):
    splits = some_splits()
    path = tmp_path / "stats.html"
    write_data_report(path, "Data set <mine>", splits, data_statistics(splits, VIEW), VIEW, lang)
    html = path.read_text(encoding="utf-8")
    assert "Data set &lt;mine&gt;" in html
    assert f'<html lang="{lang}">' in html
    assert html.count("<svg") == 10
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", html)
    assert "train: 0.jpg and val: 0.jpg show the same page" in html
    assert ("파일 픽셀" in html) == (lang == "ko")


def test_a_set_of_unlabelled_pages_has_a_page_too(tmp_path):
    splits = [SurveyedPages("photos", [surveyed_page("a", [], labelled=False)]), SurveyedPages("none", [])]
    path = tmp_path / "stats.html"
    statistics = data_statistics(splits, VIEW)
    write_data_report(path, "x", splits, statistics, VIEW)
    assert path.read_text(encoding="utf-8").count("<svg") == 8
    assert re.search(r"^  height, pixels +- +- +-$", render_table(statistics), re.MULTILINE)
