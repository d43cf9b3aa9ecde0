"""``hmean ensemble`` with tiny models: what is refused, what is written, and that nothing is judged on its own pages."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hmean.cli import main
from hmean.commands import ensemble
from hmean.ensemble import strategies
from hmean.ensemble.detect import mean_map
from hmean.ensemble.members import Ensemble, MemberView, open_ensemble, open_runs
from hmean.ensemble.records import EnsembleRecord, read_ensemble
from hmean.ensemble.scoring import HeldOutPages
from hmean.ensemble.verdict import Verdicts
from hmean.errors import InputError
from hmean.files import read_json
from hmean.inference import checkpoints
from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.maps import make_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import PageFile
from hmean.metrics.intervals import verdict
from hmean.runs.maps import read_map
from hmean.runs.predictions import read_predictions
from hmean.settings.build import open_dataset
from hmean.settings.compose import read_settings
from hmean.tuning.fit import TuneOptions
from support.pages import TINY

FEW = ["tune.thresh=[0.02,0.2]", "tune.box_thresh=[0.0,0.4]", "tune.inverse_r=[0.6]", "tune.unclip_ratio=[1.5]"]
VAL = "dataloaders.val_dataloader={batch_size: 1, num_workers: 0}"
TRAIN = "dataloaders.train_dataloader={batch_size: 1, num_workers: 0}"
PREDICT = "dataloaders.predict_dataloader={batch_size: 1, num_workers: 0}"
CPU = "trainer.accelerator=cpu"


@pytest.fixture
def folds(crossval_folder):
    return [str(crossval_folder / f"fold_{i}") for i in range(3)]


@pytest.fixture
def held_out(crossval_folder, twelve_pages):
    """Overrides that make the pages held out of all folds the validation pages."""
    return [
        f"dataset_base_path={twelve_pages}",
        f"datasets.val_dataset.annotation_path={twelve_pages / 'jsons/train.json'}",
        f"datasets.val_dataset.folds={{file: '{crossval_folder / 'splits.json'}', split: holdout}}",
    ]


def judge(inputs, *overrides):
    return ensemble.run(read_settings(ensemble.EnsembleSettings, [CPU, *FEW, VAL, PREDICT, *overrides], inputs=inputs))


@pytest.fixture(scope="module")
def judged(crossval_folder, twelve_pages, tmp_path_factory):
    """The folder of an ensemble of all folds, judged beside the model of all pages, and its record."""
    output = tmp_path_factory.mktemp("judged") / "out"
    pages = held_out.__wrapped__(crossval_folder, twelve_pages)
    inputs = [str(crossval_folder / name) for name in ("all", "fold_0", "fold_1", "fold_2")]
    return output, judge(inputs, *pages, f"output={output}")


def test_every_strategy_is_judged_and_the_record_says_with_what(judged, crossval_folder):
    output, record = judged
    written = EnsembleRecord.read(output / "ensemble.json")
    assert written.to_json() == record.to_json()
    assert [row.strategy for row in record.strategies] == [
        "single", "all pages", "scales", "map mean", "vote >= 3", "voting", "weight average",
    ]  # fmt: skip
    assert record.pages == record.grouping.pages == 3
    assert len({run.weights_hash for run in record.runs}) == 3
    for row in record.strategies[1:]:
        assert row.ms_a_page > 0
        assert row.verdict == verdict(row.family95)
        assert row.over_all_pages is None or row.over_all_pages.verdict == verdict(row.over_all_pages.family95)
    row_of = {row.strategy: row for row in record.strategies}
    assert row_of["single"].gain == 0
    assert row_of["single"].verdict == "base"
    assert row_of["single"].times_single == 1.0
    assert row_of["map mean"].mb == pytest.approx(3 * row_of["single"].mb)
    assert [member.long_side for member in row_of["scales"].members] == [160, 128, 200]
    assert record.strategy in row_of
    assert not any(str(output.parent) in member.checkpoint for member in (*record.members, *record.runs))
    fold_of_page = read_json(crossval_folder / "splits.json")["fold"]
    held_out_names = {name for name, fold in fold_of_page.items() if fold is None}
    assert set(read_predictions(output / "predictions.json")) == held_out_names
    assert "kept: " in record.summary()


def test_the_model_of_all_pages_is_a_base_that_cost_as_much(judged, crossval_folder):
    _, record = judged
    (base,) = record.all_pages
    assert base.weights_hash == load_checkpoint(crossval_folder / "all/checkpoints/best.ckpt").weights_hash()
    assert base.weights_hash not in {run.weights_hash for run in record.runs}
    assert base.page_views == sum(run.page_views for run in record.runs) == 18
    row_of = {row.strategy: row for row in record.strategies}
    (shown,) = row_of["all pages"].members
    assert shown.weights_hash == base.weights_hash
    assert row_of["all pages"].over_all_pages is None
    assert row_of["all pages"].minutes == base.minutes
    together = pytest.approx(sum(run.minutes for run in record.runs))
    for name in ("map mean", "vote >= 3", "voting", "weight average"):
        assert row_of[name].minutes == together
        assert row_of[name].over_all_pages.gain == pytest.approx(row_of[name].h - row_of["all pages"].h)
    assert row_of["vote >= 3"].postprocess.votes == 3
    assert record.to_beat in ("single", "all pages")
    assert record.strategy == record.to_beat  # of three groups, nothing is shown to be better
    summary = record.summary()
    for part in ("gain over single", "gain over all pages", "all pages: 18 samples", "warning: fewer than 6 groups"):
        assert part in summary, part


def test_seeds_of_one_fold_are_members_and_two_have_no_three_votes(
    folds, held_out, crossval_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(strategies, "STRATEGIES", (strategies.Single, strategies.FixedVotes))
    other = changed_copy(folds[0], tmp_path / "other.ckpt", lambda config: config.update(seed=7))
    record = judge([folds[0], other], *held_out, f"output={tmp_path / 'out'}")
    assert [row.strategy for row in record.strategies] == ["single"]
    assert len(record.runs) == 2
    assert record.all_pages == ()
    (skipped,) = record.skipped
    assert (skipped.strategy, skipped.reason) == ("vote >= 3", "needs 3 members or more; there are 2")
    with_base = judge([folds[0], other, str(crossval_folder / "all")], *held_out, f"output={tmp_path / 'with'}")
    assert [row.strategy for row in with_base.strategies] == ["single", "all pages"]


def test_a_second_time_uses_the_maps_that_are_there(judged, folds, held_out, monkeypatch):
    output, record = judged

    def refuse(*_, **__):
        raise AssertionError("the network ran again")

    monkeypatch.setattr("hmean.runs.maps.MapStore.add", refuse)
    inputs = [*folds, str(Path(folds[0]).parent / "all")]
    again = judge(inputs, *held_out, f"output={output}", "overwrite=true")
    assert [row.h for row in again.strategies] == [row.h for row in record.strategies]
    with pytest.raises(InputError, match="holds an ensemble already"):
        judge(folds, *held_out, f"output={output}")


def only(monkeypatch, *kinds):
    """Try these strategies alone, and keep the last one."""
    monkeypatch.setattr(strategies, "STRATEGIES", kinds)
    monkeypatch.setattr(Verdicts, "kept", lambda self: self.judged[-1])


@pytest.mark.parametrize(
    "kind",
    [strategies.MapMean, strategies.FixedVotes, strategies.Voting, strategies.Scales],
    ids=lambda kind: kind.name,
)
def test_the_record_predicts_what_was_judged(judged, folds, held_out, tmp_path, monkeypatch, capsys, kind):
    """Kept, each strategy gives through predict and evaluate what its cached maps gave."""
    output = tmp_path / "out"
    shutil.copytree(judged[0] / "maps", output / "maps")
    only(monkeypatch, strategies.Single, kind)
    record = judge(folds, *held_out, f"output={output}")
    assert record.strategy == kind.name
    file = output / "ensemble.json"
    assert main(["evaluate", f"checkpoint_path={file}", *held_out, CPU, VAL]) == 0
    scores = read_json(output / "evaluate" / "scores.json")
    assert scores["influenced_by"]["tuned"] == 3
    cached = read_predictions(output / "predictions.json")
    fresh = read_predictions(output / "evaluate" / "predictions.json")
    for name in cached:
        assert abs(len(cached[name]) - len(fresh[name])) <= 2  # maps are kept in 8 bits
    if kind is not strategies.Voting:
        return
    data = Path(held_out[0].partition("=")[2])
    images = [str(path) for path in sorted((data / "images").rglob("*.jpg"))[:2]]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    predicted = tmp_path / "p"
    command = ["predict", *images, str(broken), f"checkpoint_path={file}", f"output={predicted}", CPU, PREDICT]
    assert main(command) == 2
    assert "broken.jpg" in capsys.readouterr().err
    assert len(read_predictions(predicted / "predictions.json")) == 3
    assert len((predicted / "submission.csv").read_text().splitlines()) == 4


def test_a_student_of_all_members_is_judged_beside_them(
    judged, folds, held_out, crossval_folder, twelve_pages, tmp_path, monkeypatch
):
    """Taught by the mean of all members, whatever was kept; its checkpoint says that it has seen what they had seen."""
    data = [f"dataset_base_path={twelve_pages}"]
    for split in ("train", "val"):
        data.append(f"datasets.{split}_dataset.annotation_path={twelve_pages / 'jsons/train.json'}")
        cut = f"{{file: '{crossval_folder / 'splits.json'}', fold: 0, split: {split}}}"
        data.append(f"datasets.{split}_dataset.folds={cut}")
    taught = tmp_path / "taught"
    kept = judged[0] / "ensemble.json"
    command = ["evaluate", f"checkpoint_path={kept}", "split=train", "maps=true", f"output={taught}"]
    assert main([*command, *data, CPU, TRAIN]) == 0
    files = sorted((taught / "maps").glob("*.map"))
    assert len(files) == 6
    assert not (taught / "scores.json").exists()  # of pages that members were trained on, it would say nothing
    name = json.loads(files[0].read_bytes().partition(b"\n")[0])["name"]
    (maps,) = open_runs(kept).maps([PageFile(name, twelve_pages / "images" / name)], accelerator="cpu")
    assert len(maps) == 3
    mean = mean_map(maps).probability
    assert np.abs(read_map(files[0], name).probability / 255 - mean).max() <= 0.5 / 255 + 1e-6
    teacher = f"datasets.train_dataset.teacher={taught}"
    student = tmp_path / "student"
    assert main(["train", *TINY, *data, f"output_dir={tmp_path}", "exp_name=student", "trainer.max_epochs=1", teacher]) == 0  # fmt: skip
    seen = load_checkpoint(student / "checkpoints/best.ckpt").pages.train
    assert len(np.unique(seen)) == 9  # its own six, and the three of its fold that other members were trained on
    monkeypatch.setattr(strategies, "STRATEGIES", (strategies.Single,))
    record = judge([*folds, str(student)], *held_out, f"output={tmp_path / 'out'}")
    assert [row.strategy for row in record.strategies] == ["single", "student"]
    assert record.strategies[1].mb == record.strategies[0].mb
    assert len(record.runs) == 3


def test_identical_and_leaking_members_stop_the_command(folds, held_out, twelve_pages, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folds[0], copy)
    with pytest.raises(InputError, match=r"copy/.*is the same model as .*fold_0"):
        judge([folds[0], str(copy)], *held_out, f"output={tmp_path / 'a'}")
    trained = [f"dataset_base_path={twelve_pages}", "split=train", f"output={tmp_path / 'b'}"]
    with pytest.raises(InputError, match=r"of the 12 pages, 6 were trained on, 3 chose its epoch") as stopped:
        judge(folds[:2], *trained)
    assert "split: holdout" in str(stopped.value)
    with pytest.raises(InputError, match="two or more run folders"):
        judge(folds[:1], *held_out, f"output={tmp_path / 'c'}")
    assert not any((tmp_path / name).exists() for name in "abc")


def changed_copy(run, path, change):
    """A checkpoint like a run's, with other weights, and ``change`` made to what it carries."""
    content = torch.load(f"{run}/checkpoints/best.ckpt", weights_only=True)
    name = next(name for name, tensor in content["state_dict"].items() if tensor.is_floating_point())
    content["state_dict"][name] += 1e-4
    change(content["hmean"]["config"])
    torch.save(content, path)
    return str(path)


def test_the_same_training_twice_is_noticed_though_its_weights_differ(folds, held_out, tmp_path):
    """The fault of folds that all trained on the full set, with rounding of another machine."""

    def claim_another_fold(config):
        config["datasets"]["train_dataset"]["folds"] = {"file": "splits.json", "fold": 1, "split": "train"}

    again = changed_copy(folds[0], tmp_path / "again.ckpt", claim_another_fold)
    with pytest.raises(InputError, match=r"is the training of .* again"):
        judge([folds[0], again], *held_out, f"output={tmp_path / 'out'}")


def test_members_of_other_initialisations_have_no_weight_average(folds, held_out, tmp_path, monkeypatch):
    monkeypatch.setattr(strategies, "STRATEGIES", (strategies.Single, strategies.WeightAverage))
    other = changed_copy(folds[1], tmp_path / "other.ckpt", lambda config: config.update(seed=7))
    record = judge([folds[0], other], *held_out, f"output={tmp_path / 'out'}")
    assert [row.strategy for row in record.strategies] == ["single"]
    (skipped,) = record.skipped
    assert skipped.strategy == "weight average"
    assert "was initialised differently" in skipped.reason
    assert "weight average\tskipped: " in record.summary()


def test_an_average_is_an_ordinary_checkpoint_that_has_seen_what_its_members_saw(
    folds, held_out, tmp_path, monkeypatch
):
    only(monkeypatch, strategies.Single, strategies.WeightAverage)
    output = tmp_path / "out"
    judge(folds[:2], *held_out, f"output={output}")
    members = [load_checkpoint(Path(run) / "checkpoints" / "best.ckpt") for run in folds[:2]]
    made = load_checkpoint(output / "checkpoints" / "best.ckpt")
    for name, tensor in made.weights.items():
        if tensor.is_floating_point():
            expected = (members[0].weights[name].double() + members[1].weights[name].double()) / 2
            assert torch.allclose(tensor.double(), expected, atol=1e-6)
    for split in ("train", "val"):
        union = {*getattr(members[0].pages, split).tolist(), *getattr(members[1].pages, split).tolist()}
        assert set(getattr(made.pages, split).tolist()) == union
    keys = np.unique(made.pages.train)
    assert made.influenced_by(keys).trained == len(keys) == 9  # two folds of three: all pages in folds
    assert made.weights_hash() not in {member.weights_hash() for member in members}
    assert made.carried.members == tuple(member.weights_hash() for member in members)
    assert made.training == members[0].training
    assert open_ensemble(output / "ensemble.json").members[0].record.weights_hash == made.weights_hash()


def test_a_member_that_was_changed_is_noticed(judged, folds, tmp_path):
    values = judged[1].to_json()
    file = tmp_path / "ensemble.json"
    changed = {**values["members"][0], "weights_hash": "0" * 64, "checkpoint": f"{folds[0]}/checkpoints/best.ckpt"}
    file.write_text(json.dumps({**values, "members": [changed]}))
    with pytest.raises(InputError, match="not the models that it was made of"):
        open_ensemble(file)
    file.write_text(json.dumps({**values, "members": [{**values["members"][0], "flip": True}]}))
    with pytest.raises(InputError, match=r"mirrored page \(flip\), which is no longer supported; run hmean ensemble"):
        open_ensemble(file)
    file.write_text("{}")
    with pytest.raises(InputError, match=r"ensemble\.json: .*\n.*members: is missing"):
        open_ensemble(file)


def test_a_file_of_an_earlier_version_opens(judged, tmp_path):
    values = judged[1].to_json()
    rows = [{**row, "candidate": row["strategy"]} for row in values["strategies"]]
    old = {key: value for key, value in values.items() if key not in ("strategy", "strategies", "skipped")}
    old |= {"kind": "single", "voting": False, "candidates": [*rows, {"candidate": "greedy soup", "skipped": "why"}]}
    for member in old["members"]:
        member["flip"] = False
    (tmp_path / "ensemble.json").write_text(json.dumps(old))
    record = read_ensemble(tmp_path / "ensemble.json")
    assert record.strategy == "single"
    assert [row.h for row in record.strategies] == [row.h for row in judged[1].strategies]
    assert [(skipped.strategy, skipped.reason) for skipped in record.skipped] == [("greedy soup", "why")]
    assert record.members == judged[1].members


def test_no_page_is_scored_with_a_choice_it_took_part_in(folds, held_out, judged):
    """Cross-fitting: the choice made for a fold never saw its pages."""
    settings = read_settings(ensemble.EnsembleSettings, [*FEW, *held_out], inputs=folds)
    pages = open_dataset(settings.datasets.val_dataset)
    members = [MemberView.of(open_model(f"{run}/checkpoints/best.ckpt")) for run in folds[:2]]
    options = TuneOptions(lists=settings.tune.axes())
    pages_scored = HeldOutPages(
        pages,
        members[0].model.postprocess,
        options,
        lambda member: make_maps(member.model, pages, judged[0] / "maps", view=member.view),
    )
    option = pages_scored.mean(members[0])
    looked_at = []

    def choose(which):
        looked_at.append(which.copy())
        return pages_scored.best([option], which)

    crossed = pages_scored.cross_fit(choose)
    assert crossed.counts.shape == (1, 3, 8)
    assert sum(~which for which in looked_at).tolist() == [1, 1, 1]
    for page in range(3):
        without = next(which for which in looked_at if not which[page])
        chosen = pages_scored.best([option], without).setting
        assert np.array_equal(crossed.counts[0, page], option.scores.counts[chosen, page])


def test_ensembles_run_page_by_page(folds, twelve_pages, monkeypatch):
    """No more than one page of each member is waited for: the streams are not read ahead into lists."""
    members = tuple(MemberView.of(open_model(f"{run}/checkpoints/best.ckpt")) for run in folds[:2])
    read = []
    real = checkpoints.TorchRunner.__call__

    def counted(self, *args, **kwargs):
        for result in real(self, *args, **kwargs):
            read.append(result.name)
            yield result

    monkeypatch.setattr(checkpoints.TorchRunner, "__call__", counted)
    files = [PageFile(path.name, path) for path in sorted((twelve_pages / "images").rglob("*.jpg"))[:3]]
    together = Ensemble(Path(), members, members[0].model.postprocess, np.zeros(0, dtype=np.int64))
    next(together.find(files, accelerator="cpu"))
    assert read == [files[0].name] * 2
