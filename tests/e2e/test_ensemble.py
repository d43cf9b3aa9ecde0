"""``hmean ensemble`` with tiny models: what is refused, what is written, and that nothing is judged on its own pages."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hmean.cli import main
from hmean.commands import ensemble, train
from hmean.data.pages import LabelledImages
from hmean.ensemble import members as ensemble_predict
from hmean.ensemble.detect import mean_map
from hmean.ensemble.members import Source, open_ensemble
from hmean.ensemble.weights import average
from hmean.errors import InputError
from hmean.files import read_json
from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.opening import open_model
from hmean.inference.torch_runner import TorchRunner
from hmean.runs.maps import read_map
from hmean.runs.predictions import read_predictions
from hmean.settings.config import compose
from hmean.settings.opening import open_configured

from support.pages import TINY  # isort: skip

FEW = ["tune.thresh=[0.2,0.3]", "tune.box_thresh=[0.2,0.4]", "tune.inverse_r=[0.6]", "tune.unclip_ratio=[1.5]"]


@pytest.fixture(scope="module")
def receipts(receipts, tmp_path_factory):
    """The small data set, each page a group of its own."""
    folder = tmp_path_factory.mktemp("pages") / "receipts"
    shutil.copytree(receipts, folder)
    for file in (folder / "jsons").glob("*.json"):
        record = read_json(file)
        for page in record["images"].values():
            page.pop("group", None)
        file.write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def runs(receipts, tmp_path_factory):
    """Three folds of the training pages, and a fold of another architecture."""
    folder = tmp_path_factory.mktemp("ensemble")
    labels = "annotation_path=${dataset_base_path}/jsons/train.json"
    for k, extra in enumerate([[], [], [], ["models.decoder.inner_channels=8"]]):
        split = [
            f"datasets.{part}_dataset.split={{k: 3, seed: 1, fold: {k % 3}, part: {part}}}" for part in ("train", "val")
        ]
        train.run(compose([
            *TINY, f"dataset_base_path={receipts}", f"output_dir={folder}", f"exp_name=fold_{k}", "trainer.max_epochs=1",
            f"datasets.train_dataset.{labels}", f"datasets.val_dataset.{labels}", *split, *extra,
        ]))  # fmt: skip
    return [str(folder / f"fold_{k}") for k in range(4)]


def overrides(receipts, output):
    return [f"dataset_base_path={receipts}", f"output={output}", "trainer.accelerator=cpu", *FEW,
            "dataloaders.val_dataloader={batch_size: 1, num_workers: 0}", "dataloaders.predict_dataloader={batch_size: 1, num_workers: 0}"]  # fmt: skip


@pytest.fixture(scope="module")
def judged(runs, receipts, tmp_path_factory):
    output = tmp_path_factory.mktemp("judged") / "out"
    record = ensemble.run(runs[:3], overrides(receipts, output))
    return output, record


def test_every_kind_is_judged_and_the_record_says_with_what(judged, receipts):
    output, record = judged
    assert record == read_json(output / "ensemble.json")
    names = [row["candidate"] for row in record["candidates"]]
    assert names == ["single", "scales", "map mean", "voting", "weight average"]
    assert record["pages"] == 3
    assert len({run["weights_hash"] for run in record["runs"]}) == 3
    for row in record["candidates"]:
        assert row["ms_a_page"] > 0
        low, _ = row["interval95"]
        assert (row["verdict"] == "better") == (low > 0) or row["candidate"] == "single"
    by_name = {row["candidate"]: row for row in record["candidates"]}
    assert by_name["single"]["gain"] == 0
    assert by_name["single"]["times_single"] == 1.0
    assert by_name["map mean"]["mb"] == pytest.approx(3 * by_name["single"]["mb"])
    assert [m["long_side"] for m in by_name["scales"]["members"]] == [160, 128, 200]
    assert record["kind"] in names
    assert not any(str(output.parent) in json.dumps(value) for value in (record["members"], record["runs"]))
    assert set(read_predictions(output / "predictions.json")) == set(
        read_json(receipts / "jsons" / "val.json")["images"]
    )
    assert "kept: " in ensemble.table(record)


def test_a_second_run_uses_the_maps_that_are_there(judged, runs, receipts, monkeypatch):
    output, record = judged

    def refuse(*_, **__):
        raise AssertionError("the network ran again")

    monkeypatch.setattr("hmean.runs.maps.MapStore.add", refuse)
    again = ensemble.run(runs[:3], [*overrides(receipts, output), "overwrite=true"])
    assert [row.get("h") for row in again["candidates"]] == [row.get("h") for row in record["candidates"]]
    with pytest.raises(InputError, match="holds an ensemble already"):
        ensemble.run(runs[:3], overrides(receipts, output))


def only(monkeypatch, kind):
    """Let this kind win, and try no other."""
    real = ensemble.candidates

    def few(bench, members):
        return {name: way for name, way in real(bench, members).items() if name in ("single", kind)}

    monkeypatch.setattr(ensemble, "candidates", few)
    monkeypatch.setattr(ensemble, "winner", lambda rows: next(r for r in rows if r["candidate"] == kind))


@pytest.mark.parametrize("kind", ["map mean", "voting", "scales"])
def test_the_record_predicts_what_was_judged(judged, runs, receipts, tmp_path, monkeypatch, capsys, kind):
    """Written as the winner, each kind gives through predict and evaluate what its cached maps gave."""
    output = tmp_path / "out"
    shutil.copytree(judged[0] / "maps", output / "maps")
    only(monkeypatch, kind)
    record = ensemble.run(runs[:3], overrides(receipts, output))
    assert record["kind"] == kind
    told = [f"dataset_base_path={receipts}", "trainer.accelerator=cpu", "dataloaders.predict_dataloader={batch_size: 1, num_workers: 0}"]  # fmt: skip
    assert main(["evaluate", f"checkpoint_path={output / 'ensemble.json'}", *told]) == 0
    scores = read_json(output / "evaluate" / "scores.json")
    assert scores["influenced_by"]["tuned"] == 3
    cached, fresh = (read_predictions(folder / "predictions.json") for folder in (output, output / "evaluate"))
    for name in cached:
        assert abs(len(cached[name]) - len(fresh[name])) <= 2  # maps are kept in 8 bits
    if kind != "voting":
        return
    images = [str(p) for p in sorted((receipts / "images").rglob("*.jpg"))[:2]]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    code = main(["predict", *images, str(broken), f"checkpoint_path={output / 'ensemble.json'}", f"output={tmp_path / 'p'}", *told])  # fmt: skip
    assert code == 2
    assert "broken.jpg" in capsys.readouterr().err
    assert len(read_predictions(tmp_path / "p" / "predictions.json")) == 3
    assert len((tmp_path / "p" / "submission.csv").read_text().splitlines()) == 4


def test_a_student_of_all_members_is_judged_beside_them(judged, runs, receipts, tmp_path, monkeypatch):
    """Taught by the mean of all members, whatever was kept; its checkpoint owns up to what they had seen."""
    labels = "annotation_path=${dataset_base_path}/jsons/train.json"
    split = [f"datasets.{p}_dataset.split={{k: 3, seed: 1, fold: 0, part: {p}}}" for p in ("train", "val")]
    data = [f"dataset_base_path={receipts}", *split, *(f"datasets.{p}_dataset.{labels}" for p in ("train", "val"))]
    told = [*data, "trainer.accelerator=cpu", "dataloaders.predict_dataloader={batch_size: 1, num_workers: 0}"]
    taught, kept = tmp_path / "taught", judged[0] / "ensemble.json"
    assert (
        main(["evaluate", f"checkpoint_path={kept}", "evaluate_on=train", "maps=true", f"output={taught}", *told]) == 0
    )
    files = sorted((taught / "maps").glob("*.map"))
    assert len(files) == 4
    assert not (taught / "scores.json").exists()  # of pages that members were trained on, it would say nothing
    sources = ensemble_predict.open_ensemble(kept, told, "runs").sources
    means = ensemble_predict.Ensemble(sources, sources[0].config.models.head.postprocess.params())
    name = json.loads(files[0].read_bytes().partition(b"\n")[0])["name"]
    ((maps),) = means.maps([(name, receipts / "images" / name)])
    assert len(maps) == 3
    assert np.abs(read_map(files[0], name).probability / 255 - mean_map(maps).probability).max() <= 0.5 / 255 + 1e-6
    student = [
        *TINY,
        *data,
        f"output_dir={tmp_path}",
        "exp_name=student",
        "trainer.max_epochs=1",
        f"datasets.train_dataset.teacher={taught}",
    ]
    assert main(["train", *student]) == 0
    seen = load_checkpoint(tmp_path / "student/checkpoints/best.ckpt").pages.train
    assert len(np.unique(seen)) == 6  # its own four, and the two of its fold that other members were trained on
    real = ensemble.candidates
    monkeypatch.setattr(
        ensemble, "candidates", lambda bench, m: {"single": real(bench, m)["single"]} if len(m) == 3 else {}
    )
    record = ensemble.run([*runs[:3], str(tmp_path / "student")], overrides(receipts, tmp_path / "out"))
    assert [row["candidate"] for row in record["candidates"]] == ["single", "student"]
    assert record["candidates"][1]["mb"] == record["candidates"][0]["mb"]


def test_identical_and_leaking_members_stop_the_job(runs, receipts, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(runs[0], copy)
    with pytest.raises(InputError, match=r"copy/.*is the same model as .*fold_0"):
        ensemble.run([runs[0], str(copy)], overrides(receipts, tmp_path / "a"))
    trained = [
        *overrides(receipts, tmp_path / "b"),
        "datasets.val_dataset.annotation_path=${dataset_base_path}/jsons/train.json",
    ]
    with pytest.raises(InputError, match=r"'trained': 4, 'epoch_chosen': 2") as stopped:
        ensemble.run(runs[:2], trained)
    assert "part: holdout" in str(stopped.value)
    with pytest.raises(InputError, match="two or more run folders"):
        ensemble.run(runs[:1], overrides(receipts, tmp_path / "c"))
    assert not any((tmp_path / name).exists() for name in "abc")


def test_the_same_training_twice_is_told_though_its_weights_differ(runs, receipts, tmp_path):
    """The fault of folds that all trained on the full set, with rounding of another machine."""
    raw = torch.load(f"{runs[0]}/checkpoints/best.ckpt", weights_only=True)
    name = next(k for k, v in raw["state_dict"].items() if v.is_floating_point())
    raw["state_dict"][name] += 1e-4
    raw["hmean"]["config"]["datasets"]["train_dataset"]["split"]["fold"] = 1
    torch.save(raw, tmp_path / "again.ckpt")
    with pytest.raises(InputError, match=r"is the training of .* again"):
        ensemble.run([runs[0], str(tmp_path / "again.ckpt")], overrides(receipts, tmp_path / "out"))


def test_members_without_a_shared_architecture_have_no_weight_average(runs, receipts, tmp_path):
    record = ensemble.run([runs[0], runs[3]], overrides(receipts, tmp_path / "out"))
    skipped = {row["candidate"]: row["skipped"] for row in record["candidates"] if "skipped" in row}
    assert list(skipped) == ["weight average"]
    assert "another architecture" in skipped["weight average"]


def test_an_average_is_an_ordinary_checkpoint_that_has_seen_what_its_members_saw(runs, receipts, tmp_path, monkeypatch):
    only(monkeypatch, "weight average")
    output = tmp_path / "out"
    ensemble.run(runs[:2], overrides(receipts, output))
    members = [load_checkpoint(Path(run) / "checkpoints" / "best.ckpt") for run in runs[:2]]
    made = load_checkpoint(output / "checkpoints" / "best.ckpt")
    for name, tensor in made.weights.items():
        if tensor.is_floating_point():
            expected = (members[0].weights[name].double() + members[1].weights[name].double()) / 2
            assert torch.allclose(tensor.double(), expected, atol=1e-6)
    for part in ("train", "val"):
        union = set(getattr(members[0].pages, part).tolist()) | set(getattr(members[1].pages, part).tolist())
        assert set(getattr(made.pages, part).tolist()) == union
    assert made.carried.members == tuple(m.weights_hash() for m in members)
    keys = np.array(sorted(made.pages.train.tolist()))
    assert made.influenced_by(keys).trained == len(keys) == 6  # two folds of three: all pages
    assert made.weights_hash() not in {m.weights_hash() for m in members}
    config, _ = open_configured([f"checkpoint_path={output / 'checkpoints' / 'best.ckpt'}"])
    assert config.models == open_configured([f"checkpoint_path={members[0].path}"])[0].models
    assert open_ensemble(output / "ensemble.json", []).sources[0].checkpoint.weights_hash() == made.weights_hash()


def test_other_seeds_are_refused_by_an_average(runs):
    one, other = (open_model(Path(run) / "checkpoints/best.ckpt") for run in runs[:2])
    other.training["seed"] = 7
    with pytest.raises(InputError, match="initialised otherwise"):
        average([one, other], one.path)


def test_a_member_that_was_changed_is_told(judged, runs, tmp_path):
    record = {**judged[1]}
    record["members"] = [
        {**m, "weights_hash": "0" * 64, "checkpoint": f"{runs[0]}/checkpoints/best.ckpt"} for m in record["members"][:1]
    ]
    (tmp_path / "ensemble.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="not the models that it was made of"):
        open_ensemble(tmp_path / "ensemble.json", [])
    mirrored = {**judged[1], "members": [{**m, "flip": True} for m in judged[1]["members"]]}
    (tmp_path / "ensemble.json").write_text(json.dumps(mirrored))
    with pytest.raises(InputError, match=r"mirrored page \(flip\), which is no longer supported; run hmean ensemble"):
        open_ensemble(tmp_path / "ensemble.json", [])
    (tmp_path / "ensemble.json").write_text("{}")
    with pytest.raises(InputError, match=r"is no ensemble\.json"):
        open_ensemble(tmp_path / "ensemble.json", [])


def test_the_simplest_of_those_that_cannot_be_told_from_the_best_wins():
    def row(name, ms, **more):
        return {"candidate": name, "times_single": ms, "mb": 1.0, **more}

    single = row("single", 1)
    assert ensemble.winner([single, row("mean", 5)])["candidate"] == "single"
    rows = [single, row("mean", 5, among_the_best=True), row("scales", 2, among_the_best=True), row("x", 1, among_the_best=False)]  # fmt: skip
    assert ensemble.winner(rows)["candidate"] == "scales"


def test_no_page_is_scored_with_a_choice_it_took_part_in(runs, receipts, tmp_path):
    """Cross-fitting: the choice made for a fold never saw its pages."""
    told = overrides(receipts, tmp_path / "out")
    members = [Source(*open_configured([*told, f"checkpoint_path={run}/checkpoints/best.ckpt"])) for run in runs[:2]]
    config = members[0].config
    pages = ensemble.open_pages(config.datasets.val_dataset)
    assert isinstance(pages, LabelledImages)
    bench = ensemble.Bench(members, pages, tmp_path / "maps")
    asked = []

    def candidate(which):
        asked.append(which.copy())
        return bench.best([((members[0],), bench.scores(members[:1]))], which)

    held = bench.held(candidate)
    assert held.counts.shape == (1, 3, 8)
    assert sum(~which for which in asked).tolist() == [1, 1, 1]
    scores = bench.scores(members[:1])
    for page, which in enumerate(np.array([next(w for w in asked if not w[i]) for i in range(3)])):
        chosen = bench.best([((members[0],), scores)], which)[2]
        assert np.array_equal(held.counts[0, page], scores.counts[chosen, page])


def test_ensembles_run_page_by_page(runs, receipts, monkeypatch):
    """No more than one page of each member is waited for: the streams are not read ahead into lists."""
    told = [f"dataset_base_path={receipts}", "trainer.accelerator=cpu", "dataloaders.predict_dataloader={batch_size: 1, num_workers: 0}"]  # fmt: skip
    sources = tuple(
        Source(*open_configured([*told, f"checkpoint_path={run}/checkpoints/best.ckpt"])) for run in runs[:2]
    )
    read = []
    real = TorchRunner.__call__

    def counted(*args, **kwargs):
        for result in real(*args, **kwargs):
            read.append(result.name)
            yield result

    monkeypatch.setattr(TorchRunner, "__call__", counted)
    files = [(p.name, p) for p in sorted((receipts / "images").rglob("*.jpg"))[:3]]
    stream = ensemble_predict.Ensemble(sources, sources[0].config.models.head.postprocess.params()).run(files)
    next(stream)
    assert read == [files[0][0]] * 2
