"""The learning curve: its plan, which pages are trained on, its page and its picture."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from hmean.data.folds import HOLDOUT, read_splits
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def curve(monkeypatch):
    """The module benchmarks/learning_curve.py."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    import learning_curve as module

    yield module
    for name in set(sys.modules) - before:
        if "/benchmarks/" in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def test_a_command_line_says_what_is_trained(curve):
    plan, jobs = curve.read_plan(["data", "out", "sizes=10,25", "seeds=1", "starts=imagenet", "do=train", "epochs=2",
                                  "also=trainer.accelerator=cpu"])  # fmt: skip
    assert jobs == ["train"]
    assert (plan.data, plan.folder) == (Path("data/sroie"), Path("out/learning_curve"))
    assert [training.name for training in curve.trainings(plan)] == ["imagenet_10_seed1", "imagenet_25_seed1"]
    command = curve.command(plan, next(curve.trainings(plan)))
    assert command[:2] == ["train", "preset=receipts_lite"]
    for word in (
        "datasets.val_dataset=null",
        "seed=1",
        "trainer.max_epochs=2",
        "trainer.accelerator=cpu",
        "resume=auto",
    ):
        assert word in command
    whole, jobs = curve.read_plan(["data", "out"])
    assert jobs == ["train", "page"]
    assert len(list(curve.trainings(whole))) == 6 * 3 * 3
    with pytest.raises(SystemExit, match="starts=craft: choose among"):
        curve.read_plan(["data", "out", "starts=craft"])


def test_smaller_sets_lie_in_larger_ones_and_no_judge_is_trained_on(curve, tmp_path, receipts):
    folder = tmp_path / "data" / "sroie"
    folder.mkdir(parents=True)
    (folder / "images").symlink_to(receipts / "images")
    labels = json.loads((receipts / "jsons/train.json").read_text())
    for page in labels["images"].values():
        page.pop("group", None)  # each page its own
    (folder / "labels.json").write_text(json.dumps(labels))
    plan, _ = curve.read_plan([str(tmp_path / "data"), str(tmp_path), "sizes=1,2", "seeds=1,2"])
    curve.write_all_splits(plan)
    names = curve.open_labels(folder / "labels.json", folder / "images").names
    chosen = {}
    for size in (1, 2):
        for seed in (1, 2):
            fold = read_splits(curve.splits_file(plan, size, seed), names)
            trained = (fold != plan.fold) & (fold != HOLDOUT)
            chosen[size, seed] = set(np.array(names)[trained])
            assert len(chosen[size, seed]) == size
            judges = set(np.array(names)[fold == plan.fold])
            assert judges
    for seed in (1, 2):
        assert chosen[1, seed] < chosen[2, seed]
    too_many, _ = curve.read_plan([str(tmp_path / "data"), str(tmp_path), "sizes=60"])
    with pytest.raises(SystemExit, match="sizes=60: there are"):
        curve.write_all_splits(too_many)


def pages(seed: int, found: float) -> list[PageScore]:
    """What a detector scores on 24 pages of 8 shops."""
    rng = np.random.default_rng(seed)
    scored = []
    for i in range(24):
        tp = int(rng.binomial(500, found))
        match = MatchCounts(tp // 5, 100, 100)
        scored.append(PageScore(str(i), Counts(gt=500, tp=tp), match, match, f"shop {i % 8}"))
    return scored


def test_the_page_shows_every_start_at_every_size_and_the_picture_every_start(curve, tmp_path, monkeypatch):
    plan, _ = curve.read_plan(["data", str(tmp_path), "sizes=10,25", "seeds=1,2", "starts=imagenet,pp-ocrv6-small"])
    scored = {
        ("imagenet", 10): [pages(0, 0.7), pages(1, 0.7)],
        ("imagenet", 25): [pages(2, 0.8), pages(3, 0.8)],
        ("pp-ocrv6-small", 0): [pages(4, 0.9)],
        ("pp-ocrv6-small", 10): [pages(5, 0.95), pages(6, 0.95)],
        ("pp-ocrv6-small", 25): [pages(7, 0.96), pages(8, 0.96)],
    }

    def read_run(folder):
        return curve.harness.ComparedRun(
            name=folder.name, command="hmean train", commits=("a" * 40,), dirty=False, seed=1, epochs=4, minutes=3.0
        )

    monkeypatch.setattr(curve.harness, "read_run", read_run)
    points = []
    for (start, size), runs in scored.items():
        seeds = (1, 2)[: len(runs)] if size else ()
        points.append(curve.point(plan, start, size, seeds, runs))
    record = curve.LearningPage(
        environment=curve.harness.PageProvenance.collect(
            "numpy", runs=[curve.in_one_line("imagenet", [read_run(tmp_path)])]
        ),
        fold=0,
        samples=1600,
        pretraining_minutes=None,
        points=tuple(points),
        differences=tuple(curve.differences(plan, scored)),
    )
    target = tmp_path / "learning_curve.md"
    curve.learning_curve_page.write_page(record, target)
    text = target.read_text()
    assert "| PP-OCRv6 small | 0 |  | " in text
    assert "| ImageNet encoder (receipts_lite) | 10 | 3.0 | " in text
    assert "PP-OCRv6 small, 10 pages - ImageNet encoder (receipts_lite), 10 pages" in text
    assert "PP-OCRv6 small, 25 pages - PP-OCRv6 small, 0 pages" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith(("|", "- ", "Made by"))) <= 120
    read = curve.LearningPage.read(target.with_suffix(".json"))
    assert read == record
    assert curve.learning_curve_page.page(read) == text
    picture = target.with_suffix(".svg").read_text()
    assert picture.startswith("<svg")
    assert picture == curve.learning_curve_page.picture(record)
    for title in ("PP-OCRv6 small", "ImageNet encoder (receipts_lite)", "macro H", "IoU70 H", "labelled pages"):
        assert title in picture
