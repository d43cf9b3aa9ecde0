"""Trainings from a folder as the Hugging Face hub has it: the checkpoint needs neither the folder nor the hub."""

import json
import shutil

import pytest

pytest.importorskip("torch")

from hmean.cli import main
from support.pages import TINY

NO_START_SCORE = "score_start=false"
# Without the keys of the preset's encoder and decoder, which the start replaces.
SMALL = [word for word in TINY if not word.startswith(("models.encoder.", "models.decoder."))]
SHORT = ["trainer.max_epochs=1", "trainer.limit_train_batches=2", NO_START_SCORE]


def test_a_detector_of_a_folder_is_trained_used_and_exported(receipts, tmp_path):
    pytest.importorskip("transformers")
    from support.published import random_published

    folder = tmp_path / "PP-OCRv5 = 모바일"
    random_published("pp-ocrv5-mobile").save_pretrained(folder)
    train = ["train", *SMALL, *SHORT, f"from={folder}", f"dataset_base_path={receipts}", f"output_dir={tmp_path}"]
    assert main([*train, "exp_name=mobile"]) == 0
    shutil.rmtree(folder)
    run = tmp_path / "mobile"
    pages = str(receipts / "images")
    assert main(["predict", pages, f"run={run}", f"output={tmp_path / 'predicted'}"]) == 0
    assert main(["export", f"run={run}", f"output={tmp_path / 'mobile.onnx'}"]) == 0
    exported = ["predict", pages, f"checkpoint_path={tmp_path / 'mobile.onnx'}", f"output={tmp_path / 'exported'}"]
    assert main(exported) == 0
    predicted = json.loads((tmp_path / "predicted/predictions.json").read_text())
    assert (
        predicted["images"].keys() == json.loads((tmp_path / "exported/predictions.json").read_text())["images"].keys()
    )


def test_the_parts_of_the_large_detectors_are_trained_and_exported(receipts, tmp_path):
    small = [word for word in SMALL if not word.startswith("preset=")]
    parts = [
        "preset=pp_ocrv6_small",
        "from=null",
        "preset/models/encoder=pp_lcnet_v4_tiny",
        "preset/models/decoder=lk_pan",
        "models.decoder.inner_channels=16",
        "models.head._target_=hmean.network.head.RefinedDBHead",
        "~models.head.batch_norm",
        "transforms.train.min_samples=4",
    ]
    train = ["train", *parts, *small, *SHORT, f"dataset_base_path={receipts}", f"output_dir={tmp_path}"]
    assert main([*train, "exp_name=large"]) == 0
    # The export compares P of the file with P of the checkpoint by itself.
    assert main(["export", f"run={tmp_path / 'large'}", f"output={tmp_path / 'large.onnx'}"]) == 0
