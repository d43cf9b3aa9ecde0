"""The budget of the base: that of the folds together."""

import pytest

from hmean.crossval.base import base_batches, base_epochs, base_schedule


@pytest.mark.parametrize(("k", "pages"), [(2, 10), (3, 9), (5, 100)])
def test_the_base_sees_as_many_pages_as_the_folds_together(k, pages):
    epochs = 4
    sizes = [pages // k] * k
    seen_by_folds = sum(epochs * (pages - size) for size in sizes)
    assert base_epochs(k, epochs) * pages == seen_by_folds


def test_batches_are_limited_in_proportion():
    assert base_batches(5, None) is None
    assert base_epochs(5, 3) * base_batches(5, 8) == 5 * 3 * 8


def test_a_schedule_in_epochs_is_as_much_longer():
    cosine = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "T_max": 22, "eta_min": 1e-5}
    assert base_schedule(5, cosine) == {**cosine, "T_max": 88}
    assert base_schedule(3, {"milestones": [2, 5], "gamma": 0.1}) == {"milestones": [4, 10], "gamma": 0.1}
    whole = {"_target_": "hmean.training.schedules.warmup_flat_linear", "warmup": 0.03}
    assert base_schedule(5, whole) == whole
