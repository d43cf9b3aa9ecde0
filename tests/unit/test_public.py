"""The public face: what ``import hmean`` gives, and that it takes no time."""

import json
import subprocess
import sys

import pytest

import hmean
from hmean.cli import main
from hmean.errors import InputError
from hmean.settings.compose import read_settings
from hmean.settings.overrides import overrides_of
from support.pages import drawn_page

PUBLIC = [
    "Detections",
    "Page",
    "PostprocessParams",
    "Scorer",
    "evaluate",
    "load",
    "predict",
    "train",
    "tune",
]


def test_the_public_face_is_what_it_says():
    assert sorted(hmean.__all__) == PUBLIC
    for name in PUBLIC:
        member = getattr(hmean, name)
        assert member.__name__ == name
        assert member.__doc__
        assert name in dir(hmean)
    assert hmean.__version__
    with pytest.raises(AttributeError, match="has no attribute 'loda'"):
        _ = hmean.loda


def test_importing_hmean_is_free():
    code = "import sys, hmean; assert not {'numpy', 'onnxruntime', 'cv2', 'numba', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_commands_are_functions(ink, receipts, tmp_path):
    drawn_page(3).save(tmp_path / "page.png")
    (tmp_path / "broken.png").write_bytes(b"broken")
    model = tmp_path / "ink.onnx"
    model.write_bytes(ink.read_bytes())
    result = hmean.predict(
        tmp_path / "page.png",
        tmp_path / "broken.png",
        checkpoint_path=model,
        output=tmp_path / "found",
        predict={"overlays": 0},
        models={"head": {"postprocess": {"box_thresh": 0.4}}},
    )
    assert (result.pages, len(result.skipped)) == (2, 1)
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert manifest["postprocess"]["box_thresh"] == 0.4
    scores = hmean.evaluate(checkpoint_path=model, dataset_base_path=receipts, split="test")
    assert scores.images == 2
    assert (tmp_path / "ink" / "evaluate_test" / "scores.json").exists()
    with pytest.raises(InputError, match="this command does not read it"):
        hmean.evaluate(checkpoint_path=model, trainer={"max_epochs": 3})


def test_values_of_programs_are_literal():
    from hmean.commands.predict import PredictSettings

    values = {"preset": "receipts_lite", "output": "${oc.env:HOME}", "predict": {"csv": False}, "shard": "2/3"}
    settings = read_settings(PredictSettings, overrides_of(values), inputs=["a"])
    assert (settings.output, settings.exp_name) == ("${oc.env:HOME}", "receipts_lite")
    assert (settings.predict.csv, settings.predict.shard) == (False, "2/3")


@pytest.mark.parametrize("command", ["train", "lr_find", "export"])
def test_a_wrong_key_is_told_before_the_packages_of_training_are_imported(command, tmp_path):
    code = (
        "import sys\nfrom hmean.cli import main\n"
        f"code = main([{command!r}, 'foo.bar=1'])\n"
        "assert not {'torch', 'lightning', 'timm'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "foo.bar: unknown key" in done.stderr


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("dataset_base_path=nowhere", "nowhere/jsons/train.json: not found"),
        ("from=receipts-light", "models.pretrained=receipts-light: not found; "),
        ("from=receipts-light", "did you mean receipts-lite?"),
    ],
)
def test_a_training_that_cannot_start_is_refused_before_its_packages_are_imported(typed, message, tmp_path):
    code = (
        "import sys\nfrom hmean.cli import main\n"
        f"code = main(['train', 'exp_name=first', {typed!r}])\n"
        "assert not {'torch', 'lightning', 'timm'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_mistyped_command_is_corrected(capsys):
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == "error: 'trian': unknown command; did you mean train?; hmean --help lists them\n"


def test_hmean_alone_tells_the_story(capsys):
    main([])
    out = capsys.readouterr().out
    story = [line.split()[1] for line in out.splitlines() if line.startswith("  hmean ")]
    assert story == ["predict", "data", "train", "tune", "evaluate", "export"]
