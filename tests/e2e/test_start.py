"""Never worse than the start: a fine-tuned model stands beside the detector that its training started from."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint
from hmean.tuning.result import TuneResult
from support.once import made_once
from support.pages import TINY

LISTS = ["tune.thresh=[0.05,0.2]", "tune.box_thresh=[0.0,0.1]", "tune.inverse_r=[0.6]", "tune.unclip_ratio=[1.5]"]


def command(trained_run, receipts, outputs, *words) -> list[str]:
    """Fine-tunes the tiny network for an epoch, and validates on pages that it has not seen."""
    return [
        "train", *TINY, f"from={trained_run / 'checkpoints/best.ckpt'}", f"dataset_base_path={receipts}",
        f"datasets.val_dataset.annotation_path={receipts / 'jsons/test.json'}", f"output_dir={outputs}", "exp_name=more",
        "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1", *LISTS, *words,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def fine_tuned(trained_run, receipts, tmp_path_factory) -> Path:
    """The folder of a fine-tuning. Only read it."""

    def make(outputs: Path) -> None:
        assert main(command(trained_run, receipts, outputs)) == 0

    return made_once(tmp_path_factory, "fine_tuned", make) / "more"


def test_a_fine_tuning_keeps_its_start_and_says_whether_it_is_beaten(fine_tuned, trained_run):
    start = load_checkpoint(fine_tuned / "checkpoints/start.ckpt")
    assert start.weights_hash() == load_checkpoint(trained_run / "checkpoints/best.ckpt").weights_hash()
    assert start.weights_hash() != load_checkpoint(fine_tuned / "checkpoints/best.ckpt").weights_hash()
    record = json.loads((fine_tuned / "start.json").read_text())
    assert (record["outcome"], record["winner"]) == ("too few groups", "start")  # two pages
    assert record["source"] == "best.ckpt"
    assert record["start"]["weights_hash"] == start.weights_hash()
    assert record["start"]["postprocess"] == start.postprocess.to_dict()  # the tuned values are in its file
    scores = json.loads((fine_tuned / "start/scores.json").read_text())
    assert scores["cleval"] == record["start"]["cleval"]
    assert scores["influenced_by"] == {"trained": 0, "epoch_chosen": 0, "tuned": 0}
    for statistic in ("macro", "iou50", "iou70"):
        h = [
            (record[side]["cleval"] if statistic == "macro" else record[side])[statistic]["h"]
            for side in ("start", "trained")
        ]
        assert record[statistic]["difference"] == pytest.approx(h[1] - h[0])
    assert len(list(fine_tuned.glob("maps/start-*/*.map"))) == 2  # one pass over the two pages


def test_the_report_begins_with_the_comparison(fine_tuned):
    html = (fine_tuned / "report.html").read_text()
    title, verdict, *_ = html.split("<h1>")[1].split("<h2>")[1].split("\n")
    assert title.startswith("Fine-tuned against its start: best.ckpt")
    assert "too few groups of pages to tell whether it is better than its start: use checkpoints/start.ckpt" in verdict
    first, second, *_ = html.split("<table")[1:]
    for head in ("<th>start<", "<th>fine-tuned<", "<th>difference<", "[95 %, family of 3], verdict"):
        assert head in first
    assert first.count("<small>too few groups</small>") == 3
    for statistic in ("macro H", "IoU50 H", "IoU70 H"):
        assert f"<td>{statistic}</td>" in first
    rows = second.split("</table")[0].split("<tr")[2:]
    assert "more/start" in rows[0]
    assert "the start, before any training here" in rows[0]
    assert "the base" in rows[0]
    assert "<td>more<" in rows[1]


def test_tuning_compares_again_without_the_network(fine_tuned, receipts, tmp_path, capsys):
    run = Path(shutil.copytree(fine_tuned, tmp_path / "more"))
    (run / "start.json").unlink()
    made = {path: path.stat().st_mtime_ns for path in run.rglob("*.map")}
    tune = ["tune", f"run={run}", f"dataset_base_path={receipts}", *LISTS,
            f"datasets.val_dataset.annotation_path={receipts / 'jsons/test.json'}"]  # fmt: skip
    assert main(tune) == 0
    printed = capsys.readouterr().out
    grouping = TuneResult.read(run / "tuned.json").grouping
    assert printed.count(grouping.text()) == 1
    assert printed.count(grouping.warning()) == 1
    found, compared = printed.split("\n\n")  # the result of the tuning comes first
    assert "on the pages it was chosen on" in found.splitlines()[0]
    out = compared.splitlines()
    assert out[0].startswith("fine-tuned against its start, best.ckpt")
    assert out[1].startswith("\tstart\tfine-tuned\tdifference")
    assert f"use {run / 'checkpoints/start.ckpt'}" in "\n".join(out)
    again = json.loads((run / "start.json").read_text())
    before = json.loads((fine_tuned / "start.json").read_text())
    assert again["start"]["cleval"] == before["start"]["cleval"]  # cross-fitted, whatever was tuned before
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*.map")} == made
    (run / "start.json").unlink()
    assert main([*tune, "score_start=false"]) == 0
    assert "against its start" not in capsys.readouterr().out
    assert not (run / "start.json").exists()


def test_the_comparison_can_be_turned_off(trained_run, receipts, tmp_path, capsys):
    assert main(command(trained_run, receipts, tmp_path, "score_start=false")) == 0
    assert "against its start" not in capsys.readouterr().out
    run = tmp_path / "more"
    assert not (run / "start.json").exists()
    assert not (run / "checkpoints/start.ckpt").exists()
    assert "Fine-tuned against its start" not in (run / "report.html").read_text()
