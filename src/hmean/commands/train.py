"""``hmean train``: labelled pages in, a run folder with a scored detector out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from hmean.data.pages import LabelledImages
from hmean.inference.checkpoints import load_checkpoint
from hmean.inference.evaluation import evaluate
from hmean.inference.trained import Execution
from hmean.plugins import check_components
from hmean.reports.run import write_run_report
from hmean.runs.carried import read_carried
from hmean.runs.folder import RunFolder, open_run
from hmean.runs.manifest import Manifest
from hmean.runs.metrics import read_epochs
from hmean.runs.provenance import Provenance, StartProvenance, TrainingProvenance
from hmean.runs.scores import Scores
from hmean.runs.start import StartRecord
from hmean.settings.build import open_dataset, open_validation, tune_options
from hmean.settings.build_training import build_data, build_module, trainer_options
from hmean.settings.keys import pruned, with_present_keys
from hmean.settings.training import TrainSettings
from hmean.training.callbacks import build_callbacks
from hmean.training.fit import build_trainer, fit, machine
from hmean.training.module import DetectorModule
from hmean.training.pages import require_same_pages, require_trainable
from hmean.training.start import keep_start, open_start
from hmean.training.trackers import open_tracker, require_tracker
from hmean.tuning.start import LabelledSplit, compare_with_start


@dataclass(frozen=True)
class TrainResult:
    """What a training leaves.

    Attributes:
        folder: the run folder.
        scores: of the best epoch on the validation pages; None without validation, and in the processes that only help
            to train.
        report: the HTML page; likewise.
        against_start: the model beside the whole detector that its training started from; None if it started from none.
        data: ``dataset_base_path`` of the training.
        finished: of a run that was finished before, a sentence that says so; None if something was done.
    """

    folder: RunFolder
    scores: Scores | None = None
    report: Path | None = None
    against_start: StartRecord | None = None
    data: str = ""
    finished: str | None = None

    def summary(self) -> str:
        """The scores, the model beside its start, the report, what to do next; of a finished run, that it is."""
        if self.finished is not None:
            return self.finished
        if self.scores is None or self.report is None:
            return ""
        lines = [self._trained(self.scores), self.scores.summary()]
        if self.against_start is not None:
            lines += ["", self.against_start.summary(self.folder.path, said=self.scores.grouping)]
        lines += ["", f"report: {self.report}", *self._next()]
        return "\n".join(lines)

    def _trained(self, scores: Scores) -> str:
        """How long, and which epoch is kept."""
        rows = read_epochs(self.folder.metrics)
        minutes = sum(row.seconds for row in rows) / 60
        kept = ""
        if scores.epoch is not None:
            kept = f"; the best epoch, {scores.epoch + 1}, is kept"
        return f"trained {len(rows)} epochs in {minutes:.1f} minutes{kept}; on {scores.images} val pages:"

    def _next(self) -> list[str]:
        """Commands that go on from here."""
        run = f"run={self.folder.path}"
        data = f"dataset_base_path={self.data}"
        return [
            f"next: hmean tune {run} {data}      post-processing values, chosen on val pages",
            f"      hmean evaluate {run} {data} split=test",
            f"      hmean export {run} {data}    one file that runs without torch",
        ]


def run(settings: TrainSettings) -> TrainResult:
    """Train, keep the best and the last epoch, score the best on the validation pages, write the report.

    Without validation pages, the last epoch is kept as the best, and there is no score. A model that started from a
    whole detector is compared with that detector.

    Raises:
        InputError: if settings or data are wrong (all faults at once, before anything is trained), or if the loss is
            not finite.
    """
    # Check everything that can be checked before the work starts.
    check_components(settings.models.components().all())
    folder = RunFolder(Path(settings.output_dir) / settings.run_name())
    tracker_name = settings.tracker()
    if tracker_name is not None:
        require_tracker(tracker_name)
    train_pages = open_dataset(settings.datasets.train_dataset)
    val_pages = open_validation(settings.datasets.val_dataset, train_pages)
    require_trainable(train_pages, val_pages)

    for note in settings.notes:
        print(f"note: {note}", file=sys.stderr)
    encoder = settings.models.components().encoder
    if settings.models.pretrained is None and not encoder.accepts("pretrained"):
        print(
            "warning: models.pretrained=null: every weight is random at first, since this encoder has no weights of "
            "its own; from=pp-ocrv6-small starts from a whole detector",
            file=sys.stderr,
        )

    # Build network and data.
    pl.seed_everything(settings.seed, verbose=False)
    module = build_module(settings, train_pages, val_pages)
    data = build_data(settings, train_pages, val_pages, fill=module.detector.encoder.fill)

    # Make the run folder, and the trainer that writes into it.
    _open_folder(folder, settings, module)
    finished = _finished(folder, settings, val_pages)
    if finished is not None:
        return finished
    tracker = None
    if tracker_name is not None:
        tracker = open_tracker(tracker_name, folder, settings.to_dict())
    validates = len(val_pages) > 0
    callbacks = build_callbacks(folder, settings.trainer.ema_decay, validates=validates)
    trainer = build_trainer(trainer_options(settings), folder, callbacks, tracker, validates=validates)
    if trainer.is_global_zero:
        pages = {"train": train_pages}
        if validates:
            pages["val"] = val_pages
        _record_start(folder, settings, module, trainer, pages)
        print(f"training {folder.path} on {machine(trainer)}, {_in_words(len(train_pages), len(val_pages))}")

    # Train, score the best epoch, report.
    fit(trainer, module, data, folder)
    if not trainer.is_global_zero or not validates:
        return TrainResult(folder)
    loader = settings.dataloaders.val_dataloader
    execution = Execution(settings.trainer.accelerator, loader.batch_size, loader.num_workers)
    best = load_checkpoint(folder.best)
    scores = evaluate(best, val_pages, folder.path, split="val", execution=execution)
    against_start = None
    if settings.tune is not None and _compares_with_start(settings):
        split = LabelledSplit(val_pages, "val", execution)
        against_start = compare_with_start(load_checkpoint(folder.start), best, split, tune_options(settings.tune))
    report = write_run_report([folder.path])
    return TrainResult(folder, scores, report, against_start, data=settings.dataset_base_path)


def _compares_with_start(settings: TrainSettings) -> bool:
    return settings.score_start and settings.models.pretrained is not None


def _in_words(trained: int, validated: int) -> str:
    """The numbers of pages, in words."""
    if validated == 0:
        return f"{trained} pages, without validation: the last epoch is kept"
    return f"{trained} pages, validating on {validated}"


def _note(settings: TrainSettings, *, validates: bool) -> str | None:
    """What else the model says of its training."""
    notes = []
    if not validates:
        notes.append("trained without validation: the last epoch is kept, and this training scored nothing")
    if settings.note is not None:
        notes.append(settings.note)
    return "; ".join(notes) or None


def _open_folder(folder: RunFolder, settings: TrainSettings, module: DetectorModule) -> None:
    resume = settings.resume == "auto"
    if resume and folder.last.exists():
        require_same_pages(folder, module.carried.pages)
    is_first_process = getattr(rank_zero_only, "rank", 0) == 0
    if is_first_process:  # the other processes of DDP find the folder made
        open_run(
            folder.path,
            settings.to_dict(),
            resume=resume,
            overwrite=settings.overwrite,
            upgrade=_with_present_keys,
        )


def _finished(folder: RunFolder, settings: TrainSettings, val_pages: LabelledImages) -> TrainResult | None:
    """What a finished run has left; None if there is something to train, to score or to compare."""
    if not folder.last.exists():
        return None
    epochs = read_carried(folder.last).epoch + 1
    if epochs < settings.trainer.max_epochs:
        return None
    if len(val_pages) == 0:
        sentence = f"{folder.path} is finished ({epochs} epochs); next: hmean predict IMAGES run={folder.path}"
        return TrainResult(folder, finished=sentence)
    weights_hash = load_checkpoint(folder.best).weights_hash()
    scores = _scores_of(folder, weights_hash, val_pages.fingerprint())
    if scores is None:
        return None
    against_start = None
    if settings.tune is not None and _compares_with_start(settings):
        against_start = _comparison_of(folder, weights_hash)
        if against_start is None:
            return None
    sentence = (
        f"{folder.path} is finished ({epochs} epochs, macro H {100 * scores.cleval.macro.h:.2f} on {scores.images} val "
        f"pages); next: {_next_command(folder, settings, against_start)}"
    )
    return TrainResult(folder, scores, folder.report, against_start, finished=sentence)


def _scores_of(folder: RunFolder, weights_hash: str, data_hash: str) -> Scores | None:
    """The scores of a run, if they and their report are there, and are those of these weights and pages."""
    if not folder.scores.is_file() or not folder.report.is_file():
        return None
    scores = Scores.read(folder.scores)
    if scores.weights_hash != weights_hash or scores.data_hash != data_hash:
        return None
    return scores


def _comparison_of(folder: RunFolder, weights_hash: str) -> StartRecord | None:
    """The comparison of a run with its start, if there is one of these weights."""
    if not folder.start_record.is_file():
        return None
    record = StartRecord.read(folder.start_record)
    if record.trained.weights_hash != weights_hash:
        return None
    return record


def _next_command(folder: RunFolder, settings: TrainSettings, against_start: StartRecord | None) -> str:
    """What follows a finished run: its tuning, or the use of the better model."""
    if not folder.tuned.is_file():
        return f"hmean tune run={folder.path} dataset_base_path={settings.dataset_base_path}"
    if against_start is not None and against_start.winner == "start":
        return f"hmean predict IMAGES checkpoint_path={folder.start}"
    return f"hmean predict IMAGES run={folder.path}"


def _with_present_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a training reads of the config of a run, which an earlier version may have written."""
    return pruned(with_present_keys(config), TrainSettings)


def _record_start(
    folder: RunFolder,
    settings: TrainSettings,
    module: DetectorModule,
    trainer: pl.Trainer,
    pages: Mapping[str, LabelledImages],
) -> None:
    """Write ``manifest.json`` and the start's checkpoint, and let the checkpoints carry what the manifest says."""
    data_hash = {split: labelled.fingerprint() for split, labelled in pages.items()}
    config = settings.to_dict()
    manifest = Manifest.collect(config, data_hash, settings.seed, device=machine(trainer))
    manifest.write(folder.manifest)
    validates = "val" in pages
    started_from: tuple[StartProvenance, ...] = ()
    if settings.models.pretrained is not None:
        start = open_start(settings.models.pretrained)
        started_from = start.provenance()
        if validates and settings.score_start:
            keep_start(folder.start, start, module)
    training = TrainingProvenance.of_manifest(manifest, config).model_copy(
        update={"starts": 1, "note": _note(settings, validates=validates), "started_from": started_from}
    )
    module.carried = module.carried.model_copy(update={"provenance": Provenance(training=training)})
