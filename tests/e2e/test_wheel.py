"""The wheel alone in a fresh virtual environment: no torch, and what the base promises works there."""

import importlib.util
import json
import os
import re
import subprocess
import urllib.request
import venv
from contextlib import contextmanager
from pathlib import Path

import pytest

from hmean.inference.metadata import read_metadata, write_metadata
from support.once import made_once
from support.pages import drawn_page
from support.planted import plant_run

ROOT = Path(__file__).parents[2]
MOST_MB = 700  # docs/benchmarks.md, "Install", has what it is; the aim is 250
WORK = """
import sys, time
start = time.perf_counter()
import hmean
assert time.perf_counter() - start < 0.5
detector = hmean.load(sys.argv[1])
assert len(detector(sys.argv[2])) == 4
assert not {"torch", "onnx", "optuna"} & set(sys.modules)
"""


@pytest.fixture(scope="session")
def light(tmp_path_factory):
    """(python, MB of its packages), or a visible skip where pip reaches no index."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "benchmarks" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)

    def make(folder: Path) -> None:
        folder.mkdir()
        sizes = install.sizes(install.install(folder))
        (folder / "sizes.json").write_text(json.dumps(sizes))

    try:
        folder = made_once(tmp_path_factory, "wheel", make)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"pip cannot build or install the wheel here: {error}")
    return folder / "venv/bin/python", json.loads((folder / "sizes.json").read_text())


def test_the_base_install_is_what_it_says(light):
    _, sizes = light
    assert not {"torch", "onnx", "optuna", "timm"} & set(sizes)
    assert sum(sizes.values()) < MOST_MB


def test_the_commands_of_the_base_run(light, ink, receipts, tmp_path):
    python, _ = light
    drawn_page(4).save(tmp_path / "page.png")
    # Without compiling, which takes half a minute once an installation; the pages are small.
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": "", "MPLCONFIGDIR": str(tmp_path)}

    def hmean(*arguments, code=0):
        done = subprocess.run(
            [python, "-m", "hmean", *map(str, arguments)],
            check=False,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    subprocess.run([python, "-c", WORK, ink, tmp_path / "page.png"], env=environment, cwd=tmp_path, check=True)
    model = tmp_path / "model.onnx"
    model.write_bytes(ink.read_bytes())
    labels = receipts / "jsons" / "test.json"
    assert "export" in hmean("--help")
    hmean("predict", tmp_path / "page.png", f"checkpoint_path={model}", "output=found")
    assert len(json.loads((tmp_path / "found/predictions.json").read_text())["images"]["page.png"]["words"]) == 4
    hmean("predict", labels, f"dataset_base_path={receipts}", f"checkpoint_path={model}", "output=a")
    hmean(
        "predict",
        labels,
        f"dataset_base_path={receipts}",
        f"checkpoint_path={model}",
        "output=b",
        "models.head.postprocess.thresh=0.8",
    )
    hmean("score", labels, "a/predictions.json", "--images", receipts / "images")
    hmean("compare", "a/predictions.json", "b/predictions.json", "--truth", labels, "--images", receipts / "images")
    hmean("evaluate", f"dataset_base_path={receipts}", f"checkpoint_path={model}", "evaluate_on=test", "output=c")
    said = hmean("tune", f"dataset_base_path={receipts}", f"checkpoint_path={model}", "split=test", code=2)
    assert "hmean[export]" in said  # it would write into the file
    assert not (tmp_path / "model" / "tuned.json").exists()
    other = tmp_path / "other.onnx"  # the same network, said to be another's
    other.write_bytes(ink.read_bytes())
    metadata = read_metadata(other)
    config = {**metadata.config, "seed": 7}
    write_metadata(other, metadata.model_copy(update={"weights_hash": "1" * 64, "config": config}))
    train = "datasets.val_dataset.annotation_path=${dataset_base_path}/jsons/train.json"
    few = ("tune.thresh=[0.3,0.5]", "tune.box_thresh=[0.5]", "tune.unclip_ratio=[]", "tune.inverse_r=[]")
    said = hmean("ensemble", model, other, f"dataset_base_path={receipts}", train, "output=joined", *few)
    assert {"single", "map mean", "voting"} <= set(re.findall(r"^[a-z ]+", said, re.MULTILINE))
    hmean("predict", tmp_path / "page.png", "checkpoint_path=joined/ensemble.json", "output=by_both")
    assert json.loads((tmp_path / "by_both/predictions.json").read_text())["images"]["page.png"]["words"]
    hmean("data", "check", labels, receipts / "images")
    hmean("data", "split", labels.with_name("train.json"), "splits.json", "-k", "2")
    for command, extra in (("train", "train"), ("sweep", "train"), ("export", "export")):
        assert f"hmean[{extra}]" in hmean(command, *(["x.yaml"] if command == "sweep" else []), code=2)
    run = plant_run(tmp_path / "trained", receipts)
    assert "hmean[train]" in hmean("predict", tmp_path / "page.png", f"run={run}", "output=d", code=2)


def test_the_studio_and_the_service_run(light, ink, receipts, tmp_path):
    python, _ = light
    run = plant_run(tmp_path / "run", receipts, 0, 0.3)
    python = with_web(python, tmp_path / "web")
    with running(python, tmp_path, "studio", run, "port=0", pattern=r"http://\S+") as url:
        assert b"<!doctype html>" in ask(url)
        assert len(json.loads(ask(f"{url}about"))["pages"]) == 3
    drawn_page(4).save(tmp_path / "page.png")
    with running(python, tmp_path, "serve", f"model={ink}", "port=0", pattern=r'"port": (\d+)') as port:
        found = json.loads(ask(f"http://127.0.0.1:{port}/detect", (tmp_path / "page.png").read_bytes()))
        assert len(found["words"]) == 4


def with_web(light, folder):
    """The python of an environment of its own that has what the web extra adds; all else it shares with ``light``."""
    venv.create(folder)
    python = folder / "bin/python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    shared, own = (subprocess.check_output([p, "-c", code], text=True).strip() for p in (light, python))
    Path(own, "light.pth").write_text(f"{shared}\n")
    wheel = next(light.parents[2].glob("hmean-*.whl"))
    pip = [light, "-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"{wheel}[web]"], check=True)
    return python


def ask(url, data=None):
    request = urllib.request.Request(url, data, {"content-type": "image/png"})  # noqa: S310 - of a server started here
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        return answer.read()


@contextmanager
def running(python, folder, *arguments, pattern):
    """A command that stays, with what it says of where it listens."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": "", "MPLCONFIGDIR": str(folder)}
    command = [python, "-m", "hmean", *map(str, arguments)]
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:  # fmt: skip
        try:
            said = ""
            while not (found := re.search(pattern, said)):
                line = process.stdout.readline()
                assert line, said
                said += line
            yield found[found.lastindex or 0]
        finally:
            process.kill()
