"""Folds: whether one is trained, how it was trained, and whether all are what they claim."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from hmean.crossval.folds import TrainedFold, check_base, check_folds, is_trained, recipe_differences
from hmean.errors import InputError
from hmean.runs.carried import PagesSeen
from hmean.runs.folder import RunFolder


def fold(tmp_path, number, *, weights, trained, own, validated=None):
    model = SimpleNamespace(
        weights_hash=lambda: weights, pages=PagesSeen(train=trained, val=own if validated is None else validated)
    )
    pages = SimpleNamespace(page_keys=lambda: np.array(own))
    return TrainedFold(RunFolder(tmp_path / f"fold_{number}"), model, pages, None)


def sound(tmp_path):
    return [
        fold(tmp_path, 0, weights="a", trained=[4, 3, 5, 6], own=[1, 2]),
        fold(tmp_path, 1, weights="b", trained=[1, 2, 5, 6], own=[3, 4]),
        fold(tmp_path, 2, weights="c", trained=[1, 2, 3, 4], own=[6, 5]),
    ]


def test_sound_folds_pass(tmp_path):
    check_folds(sound(tmp_path))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"weights": "a"}, "fold_1: has the weights of .*fold_0"),
        ({"trained": [3, 4, 5, 6]}, "fold_1: has the training pages of .*fold_0"),
        ({"trained": [1, 2, 3, 5, 6]}, "fold_1: was trained on 1 of the 2 pages that it is scored on"),
        ({"trained": [1, 2, 5, 7]}, "fold_1: was trained on other pages, or other labels, than those of the other"),
        ({"validated": [3, 7]}, "fold_1: was validated on other pages, or other labels, than splits.json"),
    ],
)
def test_each_fault_is_named(tmp_path, other, message):
    folds = sound(tmp_path)
    folds[1] = fold(tmp_path, 1, **{"weights": "b", "trained": [1, 2, 5, 6], "own": [3, 4], **other})
    with pytest.raises(InputError, match=message):
        check_folds(folds)


def test_a_fold_is_trained_once_it_is_scored_after_the_last_epoch(tmp_path):
    run = RunFolder(tmp_path)
    assert not is_trained(run, 2)
    rows = [{"epoch": epoch, "seconds": 1.0} for epoch in range(2)]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert not is_trained(run, 2)
    run.scores.write_text("{}")
    assert is_trained(run, 2)
    assert not is_trained(run, 3)


def test_a_run_that_nothing_validates_is_trained_without_a_score(tmp_path):
    run = RunFolder(tmp_path)
    rows = [{"epoch": epoch, "seconds": 1.0} for epoch in range(2)]
    run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert not is_trained(run, 2, validated=False)
    run.best.parent.mkdir()
    run.best.write_bytes(b"")
    assert is_trained(run, 2, validated=False)
    assert not is_trained(run, 3, validated=False)


@pytest.mark.parametrize(
    ("trained", "val"), [([1, 2, 3, 4, 5], []), ([1, 2, 3, 4, 5, 6, 7], []), ([1, 2, 3, 4, 5, 6], [6])]
)
def test_a_base_has_the_pages_of_all_folds_and_no_others(tmp_path, trained, val):
    folds = sound(tmp_path)
    check_base(SimpleNamespace(path="all", pages=PagesSeen(train=[6, 5, 4, 3, 2, 1], val=[])), folds)
    with pytest.raises(InputError, match="all: was trained on other pages"):
        check_base(SimpleNamespace(path="all", pages=PagesSeen(train=trained, val=val)), folds)


def test_only_the_recipe_is_compared(tmp_path):
    trained_with = {
        "exp_name": "fold_0",
        "seed": 42,
        "trainer": {"max_epochs": 2, "accelerator": "gpu"},
        "datasets": {"train_dataset": {"folds": {"fold": 0}, "teacher": None}},
    }
    recipe = {
        "exp_name": "cv",
        "seed": 42,
        "trainer": {"max_epochs": 3, "accelerator": "cpu"},
        "datasets": {"train_dataset": {"folds": None, "teacher": "maps"}},
    }
    assert recipe_differences(RunFolder(tmp_path / "fold_0"), trained_with, recipe) == [
        f"{tmp_path}/fold_0: trainer.max_epochs: was 2, now 3",
        f"{tmp_path}/fold_0: datasets.train_dataset.teacher: was None, now 'maps'",
    ]
