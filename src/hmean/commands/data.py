"""``hmean data``: check, describe, convert and draw data sets, deal their pages to folds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hmean.data.check_report import CheckReport, Fault, check_report, counted
from hmean.data.folds import HOLDOUT, write_splits
from hmean.data.pages import LabelledImages, size_fault
from hmean.data.survey import NamedPages, survey
from hmean.errors import InputError
from hmean.images import read_image
from hmean.labels.convert import Converted, convert_labels
from hmean.labels.formats import FORMATS, format_names, format_of_name, images_of, open_labels
from hmean.labels.hf_tables import write_images
from hmean.progress import track
from hmean.reports.contact_sheet import Tile, draw_sheet, save_sheet
from hmean.reports.data import render_table, write_data_report
from hmean.reports.data_record import DataStatistics, data_statistics
from hmean.reports.words import DEFAULT_LANGUAGE, LANGUAGES, Language, Words
from hmean.settings.build import open_splits
from hmean.settings.compose import read_settings
from hmean.settings.overrides import split_arguments
from hmean.settings.training import RecipeSettings
from hmean.synth.dataset import STYLES, Style, write_dataset
from hmean.synth.fonts import font_files
from hmean.synth.sheet import Level

_LABELS_HELP = format_names()
_SHORTEST_SIDE = 128
_LONGEST_SIDE = 4096


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of each ``hmean data`` command."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_synth(commands)
    _add_check(commands)
    _add_stats(commands)
    _add_view(commands)
    _add_split(commands)
    _add_convert(commands)


def _add_command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    return parser


def _add_taught(commands: Any, name: str, summary: str, lesson: str) -> argparse.ArgumentParser:
    """A command whose help keeps the lines of its text."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=lesson, formatter_class=argparse.RawDescriptionHelpFormatter
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
            raise InputError(str(error).replace("set overwrite", "add --overwrite")) from error
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error


# --- what the words name ----------------------------------------------------------------------------------------------

_WORDS_HELP = (
    "DATA, a folder with images/ and jsons/{train,val,test}.json; or LABELS [IMAGES], "
    "labels in any format that hmean reads (docs/reference/formats.md), and the folder of their images (by default "
    "images/ beside them, or the folder above them); "
    "and key=value, such as preset=NAME or datasets.train_dataset.annotation_path=FILE: what a training reads"
)
_JSONS = "jsons"  # the folder by which a data set is known


def _add_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="DATA | LABELS IMAGES | key=value", help=_WORDS_HELP)
    parser.add_argument(
        "--workers", type=int, help="processes that read pages; by default as many as there are processors"
    )


@dataclass(frozen=True)
class _Opened:
    """What the words name.

    Attributes:
        name: of the data set.
        settings: of a training with these pages.
        splits: their pages.
        unreadable: faults of splits that cannot be opened.
    """

    name: str
    settings: RecipeSettings
    splits: list[NamedPages]
    unreadable: list[Fault]


def _open(words: Sequence[str]) -> _Opened:
    """Open the data set that the words name.

    Raises:
        InputError: if they name none, or the settings are wrong.
    """
    typed = split_arguments(words)
    paths = [Path(word) for word in typed.inputs]
    overrides: list[str] = list(typed.overrides)
    if not paths and not overrides:
        raise InputError("Name a data set: a folder with images/ and jsons/, or labels and the folder of their images")
    if len(paths) > 2:
        raise InputError(f"{paths[2]}: is one path too many; name a data set, or labels and the folder of their images")
    if len(paths) == 1 and (paths[0] / _JSONS).is_dir():
        overrides.append(f"dataset_base_path={paths[0]}")
        paths = []
    settings = read_settings(RecipeSettings, overrides)
    if not paths:
        opened = open_splits(settings)
        name = Path(settings.dataset_base_path).resolve().name
        return _Opened(name, settings, opened.splits, opened.unreadable)
    labels = paths[0]
    images = images_of(labels)
    if len(paths) == 2:
        images = paths[1]
    label_set = open_labels(labels, images)
    pages = LabelledImages(label_set, images, range(len(label_set.names)))
    name = f"{labels.resolve().parent.name}/{labels.name}"
    return _Opened(name, settings, [NamedPages(labels.stem, pages)], [])


# --- check ------------------------------------------------------------------------------------------------------------

_CHECK = """\
List every fault of labels and images, and what the splits of a data set share.

Every label is read, and every image whole, by many processes. A line on standard output is a fault, with its file and
its word:
  a word without area, with more than half of it outside the page, or whose outline crosses itself; a file that cannot
  be read, a page of another size than its labels say
  a page that is in two splits, also under another name and as another file: its score would be too high
Remarks, which are no faults: a group (shop, document) in two splits, a page that is twice in one split.
Exit code: 0 sound, 2 faults.

examples:
  hmean data check data
  hmean data check labels.json photos/
  hmean data check preset=mine dataset_base_path=data      the pages that a training with this preset reads
  hmean data check data --json > faults.json
"""


def _add_check(commands: Any) -> None:
    parser = _add_taught(commands, "check", "list every fault of labels and images, and what splits share", _CHECK)
    _add_words(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    parser.set_defaults(run=_run_check)


def _run_check(options: argparse.Namespace) -> int:
    report = check(options.words, workers=options.workers)
    if options.json:
        print(json.dumps(report.to_json(), ensure_ascii=False))
    else:
        for line in report.fault_lines():
            print(line)
        for line in report.remarks():
            print(f"remark: {line}", file=sys.stderr)
        print(report.summary(), file=sys.stderr)
    if report.is_sound:
        return 0
    return 2


def check(words: Sequence[str], *, workers: int | None = None) -> CheckReport:
    """Read every label and every image of a data set.

    Args:
        words: a data set, or labels and the folder of their images; and overrides of the settings.
        workers: number of processes; None: as many as there are processors.

    Raises:
        InputError: if no data set is named, or the settings are wrong.
    """
    opened = _open(words)
    return check_report(opened.splits, survey(opened.splits, workers), opened.unreadable)


# --- stats ------------------------------------------------------------------------------------------------------------

_STATS = """\
Say what a data set is made of, and what a model will see of it.

Every label and every image is read. For each split, and all of them together: pages, words, sizes, heights, aspects,
angles, density, groups (how many, the largest one's share, how many equal ones would tell as much), scripts of the
texts, pages and groups that splits share. And the height of words in the views that a model gets with these settings:
if many are under 8 pixels, raise transforms.long_side, or try transforms.view=text.

examples:
  hmean data stats data
  hmean data stats data --html stats.html                 with figures, in one file
  hmean data stats data transforms.long_side=1280         what a model would see at another size
  hmean data stats labels.json photos/ preset=mine --json
"""


def _add_stats(commands: Any) -> None:
    parser = _add_taught(commands, "stats", "say what a data set is made of, and what a model sees of it", _STATS)
    _add_words(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write one HTML page with figures")
    parser.add_argument("--lang", choices=LANGUAGES, default=DEFAULT_LANGUAGE, help="language of the page")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table, for programs")
    parser.set_defaults(run=_run_stats)


def _run_stats(options: argparse.Namespace) -> int:
    statistics = stats(options.words, workers=options.workers, html=options.html, lang=options.lang)
    if options.json:
        print(json.dumps(statistics.to_json(), ensure_ascii=False))
    else:
        print(render_table(statistics))
    if options.html is not None:
        print(options.html, file=sys.stderr)
    return 0


def stats(
    words: Sequence[str],
    *,
    workers: int | None = None,
    html: Path | None = None,
    lang: Language = DEFAULT_LANGUAGE,
) -> DataStatistics:
    """Describe a data set, and what a model will see of it.

    Args:
        words: a data set, or labels and the folder of their images; and overrides of the settings.
        workers: number of processes; None: as many as there are processors.
        html: the page with figures to write; None: none.
        lang: language of the page.

    Raises:
        InputError: if no data set is named, its labels cannot be opened, or the settings are wrong.
    """
    opened = _open(words)
    if opened.unreadable:
        raise InputError.listing("These labels cannot be read:", [fault.fault for fault in opened.unreadable])
    view = opened.settings.transforms.seen()
    surveyed = survey(opened.splits, workers)
    statistics = data_statistics(surveyed, view)
    if html is not None:
        title = Words(lang).say("data.title", name=opened.name)
        write_data_report(html, title, surveyed, statistics, view, lang)
    return statistics


# --- view -------------------------------------------------------------------------------------------------------------

_VIEW = """\
Draw pages with their labels on one picture: words green, ignore regions orange.

With --augment the picture shows what a training with these settings will see: the samples of its first batches, after
every change of place, scale and colour, with pasted words, as the network gets them (needs hmean[train]). Look at it
before a training: is the text large enough to read, are turned or damaged views still right, do the labels lie on the
print?

The same seed draws the same picture; seed=2 another one.

examples:
  hmean data view data                                    12 pages of the training split
  hmean data view data --split val --pages 30 --texts
  hmean data view data --augment preset=receipts_lite --output augmented.png
  hmean data view data --augment preset/transforms=rough transforms.train.crop=640
  hmean data view labels.json photos/ --columns 2 --side 900
"""


def _add_view(commands: Any) -> None:
    parser = _add_taught(commands, "view", "draw pages with their labels, or what a training will see", _VIEW)
    parser.add_argument("words", nargs="*", metavar="DATA | LABELS IMAGES | key=value", help=_WORDS_HELP)
    parser.add_argument("--augment", action="store_true", help="what a training will see, by the settings")
    parser.add_argument("--output", type=Path, default=Path("sheet.png"), help="PNG file (default: sheet.png)")
    parser.add_argument("--split", choices=("train", "val", "test"), help="by default the first one that there is")
    parser.add_argument("--pages", type=int, default=12, help="how many are drawn (default: 12)")
    parser.add_argument("--columns", type=int, default=4, help="pictures of a row (default: 4)")
    parser.add_argument("--side", type=int, default=640, help="longest side of each, pixels (default: 640)")
    parser.add_argument("--texts", action="store_true", help="draw the texts of the words at the side of each page")
    parser.add_argument("--font", type=Path, help="font of the texts; the default has no letters of East Asia")
    parser.add_argument("--overwrite", action="store_true", help="write over an earlier picture")
    parser.set_defaults(run=_run_view)


def _run_view(options: argparse.Namespace) -> int:
    view(
        options.words,
        options.output,
        augment=options.augment,
        split=options.split,
        pages=options.pages,
        columns=options.columns,
        side=options.side,
        texts=options.texts,
        font=options.font,
        overwrite=options.overwrite,
    )
    print(options.output)
    return 0


def view(
    words: Sequence[str],
    output: Path,
    *,
    augment: bool = False,
    split: str | None = None,
    pages: int = 12,
    columns: int = 4,
    side: int = 640,
    texts: bool = False,
    font: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Draw pages with their labels, or what a training will see, on one picture.

    Args:
        words: a data set, or labels and the folder of their images; and overrides of the settings.
        output: the PNG file.
        augment: draw the first samples of a training.
        split: whose pages; None: of the first split that there is.
        pages: how many are drawn.
        columns: pictures of a row.
        side: longest side of each, pixels.
        texts: draw the texts of words, too.
        font: of the texts.
        overwrite: write over an earlier picture.

    Raises:
        InputError: if an option is out of range, the file exists, or labels or images cannot be read.
    """
    faults = []
    for name, value, least in (("--pages", pages, 1), ("--columns", columns, 1), ("--side", side, 64)):
        if value < least:
            faults.append(f"{name} {value}: must be at least {least}")
    if output.exists() and not overwrite:
        faults.append(f"{output}: exists already; choose another file with --output, or add --overwrite")
    if augment and split not in (None, "train"):
        faults.append(f"--split {split}: a training sees the pages of train; remove it, or --augment")
    if augment and texts:
        faults.append("--texts: views of a training have no texts; remove it, or --augment")
    if faults:
        raise InputError.listing("Cannot draw this:", faults)
    opened = _open(words)
    chosen = _chosen_split(opened, split)
    if augment:
        tiles = _augmented_tiles(opened.settings, chosen.pages, pages)
        what = f"what a training sees first (seed {opened.settings.seed})"
    else:
        tiles = _page_tiles(chosen.pages, pages, opened.settings.seed, texts=texts)
        what = f"{len(tiles)} of {len(chosen.pages)} pages (seed {opened.settings.seed})"
    title = f"{opened.name}, {chosen.name}: {what}; words green, ignore regions orange"
    save_sheet(output, draw_sheet(title, tiles, columns=columns, side=side, font=font))


def _chosen_split(opened: _Opened, split: str | None) -> NamedPages:
    named = {found.name: found for found in opened.splits}
    if split is None and opened.splits:
        return opened.splits[0]
    if split in named:
        return named[split]
    faults = [fault.fault for fault in opened.unreadable]
    if faults:
        raise InputError.listing("These labels cannot be read:", faults)
    raise InputError(f"--split {split}: there is no such split; there is {', '.join(named)}")


def _page_tiles(pages: LabelledImages, count: int, seed: int, *, texts: bool) -> list[Tile]:
    """Random pages in the order of the labels, with the words that have no faults; wrong sizes are said."""
    drawn = np.random.default_rng(seed).permutation(len(pages))[:count]
    tiles = []
    for position in sorted(drawn.tolist()):
        image = read_image(pages.file(position))
        page = pages.page(position, [])
        height, width = image.shape[:2]
        fault = size_fault(pages.file(position), page, width, height)
        if fault is not None:
            print(f"warning: {fault}", file=sys.stderr)
        tiles.append(Tile.of_page(image, page, texts=texts))
    return tiles


def _augmented_tiles(settings: RecipeSettings, pages: LabelledImages, count: int) -> list[Tile]:
    """The first samples of a training."""
    missing = [name for name in ("torch", "lightning", "timm") if find_spec(name) is None]
    if missing:
        raise InputError(f"--augment needs {', '.join(missing)}; install with: pip install 'hmean[train]'")
    # Imported here, since nothing else of this command needs torch.
    from hmean.settings.build_training import first_views  # noqa: PLC0415

    tiles = []
    for seen in first_views(settings, pages, count):
        height, width = seen.image.shape[:2]
        caption = f"{seen.page.name}, {width} x {height}"
        tiles.append(Tile(seen.image, seen.polygons, seen.ignored, caption))
    return tiles


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
    if k < 1 or (k < 2 and holdout == 0):
        raise InputError(f"-k {k}: must be at least 2")
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
    remarks: list[str]

    def summary(self) -> str:
        """A line of numbers, and one for each kind of loss."""
        lines = [f"{counted(self.converted.pages, 'page')}, {counted(self.converted.words, 'word')}"]
        lines += self.remarks
        lines += [f"this format cannot hold everything: {loss}" for loss in self.losses]
        return "\n".join(lines)


def _add_convert(commands: Any) -> None:
    names = ", ".join(found.name for found in FORMATS if found.write is not None)
    parser = _add_command(commands, "convert", "write labels in another format; says what that cannot hold")
    parser.add_argument("labels", nargs="+", help=_LABELS_HELP)
    parser.add_argument("out", help="file or folder to write")
    parser.add_argument("format", metavar="format=NAME", help=f"its format: {names}")
    parser.add_argument("--images", type=Path, help="folder of the images; by default in, beside or above the labels")
    parser.add_argument("--overwrite", action="store_true", help="write over earlier labels")
    parser.set_defaults(run=_run_convert)


@dataclass(frozen=True)
class _TypedConvert:
    """What the words of ``hmean data convert`` name."""

    labels: list[Path]
    out: Path
    format_name: str
    images: Path | None


def _typed_convert(words: Sequence[str], images: Path | None) -> _TypedConvert:
    """Tell labels, output and ``key=value`` words apart.

    Raises:
        InputError: for another key than ``format`` and ``images``, and where labels, output or format are missing.
    """
    typed = split_arguments(words)
    paths = list(typed.inputs)
    format_name = None
    faults = []
    for word in typed.overrides:
        key, _, value = word.partition("=")
        if key == "format":
            format_name = value
        elif key == "images" and images is None:
            images = Path(value)
        elif key == "images":
            faults.append(f"{word}: the folder of the images is named twice; remove it, or --images")
        else:
            faults.append(f"{word}: {key} is not supported; this command takes format=NAME and images=DIR")
    if format_name is None and len(paths) > 2:
        format_name = paths.pop()
    if format_name is None:
        faults.append("format=NAME is required")
    if len(paths) < 2:
        faults.append("name the labels, and the file or folder to write")
    if faults or format_name is None:
        raise InputError.listing("Cannot convert this:", faults)
    return _TypedConvert([Path(path) for path in paths[:-1]], Path(paths[-1]), format_name, images)


def _run_convert(options: argparse.Namespace) -> int:
    typed = _typed_convert([*options.labels, options.out, options.format], options.images)
    result = convert(
        typed.labels,
        typed.out,
        format_name=typed.format_name,
        images=typed.images,
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
    written = sum(write_images(path, images or out.parent / "images") for path in labels)
    remarks = []
    folder_named = images is not None or written > 0
    if written:
        images = images or out.parent / "images"
        remarks.append(f"{written:,} images that were in the label files are in {images}")
    converted = convert_labels(labels, out, label_format, images or images_of(labels[0]), overwrite=overwrite)
    remarks += converted.remarks
    remarks += [f"warning: {text}" for text in converted.images.warnings(folder_named=folder_named)]
    return ConvertResult(out, converted, converted.lost.sentences(label_format.keeps), remarks)
