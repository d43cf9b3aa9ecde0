"""A run tuned on 400 pages: its report, and what tuning it again does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hmean.cli import main
from hmean.files import write_json
from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.metadata import read_metadata
from hmean.postprocess.parameters import READ_WITH, PostprocessParams
from hmean.reports.run import open_reported
from hmean.reports.score_tables import ScoreRow, rank, read_rows
from hmean.reports.tuning_figures import effects, grid_along
from hmean.reports.words import Words
from hmean.runs.pictures import save_picture
from hmean.runs.scores import Scores
from hmean.tuning.result import TuneResult
from hmean.types import Page, Polygons
from support.html import english_phrases
from support.once import made_once
from support.pages import drawn_page
from support.planted import plant_run


def make_tuned_run(folder: Path) -> None:
    data = folder / "data"
    (data / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    pages = []
    for i in range(401):
        words = rng.integers(3, 8)
        drawn_page(words).save(data / "images" / f"{i:03d}.png")
        right = 80 + i / 1000  # two copies of a page would be refused
        quads = [np.array([[20, y], [right, y], [right, y + 10], [20, y + 10]]) for y in 10.0 + 24 * np.arange(words)]
        pages.append(Page(f"{i:03d}.png", 120, 200, Polygons.of(quads), group=f"shop {i % 40}"))
    for part, some in (("train", pages[:1]), ("val", pages[1:])):
        write_json(data / "jsons" / f"{part}.json", {"images": {page.name: page.to_ufo() for page in some}})
    run = plant_run(folder / "run", data, 0, 0.3)
    lists = ["tune.thresh=[0.2,0.3,0.4]", "tune.box_thresh=[0.3,0.45,0.6]", "tune.unclip=[ratio,inverse]",
             "tune.unclip_ratio=[0.8,1.2,1.6]", "tune.inverse_r=[0.4,0.5,0.6]"]  # fmt: skip
    assert main(["tune", f"checkpoint_path={run}/checkpoints/best.ckpt", f"dataset_base_path={data}", *lists]) == 0


@pytest.fixture(scope="session")
def tuned_run(tmp_path_factory) -> Path:
    """A tuned run on 400 pages, which lie in ``data`` beside it. Only read them; ``copy_of_tuned_run`` is a copy of the run."""
    return made_once(tmp_path_factory, "tuned_run", make_tuned_run) / "run"


@pytest.fixture
def copy_of_tuned_run(tuned_run, tmp_path) -> Path:
    """A copy of ``tuned_run`` that a test may change."""
    return Path(shutil.copytree(tuned_run, tmp_path / "run"))


def test_a_report_of_400_pages_is_under_5_mb_however_noisy_the_pages(copy_of_tuned_run):
    pictures = json.loads((copy_of_tuned_run / "pictures/pictures.json").read_text())
    assert len(pictures) == 12
    noise = np.random.default_rng(0).integers(0, 256, (1280, 1280, 3)).astype(np.uint8)
    for entry in pictures:
        save_picture(copy_of_tuned_run / "pictures" / entry["file"], noise)
    assert sum((copy_of_tuned_run / "pictures" / e["file"]).stat().st_size for e in pictures) > 10_000_000
    assert main(["report", str(copy_of_tuned_run)]) == 0
    html = (copy_of_tuned_run / "report.html").read_text()
    assert html.count("data:image/jpeg") == 12
    assert html.count("</td></tr>") > 400  # every page has its row
    assert len(html.encode()) < 5_000_000


def rows_of(run: Path) -> list[ScoreRow]:
    reported = open_reported(run)
    return read_rows(reported.folder, reported.model, reported.config, Words("en"))


def test_the_trainings_own_score_is_the_base_of_its_tuning(tuned_run):
    (table,) = rank(rows_of(tuned_run), Words("en"))
    assert table.base.name == "run"
    changes = {row.name: row.change.macro.difference for row in table.rows if row.change is not None}
    tuned = TuneResult.read(tuned_run / "tuned.json")
    assert changes == {"run/cross_fitted": pytest.approx(tuned.rule.gain)}


def test_a_parameter_of_the_other_unclip_mode_is_drawn_under_that_mode(copy_of_tuned_run):
    tuned = TuneResult.read(copy_of_tuned_run / "tuned.json")
    chosen = tuned.after.postprocess
    used = READ_WITH[chosen.unclip]
    other = ({"unclip_ratio", "inverse_r"} - {used}).pop()
    by_parameter = {effect.parameter: effect for effect in effects(tuned)}
    assert by_parameter[used].chosen == getattr(chosen, used)
    assert by_parameter[other].chosen is None
    for name, unclip in (("unclip_ratio", "ratio"), ("inverse_r", "inverse")):
        rows = [row.postprocess for row in grid_along(tuned, name)]
        assert {row.unclip for row in rows} == {unclip}
        assert len({getattr(row, name) for row in rows}) == len(rows) >= 3
        assert len({(row.thresh, row.box_thresh) for row in rows}) == 1
    assert main(["report", str(copy_of_tuned_run)]) == 0
    assert f"{other}, if unclip were" in (copy_of_tuned_run / "report.html").read_text()


def test_results_of_an_exported_file_and_of_values_that_are_gone_say_so(copy_of_tuned_run, ink):
    run = copy_of_tuned_run
    shutil.copytree(run / "pictures", run / "exported/ink/evaluate_val/pictures")
    shutil.copy(ink, run / "exported/ink.onnx")
    scores = json.loads((run / "scores.json").read_text())
    theirs = {**scores, "weights_hash": "0" * 64, "postprocess": read_metadata(ink).postprocess.to_dict()}
    write_json(run / "exported/ink/evaluate_val/scores.json", theirs)
    voted = {k: v for k, v in scores.items() if k != "weights_hash"} | {"members": []}
    (run / "joined/evaluate_val").mkdir(parents=True)
    write_json(run / "joined/evaluate_val/scores.json", voted)
    notes = {
        "run/joined/evaluate_val": "of an ensemble",
        "run": "with values that the model does not have now",
        "run/cross_fitted": "",
        "run/exported/ink/evaluate_val": "of ink.onnx, other weights",
    }
    assert {row.name: row.note for row in rows_of(run)} == notes
    assert main(["report", str(run)]) == 0
    html = (run / "report.html").read_text()
    assert "Worst pages of val (exported/ink/evaluate_val)" in html
    assert "of ink.onnx, other weights" in html


def test_a_korean_report_has_no_english_sentence_and_lies_beside_the_english_one(copy_of_tuned_run):
    for lang in ("en", "ko"):
        assert main(["report", str(copy_of_tuned_run), f"lang={lang}"]) == 0
    english, korean = ((copy_of_tuned_run / name).read_text() for name in ("report.html", "report.ko.html"))
    assert '<html lang="ko">' in korean
    assert "Tuning on 400 val pages" in english
    assert "튜닝: 검증 400페이지" in korean
    # Settings, files and names of pages are the same in all languages; what people read has no three English words.
    assert len(english_phrases(english)) > 50
    assert english_phrases(korean) == []


def test_the_report_of_a_tuned_exported_file_is_that_of_its_tuning(tuned_run, ink, tmp_path, capsys):
    file, results = Path(shutil.copy(ink, tmp_path / "ink.onnx")), tmp_path / "ink"
    assert main(["report", str(file)]) == 2
    assert "has no scores.json yet" in capsys.readouterr().err
    results.mkdir()
    shutil.copy(tuned_run / "tuned.json", results)
    shutil.copytree(tuned_run / "cross_fitted", results / "cross_fitted")
    assert main(["report", str(file)]) == 0
    html = (results / "report.html").read_text()
    assert "Tuning on 400 val pages" in html
    assert "ink/cross_fitted" in html
    assert "with values that the model does not have now" in html
    assert "0 epochs" not in html
    assert main(["report", str(results)]) == 2
    assert "neither a run folder" in capsys.readouterr().err


def test_a_tuning_without_gain_leaves_what_an_earlier_one_wrote(tuned_run, copy_of_tuned_run, capsys):
    """Though it is measured against the values from before these pages chose."""
    run = copy_of_tuned_run
    file, data = run / "checkpoints/best.ckpt", tuned_run.parent / "data"
    held, weights = load_checkpoint(file), file.read_bytes()
    assert len(held.history) == 1
    tune = [
        "tune",
        f"checkpoint_path={file}",
        f"dataset_base_path={data}",
        "tune.inverse_r=[]",
        "tune.unclip_ratio=[0.1]",
    ]
    capsys.readouterr()
    assert main([*tune, "tune.thresh=[0.9]", "tune.box_thresh=[0.9]", "tune.unclip=[ratio]"]) == 0
    said = capsys.readouterr().out
    assert "the model keeps its values" in said
    assert f"thresh={held.postprocess.thresh} " in said.splitlines()[-1]
    assert file.read_bytes() == weights
    assert (
        json.loads((run / "tuned.json").read_text())["before"]["postprocess"] == held.history[0].postprocess.to_dict()
    )


def test_a_floor_is_bought_with_the_objective_and_told(tuned_run, copy_of_tuned_run, capsys):
    run = copy_of_tuned_run
    before = json.loads((run / "tuned.json").read_text())["before"]["score"]["cleval"]["macro"]["p"]
    floor = round(before + 0.005, 3)
    tune = ["tune", f"checkpoint_path={run}/checkpoints/best.ckpt", f"dataset_base_path={tuned_run.parent / 'data'}",
            "tune.thresh=[0.3,0.4,0.5]", "tune.box_thresh=[0.5,0.6,0.65,0.7]", "tune.inverse_r=[]", "tune.unclip_ratio=[]"]  # fmt: skip
    capsys.readouterr()
    assert main([*tune, f"tune.precision={floor}"]) == 0
    tuned = json.loads((run / "tuned.json").read_text())
    assert tuned["floors"]["shortfall_before"] > tuned["floors"]["shortfall"]
    assert (tuned["decision"], tuned["reason"]) == ("adopted", "floors shown")
    assert tuned["cross_fitted"]["gain"] < 0
    assert f"the floors are {100 * floor:g} and 0" in capsys.readouterr().out


@pytest.mark.parametrize("killed_at", [TuneResult, Scores])
def test_a_killed_tune_leaves_no_scores_of_values_that_the_model_does_not_have(
    tuned_run, copy_of_tuned_run, monkeypatch, killed_at
):
    run = copy_of_tuned_run
    file, data = run / "checkpoints/best.ckpt", tuned_run.parent / "data"
    shutil.rmtree(run / "cross_fitted")
    load_checkpoint(file).write_postprocess(PostprocessParams(thresh=0.123), "for a test", np.array([1]))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    tune = ["tune", f"checkpoint_path={file}", f"dataset_base_path={data}", "tune.thresh=[0.3,0.4]", "tune.box_thresh=[0.5]",
            "tune.inverse_r=[]", "tune.unclip_ratio=[]"]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(killed_at, "write", killed)
        assert main(tune) == 130
    assert load_checkpoint(file).postprocess.thresh in (0.3, 0.4)
    assert not (run / "cross_fitted").exists()
    assert main(tune) == 0
    assert (run / "cross_fitted/scores.json").exists()
