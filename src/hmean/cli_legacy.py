"""The ``hmean`` command: one table of jobs, one way to fail."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hmean import __version__
from hmean.errors import InputError

OVERRIDES = """
  preset=NAME       efficientnet_b4_lr_optimized, receipts_lite, resnet50, quickstart, or your configs/preset/NAME.yaml
  key=value         any key of configs/base.yaml (docs/reference/config.md), such as models.optimizer.lr=0.0004
"""

HELP = {
    "train": """Train a detector on labelled pages.

  reads   <dataset_base_path>/images/, jsons/train.json, jsons/val.json
  writes  outputs/<exp_name>/: checkpoints/{best,last}.ckpt, config.yaml, manifest.json, metrics.jsonl, scores.json,
          errors.json, predictions.json, maps/, pictures/, report.html

  hmean train preset=efficientnet_b4_lr_optimized exp_name=b4 dataset_base_path=data models.optimizer.lr=0.0004
  hmean train preset=receipts_lite exp_name=lite resume=auto      go on where it stopped
  hmean train ... checkpoint_path=outputs/b4/checkpoints/best.ckpt   start from its weights (fine-tuning)""",
    "evaluate": """Score a trained model on labelled pages.

  reads   run=FOLDER or checkpoint_path (model, preprocessing and thresholds), the pages of evaluate_on=val|test|train
  writes  beside the checkpoints, evaluate_<part>/ (or output=FOLDER): scores.json, errors.json (what is missed, false,
          split and merged, by text height, aspect, angle, position and group), predictions.json, pictures/; maps/ in
          the run, for hmean tune and the next evaluation; of an ensemble.json with maps=true: maps/, for a student

  hmean evaluate run=outputs/b4 evaluate_on=test""",
    "predict": """Find text on images.

  reads   images, multi-page TIFF and PDF files (pages: scan.pdf#page=3), folders, globs, UFO files, - for a list on
          standard input; none: datasets.predict_dataset. The model: run=FOLDER or checkpoint_path (a checkpoint, or a
          file that hmean export wrote); by default the one in the box, receipts-lite
  writes  output=FOLDER or outputs/<exp_name>/: predictions.json, submission.csv, overlays/; with maps=true also maps/,
          from which the same command with other thresholds (and overwrite=true) predicts without the network

  hmean predict photo.jpg output=found
  hmean predict scans/ 'more/**/*.pdf' checkpoint_path=outputs/b4/checkpoints/best.ckpt output=found
      killed, the same command goes on where it was; files that cannot be read are listed at the end (exit code 2)
      shard=3/16 does the third of 16 disjoint shares; the command without shard does what is left and joins all
  an argument with "=" in it is a path where there is such a file; after -- every argument is""",
    "export": """Write a trained model as one file that runs without torch, proven equal on real pages.

  reads   run=FOLDER or checkpoint_path; the images given, else the validation pages of its training, else drawn ones
  writes  output=FILE (default: <run>/exported/<name>_<precision>.onnx): format=onnx|openvino, precision=fp32|fp16|int8;
          preprocessing, thresholds and provenance are inside. It is refused where its boxes are not the checkpoint's;
          int8 is calibrated on pages and says, with an interval, what it loses (evaluate_on=val|test: labelled pages)

  hmean export run=outputs/b4
  hmean export run=outputs/b4 precision=int8 output=b4_int8.onnx
  hmean tune checkpoint_path=b4_int8.onnx      evaluate, predict and tune take the file in a checkpoint's place""",
    "tune": """Fit thresholds and growth on cached probability maps; the network runs once at most.

  reads   run=FOLDER or checkpoint_path, the pages of evaluate_on
  writes  tuned.json, and the values into the checkpoint (the earlier ones stay in its history), unless they gain
          nothing on pages that they were not chosen on (cross-fitted by page groups)

  hmean tune run=outputs/b4 'tune.thresh=[0.2,0.25,0.3]' 'tune.objective={macro: 3, iou70: 1}'""",
    "sweep": """Search learning rates and the like; each run is a training of its own.

  reads   a sweep file in W&B's form (configs/sweep_*.yaml)
  writes  outputs/<name>/: sweep.db, slot_00/ ... (run folders), and report.html (hmean sweep report)

  hmean sweep configs/sweep_receipts_lite.yaml n=12 agents=2 dataset_base_path=data
      engine=auto|wandb|optuna  storage=postgresql://user@host/db  name=NAME  agents=K (0: only make it)
      confirm=3 (repeat the best with another seed)  tune_each=false  first=false (no run of the preset's own values)
      floor=0.1|null  grace=60 (seconds until an agent counts as dead); all else is set in every run
  hmean sweep status|stop|doctor|report FOLDER   (or URL NAME)
  hmean sweep import FOLDER earlier.csv          start from a table of earlier runs
  hmean sweep agent URL NAME                     help from another machine, in the same working directory""",
    "lr_find": """Try rising learning rates for a hundred steps, before a sweep is set up.

  reads   what hmean train reads
  writes  outputs/<exp_name>_lr_find/: lr_find.json (the range to search), lr_find.svg

  hmean lr_find preset=receipts_lite dataset_base_path=data""",
    "ensemble": """Judge the ways of joining finished runs, on pages that none of them has seen, and keep what gains.

  reads   run folders, the pages of evaluate_on, such as those that hmean data split --holdout keeps from all folds
  writes  output=FOLDER (default outputs/ensemble): ensemble.json, which evaluate and predict take as checkpoint_path,
          predictions.json, maps/

  hmean ensemble outputs/fold_0 outputs/fold_1 'datasets.val_dataset.split={file: splits.json, part: holdout}'""",
    "crossval": """Train k folds and score each page with the model that did not see it.

  reads   the pages of datasets.train_dataset, dealt by crossval.{k,holdout,seed}; crossval.agents train at a time
  writes  outputs/<exp_name>/: splits.json (kept once written), fold_<i>/ run folders, predictions.json, scores.json,
          tuned.json (one setting for all folds, also put into their checkpoints), crossval.json

  hmean crossval preset=efficientnet_b4_lr_optimized exp_name=b4_5fold k=5   (again: goes on)""",
    "campaign": """From one learning rate to the best honest number: the phases and gates of a file, in one command.

  reads   a campaign file (docs/guides/campaign.md), and what its phases read; key=value sets values of the file, and
          other keys those of every job
  writes  outputs/<name>/: campaign.json (what is done), a folder for each phase, report.html and report.md

  hmean campaign configs/campaign/quickstart.yaml        stopped or killed, the same command goes on
  hmean campaign FILE --dry-run                          the plan, with hours and disk: trains a few steps of each
                                                         recipe, validates once, makes no pages
  hmean campaign FILE budget_hours=20 phases.sweep.skip=true lang=ko
  hmean campaign FILE reset=PHASE                        that phase and all that hang on it are done again
  hmean predict IMAGES run=outputs/quickstart_campaign output=submission""",
    "serve": """Find text over HTTP: POST an image to /detect; /health, /metrics and /openapi.json.

  reads   model=receipts-lite or a file that hmean export wrote; the key of its users from HMEAN_API_KEY
  writes  a log of one JSON object a line to stderr; no image, no name of a file

  hmean serve                                             on 127.0.0.1:8000
  HMEAN_API_KEY=... hmean serve host=0.0.0.0 port=80      for others, who send Authorization: Bearer KEY
      open=true (others without a key)  threads=N (of the network)  max_mb=20 (a body)  max_megapixels=25 (an image)
      queue=64 (requests at a time, then 429)  batch=8  wait_ms=3 (for others of a batch)  timeout=30 (seconds)
  SIGTERM: refuses what is new, answers what it accepted, ends with 0 (Ctrl-C: 130; a second signal ends at once)
  docs/guides/serve.md says more""",
    "studio": """See what models find, on a page in the browser, and set thresholds and growth by eye.

  reads   one run folder, or two to compare; its maps of the pages of evaluate_on=val|test|train (hmean evaluate makes
          them) and their labels, or annotation_path=FILE image_path=FOLDER where these have moved; runs no network
  writes  when told to save: the values into the checkpoint (the earlier ones stay in its history) and tuned.json
          (this alone needs hmean[train])

  hmean studio outputs/b4 evaluate_on=val            prints an address of this machine; Ctrl-C ends it
  hmean studio outputs/b4 outputs/resnet50 port=8080   (ssh -L 8080:127.0.0.1:8080 MACHINE shows it elsewhere)""",
    "report": """Draw one self-contained HTML page of one or several runs.

  reads   run folders and exported files
  writes  report.html in the first of them, or output=FILE

  hmean report outputs/b4 outputs/resnet50""",
}


# Keys of the config that a job has no use for: set, they would be ignored.
_UNREAD = {
    "train": ("output", "evaluate_on", "maps", "trusted_targets"),
    "lr_find": ("output", "evaluate_on", "maps", "trusted_targets", "resume", "wandb", "overwrite"),
    "evaluate": ("exp_name", "output_dir", "resume", "wandb"),
    "tune": ("exp_name", "output_dir", "output", "resume", "wandb", "overwrite"),
    "predict": ("resume", "wandb", "evaluate_on"),
    "export": ("resume", "wandb", "maps", "exp_name"),
    "crossval": ("output", "checkpoint_path", "evaluate_on", "trusted_targets", "resume", "overwrite"),
    "ensemble": ("exp_name", "resume", "wandb", "checkpoint_path"),
}


# Jobs that read their words themselves: the extra that they need, and what it brings.
_OWN_WORDS = {
    "sweep": ("train", "optuna", "jsonschema"),
    "serve": ("serve", "fastapi", "uvicorn", "python_multipart", "prometheus_client"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 our bug, 2 wrong input, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(arguments))


def guarded(job: Callable[[], int]) -> int:
    """Run ``job``; wrong input becomes one message and 2, an interruption 130, SIGTERM counts as one."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    # On few cores OpenMP's threads must not spin at barriers while loader processes need the core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return job()
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
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command in ("-V", "--version"):
        print(f"hmean {__version__}")
        return 0
    if command in _OWN_WORDS and not {"-h", "--help"} & set(rest):
        extra, *packages = _OWN_WORDS[command]
        _need(command, *packages, extra=extra)
        from importlib import import_module  # noqa: PLC0415 - so that --help does not wait for what a job imports

        if said := import_module(f"hmean.commands.{command}").main(rest):
            print(said)
        return 0
    if command in HELP:
        before_paths = rest[: rest.index("--")] if "--" in rest else rest
        if {"-h", "--help"} & set(before_paths):
            presets = "" if command == "serve" else OVERRIDES
            print(f"usage: hmean {command} [PATH ...] [key=value ...]\n\n{HELP[command]}\n{presets}")
            return 0
        paths, overrides = split_arguments(["dry_run=true" if a == "--dry-run" else a for a in rest])
        return run_job(command, paths, overrides)
    raise InputError(f"there is no command {command!r}; hmean --help lists them")


def _overview() -> str:
    lines = [
        f"hmean {__version__}: labelled page images in, a scored text detector out",
        "",
        "usage: hmean COMMAND ...",
        "",
    ]
    lines += [f"  {name:<10}{text.splitlines()[0]}" for name, text in HELP.items()]
    lines += [
        "  score     Score a prediction file against a label file.",
        "  compare   Compare results on the same pages, with paired intervals.",
        "  data      Draw synthetic receipts, check a data set, deal it to folds.",
        "",
    ]
    return "\n".join([*lines, "hmean COMMAND --help says what it reads and writes."])


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(paths, overrides): an argument without ``=``, or that is a file or its page, is a path; after ``--`` all are.

    Raises:
        InputError: for an option, which jobs do not have.
    """
    paths: list[str] = []
    overrides: list[str] = []
    for i, argument in enumerate(arguments):
        if argument == "--":
            paths += arguments[i + 1 :]
            break
        if argument.startswith("-") and argument != "-":
            raise InputError(f"{argument}: jobs take key=value, not options (after -- everything is a path)")
        # os.path, since a long override is no name of a file, which Path.is_file takes for an error
        file = any(os.path.isfile(name) for name in (argument, argument.rpartition("#page=")[0]))  # noqa: PTH113
        (paths if file or not ("=" in argument or argument.startswith("~")) else overrides).append(argument)
    return paths, overrides


def run_job(command: str, paths: Sequence[str], overrides: list[str]) -> int:
    """Compose the config of a job and run it."""
    if paths and command not in ("predict", "report", "ensemble", "campaign", "export", "studio"):
        raise InputError(f"hmean {command} takes key=value only, not {paths[0]!r}")
    if command in ("crossval", "campaign", "export"):
        _need(command, "torch", "lightning", "timm", *(["optuna"] if command == "campaign" else []))
    if command == "export":
        _need(command, "onnx", extra="export")
    if command == "campaign":
        return _campaign(paths, overrides)
    unread = [o for o in overrides if o.partition("=")[0] in _UNREAD[command]]
    if unread:
        raise InputError(f"hmean {command} does not read {', '.join(unread)}; hmean {command} --help says what it does")
    return _crossval(overrides)


def _crossval(overrides: list[str]) -> int:
    from hmean.commands import crossval  # noqa: PLC0415
    from hmean.settings.config import compose  # noqa: PLC0415 - so that --help does not wait for what a job imports

    overrides = [f"crossval.{o}" if o.startswith(("k=", "holdout=", "agents=")) else o for o in overrides]
    print(crossval.summary(crossval.run(compose(overrides), overrides)))
    return 0


def _campaign(paths: Sequence[str], overrides: Sequence[str]) -> int:
    from hmean.commands import campaign  # noqa: PLC0415

    if len(paths) != 1:
        raise InputError("hmean campaign takes one file, such as configs/campaign/quickstart.yaml")
    words = ("lang=", "dry_run=", "reset=")
    own = dict(o.split("=", 1) for o in overrides if o.startswith(words))
    others = [o for o in overrides if not o.startswith(words)]
    told = {"lang": own.get("lang", "en"), "reset": own.get("reset", "")}
    print(campaign.run(Path(paths[0]), others, dry_run=own.get("dry_run", "false") == "true", **told))
    return 0


def _need(command: str, *packages: str, extra: str = "train") -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InputError(f"hmean {command} needs {', '.join(missing)}; install with: pip install 'hmean[{extra}]'")
