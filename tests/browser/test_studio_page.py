"""The studio's page in headless Chromium."""

from contextlib import ExitStack

import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from hmean.runs.carried import read_carried
from support.studio import served, studio_of


@pytest.fixture(scope="module")
def one(two_runs):
    """The address of a studio on one run, for tests that save nothing."""
    with served(studio_of(two_runs[0])) as url:
        yield url


@pytest.fixture
def serve():
    """Serves a studio on run folders until the end of the test; returns its address."""
    with ExitStack() as stack:
        yield lambda *folders: stack.enter_context(served(studio_of(*folders)))


@pytest.fixture
def visit(browser, serve):  # its pages are closed before what they show ends
    opened = []

    def go(url, width=1280, height=800):
        page = browser.new_page(viewport={"width": width, "height": height}, bypass_csp=True)  # the test's own scripts
        page.set_default_timeout(60_000)
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        opened.append((page, faults))
        page.goto(url)
        page.wait_for_function("document.querySelectorAll('#list li').length === 3")
        page.wait_for_function("document.querySelector('path.truth').getAttribute('d').length > 9")
        return page

    yield go
    for page, faults in opened:
        page.close()
        assert not faults


def drawn(page, pane=0):
    return page.locator("path.found").nth(pane).get_attribute("d")


def macro(page):
    return page.locator("#scores tbody tr").first.inner_text()


def changes(page, read, act):
    """Do something, and wait until what is read is another."""
    before = read(page)
    act()
    for _ in range(6000):
        if read(page) != before:
            return
        page.wait_for_timeout(5)
    raise AssertionError(f"still {before}")


def test_text_polygons_and_scores_follow_a_slider(visit, one):
    page = visit(one)
    slider = page.get_by_label("box_thresh", exact=True)
    assert slider.input_value() == "0.5"
    changes(page, macro, lambda: changes(page, drawn, lambda: slider.fill("0.8")))
    assert "too few groups of pages for an interval" in page.locator("#gain").inner_text()
    assert "3 pages" in page.locator("#grouping").inner_text()
    assert "Careful: fewer than 6 groups" in page.locator("#grouping").inner_text()
    module = page.locator("script[type=module]").first.evaluate("script => new URL('scores.js', script.src).href")
    told = page.evaluate(
        "async (url) => (await import(url)).gainText({ gain: 0.01, interval95: [0.005, 0.02] }, 'A')", module
    )
    assert told == "macro H +1.00 [+0.50, +2.00] against A: better"
    marked = page.locator("#curve .now").get_attribute("cx"), page.locator("#curve .saved").get_attribute("cx")
    assert marked[0] != marked[1]
    changes(page, drawn, lambda: page.get_by_label("inverse_r, exactly").fill("0.3") or page.keyboard.press("Enter"))
    changes(page, drawn, lambda: page.get_by_label("use_polygon").select_option("polygons"))
    page.get_by_label("unclip", exact=True).select_option("ratio")
    assert page.get_by_label("unclip_ratio", exact=True).is_visible()
    assert not page.get_by_label("inverse_r", exact=True).is_visible()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.querySelector('#gain').textContent.startsWith('the same')")


def test_everything_is_reached_by_keyboard(visit, serve, copies_of_two_runs):
    run = copies_of_two_runs[0]
    page = visit(serve(run))
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        at, ring = page.evaluate(
            "[(e => e.id || e.getAttribute('aria-label') || e.tagName)(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]"
        )
        if at in seen:
            break
        seen.append(at)
        assert ring != "none" or at == "BODY", at
    assert {"open-help", "next", "fault", "fit", "parameter-thresh", "parameter-unclip", "kind", "sort", "list"} <= set(
        seen
    )
    page.locator("#list").focus()
    changes(page, lambda p: p.locator("#name").inner_text(), lambda: page.keyboard.press("ArrowDown"))
    changes(page, lambda p: p.locator("#name").inner_text(), lambda: page.keyboard.press("k"))
    view = page.locator("figure svg")
    page.wait_for_function("document.querySelector('path.truth').getAttribute('d').length > 9")
    for key in ("f", "+", "0"):
        changes(page, lambda _: view.get_attribute("viewBox"), lambda key=key: page.keyboard.press(key))
    page.keyboard.press("f")
    assert page.locator("#live").inner_text().startswith("fault 2 of")  # f was pressed before
    view.focus()
    changes(page, lambda _: view.get_attribute("viewBox"), lambda: page.keyboard.press("ArrowRight"))
    changes(page, drawn, lambda: page.keyboard.press("p"))
    changes(page, macro, lambda: [page.keyboard.press("'") for _ in range(30)])
    page.keyboard.press("?")
    assert page.get_by_role("dialog").get_by_text("next fault of the page").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.locator("#save").get_by_text("0.5 → 0.8").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#save").wait_for(state="hidden")
    assert read_carried(run / "checkpoints/best.ckpt").postprocess.box_thresh == 0.8
    assert page.locator("#open-save").is_disabled()


def test_pages_are_filtered_and_sorted(visit, one):
    page = visit(one)
    hmeans = [float(text) for text in page.locator("#list li span:nth-child(2)").all_inner_texts()]
    assert hmeans == sorted(hmeans)
    page.locator("#sort").select_option("most missed")
    missed = [int(text.replace("·", "0")) for text in page.locator("#list li span:nth-child(3)").all_inner_texts()]
    assert missed == sorted(missed, reverse=True)
    page.locator("#kind").select_option("false")
    assert "0" not in page.locator("#list li span:nth-child(5)").all_inner_texts()
    page.locator("#kind").select_option("all pages")
    page.locator("#height").select_option("40 px and more")
    assert page.locator("#count").inner_text().startswith(f"{page.locator('#list li').count()} of 3")


def test_two_runs_side_by_side_on_a_phone(visit, serve, two_runs):
    page = visit(serve(*two_runs), width=390, height=844)
    page.wait_for_function("[...document.querySelectorAll('path.found')].every((p) => p.getAttribute('d'))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter((e) => e.offsetParent && e.getBoundingClientRect().right > 391).map((e) => e.id)"
    )
    assert small == []
    assert drawn(page, 0) != drawn(page, 1)
    assert "against A" in page.locator("#between").inner_text()
    first = drawn(page, 0)
    page.get_by_role("radio", name="B second").click()
    changes(page, lambda p: drawn(p, 1), lambda: page.get_by_label("thresh", exact=True).fill("0.7"))
    assert drawn(page, 0) == first
