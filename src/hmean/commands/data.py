"""``hmean data``: draw synthetic receipts, check a data set."""

from __future__ import annotations

from pathlib import Path

from hmean.data.check import check_pages
from hmean.data.folds import HOLDOUT, fold_of, kinds_of, write_splits
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.labels.formats import open_labels
from hmean.progress import track
from hmean.synth.receipts import Level, font_files, write_dataset


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
) -> None:
    """Draw a data set of synthetic receipts in the layout that training reads."""
    faults = []
    if min(train, val, test) < 0 or train + val + test == 0:
        faults.append(f"--train {train} --val {val} --test {test}: at least one page must be asked for")
    if seed < 0:
        faults.append(f"--seed {seed}: must not be negative")
    if not 128 <= long_side[0] <= long_side[1] <= 4096:
        faults.append(f"--long-side {long_side[0]} {long_side[1]}: two numbers from 128 to 4096, the smaller first")
    extra = font_files(fonts) if fonts is not None and fonts.is_dir() else ()
    if fonts is not None and not extra:
        faults.append(f"--fonts {fonts}: no such folder, or no font with Latin letters in it")
    if faults:
        raise InputError.listing("Cannot draw this:", faults)
    with track("drawing", train + val + test) as advance:
        try:
            write_dataset(
                out, train=train, val=val, test=test, seed=seed, level=level, long_side=long_side, fonts=extra,
                overwrite=overwrite, on_page=lambda _done, _total: advance(),
            )  # fmt: skip
        except FileExistsError as error:
            raise InputError(str(error)) from error
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error


def check(labels: Path, images: Path) -> tuple[int, list[str]]:
    """Read every label and every image whole.

    Returns:
        How many pages there are, and every fault, with file and word.
    """
    opened = open_labels(labels, images)
    pages = LabelledImages(opened, images, range(len(opened.names)))
    return len(pages), check_pages(pages, decode=True)


def split(labels: Path, out: Path, *, k: int, holdout: float, seed: int, overwrite: bool) -> list[int]:
    """Deal the pages of a label set to folds by group, alike in text density and page size; writes ``splits.json``.

    Returns:
        Pages of each fold, and last those held out.
    """
    if out.exists() and not overwrite:
        raise InputError(f"{out}: is there already; runs that use it would change their pages (--overwrite writes it)")
    if not 0 <= holdout < 1:
        raise InputError(f"--holdout {holdout}: must be a share of the pages, from 0 to below 1")
    opened = open_labels(labels, labels.parent)
    pages = [opened.page(i, []) for i in range(len(opened.names))]
    try:
        folds = fold_of(opened.names, opened.groups, k, seed, holdout=holdout, strata=kinds_of(pages))
    except ValueError as error:
        raise InputError(f"{labels}: {error}") from error
    write_splits(out, opened.names, folds, {"labels": labels.name, "k": k, "holdout": holdout, "seed": seed})
    return [int((folds == f).sum()) for f in (*range(k), HOLDOUT)]
