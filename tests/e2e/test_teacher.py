"""Distillation from the command line: a run, its maps of the training pages, and a run that learns from them."""

from hmean.cli import main
from hmean.inference.checkpoints import load_checkpoint


def test_a_student_learns_from_an_evaluation_of_its_teacher(tiny, tmp_path, capsys):
    """From the command line: a run, its maps of the training pages, and a run that they teach."""
    once = [*tiny[:-1], "trainer.max_epochs=1"]
    assert main(["train", *once, "exp_name=teacher"]) == 0
    run = tmp_path / "outputs/teacher"
    data = [o for o in tiny if o.startswith(("dataset_base_path", "dataloaders.val", "dataloaders.train"))]
    assert main(["evaluate", *data, f"run={run}", "evaluate_on=train"]) == 0
    assert main(["train", *once, "exp_name=student", f"datasets.train_dataset.teacher={run}"]) == 0
    seen = [load_checkpoint(tmp_path / "outputs" / n / "checkpoints/best.ckpt").pages for n in ("teacher", "student")]
    assert set(seen[0].all().tolist()) == set(seen[1].train.tolist())
    assert (tmp_path / "outputs/student/scores.json").exists()
    loss = [(tmp_path / f"outputs/{name}/metrics.jsonl").read_text() for name in ("teacher", "student")]
    assert loss[0] != loss[1]
    capsys.readouterr()
    assert main(["train", *once, "exp_name=third", f"datasets.train_dataset.teacher={tmp_path / 'nowhere'}"]) == 2
    assert "does not say which pages the models that made its maps have seen" in capsys.readouterr().err
    assert not (tmp_path / "outputs/third").exists()
