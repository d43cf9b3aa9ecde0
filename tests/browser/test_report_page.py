"""The report of a run in headless Chromium: nothing is cut off, headings sort, pictures open."""

import itertools

import pytest

from hmean.cli import main
from support.starts import record, scored

SCREEN = 1280
PHONE = 390
# Tables that are wider than their place; they scroll, but on a screen none should need to.
CUT_OFF = "[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth).length"
PAGE_IS_WIDER = "document.documentElement.scrollWidth > window.innerWidth"


@pytest.fixture
def report(copy_of_run, receipts, capsys):
    """The report of a tuned run, opened in pages of a given width."""
    lists = ["tune.thresh=[0.05,0.1,0.2]", "tune.box_thresh=[0.0,0.1,0.2]", "tune.inverse_r=[0.4,0.5,0.6]"]
    assert main(["tune", f"run={copy_of_run}", f"dataset_base_path={receipts}", *lists]) == 0
    for lang in ("en", "ko"):
        assert main(["report", str(copy_of_run), f"lang={lang}"]) == 0
    return copy_of_run / "report.html"


def test_nothing_is_cut_off(browser, report):
    for width, file in itertools.product((SCREEN, PHONE), (report, report.with_suffix(".ko.html"))):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(file.as_uri())
        assert not page.evaluate(PAGE_IS_WIDER), (file.name, width)
        if width == SCREEN:
            assert page.evaluate(CUT_OFF) == 0, file.name
        page.close()


def test_the_comparison_with_the_start_comes_first_and_fits_a_phone(browser, copy_of_run):
    record(scored(0, 0.9, 0.7), scored(1, 0.9, 0.85)).write(copy_of_run / "start.json")
    for lang, end in (("en", ".html"), ("ko", ".ko.html")):
        assert main(["report", str(copy_of_run), f"lang={lang}"]) == 0
        for width in (SCREEN, PHONE):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto((copy_of_run / f"report{end}").as_uri())
            assert "pp-ocrv6-small" in page.locator("h2").first.inner_text()
            table = page.locator(".scroll").first
            assert table.bounding_box()["y"] < 250, (lang, width)
            assert table.locator("tr").count() == 4
            assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), (lang, width)
            page.close()


def test_the_page_of_a_data_set_is_not_cut_off(browser, receipts, tmp_path, capsys):
    for width, lang in itertools.product((SCREEN, PHONE), ("en", "ko")):
        file = tmp_path / f"{lang}.html"
        assert main(["data", "stats", str(receipts), "--html", str(file), "--lang", lang, "--workers", "1"]) == 0
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(file.as_uri())
        assert not page.evaluate(PAGE_IS_WIDER), (lang, width)
        if width == SCREEN:
            assert page.evaluate(CUT_OFF) == 0, lang
        page.close()


def test_a_heading_sorts_and_a_picture_opens(browser, report):
    page = browser.new_page(viewport={"width": SCREEN, "height": 900})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(report.as_uri())
    pages = page.locator("table.sortable").first
    pages.get_by_role("button", name="page").click()
    ascending = pages.locator("tbody td:first-child").all_inner_texts()
    pages.get_by_role("button", name="page").click()
    descending = pages.locator("tbody td:first-child").all_inner_texts()
    assert ascending == sorted(ascending)
    assert descending == ascending[::-1]
    page.locator("button.zoom").first.click()
    assert page.locator("dialog img").evaluate("picture => picture.complete && picture.naturalWidth > 0")
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    assert faults == []
    page.close()
