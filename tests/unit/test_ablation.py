"""The ablation: its variants, how a training is known again, what is left out, and its page."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

from hmean.files import write_text
from hmean.metrics.cleval import Counts
from hmean.metrics.iou import MatchCounts
from hmean.metrics.scorer import PageScore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ablation(monkeypatch):
    """The module benchmarks/ablation.py."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = set(sys.modules)
    import ablation as module

    yield module
    for name in set(sys.modules) - before:
        if "/benchmarks/" in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def test_the_first_seed_of_all_variants_is_trained_before_the_next(ablation):
    words = [
        "data",
        "out",
        "do=train",
        "seeds=42,1",
        "variants=base,start,text_view,lr_x_2",
        "also=trainer.accelerator=cpu",
    ]
    plan, jobs = ablation.read_plan(words)
    assert jobs == ["train"]
    assert (plan.data, plan.folder) == (Path("data/sroie"), Path("out/ablation"))
    order = [(training.variant.name, training.seed) for training in ablation.trainings(plan)]
    assert order == [("base", 42), ("lr x 2", 42), ("base", 1), ("lr x 2", 1)]
    command = ablation.command(plan, list(ablation.trainings(plan))[-1])
    for word in ("preset=pp_ocrv6_small", "models.optimizer.lr=0.0006", "seed=1", "datasets.val_dataset=null",
                 "datasets.train_dataset.folds={k: 5, seed: 42, fold: 0, split: train}", "resume=auto",
                 "trainer.accelerator=cpu"):  # fmt: skip
        assert word in command
    with pytest.raises(SystemExit, match="variants=craft: choose among base, start"):
        ablation.read_plan(["data", "out", "variants=craft"])
    with pytest.raises(SystemExit, match="sizes: unknown option"):
        ablation.read_plan(["data", "out", "sizes=10"])


def test_every_variant_is_a_training_of_its_own_whose_keys_exist(ablation):
    plan, _ = ablation.read_plan(["data", "out", "seeds=42"])
    names = {ablation.run_name(plan, training)[-8:] for training in ablation.trainings(plan)}
    assert len(names) == len(list(ablation.trainings(plan)))
    groups = {variant.group for variant in ablation.VARIANTS}
    assert groups == set(ablation.ablation_page.GROUPS)
    folders = [ablation.folder_name(variant) for variant in ablation.VARIANTS]
    assert len(set(folders)) == len(folders)
    for variant in ablation.VARIANTS:
        assert ablation.find_variant(ablation.folder_name(variant)) is variant


# --- trainings that are there -----------------------------------------------------------------------------------------


@pytest.fixture
def trained(ablation, receipts, tmp_path, monkeypatch):
    """A plan for the base alone, its training, and what writes a run folder of it, of any name."""
    folder = tmp_path / "data" / "sroie"
    folder.mkdir(parents=True)
    (folder / "images").symlink_to(receipts / "images")
    labels = json.loads((receipts / "jsons/train.json").read_text())
    for page in labels["images"].values():
        page.pop("group", None)  # each page its own
    (folder / "labels.json").write_text(json.dumps(labels))
    plan, _ = ablation.read_plan([str(tmp_path / "data"), str(tmp_path / "out"), "variants=base", "seeds=42"])
    (training,) = ablation.trainings(plan)
    keys = {}

    def write(name, *overrides, epochs=4, steps=100, validated=(), pages=None):
        words = [*ablation.recipe_words(plan, training), f"exp_name={name}", "output_dir=elsewhere", *overrides]
        settings = ablation.read_settings(ablation.TrainSettings, words)
        run = plan.results / "some" / name
        write_text(run / "config.yaml", json.dumps(settings.to_dict()))
        rows = []
        for epoch in range(epochs):
            row = {"epoch": epoch, "step": (epoch + 1) * steps, "seconds": 30.0, "train/loss": 1.0}
            if epoch + 1 in validated:
                row["val/hmean"] = 0.9
            rows.append(json.dumps(row) + "\n")
        write_text(run / "metrics.jsonl", "".join(rows))
        write_text(run / "checkpoints/best.ckpt", "")
        own = ablation.open_dataset(settings.datasets.train_dataset).page_keys()
        keys[run / "checkpoints/best.ckpt"] = own[:pages]
        return run

    def read_carried(checkpoint: Path) -> SimpleNamespace:
        return SimpleNamespace(pages=SimpleNamespace(train=keys[checkpoint]))

    monkeypatch.setattr(ablation, "read_carried", read_carried)
    return SimpleNamespace(plan=plan, training=training, write=write)


def test_a_training_is_known_by_its_settings_and_pages_whatever_its_name(ablation, trained):
    assert ablation.find_run(trained.plan, trained.training) is None
    for name, overrides in (
        ("other_rate", ["models.optimizer.lr=0.0004"]),
        ("other_seed", ["seed=1"]),
        ("other_preset", ["preset/transforms=rough"]),
        ("longer", ["trainer.max_epochs=5"]),
    ):
        trained.write(name, *overrides, epochs=5)
    trained.write("unfinished", epochs=3)
    trained.write("other_pages", pages=1)
    trained.write("twice_as_many_samples", steps=198)
    trained.write("its_epoch_was_chosen", validated=(2, 4))
    assert ablation.find_run(trained.plan, trained.training) is None
    limited = replace(trained.plan, also=("trainer.limit_train_batches=50",))
    own = trained.write("of_half_epochs", *limited.also, steps=50)
    assert ablation.find_run(limited, trained.training).path == own
    same = trained.write("validated_at_its_end", "dataloaders.train_dataloader.num_workers=0", validated=(4,))
    assert ablation.find_run(trained.plan, trained.training).path == same


def test_what_another_process_trains_is_left_out_and_what_fails_stops_nothing(ablation, trained, monkeypatch, capsys):
    plan, _ = ablation.read_plan([str(trained.plan.data.parent), str(trained.plan.results), "do=train", "seeds=42",
                                  "variants=base,rough,lr_x_2"])  # fmt: skip
    base, rough, fast = ablation.trainings(plan)
    tried = []

    def run_hmean(words):
        tried.append(next(word for word in words if word.startswith("exp_name=")).removeprefix("exp_name="))
        if "preset/transforms=rough" in words:
            raise subprocess.CalledProcessError(1, "hmean")

    monkeypatch.setattr(ablation, "run_hmean", run_hmean)
    held = ablation.locked(plan.folder, f".{ablation.run_name(plan, base)}.lock")
    with held, pytest.raises(SystemExit, match="failed: rough_seed42_"):
        ablation.train(plan)
    assert tried == [ablation.run_name(plan, rough), ablation.run_name(plan, fast)]
    assert "another process is using this folder" in capsys.readouterr().out


def test_drawn_pages_are_drawn_once_before_the_training_that_asks_for_them(ablation, trained, monkeypatch):
    plan, _ = ablation.read_plan([str(trained.plan.data.parent), str(trained.plan.results), "variants=drawn_pages"])
    training = next(ablation.trainings(plan))
    assert ablation.find_run(plan, training) is None  # nothing is there to compare
    called = []

    def run_hmean(words):
        called.append(words)
        write_text(plan.drawn / "jsons/train.json", "{}")

    monkeypatch.setattr(ablation, "run_hmean", run_hmean)
    for _ in range(2):
        ablation.draw(plan, training.variant)
    ablation.draw(plan, ablation.BASE)
    assert len(called) == 1
    assert called[0][:3] == ["data", "synth", str(plan.drawn)]
    assert any(f"image_path: {plan.drawn}/images" in word for word in ablation.command(plan, training))


# --- the page ---------------------------------------------------------------------------------------------------------


def pages(seed: int, found: float) -> list[PageScore]:
    """What a detector scores on 24 pages of 8 shops."""
    rng = np.random.default_rng(seed)
    scored = []
    for i in range(24):
        tp = int(rng.binomial(500, found))
        match = MatchCounts(tp // 5, 100, 100)
        scored.append(PageScore(str(i), Counts(gt=500, tp=tp), match, match, f"shop {i % 8}"))
    return scored


def page_of(ablation, monkeypatch, found, seeds):
    """The record of a page where these variants scored so, each with so many seeds."""
    scored = {}
    for number, (name, share) in enumerate(found.items()):
        variant = ablation.find_variant(name)
        files = []
        runs = []
        for seed in seeds:
            runs.append(ablation.RunFolder(Path(f"{name}_{seed}")))
            params = ablation.PostprocessParams()
            file = ablation.ScoredFile(key="", pages=tuple(pages(100 * number + seed, share)), chosen=(params,))
            files.append(file)
        scored[name] = ablation.Scored(variant, seeds, runs, files)
    about = {"name": "a", "command": "hmean train", "commits": ("a" * 40,), "dirty": False, "epochs": 4, "minutes": 3.0}
    monkeypatch.setattr(
        ablation.harness, "read_run", lambda _folder: ablation.harness.ComparedRun.model_validate({**about, "seed": 1})
    )
    monkeypatch.setattr(ablation, "read_epochs", lambda _file: [SimpleNamespace(step=400)])
    cell = ablation.Cell(value=0.9, interval95=None, runs=(0.9,))
    worse = ablation.Cell(value=0.5, interval95=None, runs=(0.5,))
    damages = [
        ablation.DamageRow(damage=name, pages=24, macro={"base": one})
        for name, one in (("undamaged", cell), ("blur", worse))
    ]
    monkeypatch.setattr(ablation, "score_damages", lambda _plan, _found: damages)
    monkeypatch.setattr(ablation, "score_variant", lambda _plan, variant: scored.get(variant.name))
    plan, _ = ablation.read_plan(["data", "out", f"seeds={','.join(map(str, seeds))}"])
    return ablation.make_page(plan)


def test_the_page_shows_what_was_trained_and_names_what_was_not(ablation, monkeypatch, tmp_path):
    record = page_of(ablation, monkeypatch, {"base": 0.9, "rough": 0.7, "edge level": 0.9}, [42])
    target = tmp_path / "ablation.md"
    ablation.ablation_page.write_page(record, target)
    text = target.read_text()
    assert "| start | base | 1 | 400 | 3 | 9" in text
    assert "| length | lr x 2 |" not in text
    assert "lr x 2" in text.partition("**Not trained here**")[2].partition("Nothing is known")[0]
    assert "**Not trained here**: start, text view, shipped recipe, words and narrow" in text.replace("\n", " ")
    assert "worse**" in next(line for line in text.splitlines() if line.startswith("| damage | rough | **-"))
    assert "One seed (42): another may say otherwise" in text.replace("\n", " ")
    assert "| blur | 50.0 (-40.0) |" in text
    assert "- **rough**: Turned, tilted, worn, dark and blurred pages. `preset/transforms=rough`" in text
    assert "**Which pages had a part in what.**" in text
    lines = [line for line in text.splitlines() if not line.startswith(("|", "- ", "Made by"))]
    assert max(map(len, lines)) <= 120
    read = ablation.AblationPage.read(target.with_suffix(".json"))
    assert read == record
    assert ablation.ablation_page.page(read) == text


def test_the_spread_of_seeds_does_not_count_where_both_sides_are_the_same_trainings(ablation, monkeypatch):
    record = page_of(ablation, monkeypatch, {"base": 0.9, "rough": 0.9, "edge level": 0.9}, [42, 1, 2])
    rows = {variant.name: variant for variant in record.variants}
    assert rows["rough"].seeds == (42, 1, 2)
    text = ablation.ablation_page.page(record)
    assert "Where a side has several seeds, their spread is added" in text.replace("\n", " ")
    assert "| geometry | edge level | 3, the base's | 0 | 0 |" in text
    base = record.variants[0]
    assert base.difference is None
    same = ablation.differences(
        [_scored_as(ablation, "edge level", [42, 1])], _scored_as(ablation, "base", [42, 1]), same_trainings=True
    )
    other = ablation.differences(
        [_scored_as(ablation, "rough", [42, 1])], _scored_as(ablation, "base", [42, 1]), same_trainings=False
    )
    assert same[0].scores["macro"].interval95 == (0, 0)
    assert other[0].scores["macro"].interval95 != (0, 0)


def _scored_as(ablation, name, seeds):
    files = [ablation.ScoredFile(key="", pages=tuple(pages(seed, 0.9)), chosen=()) for seed in seeds]
    return ablation.Scored(ablation.find_variant(name), seeds, [], files)


def test_without_the_base_there_is_no_page(ablation, monkeypatch):
    with pytest.raises(SystemExit, match="base: is not trained"):
        page_of(ablation, monkeypatch, {"rough": 0.9}, [42])
