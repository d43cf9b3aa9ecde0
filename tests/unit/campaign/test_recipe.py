"""Nested values with some replaced, or left out."""

from hmean.campaign.recipe import replaced, without

VALUES = {"trainer": {"max_epochs": 44, "devices": 1}, "seed": 42, "datasets": {"val_dataset": None}}


def test_values_are_replaced_by_dotted_keys():
    changed = replaced(VALUES, {"trainer.max_epochs": 3, "seed": 1, "datasets.val_dataset.folds": {"fold": 0}})
    assert changed == {
        "trainer": {"max_epochs": 3, "devices": 1},
        "seed": 1,
        "datasets": {"val_dataset": {"folds": {"fold": 0}}},
    }
    assert VALUES["trainer"]["max_epochs"] == 44


def test_values_are_left_out_by_dotted_keys():
    assert without(VALUES, ["trainer.max_epochs", "seed", "nothing.here"]) == {
        "trainer": {"devices": 1},
        "datasets": {"val_dataset": None},
    }
    assert "seed" in VALUES
