"""The wheel alone in a fresh virtual environment: no torch, and what the base promises works there."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest

from conftest import drawn_page

ROOT = Path(__file__).parents[1]
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


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """(python, MB of its packages), or a visible skip where pip reaches no index."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "benchmarks" / "install.py")
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    try:
        python = install.install(tmp_path_factory.mktemp("wheel"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"pip cannot build or install the wheel here: {error}")
    return python, install.sizes(python)


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
    hmean("tune", f"dataset_base_path={receipts}", f"checkpoint_path={model}", "evaluate_on=test", "tune.thresh=[0.3,0.5]", "tune.box_thresh=[0.5]",
          "tune.unclip_ratio=[]", "tune.inverse_r=[]")  # fmt: skip
    assert (tmp_path / "model" / "tuned.json").exists()
    hmean("data", "check", labels, receipts / "images")
    hmean("data", "split", labels.with_name("train.json"), "splits.json", "-k", "2")
    for command, extra in (("train", "train"), ("sweep", "train"), ("export", "train")):
        assert f"hmean[{extra}]" in hmean(command, *(["x.yaml"] if command == "sweep" else []), code=2)
    assert "hmean[train]" in hmean(
        "predict", tmp_path / "page.png", f"checkpoint_path={tmp_path / 'page.png'}", "output=d", code=2
    )
