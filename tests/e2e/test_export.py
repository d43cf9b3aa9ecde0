"""Export: the file finds what the checkpoint finds or is not written, and goes where a checkpoint goes."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import torch

import hmean
from hmean.cli import main
from hmean.ensemble.records import EnsembleRecord
from hmean.errors import InputError
from hmean.images import read_image
from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.export import graph
from hmean.inference.exported import ExportedModel
from hmean.inference.metadata import network_bytes, read_metadata, write_metadata
from hmean.inference.networks import open_network
from hmean.network.build import build_detector, without_pretrained
from hmean.network.detector import Detector
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.carried import PagesSeen
from hmean.runs.checkpoints import write_checkpoint
from hmean.runs.predictions import read_predictions
from hmean.settings.all import AllSettings
from hmean.settings.compose import compose_all
from support.models import carried_of, write_ensemble
from support.once import made_once
from support.pages import TINY

# Of random weights P lies near one half everywhere: these thresholds give components of many sizes.
LOOSE = ["models.head.postprocess.box_thresh=0.0", "models.head.postprocess.min_size=1"]


def random_detector(config: AllSettings) -> Detector:
    """The network of a config with random weights."""
    parts = config.models.components()
    return build_detector(without_pretrained(parts.encoder), parts.decoder, parts.head)


def make_run(folder: Path, receipts: Path) -> None:
    """A run folder with a checkpoint of random weights whose P crosses thresh on every page, and that exported."""
    torch.manual_seed(1)
    config = compose_all([*TINY, *LOOSE, f"dataset_base_path={receipts}", "exp_name=tiny"])
    detector = random_detector(config).train()
    pages = torch.from_numpy(
        np.stack([np.resize(read_image(p), (128, 96, 3)) for p in sorted((receipts / "images").glob("*.jpg"))[:4]])
    )
    with torch.no_grad():
        for _ in range(30):  # BatchNorm's statistics become those of pages
            detector(pages.permute(0, 3, 1, 2))
        logits = detector.eval()(pages.permute(0, 3, 1, 2))[0]
        last = detector.head.probability[-1]
        scale = 3 / logits.std()
        last.weight *= scale
        last.bias[:] = (last.bias - logits.mean()) * scale - 1
    carried = carried_of(config, train=[1, 2], val=[3], epoch=3)
    write_checkpoint(folder / "checkpoints" / "best.ckpt", carried, detector.state_dict())
    assert main(["export", f"run={folder}"]) == 0


@pytest.fixture(scope="session")
def run(receipts, tmp_path_factory) -> Path:
    """The folder of ``make_run``. Only read it; ``copy_of_exported_run`` is a copy."""
    return made_once(tmp_path_factory, "exported_run", lambda folder: make_run(folder, receipts))


@pytest.fixture
def copy_of_exported_run(run, tmp_path) -> Path:
    """A copy of ``run`` that a test may change."""
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(scope="session")
def exported(run) -> Path:
    return run / "exported" / "tiny_fp32.onnx"


def test_the_file_finds_what_the_checkpoint_finds_and_says_so(run, exported, receipts, tmp_path):
    metadata = read_metadata(exported)
    assert metadata.check.pages == 3  # the validation pages of the training
    assert metadata.check.boxes > 20
    assert metadata.check.same_boxes >= 0.995
    assert metadata.check.max_difference < 1e-3
    checkpoint = load_checkpoint(run / "checkpoints/best.ckpt")
    assert metadata.weights_hash == metadata.provenance.checkpoint_hash == checkpoint.weights_hash()
    assert metadata.postprocess == checkpoint.postprocess
    assert metadata.pages.to_json() == {"train": [1, 2], "val": [3]}
    assert metadata.provenance.export.hmean == hmean.__version__
    training = metadata.provenance.training  # the checkpoint does not say more
    assert (training.seed, training.git, training.minutes) == (42, None, None)
    assert training.schedule.lr == 0.0015
    assert [path.name for path in exported.parent.iterdir()] == [exported.name]  # nothing else is left
    images = str(receipts / "images")
    for name, model in (("a", f"run={run}"), ("b", f"checkpoint_path={exported}")):
        assert main(["predict", model, f"output={tmp_path / name}", "predict.overlays=0", images]) == 0
    a, b = (read_predictions(tmp_path / name / "predictions.json") for name in "ab")
    same = sum(len(a[n]) == len(b[n]) and np.allclose(a[n].scores, b[n].scores, atol=1e-3) for n in a)
    assert len(a) == 11
    assert same >= 10


def test_the_training_is_told_apart_from_the_export(trained_run, tmp_path, capsys):
    """Also of a checkpoint of an earlier version, whose run folder has the manifest."""
    checkpoint = load_checkpoint(trained_run / "checkpoints/best.ckpt")
    assert main(["export", f"run={trained_run}", f"output={tmp_path / 'a.onnx'}"]) == 0
    printed = capsys.readouterr().out
    provenance = read_metadata(tmp_path / "a.onnx").provenance
    assert provenance.training == checkpoint.carried.provenance.training
    assert provenance.export.date >= provenance.training.saved
    # The screen has what a person needs; all of this is in the file.
    file, check, following = printed.splitlines()
    assert file == f"{tmp_path / 'a.onnx'}: fp32, {(tmp_path / 'a.onnx').stat().st_size / 1e6:.1f} MB"
    assert check.startswith("checked against torch on 3 pages: P differs by up to")
    assert following == f"next: hmean predict IMAGES checkpoint_path={tmp_path / 'a.onnx'}"

    old = Path(shutil.copytree(trained_run, tmp_path / "old"))
    content = torch.load(old / "checkpoints/best.ckpt", weights_only=True)
    del content["hmean"]["provenance"]
    torch.save(content, old / "checkpoints/best.ckpt")
    assert main(["export", f"run={old}", f"output={tmp_path / 'b.onnx'}"]) == 0
    found = read_metadata(tmp_path / "b.onnx").provenance.training
    assert found.data_hash == provenance.training.data_hash
    assert found.minutes == pytest.approx(provenance.training.minutes, abs=0.02)
    assert found.saved is None


def test_any_size_and_batch_is_the_same_network(run, exported):
    detector = hmean.load(exported, threads=1)
    network = load_checkpoint(run / "checkpoints/best.ckpt").build("cpu")
    rng = np.random.default_rng(5)
    for shape in ((1, 32, 32), (3, 160, 64), (2, 64, 320)):
        pages = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        with torch.inference_mode():
            p = network(torch.from_numpy(pages).permute(0, 3, 1, 2))[0].sigmoid().numpy()
        assert np.abs(detector._network(pages) - p).max() < 1e-4


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_state_their_loss(copy_of_exported_run, receipts, precision, capsys):
    run = copy_of_exported_run
    assert main(["export", f"run={run}", f"precision={precision}"]) == 0
    printed = capsys.readouterr().out
    metadata = read_metadata(run / "exported" / f"tiny_{precision}.onnx")
    assert metadata.weights_hash != metadata.provenance.checkpoint_hash  # another network: maps are not shared
    assert "boxes are the same" in printed
    if precision == "int8":
        assert metadata.loss.pages == 3
        assert metadata.loss.macro.interval95 is None  # three pages are too few
        assert metadata.loss.macro.verdict == "too few groups"
        assert " points against fp32: too few groups" in printed
        assert (
            main(["export", f"run={run}", "precision=int8", f"dataset_base_path={run}", f"output={run / 'x.onnx'}"])
            == 2
        )
        assert "labelled pages" in capsys.readouterr().err


def test_openvino_runs_the_same_network(run, exported, receipts, tmp_path):
    pytest.importorskip("openvino")
    target = tmp_path / "ov" / "model.xml"
    assert main(["export", f"run={run}", "format=openvino", f"output={target}"]) == 0
    assert sorted(p.name for p in target.parent.iterdir()) == ["model.bin", "model.xml"]
    page = min((receipts / "images").glob("*.jpg"))
    a, b = hmean.load(target, threads=1)(page), hmean.load(exported)(page)
    assert len(a) == len(b)
    assert np.allclose(a.scores, b.scores, atol=1e-3)
    detector = hmean.load(target, threads=1)
    pages = [read_image(p) for p in sorted((receipts / "images").glob("*.jpg"))] * 3
    alone = [detector(page) for page in pages]
    with ThreadPoolExecutor(4) as pool:  # each request has its own answer
        for one, found in zip(alone, pool.map(detector, pages), strict=True):
            assert np.array_equal(one.polygons.points, found.polygons.points)
    target.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"model\.bin must lie beside it"):
        hmean.load(target)


def test_padding_is_inside_the_convolutions(tmp_path):
    """timm's "same" padding depends on the page's size, and a runtime would copy the largest features to pad them."""
    torch.manual_seed(0)
    detector = random_detector(compose_all([*TINY, "models.encoder.model_name=tf_efficientnet_lite0"]))
    graph.write_onnx(detector.eval(), tmp_path / "net.onnx")
    assert "Pad" not in {node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node}
    pages = np.random.default_rng(0).integers(0, 256, (2, 96, 160, 3), dtype=np.uint8)
    with torch.inference_mode():
        p = detector(torch.from_numpy(pages).permute(0, 3, 1, 2))[0].sigmoid().numpy()
    assert np.abs(open_network(tmp_path / "net.onnx", 1)(pages) - p).max() < 1e-4


def test_scores_travel_only_with_the_values_they_are_of(copy_of_exported_run, receipts, tmp_path):
    """A file says what its own thresholds score: of chosen ones the cross-fitted score, of others nothing."""
    copied = copy_of_exported_run
    assert main(["evaluate", f"run={copied}", f"dataset_base_path={receipts}"]) == 0
    plain = json.loads((copied / "evaluate_val" / "scores.json").read_text())
    shutil.copy(copied / "evaluate_val" / "scores.json", copied / "scores.json")

    def told(name, *more):
        assert (
            main(["export", f"run={copied}", f"dataset_base_path={receipts}", f"output={tmp_path / name}", *more]) == 0
        )
        return read_metadata(tmp_path / name)

    about = told("a.onnx")
    assert about.provenance.scores.to_json()["cleval"] == plain["cleval"]
    assert about.check.postprocess.to_dict() == about.postprocess.to_dict() == plain["postprocess"]
    assert told("b.onnx", "models.head.postprocess.thresh=0.2").provenance.scores is None
    on_its_own_pages = json.loads((copied / "scores.json").read_text())
    on_its_own_pages["influenced_by"]["trained"] = 2
    (copied / "scores.json").write_text(json.dumps(on_its_own_pages))
    assert told("d.onnx").provenance.scores is None
    on_its_own_pages["influenced_by"]["trained"] = 0
    (copied / "scores.json").write_text(json.dumps(on_its_own_pages))
    eight = told("c.onnx", "precision=int8")
    assert eight.provenance.scores is None
    assert eight.loss.postprocess == eight.postprocess
    ExportedModel(tmp_path / "a.onnx").write_postprocess(PostprocessParams(thresh=0.4), "because", np.array([1]))
    assert read_metadata(tmp_path / "a.onnx").provenance.scores is None


def test_no_precision_is_written_unchecked(run, receipts, tmp_path, capsys):
    (tmp_path / "no.jpg").write_text("no image")
    assert main(["export", f"run={run}", "precision=int8", f"dataset_base_path={receipts}", f"output={tmp_path / 'x.onnx'}",
                 str(tmp_path / "no.jpg")]) == 2  # fmt: skip
    assert "none of the pages to check it with could be read" in capsys.readouterr().err


def test_what_differs_is_not_written(run, tmp_path, monkeypatch, capsys):
    class Wrong(graph.ExportGraph):
        def forward(self, image):
            return super().forward(255 - image)

    monkeypatch.setattr(graph, "ExportGraph", Wrong)
    target = tmp_path / "wrong.onnx"
    assert main(["export", f"run={run}", f"output={target}"]) == 2
    assert "not written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_wrong_asks_are_one_message(run, exported, capsys, tmp_path):
    for arguments, said in (
        (["precision=int4"], "'fp32', 'fp16' or 'int8'"),
        ([], "exists already"),
        ([f"output={tmp_path / 'a.pt'}"], "must end in .onnx"),
        ([f"checkpoint_path={exported}"], "is an exported model"),
    ):
        model = [] if any(a.startswith("checkpoint_path") for a in arguments) else [f"run={run}"]
        assert main(["export", *model, *arguments]) == 2
        assert said in capsys.readouterr().err


def test_without_labels_drawn_pages_are_the_check(run, tmp_path, capsys):
    assert main(["export", f"run={run}", f"output={tmp_path / 'm.onnx'}", f"dataset_base_path={tmp_path}"]) == 0
    assert "drawn receipts" in capsys.readouterr().out
    assert read_metadata(tmp_path / "m.onnx").check.pages == 6


def test_tuning_an_exported_model_writes_into_its_file(exported, receipts, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    shutil.copy(exported, path)
    labels = json.loads((receipts / "jsons/val.json").read_text())
    for page in labels["images"].values():
        page.pop("group", None)  # each page its own
    (tmp_path / "val.json").write_text(json.dumps(labels))
    before = read_metadata(path)
    tune = ["tune", f"checkpoint_path={path}", f"dataset_base_path={receipts}", f"datasets.val_dataset.annotation_path={tmp_path / 'val.json'}",
            "tune.thresh=[0.1,0.3,0.5,0.7]", "tune.box_thresh=[0.0,0.3]", "tune.inverse_r=[]", "tune.objective=pooled", "tune.adopt=any"]  # fmt: skip
    assert main(tune) == 0
    tuned = json.loads((tmp_path / "model" / "tuned.json").read_text())
    after = read_metadata(path)
    assert after.postprocess.to_dict() == tuned["in_model"]
    assert network_bytes(path) == network_bytes(exported)
    # Whatever this network gains by chance, a value that is written leaves a trace and holds in every use of the file.
    keys = np.array([7, 2**62])
    ExportedModel(path).write_postprocess(PostprocessParams(thresh=0.77), "because", keys)
    assert len(read_metadata(path).history) == len(after.history) + 1
    assert read_metadata(path).history[-1].postprocess == after.postprocess
    assert ExportedModel(path).influenced_by(keys).tuned == 2
    assert hmean.load(path).params.thresh == 0.77
    assert read_metadata(path).check == before.check
    assert main(["evaluate", f"checkpoint_path={path}", f"dataset_base_path={receipts}"]) == 0
    scores = json.loads((tmp_path / "model" / "evaluate_val" / "scores.json").read_text())
    assert scores["postprocess"]["thresh"] == 0.77
    assert scores["tuned"][-1] == "because"
    assert len(list((tmp_path / "model" / "maps").rglob("*.map"))) == 3  # made once, by the tuning
    assert main(["report", str(path)]) == 0
    assert "Tuning on 3 val pages" in (tmp_path / "model" / "report.html").read_text()


def test_exported_members_make_an_ensemble(exported, run, receipts, tmp_path):
    """ensemble.json may name exported files, which predict without torch; their maps are joined as checkpoints' are."""
    write_ensemble(tmp_path, exported, [160, 192])
    out = tmp_path / "found"
    assert (
        main(["predict", f"checkpoint_path={tmp_path / 'ensemble.json'}", f"output={out}", str(receipts / "images")])
        == 0
    )
    assert len(read_predictions(out / "predictions.json")) == 11


def test_exported_files_are_judged_as_an_ensemble(ink, receipts, tmp_path):
    """All strategies but the average of weights, which exported files do not hold."""
    members = []
    for i in range(2):
        members.append(tmp_path / f"{i}.onnx")
        shutil.copy(ink, members[-1])
        seen = PagesSeen(train=[i], val=[])
        own = read_metadata(ink).model_copy(update={"weights_hash": str(i) * 64, "pages": seen})
        write_metadata(members[-1], own)
    labels = json.loads((receipts / "jsons/val.json").read_text())
    for i, page in enumerate(labels["images"].values()):
        page["group"] = str(i)
    (tmp_path / "val.json").write_text(json.dumps(labels))
    told = [f"dataset_base_path={receipts}", f"datasets.val_dataset.annotation_path={tmp_path / 'val.json'}", f"output={tmp_path / 'out'}",
            "tune.thresh=[0.3,0.5]", "tune.box_thresh=[]", "tune.unclip_ratio=[]", "tune.inverse_r=[]"]  # fmt: skip
    assert main(["ensemble", *map(str, members), *told]) == 0
    record = EnsembleRecord.read(tmp_path / "out" / "ensemble.json")
    reasons = {skipped.strategy: skipped.reason for skipped in record.skipped}
    assert set(reasons) == {"weight average", "vote >= 3"}
    assert "holds no weights" in reasons["weight average"]
    assert len(record.strategies) == 4
    assert all(row.mb > 0 for row in record.strategies)
