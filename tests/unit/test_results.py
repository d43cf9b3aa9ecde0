"""The pages of results say what they were made with, and agree with each other."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hmean.runs.manifest import GitState, Machine, Manifest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a module of benchmarks/."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and "/benchmarks/" in str(sys.modules[name].__file__):
            del sys.modules[name]


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A clean git repository, as the current folder."""
    folder = tmp_path / "repository"
    (folder / "docs/results").mkdir(parents=True)
    (folder / "code.py").write_text("1")
    (folder / "docs/results/page.md").write_text("1")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    monkeypatch.chdir(folder)
    return folder


def test_a_page_of_a_dirty_tree_says_so(benchmark, repository):
    harness = benchmark("harness")
    clean = harness.PageProvenance.collect("numpy")
    assert not clean.git.dirty
    assert f"at commit {clean.git.commit[:8]}." in clean.footer()
    (repository / "docs/results/page.md").write_text("2")  # a page that the programs have just written
    assert not harness.PageProvenance.collect("numpy").git.dirty
    (repository / "code.py").write_text("2")
    dirty = harness.words(harness.environment("numpy"))
    assert f"at commit {clean.git.commit[:8]}, **with uncommitted changes**" in dirty


def test_commands_name_no_folder_of_the_machine(benchmark, tmp_path, monkeypatch):
    harness = benchmark("harness")
    for name in harness.DATA_SETS:
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
    monkeypatch.delenv("HMEAN_DATA", raising=False)
    data = tmp_path / "elsewhere"
    script = ROOT / "benchmarks" / "box.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(data), str(ROOT / "outputs/x"), f"a={{file: '{data}/sroie/b'}}"])
    assert (
        harness.command_as_typed() == "python benchmarks/box.py DATA outputs/x 'a={file: '\"'\"'DATA/sroie/b'\"'\"'}'"
    )
    for typed, shown in (
        ("dataset_base_path=../shared/data/sroie", "dataset_base_path=DATA/sroie"),
        ("datasets.annotation_path=${dataset_base_path}/labels.json",) * 2,
        ("/home/me/runs/first", "FOLDER/first"),
        ("[/home/a,/home/b]", "[FOLDER/a,FOLDER/b]"),
        ("transforms.long_side=[1,2]",) * 2,
    ):
        assert harness.without_paths(typed) == shown


def write_run(folder: Path, seed: int, commit: str, seconds: float, *, dirty: bool = False) -> None:
    folder.mkdir(parents=True)
    Manifest(
        hmean="0",
        config_hash="",
        data_hash={},
        git=GitState(commit=commit, dirty=dirty),
        seed=seed,
        python="3",
        versions={},
        machine=Machine(system="", processor="", command=["hmean", "train", "dataset_base_path=../../x/sroie"]),
    ).write(folder / "manifest.json")
    rows = [{"epoch": epoch, "seconds": seconds / 2, "train/loss": 1.0} for epoch in range(2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_trainings_that_a_page_compares_are_in_its_footer(benchmark, tmp_path):
    harness = benchmark("harness")
    write_run(tmp_path / "one", 1, "a" * 40, 60)
    one = harness.read_run(tmp_path / "one")
    assert one.command == "hmean train dataset_base_path=DATA/sroie"
    assert (one.seed, one.epochs, one.minutes, one.dirty) == (1, 2, 1.0, False)
    write_run(tmp_path / "cv/fold_0", 3, "b" * 40, 60)
    write_run(tmp_path / "cv/fold_1", 3, "c" * 40, 120, dirty=True)
    folds = harness.read_crossval(tmp_path / "cv")
    assert (folds.command, folds.seed, folds.epochs, folds.minutes) == (None, 3, 4, 3.0)
    assert folds.commits == ("b" * 40, "c" * 40)
    footer = harness.PageProvenance.collect("numpy", runs=[one, folds]).footer()
    assert "| one | `hmean train dataset_base_path=DATA/sroie` | aaaaaaaa | 1 | 2 | 1.0 |" in footer
    assert "| cv | not recorded | bbbbbbbb, cccccccc, **with uncommitted changes** | 3 | 4 | 3.0 |" in footer


def test_a_page_of_an_earlier_version_says_what_it_does_not_know(benchmark):
    old = {"processor": "a", "cores": 2, "python": "3.11", "versions": {"numpy": "2"}}
    footer = benchmark("harness").words(old)
    assert "a command that was not recorded" in footer
    assert "its commit was not recorded" in footer
