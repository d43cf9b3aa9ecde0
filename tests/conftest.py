"""Fixtures: small pages that the tests draw themselves, and, where HMEAN_DATA names it, real data."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

# Tiny networks are fastest on one thread, and the tests run side by side. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from hmean.synth.dataset import write_dataset
from support.once import kernels_compiled_once, made_once
from support.pages import TINY, drawn_page


def data_folder(name: str) -> Path:
    """A data set of HMEAN_DATA, or a visible skip."""
    root = os.environ.get("HMEAN_DATA")
    if not root or not (Path(root) / name / "labels.json").exists():
        pytest.skip(f"HMEAN_DATA names no folder with the data set {name}")
    return Path(root) / name


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory) -> Iterator[None]:
    """No two processes of a session compile the same kernel; where no collected test has kernels, numba is not imported."""
    if "numba" not in sys.modules:
        yield
        return
    with kernels_compiled_once(tmp_path_factory):
        yield


@pytest.fixture(scope="session")
def sroie() -> Path:
    return data_folder("sroie")


@pytest.fixture(scope="session")
def receipts(tmp_path_factory) -> Path:
    """A small data set in the layout of a user's: 6 training, 3 validation, 2 test pages. Only read it."""

    def make(folder: Path) -> None:
        write_dataset(folder, train=6, val=3, test=2, seed=7, long_side=(160, 200))

    return made_once(tmp_path_factory, "receipts", make)


@pytest.fixture(scope="session")
def trained_run(receipts, tmp_path_factory) -> Path:
    """The folder of a finished training of the tiny network on ``receipts``. Only read it; ``copy_of_run`` is a copy."""
    pytest.importorskip("torch")
    from hmean.cli import main

    def make(outputs: Path) -> None:
        command = ["train", *TINY, f"dataset_base_path={receipts}", f"output_dir={outputs}", "exp_name=tiny"]
        assert main(command) == 0

    return made_once(tmp_path_factory, "trained", make) / "tiny"


@pytest.fixture
def copy_of_run(trained_run, tmp_path) -> Path:
    """A copy of ``trained_run`` that a test may change."""
    return Path(shutil.copytree(trained_run, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def two_runs(receipts, tmp_path_factory) -> list[Path]:
    """Two runs whose maps are drawn from the labels of ``receipts``. Only read them; ``copies_of_two_runs`` are copies."""
    pytest.importorskip("torch")
    from support.planted import plant_two_runs

    root = made_once(tmp_path_factory, "planted", lambda root: plant_two_runs(root, receipts))
    return [root / "first", root / "second"]


@pytest.fixture
def copies_of_two_runs(two_runs, tmp_path) -> list[Path]:
    """Copies of ``two_runs`` that a test may change."""
    return [Path(shutil.copytree(run, tmp_path / run.name)) for run in two_runs]


@pytest.fixture(scope="session")
def ink(tmp_path_factory) -> Path:
    """An exported model that needs no training: P is high where a page is darker than what pads it, and a little beside that."""
    onnx = pytest.importorskip("onnx")
    from hmean.inference.metadata import network_hash, write_metadata
    from hmean.settings.compose import compose_all
    from support.models import exported_metadata

    node, inits = onnx.helper.make_node, onnx.numpy_helper.from_array
    nodes = [
        node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        node("ReduceMean", ["float"], ["grey"], axes=[3], keepdims=0),
        node("Unsqueeze", ["grey", "one"], ["plane"]),
        node("Sub", ["half", "plane"], ["dark"]),
        node("MaxPool", ["dark"], ["wide"], kernel_shape=[3, 7], pads=[1, 3, 1, 3]),
        node("Squeeze", ["wide", "one"], ["logit"]),
        node("Div", ["logit", "soft"], ["scaled"]),
        node("Sigmoid", ["scaled"], ["probability"]),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "ink", [value("image", onnx.TensorProto.UINT8, ["n", "h", "w", 3])],
        [value("probability", onnx.TensorProto.FLOAT, ["n", "h", "w"])],
        [inits(np.array([1]), "one"), inits(np.float32(115), "half"), inits(np.float32(10), "soft")],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("exported") / "ink.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    write_metadata(path, exported_metadata(compose_all(TINY), network_hash(path)))
    return path


@pytest.fixture
def tiny(receipts, tmp_path) -> list[str]:
    """Overrides for a run of the tiny network on the small data set, writing under tmp_path."""
    return [*TINY, f"dataset_base_path={receipts}", f"output_dir={tmp_path / 'outputs'}", "exp_name=tiny"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def scans(tmp_path) -> Path:
    """A folder of images with 1 to 6 words on each page, and files of several pages."""
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for i in range(1, 7):
        drawn_page(i).save(folder / f"{i}.png")
    drawn_page(2).save(folder / "more" / "book.tif", save_all=True, append_images=[drawn_page(3), drawn_page(4)])
    drawn_page(5).save(folder / "more" / "one.tif")
    return folder


@pytest.fixture(scope="session")
def mutations() -> int:
    """How many damaged files a test of damage tries: HMEAN_MUTATIONS, or few enough for every day."""
    return int(os.environ.get("HMEAN_MUTATIONS", "60"))
