"""The studio as its page meets it: over HTTP, and in headless Chromium."""

import http.client
import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import PIL.Image
import pytest

from hmean.cli import main
from hmean.commands import studio as job
from hmean.errors import InputError
from hmean.inference.checkpoints import load_checkpoint
from hmean.runs.carried import read_carried
from support.planted import plant_run

LOOK = {"transforms.long_side": 320, "models.head.postprocess.unclip": "inverse", "models.head.postprocess.inverse_r": 0.6,
        "models.head.postprocess.thresh": 0.3, "models.head.postprocess.box_thresh": 0.5}  # fmt: skip


@pytest.fixture(scope="module")
def planted(receipts, tmp_path_factory) -> list[Path]:
    """Two runs on the same validation pages; only copied."""
    root, more = tmp_path_factory.mktemp("planted"), [f"{k}={v}" for k, v in LOOK.items()]
    return [plant_run(root / name, receipts, i, 0.3, *more) for i, name in enumerate(("first", "second"))]


@pytest.fixture
def runs(planted, tmp_path) -> list[Path]:
    return [Path(shutil.copytree(run, tmp_path / run.name)) for run in planted]


class Client:
    def __init__(self, server):
        self.server, self.path = server, urlsplit(server.url).path

    def raw(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response.status, response.headers, data

    def get(self, path):
        return self.raw("GET", self.path + path)

    def post(self, path, value):
        status, _, data = self.raw("POST", self.path + path, json.dumps(value), Content_Type="application/json")
        return status, json.loads(data)


@pytest.fixture
def serve():
    servers = []

    def start(*folders, **labels):
        server = job.Server(job.open_studio([str(f) for f in folders], "val", **labels))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return Client(server)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client(serve, runs):
    return serve(runs[0])


def saved_of(client, run=0):
    return json.loads(client.get("about")[2])["runs"][run]["saved"]


def test_only_the_address_printed_is_answered(client):
    assert client.server.server_address[0] == "127.0.0.1"
    assert len(client.path) > 30
    ask = {"run": 0, "postprocess": saved_of(client)}
    for path in ("/", "/about", "/wrong/about", client.path.replace(client.path[1], "", 1) + "about"):
        assert client.raw("GET", path)[0] == 403
        assert (
            client.raw("POST", path.replace("about", "save"), json.dumps(ask), Content_Type="application/json")[0]
            == 403
        )
    for host in ("evil.example", "127.0.0.1.evil.example", "", "["):
        status, _, data = client.raw("GET", client.path + "about", Host=host)
        assert (status, b"pages" in data) == (403, False), host
    for host in ("localhost:8080", "127.0.0.1"):  # through a tunnel the port is another
        assert client.raw("GET", client.path + "about", Host=host)[0] == 200
    assert client.raw("POST", client.path + "save", json.dumps(ask), Content_Type="text/plain")[0] == 400  # of a form
    assert read_carried(client.server.studio.runs[0].folder / "checkpoints/best.ckpt").history == ()


def test_the_page_needs_nothing_from_elsewhere(client):
    for name in ("", "studio.css", "studio.js"):
        status, headers, data = client.get(name)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"https://" not in data
        assert b"http://" not in data.replace(b"http://www.w3.org/2000/svg", b"")
    assert client.get("other.js")[0] == 404


def test_pictures_are_the_pages(client, monkeypatch):
    page = json.loads(client.get("about")[2])["pages"][1]
    status, headers, data = client.get("image/1")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert PIL.Image.open(io.BytesIO(data)).size == (page["width"], page["height"])
    monkeypatch.setattr(job, "LONG_SIDE", 100)
    assert max(PIL.Image.open(io.BytesIO(client.get("image/2")[2])).size) == 100
    likely = PIL.Image.open(io.BytesIO(client.get("map/0/1")[2]))
    assert likely.mode == "RGBA"
    assert likely.getchannel("A").getextrema()[1] > 128


def test_scores_are_those_of_evaluate(client, runs):
    written = json.loads((runs[0] / "scores.json").read_text())
    status, scored = client.post("score", {"postprocess": [saved_of(client)]})
    assert status == 200
    (run,) = scored["runs"]
    assert run["now"] == run["saved"] == {key: written[key] for key in ("images", "cleval", "iou50", "iou70")}
    assert run["gain"] is None
    assert scored["between"] is None
    about = json.loads(client.get("about")[2])
    errors = json.loads((runs[0] / "errors.json").read_text())
    for i, (shown, page, told) in enumerate(zip(run["pages"], written["pages"], errors["pages"], strict=True)):
        assert shown[:3] == pytest.approx([page["p"], page["r"], page["h"]], abs=1e-5)
        assert dict(zip(about["faults"], shown[3:], strict=True)) == {fault: told[fault] for fault in about["faults"]}
        _, one = client.post("page", {"run": 0, "page": i, "postprocess": saved_of(client)})
        assert one["prh"] == {key: page[key] for key in ("p", "r", "h")}
        words = json.loads(client.get(f"truth/{i}")[2])
        assert [w["text"] for w in words] == list(client.server.studio.pages.page(i).texts)
        assert len(one["words"]) == len(words) == about["pages"][i]["words"]
        assert {(r["fault"] == "false") for r in one["regions"]} <= {False, True}
    _, changed = client.post("score", {"postprocess": [{**saved_of(client), "box_thresh": 0.75}]})
    low, high = changed["runs"][0]["gain"]["interval95"]
    assert low <= changed["runs"][0]["gain"]["gain"] <= high
    assert changed["runs"][0]["now"] != changed["runs"][0]["saved"]


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("page", {"postprocess": {"thresh": 2}}, "postprocess.thresh: input should be less than or equal to 1"),
        ("page", {"postprocess": {"thresh": "high"}}, "postprocess.thresh"),
        ("page", {"postprocess": {"unclip_ratio": float("inf")}}, "postprocess.unclip_ratio"),
        ("page", {"postprocess": {"min_size": float("nan")}}, "postprocess.min_size"),
        ("page", {"postprocess": {"treshold": 1}}, "postprocess.treshold: there is no such key"),
        ("page", {"page": 99}, "page: must be 0..2, got 99"),
        ("page", {"page": -1}, "page: must be 0..2, got -1"),
        ("save", {"run": 1}, "run: must be 0..0, got 1"),
        ("page", {"more": 1}, "more"),
    ],
)
def test_wrong_values_are_refused_in_words(client, path, change, words):
    good = {"run": 0, "postprocess": saved_of(client), **({"page": 0} if path == "page" else {})}
    bad = {**good, **change, "postprocess": {**good["postprocess"], **change.get("postprocess", {})}}
    status, answer = client.post(path, bad)
    assert status == 400
    assert words in answer["error"].lower()


def test_wrong_requests_are_refused_in_words(client):
    assert client.post("score", {"postprocess": []})[1]["error"].startswith("postprocess: ")
    kind = {"Content_Type": "application/json"}
    for body, words in ((b"{", "not JSON"), (b"[" * 5000, "not JSON"), (b" " * (job.BODY + 1), "at most")):
        status, _, data = client.raw("POST", client.path + "page", body, **kind)
        assert (status, words in json.loads(data)["error"]) == (400, True), words
    assert client.get("image/x")[0] == client.get("image/3")[0] == client.get("map/1/0")[0] == 400
    assert client.post("nothing", {})[0] == 404
    huge = {**saved_of(client), "unclip": "ratio", "unclip_ratio": 1e300}
    status, answer = client.post("page", {"run": 0, "page": 0, "postprocess": huge})
    assert status in (200, 400)
    assert status == 200 or answer["error"]


def test_save_keeps_the_history_and_writes_tuned_json(client, runs, receipts):
    best, before = runs[0] / "checkpoints" / "best.ckpt", saved_of(client)
    chosen = {**before, "thresh": 0.35, "box_thresh": 0.45}
    status, run = client.post("save", {"run": 0, "postprocess": chosen})
    assert (status, run["saved"], run["history"][0]["postprocess"]) == (200, chosen, before)
    checkpoint = load_checkpoint(best)
    assert checkpoint.postprocess.to_dict() == chosen
    assert [change.postprocess.to_dict() for change in checkpoint.history] == [before]
    assert "by hand on 3 val pages" in checkpoint.history[0].why
    tuned = json.loads((runs[0] / "tuned.json").read_text())
    assert (tuned["before"]["postprocess"], tuned["after"]["postprocess"]) == (before, chosen)
    assert (
        tuned["after"]["score"]["cleval"]
        == client.post("score", {"postprocess": [chosen]})[1]["runs"][0]["now"]["cleval"]
    )
    assert (tuned["decided"], tuned["holds"]) == ("by hand", chosen)
    assert tuned["influenced_by"]["tuned"] == 0  # of the values before
    assert not list(runs[0].rglob("*.part"))
    assert client.post("save", {"run": 0, "postprocess": before})[0] == 200
    assert [change.postprocess.to_dict() for change in load_checkpoint(best).history] == [before, chosen]
    assert main(["report", str(runs[0])]) == 0
    assert "chosen by hand in the studio" in (runs[0] / "report.html").read_text()
    assert (
        main(
            [
                "evaluate",
                f"run={runs[0]}",
                f"dataset_base_path={receipts}",
                "overwrite=true",
                f"output={runs[0] / 'again'}",
            ]
        )
        == 0
    )
    assert json.loads((runs[0] / "again" / "scores.json").read_text())["influenced_by"]["tuned"] == 3


def test_save_refuses_what_has_changed_and_changes_nothing_when_it_fails(client, runs, monkeypatch):
    best, before = runs[0] / "checkpoints" / "best.ckpt", saved_of(client)
    data = best.read_bytes()

    def full(*_):
        raise InputError("best.ckpt: cannot be written (No space left on device); nothing was changed")

    with monkeypatch.context() as patched:
        patched.setattr("hmean.runs.checkpoints.save_content", full)
        status, answer = client.post("save", {"run": 0, "postprocess": {**before, "thresh": 0.4}})
    assert (status, "No space left" in answer["error"]) == (400, True)
    assert best.read_bytes() == data
    assert not (runs[0] / "tuned.json").exists()
    assert saved_of(client) == before
    shutil.copy(runs[1] / "checkpoints" / "best.ckpt", best)  # trained again meanwhile
    status, answer = client.post("save", {"run": 0, "postprocess": {**before, "thresh": 0.4}})
    assert (status, "has changed" in answer["error"]) == (400, True)
    assert not (runs[0] / "tuned.json").exists()


def test_two_runs_are_compared_on_the_same_pages(serve, runs):
    client = serve(*runs)
    about = json.loads(client.get("about")[2])
    assert [run["name"] for run in about["runs"]] == ["first", "second"]
    _, scored = client.post("score", {"postprocess": [run["saved"] for run in about["runs"]]})
    first, second = (row["now"]["cleval"]["macro"]["h"] for row in scored["runs"])
    assert scored["between"]["gain"] == pytest.approx(second - first, abs=1e-12)
    assert json.loads((runs[1] / "scores.json").read_text())["cleval"]["macro"]["h"] == second


def test_a_closed_connection_ends_its_scoring(client, monkeypatch):
    gone, seen = threading.Event(), []

    def score(self, params, stop):
        while not stop():
            time.sleep(0.005)
        seen.append(params)
        gone.set()
        raise job.Superseded

    body = json.dumps({"postprocess": [saved_of(client)]}).encode()
    monkeypatch.setattr(job.Model, "score", score)
    with socket.create_connection(("127.0.0.1", client.server.server_port)) as connection:
        head = f"POST {client.path}score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert not gone.wait(0.2)  # as long as somebody waits
    assert gone.wait(10)


def test_what_cannot_be_shown_is_refused_in_words(runs, tmp_path, receipts):
    for folders, part, words in (
        ([], "val", "one run folder, or two"),
        ([runs[0]], "dev", "evaluate_on=dev"),
        ([tmp_path], "val", "is no run folder"),
        ([runs[0]], "test", "hmean evaluate run="),
    ):
        with pytest.raises(InputError, match=words):
            job.open_studio([str(f) for f in folders], part)
    moved = {"annotation_path": str(receipts / "jsons/val.json"), "image_path": str(receipts / "images")}
    assert len(job.open_studio([str(runs[0])], "test", **moved).pages) == 3
    next((runs[0] / "maps").rglob("*.map")).unlink()
    with pytest.raises(InputError, match="no maps of 1 of the 3 pages"):
        job.open_studio([str(runs[0])])
    (runs[1] / "checkpoints" / "best.ckpt").write_bytes(b"no zip")
    with pytest.raises(InputError, match="damaged, or not a checkpoint"):
        job.open_studio([str(runs[1])])
    assert main(["studio", str(runs[1]), "colour=red"]) == 2
    assert main(["studio", str(runs[1]), "port=http"]) == 2


def test_the_record_is_read_without_torch_and_without_running_what_is_in_it(runs, tmp_path):
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    evil = tmp_path / "evil.ckpt"
    with zipfile.ZipFile(evil, "w") as file:
        file.writestr("a/data.pkl", pickle.dumps({"hmean": {"postprocess": Evil(), "history": []}}))
    with pytest.raises(InputError):
        read_carried(evil)
    assert not (tmp_path / "ran").exists()
    code = (
        "import sys\nfrom hmean.commands import studio\n"
        f"opened = studio.open_studio([{str(runs[0])!r}])\nopened.runs[0].model.score(opened.runs[0].saved)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_prints_its_address_and_ends_quietly(runs):
    import signal
    import urllib.request

    command = [sys.executable, "-m", "hmean", "studio", str(runs[0])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url + "about", timeout=60) as answer:  # noqa: S310 - of our own server
        assert answer.status == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


# --- in the browser -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if program is None:
        pytest.skip("there is no Chromium")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, serve):
    opened = []

    def go(*folders, width=1280, height=800):
        page = browser.new_page(viewport={"width": width, "height": height}, bypass_csp=True)  # the test's own scripts
        page.set_default_timeout(60_000)
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        opened.append((page, faults))
        page.goto(serve(*folders).server.url)
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
    for _ in range(600):
        if read(page) != before:
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"still {before}")


def test_regions_and_scores_follow_a_slider(visit, runs):
    page = visit(runs[0])
    slider = page.get_by_label("box_thresh", exact=True)
    assert slider.input_value() == "0.5"
    changes(page, macro, lambda: changes(page, drawn, lambda: slider.fill("0.8")))
    assert "[" in page.locator("#gain").inner_text()
    marked = page.locator("#curve .now").get_attribute("cx"), page.locator("#curve .saved").get_attribute("cx")
    assert marked[0] != marked[1]
    changes(page, drawn, lambda: page.get_by_label("inverse_r, exactly").fill("0.3") or page.keyboard.press("Enter"))
    changes(page, drawn, lambda: page.get_by_label("use_polygon").select_option("polygons"))
    page.get_by_label("unclip", exact=True).select_option("ratio")
    assert page.get_by_label("unclip_ratio", exact=True).is_visible()
    assert not page.get_by_label("inverse_r", exact=True).is_visible()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.querySelector('#gain').textContent.startsWith('the same')")


def test_everything_is_reached_by_keyboard(visit, runs):
    page = visit(runs[0])
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
    assert {"open-help", "next", "fault", "fit", "knob-thresh", "knob-unclip", "kind", "sort", "list"} <= set(seen)
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
    assert load_checkpoint(runs[0] / "checkpoints/best.ckpt").postprocess.box_thresh == 0.8
    assert page.locator("#open-save").is_disabled()


def test_pages_are_filtered_and_sorted(visit, runs):
    page = visit(runs[0])
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


def test_two_runs_side_by_side_on_a_phone(visit, runs):
    page = visit(*runs, width=390, height=844)
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
