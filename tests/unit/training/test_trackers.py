"""Trackers get what metrics.jsonl gets; they ask nothing, and their failures end no training."""

import csv

import pytest

pytest.importorskip("lightning")

from lightning.pytorch.loggers import Logger

from hmean.errors import InputError
from hmean.runs.folder import RunFolder
from hmean.training import trackers
from hmean.training.trackers import Tracker, open_tracker, require_tracker

CONFIG = {"seed": 42, "models": {"optimizer": {"lr": 0.001}}}


def log_two_epochs(tracker: Tracker) -> None:
    for epoch in range(2):
        tracker.log_metrics({"train/loss": 2.0 - epoch, "val/hmean": 0.25 + epoch / 2}, step=epoch)
    tracker.finalize("success")


def test_csv_files_hold_the_metrics_and_the_config(tmp_path):
    tracker = open_tracker("csv", RunFolder(tmp_path), CONFIG)
    log_two_epochs(tracker)
    with (tmp_path / "csv/version_0/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val/hmean"]) for row in rows] == [0.25, 0.75]
    assert "lr: 0.001" in (tmp_path / "csv/version_0/hparams.yaml").read_text()


def test_a_resumed_run_keeps_the_csv_rows_of_its_first_part(tmp_path):
    for _ in range(2):
        log_two_epochs(open_tracker("csv", RunFolder(tmp_path), CONFIG))
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {"version_0", "version_1"}
    for version in ("version_0", "version_1"):
        assert len((tmp_path / "csv" / version / "metrics.csv").read_text().splitlines()) == 3


def test_tensorboard_events_hold_the_metrics(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = open_tracker("tensorboard", RunFolder(tmp_path), CONFIG)
    log_two_epochs(tracker)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("val/hmean")] == [0.25, 0.75]
    assert [event.step for event in events.Scalars("train/loss")] == [0, 1]


@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy, about MLflow
def test_mlflow_keeps_one_database_for_all_runs_of_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("first", "second"):
        log_two_epochs(open_tracker("mlflow", RunFolder(tmp_path / name), CONFIG))
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("hmean")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name for run in runs} == {"first", "second"}
    assert runs[0].data.metrics["val/hmean"] == 0.75
    assert runs[0].data.params["models/optimizer/lr"] == "0.001"


def test_wandb_without_a_key_logs_offline_and_says_so(tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")  # so that it is restored: Lightning sets it
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "run").mkdir()
    tracker = open_tracker("wandb", RunFolder(tmp_path / "run"), CONFIG)
    log_two_epochs(tracker)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "logged offline" in said
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))


class BrokenLogger(Logger):
    """Fails in every call."""

    name = "broken"
    version = None

    def log_metrics(self, metrics, step=None):  # noqa: ARG002 - Lightning's signature
        raise ConnectionError("no route to host")

    def log_hyperparams(self, params, *args, **kwargs):  # noqa: ARG002 - Lightning's signature
        raise ConnectionError("no route to host")


def test_a_tracker_that_fails_is_dropped_after_one_message(capsys):
    tracker = Tracker(BrokenLogger(), "broken")
    log_two_epochs(tracker)
    said = capsys.readouterr().out
    assert said.count("no route to host") == 1
    assert "training continues without it" in said


def test_a_tracker_that_cannot_be_started_is_left_out(tmp_path, monkeypatch, capsys):
    def fail(*_: object) -> Logger:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(trackers, "_start", fail)
    assert open_tracker("wandb", RunFolder(tmp_path), CONFIG) is None
    assert "wandb: could not be started (no route to host)" in capsys.readouterr().out


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'hmean\[tensorboard\]'"):
        require_tracker("tensorboard")
    require_tracker("csv")
