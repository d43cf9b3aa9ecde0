"""What a person sees of a training."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from lightning.pytorch.callbacks import ModelCheckpoint

from hmean.training.progress import Pace, TrainingProgress, duration, epoch_line


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_time_left_counts_steps_and_validations_apart():
    clock = Clock()
    pace = Pace(steps=40, done=10, validations=2, clock=clock)
    assert pace.seconds_left() is None
    for _ in range(10):
        clock.now += 3
        pace.step(images=6)
    assert pace.images_a_second() == pytest.approx(2)
    assert pace.seconds_left() == pytest.approx(20 * 3)
    pace.start_validation()
    clock.now += 50
    pace.end_validation()
    assert pace.images_a_second() == pytest.approx(2)  # a validation is no slower learning
    assert pace.seconds_left() == pytest.approx(20 * 3 + 50)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.2, "1 s left"),
        (99, "99 s left"),
        (101, "2 min left"),
        (5940, "99 min left"),
        (7501, "2 h 06 min left"),
    ],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_an_epoch_is_one_line_of_numbers():
    line = epoch_line(
        "3/12",
        {"train/loss": 1.875, "train/loss_binary": 0.2, "val/hmean": 0.9944, "val/iou50_hmean": 0.9204},
        lr=3e-4,
        images_a_second=3.71,
        left=1000,
        is_best=True,
    )
    assert line == (
        "epoch 3/12  loss 1.8750  macro H 99.44  IoU50 H 92.04  (best so far)  lr 0.0003  3.7 images/s  17 min left"
    )
    plain = epoch_line("12/12", {"train/loss": 1.5}, lr=0.0, images_a_second=4, left=None, is_best=False)
    assert plain == "epoch 12/12  loss 1.5000  lr 0  4.0 images/s"


def trainer(epoch, metrics=None, best=None):
    checkpoint = ModelCheckpoint(monitor="val/hmean")
    checkpoint.best_model_score = best
    return SimpleNamespace(
        is_global_zero=True,
        num_training_batches=2,
        max_epochs=3,
        current_epoch=epoch,
        check_val_every_n_epoch=2,
        world_size=1,
        callback_metrics=metrics or {},
        checkpoint_callbacks=[checkpoint],
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.001}])],
    )


def test_a_log_has_a_line_a_minute_and_one_for_each_epoch(capsys):
    clock = Clock()
    progress = TrainingProgress(terminal=False, clock=clock)
    progress.on_train_start(trainer(0), None)
    loss = torch.tensor(2.5)
    progress.on_train_batch_start(trainer(0), None, None, 0)
    for step in range(2):
        clock.now += 40
        progress.on_train_batch_end(trainer(0), None, {"loss": loss}, {"image": torch.zeros(4, 3)}, step)
    captured = capsys.readouterr()
    assert captured.err == "epoch 1/3, step 2/2: loss 2.5000, 0.1 images/s, 3 min left\n"
    progress.on_train_epoch_end(trainer(0, {"train/loss": loss, "val/hmean": torch.tensor(0.5)}), None)
    out = capsys.readouterr().out
    assert "macro H" not in out  # left over from an earlier epoch
    assert "lr 0.001" in out
    assert "3 min left" in out
    progress.on_validation_start(trainer(1), None)
    clock.now += 10
    progress.on_validation_end(trainer(1), None)
    metrics = {"train/loss": loss, "val/hmean": torch.tensor(0.5)}
    progress.on_train_epoch_end(trainer(1, metrics, best=torch.tensor(0.5)), None)
    assert "macro H 50.00  (best so far)" in capsys.readouterr().out
    progress.on_train_epoch_end(trainer(1, metrics, best=torch.tensor(0.6)), None)
    assert "best so far" not in capsys.readouterr().out


def test_a_terminal_has_a_bar_and_the_same_lines(capsys):
    clock = Clock()
    progress = TrainingProgress(terminal=True, clock=clock)
    progress.on_train_start(trainer(0), None)
    for step in range(2):
        clock.now += 30
        progress.on_train_batch_end(trainer(0), None, torch.tensor(2.5), {"image": torch.zeros(4, 3)}, step)
    progress.on_validation_start(trainer(0), None)
    progress.on_train_epoch_end(trainer(0, {"train/loss": torch.tensor(2.5)}), None)
    progress.on_train_end(trainer(0), None)
    captured = capsys.readouterr()
    assert "0/6" in captured.err  # steps of the whole training
    assert "validating" in captured.err
    assert "2 min left" in captured.err  # four steps of 30 seconds
    assert captured.out.startswith("epoch 1/3  loss 2.5000")
