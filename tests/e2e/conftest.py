"""What the tests of whole commands share: one crossval of the tiny network, made once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.crossvals import crossval_command
from support.once import made_once, run_in_process


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
