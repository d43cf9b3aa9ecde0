"""Export for RapidOCR: P is the checkpoint's under RapidOCR's normalisation, and RapidOCR takes the file."""

import json
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from hmean.cli import main
from hmean.inference.export import rapidocr as export
from hmean.network.build import build_detector
from hmean.network.catalogue import by_name
from hmean.network.fused_weights import load_fused
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.postprocess.rapidocr import RapidOcrView, detect_each
from hmean.runs.checkpoints import write_checkpoint
from hmean.runs.provenance import StartProvenance
from hmean.settings.compose import compose_all
from support.models import carried_of
from support.pages import TINY
from support.rapidocr import rapidocr_python

SMALL = [argument for argument in TINY if not argument.startswith("models.")]
FIND = """
import json, sys
import cv2
from rapidocr import RapidOCR

engine = RapidOCR(params={"Global.log_level": "error", **json.loads(sys.argv[1])})
detector = engine._load_det_model()
counts = []
for file in sys.argv[2:]:
    image = cv2.resize(cv2.imread(file), None, fx=4, fy=4)  # RapidOCR enlarges no page by itself
    counts.append(len(detector(image)))
print(json.dumps(counts))
"""


def network_and_config(receipts, published=None):
    config = compose_all([*SMALL, "preset=pp_ocrv6_small", "from=pp-ocrv6-tiny", f"dataset_base_path={receipts}",
                          "exp_name=tiny", "transforms.long_side=640"])  # fmt: skip
    parts = config.models.components()
    torch.manual_seed(0)
    detector = build_detector(parts.encoder, parts.decoder, parts.head)
    if published is not None:
        load_fused(detector, published)
    return detector, config


@pytest.fixture
def checkpoint(receipts, tmp_path):
    """A checkpoint with the published weights of PP-OCRv6 tiny."""
    published = by_name("pp-ocrv6-tiny").find()
    if published is None:
        pytest.skip("none of the packages with PP-OCRv6 tiny is installed")
    detector, config = network_and_config(receipts, published)
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    write_checkpoint(path, carried_of(config), detector.state_dict())
    return path


def test_the_normalisation_is_the_networks_own_also_at_the_border(receipts):
    detector, _ = network_and_config(receipts)
    detector.eval()
    rgb = torch.randint(0, 256, (1, 3, 64, 96)).float()
    with torch.inference_mode():
        expected = detector(rgb)[0].sigmoid()[:, None]
        shown = rgb.flip(1) / 127.5 - 1
        graph = export.RapidOcrGraph(detector)
        found = graph(shown)
    assert torch.allclose(found, expected, atol=1e-5)
    assert graph.encoder is detector.encoder  # the network itself: nothing of it is replaced


def test_the_file_says_what_it_is_and_which_values_hold(checkpoint, receipts, tmp_path, capsys):
    target = tmp_path / "run/exported/tiny_rapidocr.onnx"
    command = ["export", f"checkpoint_path={checkpoint}", "format=rapidocr", f"dataset_base_path={receipts}",
               f"output={target}"]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f'"Det.model_path": "{target}",' in printed
    assert "with RapidOCR's post-processing on 3 labelled pages" in printed
    assert "what it started from is not recorded" in printed
    model = onnx.load(target)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert "endorsed" in entries["notice"]
    values = json.loads(entries["rapidocr"])
    assert values["limit_side_len"] == 640
    assert printed.count('"Det.') == len(values) + 1
    assert '"Det.limit_type": "max",' in printed
    assert f'"Det.unclip_ratio": {values["unclip_ratio"]},' in printed
    (output,) = model.graph.output
    assert len(output.type.tensor_type.shape.dim) == 4
    assert main(command) == 2  # never over another file
    assert "exists already" in capsys.readouterr().err

    python = rapidocr_python()
    params = {"Det.model_path": str(target), **{f"Det.{key}": value for key, value in values.items()}}
    images = sorted(str(path) for path in (receipts / "images").glob("*.jpg"))
    counts = json.loads(subprocess.check_output([python, "-c", FIND, json.dumps(params), *images]))
    view = RapidOcrView(values["limit_side_len"], values["limit_type"])
    setting = PostprocessParams(
        thresh=values["thresh"], box_thresh=values["box_thresh"], unclip_ratio=values["unclip_ratio"]
    )
    run = export.Session(target)
    expected = []
    for image in images:
        pixels = cv2.cvtColor(cv2.resize(cv2.imread(image), None, fx=4, fy=4), cv2.COLOR_BGR2RGB)
        height, width = pixels.shape[:2]
        probability = run(view.image(pixels))
        to_page = np.diag([width / probability.shape[1], height / probability.shape[0], 1.0])
        (found,) = detect_each(PageMap(image, probability, to_page, width, height), [setting])
        expected.append(len(found))
    assert sum(counts) > 30
    assert np.abs(np.subtract(counts, expected)).sum() <= 0.05 * sum(counts)  # boxes of the smallest size


def test_a_file_whose_p_is_another_is_not_written(checkpoint, receipts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "_difference", lambda *_: float("nan"))
    target = tmp_path / "a.onnx"
    arguments = ["export", f"checkpoint_path={checkpoint}", "format=rapidocr", f"output={target}"]
    assert main([*arguments, f"dataset_base_path={receipts}"]) == 2
    assert "P differs from the checkpoint's" in capsys.readouterr().err
    assert list(tmp_path.glob("a.onnx*")) == []


def test_another_architecture_is_refused(trained_run, tmp_path, capsys):
    assert main(["export", f"run={trained_run}", "format=rapidocr", f"output={tmp_path / 'a.onnx'}"]) == 2
    assert "is not of a PP-OCR detector's architecture" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()


def test_half_precision_is_refused(checkpoint, tmp_path, capsys):
    arguments = [f"checkpoint_path={checkpoint}", "format=rapidocr", "precision=fp16", f"output={tmp_path / 'a.onnx'}"]
    assert main(["export", *arguments]) == 2
    assert "precision=fp16: not supported with format=rapidocr" in capsys.readouterr().err
    assert np.all([not path.name.startswith("a.onnx") for path in tmp_path.iterdir()])


def test_the_notice_names_what_the_weights_descend_from():
    start = StartProvenance(name="pp-ocrv6-tiny", title="PP-OCRv6 tiny", licence="Apache-2.0")
    training = SimpleNamespace(started_from=(start,))
    checkpoint = SimpleNamespace(carried=SimpleNamespace(provenance=SimpleNamespace(training=training)))
    notice = export.notice_of(checkpoint)
    assert "This network was changed" in notice
    assert "PP-OCRv6 tiny, Apache-2.0" in notice
    assert "endorsed" in notice
