"""``hmean data``: draw synthetic receipts, check a data set, deal its pages to folds, convert its labels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmean.data.check import check_pages
from hmean.data.folds import HOLDOUT, write_splits
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.labels.convert import Converted, convert_labels
from hmean.labels.formats import FORMATS, format_names, format_of_name, images_of, open_labels
from hmean.progress import track
from hmean.synth.dataset import STYLES, Style, write_dataset
from hmean.synth.fonts import font_files
from hmean.synth.sheet import Level

_LABELS_HELP = format_names()
_SHORTEST_SIDE = 128
_LONGEST_SIDE = 4096


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``hmean data synth``, ``check``, ``split`` and ``convert``."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_synth(commands)
    _add_check(commands)
    _add_split(commands)
    _add_convert(commands)


def _add_command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    return parser


# --- synth ------------------------------------------------------------------------------------------------------------


def _add_synth(commands: Any) -> None:
    parser = _add_command(commands, "synth", "draw synthetic receipts with exact labels")
    parser.add_argument("out", type=Path, help="folder to make: images/ and jsons/{train,val,test}.json")
    for split, count in (("train", 200), ("val", 40), ("test", 40)):
        parser.add_argument(f"--{split}", type=int, default=count, help=f"{split} pages")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes")
    parser.add_argument("--level", choices=["word", "line"], default="word", help="what a polygon holds")
    parser.add_argument("--long-side", type=int, nargs=2, default=(640, 1280), help="smallest and largest, pixels")
    parser.add_argument("--styles", nargs="+", choices=STYLES, default=["receipt"], help="kinds of pages to draw")
    parser.add_argument("--fonts", type=Path, help="folder of further fonts; by default those that matplotlib ships")
    parser.add_argument("--overwrite", action="store_true", help="draw again over an earlier synthetic set")
    parser.set_defaults(run=_run_synth)


def _run_synth(options: argparse.Namespace) -> int:
    synth(
        options.out,
        train=options.train,
        val=options.val,
        test=options.test,
        seed=options.seed,
        level=options.level,
        long_side=tuple(options.long_side),
        fonts=options.fonts,
        styles=options.styles,
        overwrite=options.overwrite,
    )
    print(options.out)
    return 0


def synth(
    out: Path,
    *,
    train: int,
    val: int,
    test: int,
    seed: int,
    level: Level,
    long_side: tuple[int, int],
    fonts: Path | None,
    overwrite: bool,
    styles: Sequence[Style] = ("receipt",),
) -> None:
    """Draw a data set of synthetic receipts in the layout that training reads.

    Raises:
        InputError: if an option is out of range, or the folder cannot be written or holds something else.
    """
    faults = []
    if min(train, val, test) < 0 or train + val + test == 0:
        faults.append(f"--train {train} --val {val} --test {test}: none may be negative, and one must be at least 1")
    if seed < 0:
        faults.append(f"--seed {seed}: must not be negative")
    smallest, largest = long_side
    if not _SHORTEST_SIDE <= smallest <= largest <= _LONGEST_SIDE:
        faults.append(
            f"--long-side {smallest} {largest}: must be two numbers from {_SHORTEST_SIDE} to {_LONGEST_SIDE}, "
            "the smaller first"
        )
    own_fonts: tuple[Path, ...] = ()
    if fonts is not None and fonts.is_dir():
        own_fonts = tuple(font_files(fonts))
    if fonts is not None and not own_fonts:
        faults.append(f"--fonts {fonts}: not found, or holds no font with Latin letters")
    if faults:
        raise InputError.listing("Cannot draw this:", faults)
    with track("drawing", train + val + test) as advance:
        try:
            write_dataset(
                out,
                train=train,
                val=val,
                test=test,
                seed=seed,
                level=level,
                long_side=long_side,
                fonts=own_fonts,
                styles=styles,
                overwrite=overwrite,
                on_page=lambda _done, _total: advance(),
            )
        except FileExistsError as error:
            raise InputError(str(error)) from error
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error


# --- check ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckResult:
    """What was checked.

    Attributes:
        pages: number of pages.
        words: number of their words.
        ignored: how many of these are ignore regions.
        faults: every fault, one sentence each.
    """

    pages: int
    words: int
    ignored: int
    faults: list[str]

    def summary(self) -> str:
        """One line of numbers."""
        return f"{self.pages} pages, {self.words} words ({self.ignored} of them ignored), {len(self.faults)} faults"


def _add_check(commands: Any) -> None:
    parser = _add_command(commands, "check", "list every fault of labels and images, with file and word")
    parser.add_argument("labels", type=Path, help=_LABELS_HELP)
    parser.add_argument("images", type=Path, help="folder of the images")
    parser.set_defaults(run=_run_check)


def _run_check(options: argparse.Namespace) -> int:
    result = check(options.labels, options.images)
    for fault in result.faults:
        print(fault)
    print(result.summary(), file=sys.stderr)
    if result.faults:
        return 2
    return 0


def check(labels: Path, images: Path) -> CheckResult:
    """Read every label, and every image whole."""
    opened = open_labels(labels, images)
    pages = LabelledImages(opened, images, range(len(opened.names)))
    words = 0
    ignored = 0
    for position in range(len(pages)):
        page = pages.page(position, [])
        words += len(page.polygons)
        ignored += int(page.ignored.sum())
    return CheckResult(len(pages), words, ignored, check_pages(pages, decode=True))


# --- split ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SplitResult:
    """Number of pages of each fold, and of held-out pages."""

    folds: list[int]
    held_out: int

    def summary(self) -> str:
        """A line for each fold, and one for the held-out pages."""
        lines = [f"fold {fold}\t{pages}" for fold, pages in enumerate(self.folds)]
        lines.append(f"held out\t{self.held_out}")
        return "\n".join(lines)


def _add_split(commands: Any) -> None:
    parser = _add_command(commands, "split", "deal pages to folds by group, alike in text density and page size")
    parser.add_argument("labels", type=Path, help=_LABELS_HELP)
    parser.add_argument("out", type=Path, help="splits.json to write, for folds={file: ..., fold: 0, split: val}")
    parser.add_argument("-k", type=int, default=5, help="number of folds")
    parser.add_argument("--holdout", type=float, default=0.0, help="share of the pages that is held out of all folds")
    parser.add_argument("--seed", type=int, default=42, help="same seed, same folds")
    parser.add_argument("--overwrite", action="store_true", help="write over an earlier file")
    parser.set_defaults(run=_run_split)


def _run_split(options: argparse.Namespace) -> int:
    result = split(
        options.labels,
        options.out,
        k=options.k,
        holdout=options.holdout,
        seed=options.seed,
        overwrite=options.overwrite,
    )
    print(result.summary())
    return 0


def split(
    labels: Path,
    out: Path,
    *,
    k: int,
    holdout: float,
    seed: int,
    overwrite: bool,
) -> SplitResult:
    """Deal the pages of a label set to folds, and write ``splits.json``.

    Raises:
        InputError: if the file exists, an option is out of range, or there are fewer groups than folds.
    """
    if out.exists() and not overwrite:
        raise InputError(
            f"{out}: exists already, and runs that use it would train on other pages; "
            "choose another file, or add --overwrite"
        )
    if not 0 <= holdout < 1:
        raise InputError(f"--holdout {holdout}: must be a share of the pages, from 0 to below 1")
    folds = write_splits(out, open_labels(labels, images_of(labels)), k=k, holdout=holdout, seed=seed)
    pages_of_fold = [int((folds == fold).sum()) for fold in range(k)]
    return SplitResult(pages_of_fold, int((folds == HOLDOUT).sum()))


# --- convert ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConvertResult:
    """What was written, and what the format could not hold."""

    out: Path
    converted: Converted
    losses: list[str]

    def summary(self) -> str:
        """A line of numbers, and one for each kind of loss."""
        lines = [f"{self.converted.pages} pages, {self.converted.words} words"]
        lines += [f"this format cannot hold everything: {loss}" for loss in self.losses]
        return "\n".join(lines)


def _add_convert(commands: Any) -> None:
    names = ", ".join(found.name for found in FORMATS if found.write is not None)
    parser = _add_command(commands, "convert", "write labels in another format; says what that cannot hold")
    parser.add_argument("labels", type=Path, nargs="+", help=_LABELS_HELP)
    parser.add_argument("out", type=Path, help="file or folder to write")
    parser.add_argument("format", metavar="format=NAME", help=f"its format: {names}")
    parser.add_argument("--images", type=Path, help="folder of the images; by default in, beside or above the labels")
    parser.add_argument("--overwrite", action="store_true", help="write over earlier labels")
    parser.set_defaults(run=_run_convert)


def _run_convert(options: argparse.Namespace) -> int:
    result = convert(
        options.labels,
        options.out,
        format_name=options.format.removeprefix("format="),
        images=options.images,
        overwrite=options.overwrite,
    )
    print(result.out)
    print(result.summary(), file=sys.stderr)
    return 0


def convert(
    labels: Sequence[Path],
    out: Path,
    *,
    format_name: str,
    images: Path | None,
    overwrite: bool,
) -> ConvertResult:
    """Write labels of any formats in another one.

    Raises:
        InputError: if there is no such format, labels have faults, or ``out`` exists or cannot be written.
    """
    label_format = format_of_name(format_name)
    converted = convert_labels(labels, out, label_format, images or images_of(labels[0]), overwrite=overwrite)
    return ConvertResult(out, converted, converted.lost.sentences(label_format.keeps))
