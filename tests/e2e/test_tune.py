"""``hmean tune`` on a run, and what it refuses."""

import json

import pytest

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint


def test_tuned_values_travel_with_the_weights(copy_of_run, receipts, tmp_path, capsys):
    labels = json.loads((receipts / "jsons/val.json").read_text())
    for page in labels["images"].values():
        page.pop("group", None)  # each page its own
    (tmp_path / "val.json").write_text(json.dumps(labels))
    tune = ["tune", f"run={copy_of_run}", f"dataset_base_path={receipts}", f"datasets.val_dataset.annotation_path={tmp_path / 'val.json'}",
            "tune.thresh=[0.05,0.1,0.2]", "tune.box_thresh=[0.0,0.1]", "tune.adopt=any"]  # fmt: skip
    assert main([*tune, "tune.inverse_r=[]"]) == 0
    assert "on pages with no part in choice or decision" in capsys.readouterr().out
    tuned = json.loads((copy_of_run / "tuned.json").read_text())
    assert len(tuned["grid"]) == 7  # the present values and six others
    assert tuned["grid"][0]["macro"] == max(point["macro"] for point in tuned["grid"])
    assert len(tuned["cross_fitted"]["chosen"]) == 3  # pages, each its own group
    chosen, ends = tuned["after"]["postprocess"], {"thresh": (0.05, 0.2), "box_thresh": (0.0, 0.1)}
    assert tuned["at_list_ends"] == {knob: chosen[knob] for knob in ends if chosen[knob] in ends[knob]}
    checkpoint = load_checkpoint(copy_of_run / "checkpoints/best.ckpt")
    # Three groups of pages show nothing.
    assert (tuned["decision"], tuned["reason"]) == ("adopted", "any is adopted")
    assert tuned["rule"]["gain"] == tuned["cross_fitted"]["gain"]
    assert tuned["rule"]["interval95"] is None
    kept = tuned["after"]
    assert checkpoint.postprocess.to_dict() == kept["postprocess"]
    if kept["postprocess"] != tuned["before"]["postprocess"]:
        assert checkpoint.history[0].postprocess.to_dict() == tuned["before"]["postprocess"]
    best = kept["score"]["cleval"]["macro"]["h"]
    assert main(["evaluate", f"checkpoint_path={checkpoint.path}", f"dataset_base_path={receipts}"]) == 0
    scores = json.loads((copy_of_run / "evaluate_val/scores.json").read_text())
    assert scores["cleval"]["macro"]["h"] == best
    assert len(list((copy_of_run / "maps").rglob("*.map"))) == 3  # made once, by the training; all jobs share them
    # Again: what was chosen on these pages is no beginning, so that the score on pages that did not choose stays one.
    before = json.loads((copy_of_run / "cross_fitted/scores.json").read_text())["pages"]
    assert main([*tune, "tune.inverse_r=[]"]) == 0
    assert json.loads((copy_of_run / "cross_fitted/scores.json").read_text())["pages"] == before
    again = json.loads((copy_of_run / "tuned.json").read_text())
    assert [again[part]["postprocess"] for part in ("before", "after")] == [
        tuned[p]["postprocess"] for p in ("before", "after")
    ]
    optimism = again["cross_fitted"]["optimism"]
    assert optimism["gain"] == pytest.approx(again["after"]["gain"] - again["cross_fitted"]["gain"])
    capsys.readouterr()
    many = [f"tune.thresh={[i / 1000 for i in range(600)]}", f"tune.box_thresh={[i / 100 for i in range(10)]}"]
    assert main([*tune, "tune.inverse_r=[0.5]", *many]) == 0
    tuned = json.loads((copy_of_run / "tuned.json").read_text())
    assert tuned["searched"]["settings"] == 6_000
    assert len(tuned["grid"]) < tuned["searched"]["scored"] < 5_000
    assert main(["report", str(copy_of_run)]) == 0
    html = (copy_of_run / "report.html").read_text()
    assert "(the lists make 6000)" in html
    assert html.count("Where the errors are") == 2  # of the training's evaluation, and of the later one
    assert html.count('class="sortable') == 2
    assert not any(f'{asset}="http' in html for asset in ("src", "href"))  # it opens offline


def test_tune_refuses_what_would_spoil_the_checkpoint(copy_of_run, receipts, tmp_path, capsys):
    tune = ["tune", f"run={copy_of_run}", f"dataset_base_path={receipts}", "tune.thresh=[0.05,0.1]"]
    before = load_checkpoint(copy_of_run / "checkpoints/best.ckpt")
    for override in ("transforms.long_side=96", "models.head.postprocess.thresh=0.9"):
        assert main([*tune, override]) == 2
        assert override.partition("=")[0] in capsys.readouterr().err
    labels = json.loads((receipts / "jsons/val.json").read_text())
    name, page = next(iter(labels["images"].items()))
    (tmp_path / "one.json").write_text(json.dumps({"images": {name: page}}))
    assert main([*tune, f"datasets.val_dataset.annotation_path={tmp_path / 'one.json'}"]) == 0
    assert "kept: no gain can be shown on so few groups of pages" in capsys.readouterr().out
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    for copy in (name, "copy.jpg"):
        (data / "images" / copy).write_bytes((receipts / "images" / name).read_bytes())
    (data / "val.json").write_text(json.dumps({"images": {name: page, "copy.jpg": page}}))
    assert main([*tune, f"dataset_base_path={data}", f"datasets.val_dataset.annotation_path={data / 'val.json'}"]) == 2
    assert "are the same page" in capsys.readouterr().err
    after = load_checkpoint(copy_of_run / "checkpoints/best.ckpt")
    assert (after.history, after.training) == (before.history, before.training)
