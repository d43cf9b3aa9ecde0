"""Distillation from the command line: a run, its maps of the training pages, and a run that learns from them."""

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint
from support.runs import rows


def test_a_student_learns_from_an_evaluation_of_its_teacher(copy_of_run, tiny, tmp_path, capsys):
    """The student's own labels, seed and recipe are the teacher's: what it learns differs by the teacher's maps alone."""
    data = [o for o in tiny if o.startswith(("dataset_base_path", "dataloaders.val", "dataloaders.train"))]
    assert main(["evaluate", *data, f"run={copy_of_run}", "split=train"]) == 0
    student = [*tiny[:-1], "exp_name=student", f"datasets.train_dataset.teacher={copy_of_run}"]
    assert main(["train", *student]) == 0
    run = tmp_path / "outputs/student"
    seen = [load_checkpoint(folder / "checkpoints/best.ckpt").pages for folder in (copy_of_run, run)]
    assert set(seen[0].all().tolist()) == set(seen[1].train.tolist())
    assert (run / "scores.json").exists()
    assert rows(run)[0]["train/loss"] != rows(copy_of_run)[0]["train/loss"]
    capsys.readouterr()
    third = [*tiny[:-1], "exp_name=third", f"datasets.train_dataset.teacher={tmp_path / 'nowhere'}"]
    assert main(["train", *third]) == 2
    assert "does not say which pages the models that made its maps have seen" in capsys.readouterr().err
    assert not (tmp_path / "outputs/third").exists()
