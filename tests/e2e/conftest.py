"""What the tests of whole commands share: one crossval of the tiny network, made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.once import made_once
from support.pages import TINY

# A grid at thresholds that a network of one epoch reaches.
SMALL_GRID = ["tune.thresh=[0.02,0.2]", "tune.box_thresh=[0.0]", "tune.inverse_r=[0.5]"]


def crossval_command(data: Path, outputs: Path) -> list[str]:
    """``hmean crossval`` of the tiny network: three folds of three pages each, and three pages held out of all."""
    return [
        "crossval", *TINY, *SMALL_GRID, f"dataset_base_path={data}", f"output_dir={outputs}", "exp_name=cv",
        "trainer.max_epochs=1", "k=3", "crossval.holdout=0.25",
    ]  # fmt: skip


def run_in_process(command, _lock, on_tick=None) -> int:
    """Stands in for ``execute.processes.run_command``: each process would load torch anew."""
    from hmean.cli import main
    from hmean.execute.processes import HMEAN

    return main(command[len(HMEAN) :])


@pytest.fixture(scope="session")
def twelve_pages(tmp_path_factory) -> Path:
    """A data set of 12 training and 2 validation pages, each a group of its own. Only read it."""
    from hmean.synth.dataset import write_dataset

    def make(folder: Path) -> None:
        write_dataset(folder, train=12, val=2, seed=3, long_side=(160, 200))
        for file in (folder / "jsons").glob("*.json"):
            labels = json.loads(file.read_text(encoding="utf-8"))
            for page in labels["images"].values():
                page.pop("group", None)
            file.write_text(json.dumps(labels), encoding="utf-8")

    return made_once(tmp_path_factory, "twelve_pages", make)


@pytest.fixture(scope="session")
def crossval_folder(twelve_pages, tmp_path_factory) -> Path:
    """The folder of a finished ``crossval_command``. Only read it."""
    pytest.importorskip("torch")
    from hmean.cli import main
    from hmean.commands import crossval

    def make(outputs: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(crossval, "run_command", run_in_process)
            assert main(crossval_command(twelve_pages, outputs)) == 0

    return made_once(tmp_path_factory, "crossval", make) / "cv"
