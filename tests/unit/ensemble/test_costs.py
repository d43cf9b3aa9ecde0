"""Costs of a training: minutes, and samples of pages."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from hmean.ensemble.costs import page_views, training_minutes
from hmean.runs.provenance import Provenance, TrainingProvenance


def trained(folder: Path, *, seconds=(), minutes=None):
    """A model in a run folder with rows of metrics, or one that only says how long it was trained."""
    path = folder / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    if seconds:
        rows = [{"epoch": epoch, "seconds": value} for epoch, value in enumerate(seconds)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    provenance = Provenance()
    if minutes is not None:
        provenance = Provenance(training=TrainingProvenance(minutes=minutes))
    return SimpleNamespace(path=path, carried=SimpleNamespace(provenance=provenance))


def test_minutes_are_those_of_all_epochs(tmp_path):
    run = trained(tmp_path / "run", seconds=[60, 90], minutes=1.0)  # the best epoch was the first
    exported = trained(tmp_path / "exported", minutes=3.0)
    assert training_minutes([run]) == 2.5
    assert training_minutes([run, exported]) == 5.5
    assert training_minutes([run, trained(tmp_path / "old")]) is None


@pytest.mark.parametrize(("limit", "views"), [(None, 3 * 20), (4, 3 * 8), (100, 3 * 20)])
def test_a_training_sees_its_pages_once_an_epoch(limit, views):
    training = {
        "models": {"pretrained": None},
        "trainer": {"max_epochs": 3, "limit_train_batches": limit},
        "transforms": {"train": {"views_per_page": 2}},
        "dataloaders": {"train_dataloader": {"batch_size": 2}},
    }

    def model(training, members=()):
        return SimpleNamespace(
            training=training, carried=SimpleNamespace(members=members), pages=SimpleNamespace(train=range(10))
        )

    assert page_views(model(training)) == views
    assert page_views(model({**training, "checkpoint_path": "first.ckpt"})) is None
    assert page_views(model({**training, "models": {"pretrained": "first.ckpt"}})) is None
    assert page_views(model({**training, "models": {"pretrained": "pp-ocrv6-small"}})) == views
    assert page_views(model(training, members=("a", "b"))) is None
