"""The ``hmean`` command: one table of commands, one way to fail."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from hmean import __version__
from hmean.errors import InputError

PRESETS_HELP = """
  preset=NAME       pp_ocrv6_small, pp_ocrv6_medium, receipts_lite, efficientnet_b4_lr_optimized, resnet50, quickstart,
                    or your configs/preset/NAME.yaml
  config=FILE       take the values of a YAML file, such as the config.yaml of a run
  key=value         any key that this command reads (docs/reference/config.md), such as {example}
"""


STORY = """\
From pages to a detector:

  hmean predict photo.jpg output=found                               what the bundled detector finds
  hmean data check data                                              are the labels right?
  hmean train preset=pp_ocrv6_small exp_name=mine dataset_base_path=data
  hmean tune run=outputs/mine dataset_base_path=data                 post-processing values, chosen on val pages
  hmean evaluate run=outputs/mine dataset_base_path=data split=test  the score to report
  hmean export run=outputs/mine dataset_base_path=data               one file that runs without torch"""


@dataclass(frozen=True)
class Command:
    """A line of the table.

    Attributes:
        name: as it is typed.
        summary: one sentence for the overview.
        help: what it reads and writes, with examples.
        settings: name of its settings record; None: it takes ordinary options (``add_options``).
        settings_module: where that is; None: in the module of the command. A record outside of a module that takes
            seconds to import lets a wrong key be told at once.
        example: an override that it reads; None: it reads no preset.
        inputs: the words that it takes beside ``key=value``, as its help names them.
        packages: that it cannot start without, as they are imported.
        extra: of hmean's that brings them.
    """

    name: str
    summary: str
    help: str = ""
    settings: str | None = None
    settings_module: str | None = None
    example: str | None = None
    inputs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    extra: str = "train"

    @property
    def module(self) -> str:
        """The module of the command."""
        return f"hmean.commands.{self.name}"

    def settings_class(self) -> Any:
        """Its settings record."""
        module: Any = importlib.import_module(self.settings_module or self.module)
        return getattr(module, str(self.settings))


TRAINING = ("torch", "lightning", "timm")

COMMANDS = (
    Command(
        "train",
        "Train a detector on labelled pages.",
        """
  reads   <dataset_base_path>/images/, jsons/train.json, jsons/val.json
  writes  outputs/<exp_name>/: checkpoints/{best,last}.ckpt, config.yaml, manifest.json, metrics.jsonl, scores.json,
          errors.json, predictions.json, maps/, pictures/, report.html; from a whole detector also start.json (is the
          model better than its start?) and checkpoints/start.ckpt (score_start=false: not)

  hmean train preset=efficientnet_b4_lr_optimized exp_name=b4 dataset_base_path=data models.optimizer.lr=0.0004
  hmean train preset=pp_ocrv6_small exp_name=mine resume=auto          continue where it stopped
  hmean train preset=pp_ocrv6_small exp_name=mine dataset_base_path=data  fine-tune a strong detector, in minutes
  hmean train from=outputs/b4/checkpoints/best.ckpt exp_name=b4_more   start from weights of your own
  hmean train ... logger=tensorboard                                   also csv, wandb, mlflow""",
        settings="TrainSettings",
        settings_module="hmean.settings.training",
        example="models.optimizer.lr=0.0004",
        packages=TRAINING,
    ),
    Command(
        "evaluate",
        "Score a trained model on labelled pages.",
        """
  reads   run=FOLDER or checkpoint_path=FILE (model, preprocessing and thresholds), the pages of
          split=val|test|train in dataset_base_path=data
  writes  next to the checkpoints, evaluate_<split>/ (or output=FOLDER): scores.json, errors.json (what is missed,
          false, split and merged, by text height, aspect, angle, position and group), predictions.json, pictures/;
          in the run, maps/, for hmean tune and the next evaluation; for an ensemble.json with maps=true: maps/, to
          teach a student

  hmean evaluate run=outputs/b4 split=test""",
        settings="EvaluateSettings",
        example="models.head.postprocess.thresh=0.3",
    ),
    Command(
        "predict",
        "Find text on images.",
        """
  reads   images, multi-page TIFF and PDF files (single pages: scan.pdf#page=3), folders, globs, label files, or - for
          a list on standard input; without inputs: datasets.predict_dataset. The model: run=FOLDER or
          checkpoint_path=FILE (a checkpoint, an exported model or an ensemble.json); by default the bundled model,
          receipts-lite
  writes  output=FOLDER or outputs/<exp_name>/: predictions.json, submission.csv, overlays/; with maps=true also maps/,
          from which the same command with other thresholds (and overwrite=true) predicts without the network

  hmean predict photo.jpg output=found
  hmean predict scans/ 'more/**/*.pdf' checkpoint_path=outputs/b4/checkpoints/best.ckpt output=found
      After an interruption the same command continues. Files that cannot be read are listed at the end (exit code 2).
      shard=3/16 predicts the third of 16 disjoint shards; the command without shard predicts the rest and joins all.
  An argument with "=" in it is a path if there is such a file; after -- every argument is a path.""",
        settings="PredictSettings",
        inputs=("[PATH ...]",),
        example="models.head.postprocess.thresh=0.3",
    ),
    Command(
        "export",
        "Write a trained model as one file that runs without torch, checked against the checkpoint on real pages.",
        """
  reads   run=FOLDER or checkpoint_path=FILE; the images given, else the validation pages of its training, else drawn
          ones
  writes  output=FILE (default: <run>/exported/<name>_<precision>.onnx): format=onnx|openvino,
          precision=fp32|fp16|int8, with preprocessing, thresholds and provenance inside. The export fails if its
          boxes differ from the checkpoint's; int8 is calibrated on pages, and what it loses is reported with an
          interval (split=val|test: labelled pages)

          format=rapidocr: a model that started from PP-OCRv6, for RapidOCR (Det.model_path), as <name>_rapidocr.onnx,
          with values for RapidOCR, chosen by its own post-processing on the labelled pages of the split

  hmean export run=outputs/b4
  hmean export run=outputs/b4 precision=int8 output=b4_int8.onnx
  hmean tune checkpoint_path=b4_int8.onnx      evaluate, predict and tune take the file in place of a checkpoint""",
        settings="ExportSettings",
        settings_module="hmean.settings.export",
        inputs=("[IMAGE ...]",),
        example="precision=int8",
        packages=(*TRAINING, "onnx"),
        extra="export",
    ),
    Command(
        "tune",
        "Tune the post-processing on cached probability maps; the network runs once at most.",
        """
  reads   run=FOLDER or checkpoint_path=FILE, the pages of split=val|test|train in dataset_base_path=data
  writes  tuned.json, and the values into the checkpoint (the earlier ones stay in its history), if a gain is
          shown on pages that they were not chosen on (cross-fitted by groups of pages), or with tune.adopt=any;
          of a fine-tuned model also start.json: the model beside its start, both tuned

  hmean tune run=outputs/b4 'tune.thresh=[0.2,0.25,0.3]' 'tune.objective={macro: 3, iou70: 1}'

  Groups: pages of one shop or document resemble each other, so they are dealt to the folds together, and the unit of
  all intervals is the group that the labels name (a page without one counts alone).
  tune.adopt=shown (the default): values are written only if their gain on pages that had no part in choosing them is
  shown, that is, if its 95 % interval, made a fifth wider, lies above 0. That needs a gain that is large for the
  number of groups, and at least 6 of these. Otherwise the model keeps its values, and tuned.json says what was
  chosen. tune.adopt=any writes whatever was chosen; quote the gain "with no part in choice or decision" in any case.
  More: docs/concepts/tuning.md, docs/concepts/intervals.md""",
        settings="TuneSettings",
        example="tune.objective=iou70",
    ),
    Command(
        "sweep",
        "Search learning rates and other hyperparameters; each trial is a training of its own.",
        """
  reads   a sweep file in W&B's format (configs/sweep_*.yaml)
  writes  outputs/<name>/: sweep.db, trial_00/ ... (run folders), and report.html (hmean sweep report)

  hmean sweep configs/sweep_receipts_lite.yaml n=12 agents=2 dataset_base_path=data
      engine=auto|wandb|optuna  storage=postgresql://user@host/db  name=NAME  agents=K (0: create the sweep only)
      confirm=3 (repeat the best with another seed; the default from 6 trials on)  tune_each=false
      first=false (no trial of the preset's own values)  floor=0.1|null
      grace=60 (seconds until a silent agent counts as dead); all other keys apply to every trial
  hmean sweep status|stop|doctor|report FOLDER   (or URL NAME)
  hmean sweep import FOLDER earlier.csv          start from a table of earlier trials
  hmean sweep agent URL NAME                     help from another machine, in the same working directory""",
        settings="SweepSettings",
        inputs=("FILE",),
        example="trainer.max_epochs=10",
        packages=("optuna", "jsonschema"),
    ),
    Command(
        "lr_find",
        "Try rising learning rates for a hundred steps, to choose the range of a sweep.",
        """
  reads   what hmean train reads
  writes  outputs/<exp_name>_lr_find/: lr_find.json (the range to search), lr_find.svg

  hmean lr_find preset=receipts_lite dataset_base_path=data""",
        settings="LrFindSettings",
        settings_module="hmean.settings.training",
        example="models.optimizer.weight_decay=0.01",
        packages=TRAINING,
    ),
    Command(
        "ensemble",
        "Compare the strategies of combining finished runs on pages that none of them has seen, and keep what gains.",
        """
  reads   run folders, the pages of split=val|test|train, such as those that hmean data split --holdout keeps out of
          all folds
  writes  output=FOLDER (default outputs/ensemble): ensemble.json, which evaluate and predict take as checkpoint_path,
          predictions.json, maps/

  A run of all pages that the others have seen (hmean crossval crossval.base=true) is a base, not a member.

  hmean ensemble outputs/fold_0 outputs/fold_1 'datasets.val_dataset.folds={file: splits.json, split: holdout}'""",
        settings="EnsembleSettings",
        inputs=("RUN RUN ...",),
        example="tune.objective=iou70",
    ),
    Command(
        "crossval",
        "Train k folds, and score each page with the model that has not seen it.",
        """
  reads   the pages of datasets.train_dataset, dealt by crossval.{k,holdout,seed}; crossval.agents folds train at a time
  writes  outputs/<exp_name>/: splits.json (kept once written), fold_<i>/ run folders, predictions.json, scores.json,
          tuned.json (one setting for all folds, also written into their checkpoints), crossval.json; with
          crossval.base=true also all/, one model of the pages of all folds, trained for as long as they are together

  hmean crossval preset=efficientnet_b4_lr_optimized exp_name=b4_5fold k=5   (the same command continues it)""",
        settings="CrossvalSettings",
        example="crossval.holdout=0.2",
        packages=TRAINING,
    ),
    Command(
        "campaign",
        "From one learning rate to the best honest number: the phases and gates of a file, in one command.",
        """
  reads   a campaign file (docs/guides/campaign.md), and what its phases read; key=value sets values of the file, and
          other keys apply to every command of the campaign
  writes  outputs/<name>/: campaign.json (what is done), a folder for each phase, report.html and report.md

  hmean campaign configs/campaign/quickstart.yaml        stopped or killed, the same command continues
  hmean campaign FILE --dry-run                          the plan, with hours and disk space: trains a few steps of each
                                                         recipe, validates once, draws no pages
  hmean campaign FILE budget_hours=20 phases.sweep.skip=true lang=ko
  hmean campaign FILE reset=PHASE                        do that phase again, and all that depend on it
  hmean predict IMAGES run=outputs/quickstart_campaign output=submission""",
        settings="CampaignSettings",
        inputs=("FILE",),
        example="budget_hours=20",
        packages=(*TRAINING, "optuna"),
    ),
    Command(
        "serve",
        "Find text over HTTP: POST an image to /detect; /health, /metrics and /openapi.json.",
        """
  reads   model=receipts-lite or an exported model; the API key of its users from HMEAN_API_KEY
  writes  a log of one JSON object a line to stderr, without images or file names

  hmean serve                                             on 127.0.0.1:8000
  HMEAN_API_KEY=... hmean serve host=0.0.0.0 port=80      for others, who send Authorization: Bearer KEY
      open=true (others without a key)  threads=N (of the network)  max_mb=20 (a body)  max_megapixels=25 (an image)
      queue=64 (requests at a time, then 429)  batch=8  wait_ms=3 (for others of a batch)  timeout=30 (seconds)
      connections=640 (open at a time, then 503)
  SIGTERM: accepts no new connection, answers all accepted requests, exits with 0 (Ctrl-C: 130; pressed again, it ends
  the server at once)
  See docs/guides/serve.md.""",
        settings="ServeSettings",
        packages=("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
        extra="web",
    ),
    Command(
        "studio",
        "See in the browser what models find, and set the post-processing parameters by eye.",
        """
  reads   one run folder, or two to compare; their maps of the pages of split=val|test|train (made by hmean evaluate)
          and their labels, or annotation_path=FILE image_path=FOLDER if these have moved; runs no network
  writes  when you save: the values into the checkpoint (the earlier ones stay in its history) and tuned.json
          (only this needs hmean[train])

  hmean studio outputs/b4 split=val                     prints an address of this machine; Ctrl-C ends it
  hmean studio outputs/b4 outputs/resnet50 port=8080    (ssh -L 8080:127.0.0.1:8080 MACHINE shows it elsewhere)""",
        settings="StudioSettings",
        inputs=("RUN [RUN]",),
        packages=("fastapi", "uvicorn"),
        extra="web",
    ),
    Command(
        "report",
        "Draw one self-contained HTML page of one or several runs.",
        """
  reads   run folders and exported models
  writes  report.html in the first of them (lang=ko: report.ko.html), or output=FILE

  hmean report outputs/b4 outputs/resnet50
  hmean report outputs/b4 lang=ko                         in Korean""",
        settings="ReportSettings",
        inputs=("RUN ...",),
    ),
    Command("score", "Score a prediction file against a label file."),
    Command("compare", "Compare results on the same pages, of one training or several a side, with paired intervals."),
    Command(
        "data",
        "Check, describe and look at data sets, convert labels, deal pages to folds, draw receipts.",
        """
  DATA is a folder with images/ and jsons/{train,val,test}.json; LABELS are labels in any format that hmean reads

  hmean data check DATA                          every fault of all splits, and what they share (exit code 2)
  hmean data check LABELS IMAGES --json          the same of any labels, for programs
  hmean data stats DATA --html stats.html        what it is made of, and what a model will see of it
  hmean data view DATA                           pages with their labels, on one picture
  hmean data view DATA --augment preset=NAME     what a training will see
  hmean data convert LABELS OUT format=NAME      labels in another format (docs/reference/formats.md)
  hmean data split LABELS splits.json            folds by group
  hmean data synth DIR                           drawn receipts with exact labels, to try hmean with

  hmean data COMMAND --help says more.""",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 our bug, 2 wrong input, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(arguments))


def guarded(work: Callable[[], int]) -> int:
    """Call ``work``; wrong input becomes one message and exit code 2, Ctrl-C and SIGTERM become 130."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    # On few cores OpenMP's threads must not spin at barriers while loader processes need the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt("stopped by SIGTERM")


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(_overview())
        return 2
    name = arguments[0]
    rest = arguments[1:]
    if name in ("-h", "--help", "help"):
        print(_overview())
    elif name in ("-V", "--version"):
        print(f"hmean {__version__}")
    else:
        return _run(_find(name), rest)
    return 0


def _run(command: Command, arguments: list[str]) -> int:
    if command.settings is None:
        return _run_tool(command, arguments)
    if _asks_for_help(arguments):
        print(_help(command))
        return 0
    return _run_command(command, arguments)


def _find(name: str) -> Command:
    for command in COMMANDS:
        if command.name == name:
            return command
    from hmean.plugins import did_you_mean  # noqa: PLC0415 - as below

    names = [command.name for command in COMMANDS]
    raise InputError(f"{name!r}: unknown command{did_you_mean(name, names)}; hmean --help lists them")


def _asks_for_help(arguments: Sequence[str]) -> bool:
    before_paths = list(arguments)
    if "--" in before_paths:
        before_paths = before_paths[: before_paths.index("--")]
    return "-h" in before_paths or "--help" in before_paths


def _overview() -> str:
    lines = [f"hmean {__version__}: labelled page images in, a scored text detector out", ""]
    lines += ["usage: hmean COMMAND ...", ""]
    for command in COMMANDS:
        lines.append(f"  {command.name:<10}{command.summary}")
    lines += ["", STORY, "", "hmean COMMAND --help says what it reads and writes."]
    return "\n".join(lines)


def _help(command: Command) -> str:
    words = " ".join(["usage: hmean", command.name, *command.inputs, "[key=value ...]"])
    text = f"{words}\n\n{command.summary}\n{command.help}\n"
    if command.example is not None:
        text += PRESETS_HELP.format(example=command.example)
    return text


def _run_command(command: Command, arguments: Sequence[str]) -> int:
    """Read the settings of a command, run it, print its result."""
    _require_packages(command)
    # Imported here, so that --help waits for nothing.
    from hmean.settings.compose import read_settings  # noqa: PLC0415
    from hmean.settings.models import read_carried  # noqa: PLC0415
    from hmean.settings.overrides import split_arguments  # noqa: PLC0415

    kind = command.settings_class()
    typed = split_arguments(["dry_run=true" if word == "--dry-run" else word for word in arguments])
    settings = read_settings(kind, typed.overrides, inputs=typed.inputs, read_carried=read_carried)
    settings.check_early()
    if command.settings_module is not None:
        print(f"loading {', '.join(command.packages)}", file=sys.stderr, flush=True)
    module: Any = importlib.import_module(command.module)
    result = module.run(settings)
    summary = result.summary()
    if summary:
        print(summary)
    return 0


def _require_packages(command: Command) -> None:
    missing = [name for name in command.packages if find_spec(name) is None]
    if missing:
        raise InputError(
            f"hmean {command.name} needs {', '.join(missing)}; install with: pip install 'hmean[{command.extra}]'"
        )


def _run_tool(command: Command, arguments: Sequence[str]) -> int:
    """Run a command that has ordinary options."""
    parser = argparse.ArgumentParser(
        prog=f"hmean {command.name}",
        description=f"{command.summary}\n{command.help}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module: Any = importlib.import_module(command.module)
    module.add_options(parser)
    options, rest = parser.parse_known_args(arguments)
    takes_words = hasattr(options, "words")
    # argparse takes words from one place only, and leaves those behind the next option to us.
    if takes_words and not any(word.startswith("-") for word in rest):
        options.words += rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    code: int = options.run(options)
    return code
