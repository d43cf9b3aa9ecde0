"""What only a machine with a CUDA device can show; skipped, visibly, on all others."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

from hmean.cli import main
from hmean.files import read_json
from hmean.runs.maps import find_maps, read_map
from support.pages import TINY

ON_GPU = [*TINY, "trainer.accelerator=gpu"]


def train(receipts, folder, name, *changes):
    arguments = [*ON_GPU, f"dataset_base_path={receipts}", f"output_dir={folder}", f"exp_name={name}", *changes]
    assert main(["train", *arguments]) == 0
    return folder / name


def losses(run):
    return [json.loads(line)["train/loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(receipts, tmp_path_factory):
    """One run in each precision, and one on the processor, from the same seed."""
    folder = tmp_path_factory.mktemp("outputs")
    kinds = {p: [f"trainer.precision={p}"] for p in ("32-true", "bf16-mixed", "16-mixed")}
    kinds["cpu"] = ["trainer.accelerator=cpu"]
    return {kind: train(receipts, folder, kind, *changes) for kind, changes in kinds.items()}


def test_all_precisions_teach_what_the_processor_teaches(trained):
    reference = losses(trained["cpu"])
    assert losses(trained["32-true"]) == pytest.approx(reference, rel=0.01)
    for kind in ("bf16-mixed", "16-mixed"):
        assert losses(trained[kind]) == pytest.approx(reference, rel=0.05)


def test_a_mixed_run_is_named_so_and_broken_off_goes_on(receipts, trained, tmp_path):
    manifest = read_json(trained["bf16-mixed"] / "manifest.json")
    assert "precision bf16-mixed" in manifest["machine"]["device"]
    changes = ["trainer.precision=16-mixed", "resume=auto"]
    run = train(receipts, tmp_path, "16-mixed", *changes, "trainer.max_epochs=1")
    assert len(losses(run)) == 1
    train(receipts, tmp_path, "16-mixed", *changes)
    assert losses(run) == pytest.approx(losses(trained["16-mixed"]), rel=0.05)


def test_a_checkpoint_sees_the_same_on_both(receipts, trained, tmp_path):
    seen = []
    for device in ("gpu", "cpu"):
        run = shutil.copytree(trained["bf16-mixed"], tmp_path / device)
        shutil.rmtree(run / "maps")
        best = run / "checkpoints/best.ckpt"
        assert (
            main(
                [
                    "evaluate",
                    f"checkpoint_path={best}",
                    f"dataset_base_path={receipts}",
                    f"trainer.accelerator={device}",
                ]
            )
            == 0
        )
        files = find_maps(run / "maps", sorted(read_json(receipts / "jsons/val.json")["images"]))
        seen.append([read_map(path, name).probability for name, path in files.items()])
    for there, here in zip(*seen, strict=True):
        assert np.abs(there.astype(int) - here.astype(int)).max() <= 3  # of 255


@pytest.mark.parametrize("changes", [["trainer.compile=true"], ["trainer.channels_last=false"]])
def test_compiled_and_other_layouts(receipts, trained, tmp_path, changes):
    run = train(receipts, tmp_path, "other", *changes, "trainer.precision=32-true")
    assert losses(run) == pytest.approx(losses(trained["cpu"]), rel=0.02)
