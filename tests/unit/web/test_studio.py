"""The studio as its page meets it over HTTP: what it shows, saves and refuses."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import PIL.Image
import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")
pytest.importorskip("torch")  # which plants the runs

from hmean.cli import main
from hmean.errors import InputError
from hmean.inference.checkpoints import load_checkpoint
from hmean.runs.carried import read_carried
from hmean.web import studio_answers, studio_runs
from hmean.web.studio import BODY_LIMITS
from hmean.web.studio_scores import ModelScores, SupersededError
from support.asgi import RawRequest, happens, in_loop
from support.studio import TOKEN, StudioClient, studio_of


@pytest.fixture
def client(copies_of_two_runs):
    return StudioClient(studio_of(copies_of_two_runs[0]))


@pytest.fixture(scope="module")
def reader(two_runs):
    """For tests that save nothing."""
    return StudioClient(studio_of(two_runs[0]))


# --- who is answered --------------------------------------------------------------------------------------------------


def test_only_the_address_printed_is_answered(client):
    ask = {"run": 0, "postprocess": client.saved()}
    for path in ("/", "/about", "/wrong/about", f"/{TOKEN[1:]}/about", f"/{TOKEN}x/about"):
        assert client.raw("GET", path).status_code == 403
        answer = client.raw("POST", path.replace("about", "save"), json=ask)
        assert (answer.status_code, answer.json()["error"]) == (403, "address")
    for host in ("evil.example", "127.0.0.1.evil.example", "", "["):
        answer = client.raw("GET", f"/{TOKEN}/about", headers={"host": host})
        assert (answer.status_code, "pages" in answer.json()) == (403, False), host
    for host in ("localhost:8080", "127.0.0.1"):  # through a tunnel the port is another
        assert client.raw("GET", f"/{TOKEN}/about", headers={"host": host}).status_code == 200
    form = client.raw("POST", f"/{TOKEN}/save", content=json.dumps(ask), headers={"content-type": "text/plain"})
    assert form.status_code == 422  # as a form elsewhere can send it
    assert read_carried(client.studio.runs[0].folder / "checkpoints/best.ckpt").history == ()


def test_the_page_needs_nothing_from_elsewhere(reader):
    page = reader.get("")
    assert page.status_code == 200
    names = re.findall(r'(?:href|src)="([a-z.]+)"', page.text)
    assert names == ["studio.css", "studio.js"]
    for imported in re.findall(r'from "\./([a-z]+\.js)"', reader.get("studio.js").text):
        names.append(imported)
    assert len(names) > 10
    for name in ["", *names]:
        answer = reader.get(name)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "https://" not in answer.text
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert reader.get("other.js").status_code == 404


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_pictures_are_the_pages(two_runs, monkeypatch):
    client = StudioClient(studio_of(two_runs[0]))
    page = client.get("about").json()["pages"][1]
    answer = client.get("image/1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert "max-age" in answer.headers["cache-control"]
    assert PIL.Image.open(io.BytesIO(answer.content)).size == (page["width"], page["height"])
    monkeypatch.setattr(studio_answers, "PICTURE_LONG_SIDE", 100)
    assert max(PIL.Image.open(io.BytesIO(client.get("image/2").content)).size) == 100
    likely = PIL.Image.open(io.BytesIO(client.get("map/0/1").content))
    assert likely.mode == "RGBA"
    assert likely.getchannel("A").getextrema()[1] > 128


def test_parameters_are_those_that_are_declared(reader):
    parameters = {entry["name"]: entry for entry in reader.get("about").json()["parameters"]}
    assert set(parameters) == set(reader.saved())
    assert parameters["thresh"]["slider"] == {"low": 0, "high": 1, "step": 0.01}
    assert (parameters["thresh"]["minimum"], parameters["min_size"]["maximum"]) == (0, None)
    assert parameters["inverse_r"]["unclip"] == "inverse"
    assert [choice["value"] for choice in parameters["use_polygon"]["choices"]] == [False, True]
    assert parameters["max_candidates"]["is_whole"]


def test_scores_are_those_of_evaluate(reader, two_runs):
    written = json.loads((two_runs[0] / "scores.json").read_text())
    saved = reader.saved()
    status, scored = reader.post("score", {"postprocess": [saved]})
    assert status == 200
    (run,) = scored["runs"]
    assert run["now"] == run["saved"] == {key: written[key] for key in ("images", "cleval", "iou50", "iou70")}
    assert run["gain"] is None
    assert scored["between"] is None
    about = reader.get("about").json()
    errors = json.loads((two_runs[0] / "errors.json").read_text())
    for i, (shown, page, told) in enumerate(zip(run["pages"], written["pages"], errors["pages"], strict=True)):
        assert [shown[key] for key in "prh"] == pytest.approx([page[key] for key in "prh"], abs=1e-5)
        assert shown["faults"] == {fault: told[fault] for fault in about["faults"]}
        _, one = reader.post("page", {"run": 0, "page": i, "postprocess": saved})
        assert one["prh"] == {key: page[key] for key in "prh"}
        words = reader.get(f"truth/{i}").json()
        assert [word["text"] for word in words] == list(reader.studio.pages.page(i).texts)
        assert len(one["word_faults"]) == len(words) == about["pages"][i]["words"]
        assert {polygon["fault"] for polygon in one["found"]} <= {"", "false", "merged"}
    _, changed = reader.post("score", {"postprocess": [{**saved, "box_thresh": 0.75}]})
    assert changed["runs"][0]["gain"]["interval95"] is None  # too few groups
    assert about["grouping"].startswith("3 pages")
    assert "groups of pages (1): no interval can be given" in about["grouping_warning"]
    assert changed["runs"][0]["now"] != changed["runs"][0]["saved"]


def test_two_runs_are_compared_on_the_same_pages(two_runs):
    client = StudioClient(studio_of(*two_runs))
    about = client.get("about").json()
    assert [run["name"] for run in about["runs"]] == ["first", "second"]
    _, scored = client.post("score", {"postprocess": [run["saved"] for run in about["runs"]]})
    first, second = (run["now"]["cleval"]["macro"]["h"] for run in scored["runs"])
    assert scored["between"]["gain"] == pytest.approx(second - first, abs=1e-12)
    assert json.loads((two_runs[1] / "scores.json").read_text())["cleval"]["macro"]["h"] == second


def test_a_client_that_has_left_ends_its_scoring(two_runs, monkeypatch):
    client = StudioClient(studio_of(two_runs[0]))
    begun, ended = threading.Event(), threading.Event()

    def all_pages(_self, _params, is_superseded):
        begun.set()
        while not is_superseded():
            time.sleep(0.001)
        ended.set()
        raise SupersededError

    body = json.dumps({"postprocess": [client.saved()]}).encode()
    monkeypatch.setattr(ModelScores, "all_pages", all_pages)

    async def test():
        headers = ((b"host", b"localhost"), (b"content-type", b"application/json"))
        request = RawRequest(client.app, body, more=False, path=f"/{TOKEN}/score", headers=headers)
        await happens(begun.is_set)
        assert not ended.wait(0.05)  # as long as somebody waits
        request.leave()
        assert (await request.answer())[0] == 499
        assert ended.is_set()

    in_loop(test)


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("page", {"postprocess": {"thresh": 2}}, "postprocess.thresh: input should be less than or equal to 1"),
        ("page", {"postprocess": {"thresh": "high"}}, "postprocess.thresh"),
        ("page", {"postprocess": {"treshold": 1}}, "postprocess.treshold: there is no such key"),
        ("page", {"page": 99}, "page: must be 0..2, got 99"),
        ("page", {"page": -1}, "page: must be 0..2, got -1"),
        ("save", {"run": 1}, "run: must be 0..0, got 1"),
        ("page", {"more": 1}, "more"),
    ],
)
def test_wrong_values_are_refused_in_words(reader, path, change, words):
    good = {"run": 0, "postprocess": reader.saved(), **({"page": 0} if path == "page" else {})}
    bad = {**good, **change, "postprocess": {**good["postprocess"], **change.get("postprocess", {})}}
    status, answer = reader.post(path, bad)
    assert (status, answer["error"]) == (422, "invalid")
    assert words in "; ".join(answer["faults"]).lower()


@pytest.mark.parametrize("text", ['"unclip_ratio": Infinity', '"min_size": NaN'])
def test_numbers_that_are_none_are_refused_in_words(reader, text):
    body = json.dumps({"run": 0, "page": 0, "postprocess": reader.saved()})
    key = text.partition(":")[0]
    body = re.sub(rf"{key}: [0-9.]+", text, body)
    answer = reader.raw("POST", f"/{TOKEN}/page", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert f"postprocess.{key.strip(chr(34))}" in answer.json()["faults"][0]


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 422), (b"[" * 5000, 400), (b" " * (BODY_LIMITS.max_bytes + 1), 413), (b"", 422)]
)
def test_bodies_that_are_none_are_refused_in_words(reader, body, status):
    answer = reader.raw("POST", f"/{TOKEN}/page", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["faults"]


def test_wrong_requests_are_refused_in_words(reader):
    assert reader.post("score", {"postprocess": []})[1]["faults"][0].startswith("postprocess: ")
    for path in ("image/x", "image/3", "map/1/0", "map/0/-1", "truth/3"):
        assert reader.get(path).status_code == 422
    assert reader.post("nothing", {})[0] in (404, 405)
    huge = {**reader.saved(), "unclip": "ratio", "unclip_ratio": 1e300}
    status, answer = reader.post("page", {"run": 0, "page": 0, "postprocess": huge})
    assert status in (200, 422)
    assert status == 200 or answer["faults"]


def test_what_cannot_be_shown_is_refused_in_words(copies_of_two_runs, tmp_path, receipts):
    runs = copies_of_two_runs
    for folders, settings, words in (
        ([], {}, "one run folder, or two"),
        ([tmp_path], {}, "is not a run folder"),
        ([runs[0]], {"split": "test"}, "hmean evaluate run="),
    ):
        with pytest.raises(InputError, match=words):
            studio_of(*folders, **settings)
    moved = {"annotation_path": str(receipts / "jsons/val.json"), "image_path": str(receipts / "images")}
    assert len(studio_of(runs[0], split="test", **moved).pages) == 3
    next((runs[0] / "maps").rglob("*.map")).unlink()
    with pytest.raises(InputError, match="no maps of 1 of the 3 pages"):
        studio_of(runs[0])
    (runs[1] / "checkpoints" / "best.ckpt").write_bytes(b"no zip")
    with pytest.raises(InputError, match="damaged, or not a checkpoint"):
        studio_of(runs[1])
    assert main(["studio", str(runs[1]), "colour=red"]) == 2
    assert main(["studio", str(runs[1]), "port=http"]) == 2
    assert main(["studio", str(runs[1]), "split=dev"]) == 2


# --- what it saves ----------------------------------------------------------------------------------------------------


def test_save_keeps_the_history_and_writes_tuned_json(client, copies_of_two_runs, receipts):
    run_folder = copies_of_two_runs[0]
    best = run_folder / "checkpoints" / "best.ckpt"
    before = client.saved()
    chosen = {**before, "thresh": 0.35, "box_thresh": 0.45}
    status, run = client.post("save", {"run": 0, "postprocess": chosen})
    assert (status, run["saved"], run["history"][0]["postprocess"]) == (200, chosen, before)
    checkpoint = load_checkpoint(best)
    assert checkpoint.postprocess.to_dict() == chosen
    assert [change.postprocess.to_dict() for change in checkpoint.history] == [before]
    assert "by hand on 3 val pages" in checkpoint.history[0].why
    tuned = json.loads((run_folder / "tuned.json").read_text())
    assert (tuned["before"]["postprocess"], tuned["after"]["postprocess"]) == (before, chosen)
    scored = client.post("score", {"postprocess": [chosen]})[1]["runs"][0]["now"]
    assert tuned["after"]["score"]["cleval"] == scored["cleval"]
    assert (tuned["decision"], tuned["in_model"]) == ("manual", chosen)
    assert tuned["influenced_by"]["tuned"] == 0  # of the values before
    assert not list(run_folder.rglob("*.part"))
    assert client.post("save", {"run": 0, "postprocess": before})[0] == 200
    assert [change.postprocess.to_dict() for change in load_checkpoint(best).history] == [before, chosen]
    assert main(["report", str(run_folder)]) == 0
    assert "chosen by hand in the studio" in (run_folder / "report.html").read_text()
    again = run_folder / "again"
    command = ["evaluate", f"run={run_folder}", f"dataset_base_path={receipts}", "overwrite=true", f"output={again}"]
    assert main(command) == 0
    assert json.loads((again / "scores.json").read_text())["influenced_by"]["tuned"] == 3


def test_save_refuses_what_has_changed_and_changes_nothing_when_it_fails(client, copies_of_two_runs, monkeypatch):
    first, second = copies_of_two_runs
    best = first / "checkpoints" / "best.ckpt"
    before = client.saved()
    data = best.read_bytes()

    def full(*_):
        raise InputError("best.ckpt: cannot be written (No space left on device); nothing was changed")

    with monkeypatch.context() as patched:
        patched.setattr("hmean.runs.checkpoints.save_content", full)
        status, answer = client.post("save", {"run": 0, "postprocess": {**before, "thresh": 0.4}})
    assert (status, "No space left" in answer["faults"][0]) == (422, True)
    assert best.read_bytes() == data
    assert not (first / "tuned.json").exists()
    assert client.saved() == before
    shutil.copy(second / "checkpoints" / "best.ckpt", best)  # trained again meanwhile
    status, answer = client.post("save", {"run": 0, "postprocess": {**before, "thresh": 0.4}})
    assert (status, "has changed" in answer["faults"][0]) == (422, True)
    assert not (first / "tuned.json").exists()


def test_a_run_is_shown_without_torch_and_without_running_what_is_in_it(two_runs, tmp_path):
    import pickle
    import zipfile

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    evil = tmp_path / "evil.ckpt"
    with zipfile.ZipFile(evil, "w") as file:
        file.writestr("a/data.pkl", pickle.dumps({"hmean": {"postprocess": Evil(), "history": []}}))
    with pytest.raises(InputError):
        studio_runs.read_saved(evil)
    assert not (tmp_path / "ran").exists()
    code = (
        "import sys\nfrom hmean.commands.studio import StudioSettings, open_studio\n"
        f"run = open_studio(StudioSettings(inputs=({str(two_runs[0])!r},))).runs[0]\nrun.scores.all_pages(run.saved)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
