import re
from pathlib import Path

import jinja2
import pytest

import hmean.reports
from hmean.reports.page import percent, points, points_interval, render

TEMPLATES = Path(hmean.reports.__file__).parent / "templates"


def test_every_page_derives_from_one_base():
    pages = [path for path in TEMPLATES.glob("*.html.j2") if path.name != "base.html.j2"]
    assert {page.name for page in pages} == {"run.html.j2", "sweep.html.j2", "campaign.html.j2", "data.html.j2"}
    for page in pages:
        text = page.read_text()
        assert '{% extends "base.html.j2" %}' in text, page
        assert "<style" not in text, page


def test_a_page_loads_nothing_and_escapes_what_it_shows():
    section = {"title": "<b>", "lines": ["a & b"], "rows": [], "head": [], "code": [], "text": False}
    html = render("campaign.html.j2", title="name", lang="ko", sections=[section])
    assert '<html lang="ko">' in html
    assert "&lt;b&gt;" in html
    assert "a &amp; b" in html
    assert not re.search(r"(src|href)=|@import|url\(", html)


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="sections"):
        render("campaign.html.j2", title="name", lang="en")


def test_numbers_are_in_percent_and_in_points():
    assert percent(0.96374) == "96.37"
    assert points(0.0024) == "+0.24"
    assert points_interval((-0.0011, 0.0059)) == '<span class="interval">[-0.11, +0.59]</span>'
