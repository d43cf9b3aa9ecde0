"""``hmean predict``: a trained model and images in; predictions.json, submission.csv and overlays out.

Pages go to a journal one by one, and the files are joined from it at the end, so that a run can be killed, go on, and
be shared among machines: each shard leaves its journal in the output folder, and the run without ``shard`` does what
none has done and joins them.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

from hmean.commands.evaluate import map_store
from hmean.ensemble.members import Ensemble
from hmean.errors import InputError
from hmean.files import write_json
from hmean.images import SUFFIXES, left_out, list_images, page_paths, read_image, split_page
from hmean.inference.trained import PageFile, TrainedModel, Unreadable
from hmean.labels.formats import images_of
from hmean.locks import locked
from hmean.postprocess.decoding import PageMap, detect
from hmean.progress import track
from hmean.runs.journal import Journal, JournalReader, PageKey, SkippedPage
from hmean.runs.manifest import Manifest
from hmean.runs.pictures import draw_page, save_picture
from hmean.runs.predictions import write_predictions
from hmean.settings.build import open_pages
from hmean.settings.config import Config
from hmean.settings.opening import view_of
from hmean.types import Detections

Asked = Sequence[tuple[str, Path]]  # name and file of each page
Found = Iterator[tuple[Detections | str, int, int]]  # regions, or why there are none, width and height of each page


def run(config: Config, model: TrainedModel | Ensemble, inputs: Sequence[str] = ()) -> Path:
    """Find text on images.

    Args:
        config: with the model (``open_model``), or that of an ensemble's first member.
        model: one, or several.
        inputs: images, PDF files, folders, globs, UFO files, or ``-`` for a list on standard input; none: the images
            of ``datasets.predict_dataset``.

    Returns:
        The folder written to.

    Raises:
        InputError: if there is nothing to do, or, at the end and with the rest written, if images could not be read.
    """
    folder = Path(config.output or Path(config.output_dir) / str(config.exp_name or "predict"))
    which, of = config.predict.share()
    files = gather(config, inputs)[which::of]
    with locked(folder, shared=of > 1), locked(folder, f".lock-{which + 1}-of-{of}"):
        return _run(config, model, files, folder, _left_out(inputs))


def _run(config: Config, model: TrainedModel | Ensemble, files: Asked, folder: Path, others: str) -> Path:
    if (folder / "predictions.json").exists() and not config.overwrite:
        raise InputError(f"{folder}: holds predictions already; set overwrite=true, or another output or exp_name")
    if (folder / "config.yaml").exists():
        raise InputError(f"{folder}: is the run folder of a training; choose another output or exp_name")
    if isinstance(model, Ensemble):
        if config.maps:
            raise InputError(f"maps=true: {model.path} has several networks, whose maps are not kept; leave it out")
        made_by, find = model.made_by, partial(_ensemble_regions, config, model)
    else:
        params, view = config.models.head.postprocess.params(), config.transforms
        made_by = {"weights_hash": model.weights_hash(), "long_side": view.long_side, "pad": view.pad,
                   "postprocess": params.to_dict()}  # fmt: skip
        find = partial(_regions, config, model, folder)
    which, of = config.predict.share()
    asked = expand(files)
    keys = [_key(name, file) for name, file in asked]  # once: a file may change while it is read
    _find(config, asked, keys, folder, f"{which + 1}-of-{of}", made_by, find)
    if of > 1:
        print(f"shard {config.predict.shard}: {len(asked)} pages; the command without shard joins all")
        return folder
    skipped = _join(config, keys, folder)
    made = Manifest.collect(config.to_dict(), {}, config.seed).to_json()
    about = {"checkpoint": os.path.relpath(model.path, folder), **made_by, "images": len(asked), "skipped": skipped}
    write_json(folder / "manifest.json", {**about, **{key: made[key] for key in ("hmean", "git", "versions")}})
    shutil.rmtree(folder / "journal")
    print(f"{len(asked) - len(skipped)} of {len(asked)} images{others}: {folder / 'predictions.json'}")
    if skipped:
        raise InputError.listing(f"{len(skipped)} images were skipped, the others are written:", skipped)
    return folder


def _find(
    config: Config, asked: Asked, keys: Sequence[PageKey], folder: Path, share: str, made_by: Mapping[str, Any],
    find: Callable[[Asked], Found],
) -> None:  # fmt: skip
    """Bring the journals to where every page asked for is in one."""
    path = folder / "journal" / f"{share}.jsonl"
    journal = Journal(path, made_by, overwrite=config.overwrite)
    if journal.is_empty and config.overwrite:
        shutil.rmtree(folder / "overlays", ignore_errors=True)
    with journal, JournalReader(path.parent) as done:
        left = [(key, image) for key, image in zip(keys, asked, strict=True) if key not in done]
        pictures = config.predict.overlays if share.endswith("-of-1") else 0
        drawn = {name: number for number, (name, _) in enumerate(asked[:pictures])}
        with track("detecting", len(left)) as advance:
            results = find([image for _, image in left]) if left else ()
            for (key, (name, file)), (found, width, height) in zip(left, results, strict=True):
                if isinstance(found, str):
                    journal.skip(key, found)
                else:
                    if name in drawn:
                        target = folder / "overlays" / f"{drawn[name]:06d}_{Path(name).stem}.jpg"
                        save_picture(target, draw_page(read_image(file), found))
                    journal.write(key, found, width, height)
                advance()


def _join(config: Config, keys: Sequence[PageKey], folder: Path) -> list[str]:
    """Write the files from the journals, in the order asked for; returns why pages were skipped."""
    skipped = []
    csv = folder / "submission.csv" if config.predict.csv else None
    with JournalReader(folder / "journal") as done, write_predictions(folder / "predictions.json", csv) as writer:
        for key in keys:
            entry = done[key]
            if isinstance(entry, SkippedPage):
                skipped.append(entry.why)
                writer.write(key.name, Detections.empty(), None, None)  # a judge wants a row for every image asked for
            else:
                writer.write(key.name, entry.detections(), entry.img_w, entry.img_h)
    return skipped


def _key(name: str, file: Path) -> PageKey:
    """A page's name, and its file's size and time, in seconds, since copies lose their fractions."""
    try:
        about = split_page(file)[0].stat()
    except OSError:
        return PageKey(name, 0, 0)
    return PageKey(name, about.st_size, int(about.st_mtime))


def _regions(config: Config, checkpoint: TrainedModel, folder: Path, asked: Asked) -> Found:
    """What one model finds."""
    params = config.models.head.postprocess.params()
    for page in _maps(config, checkpoint, asked, folder):
        if isinstance(page, Unreadable):
            yield page.reason, 0, 0
        else:
            yield detect(page, params), page.page_width, page.page_height


def _ensemble_regions(config: Config, ensemble: Ensemble, asked: Asked) -> Found:
    """What several models find together."""
    workers = config.dataloaders.predict_dataloader.num_workers
    pages = [PageFile(*page) for page in asked]
    for page in ensemble.find(pages, accelerator=config.trainer.accelerator, workers=workers):
        if isinstance(page, Unreadable):
            yield page.reason, 0, 0
        else:
            yield page


def _maps(config: Config, checkpoint: TrainedModel, asked: Asked, folder: Path) -> Iterator[PageMap | Unreadable]:
    """P of each image, in order; with ``maps`` from ``maps/``, where it is kept."""
    readable = [(name, file) for name, file in asked if _readable(split_page(file)[0])]
    store = map_store(folder / "maps", config, checkpoint, readable) if config.maps else None
    missing = [PageFile(*image) for image in asked if store is None or image[0] not in store]
    loader = config.dataloaders.predict_dataloader
    fresh: Iterator[PageMap | Unreadable] = iter(())
    if missing:
        runner = checkpoint.start(view_of(config), config.trainer.accelerator)
        fresh = runner(missing, batch_size=loader.batch_size, workers=loader.num_workers)
    for name, _ in asked:
        found = store.read(name) if store is not None and name in store else next(fresh)
        if store is not None and not isinstance(found, Unreadable) and name not in store:
            store.add(found)
            found = store.read(name)  # in 8 bits, as it will be next time
        yield found


def _readable(file: Path) -> bool:
    return file.is_file() and os.access(file, os.R_OK)


def gather(config: Config, inputs: Sequence[str]) -> list[tuple[str, Path]]:
    """(name, file) of every file asked for, in order; names are unique.

    Lines of standard input are pages whether there or not: a list of many thousands is never without a stray one.

    Raises:
        InputError: listing inputs that are not there or hold no image.
    """
    if not inputs:
        pages = open_pages(config.datasets.predict_dataset)
        return [(pages.name(position), pages.file(position)) for position in range(len(pages))]
    asked: list[tuple[str, Path]] = []
    faults = []
    for text, listed in _listed(inputs):
        path = Path(text)
        if path.is_dir():
            images = list_images(path, suffixes=SUFFIXES | {".pdf"}) or [path] * listed  # skipped, with the reason
            asked += [(str(image.relative_to(path)) if image != path else path.name, image) for image in images]
            if not images:
                faults.append(f"{text}: the folder holds no images{_left_out([text])}")
        elif path.suffix.lower() == ".json" and path.is_file():
            asked += _labelled(config, path)
        elif listed or split_page(path)[0].is_file():
            asked.append((path.name, path))
        elif matches := [p for p in sorted(glob(text, recursive=True)) if Path(p).is_file()]:  # noqa: PTH207 - Path.glob takes no absolute pattern
            asked += [(Path(match).name, Path(match)) for match in matches]
        else:
            faults.append(f"{text}: no such file or folder, and no pattern that matches files")
    if faults:
        raise InputError.listing("Some inputs cannot be used:", faults)
    if not asked:
        raise InputError("standard input lists no image: give one path a line")
    return _named(asked)


def _left_out(inputs: Sequence[str]) -> str:
    """What the folders among inputs hold that looks like images but is not read."""
    found = sum((left_out(Path(text)) for text in inputs if Path(text).is_dir()), Counter[str]())
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(found.items()))
    return f" ({found.total()} files left out: {kinds})" if found else ""


def _labelled(config: Config, labels: Path) -> list[tuple[str, Path]]:
    """The images of a UFO file: beside it, unless the config says where they are; else where the data set's are."""
    source = config.datasets.predict_dataset.model_copy(update={"annotation_path": str(labels), "split": None})
    folders, ours = [Path(source.image_path)], Path(config.dataset_base_path) / "images"
    if folders == [ours]:
        folders = [images_of(labels), ours]
    for folder in folders:
        pages = open_pages(source.model_copy(update={"image_path": str(folder)}))
        asked = [(pages.name(position), pages.file(position)) for position in range(len(pages))]
        if any(split_page(file)[0].exists() for _, file in asked):
            return asked
    where = " or ".join(map(str, folders))
    raise InputError(f"{labels}: none of its images is in {where}; set datasets.predict_dataset.image_path=FOLDER")


def _named(asked: Asked) -> list[tuple[str, Path]]:
    """Each file once, under a name of its own."""
    once: dict[str, tuple[str, Path]] = {}
    for name, file in asked:
        once.setdefault(os.path.realpath(file), (name, file))
    names = {name for name, _ in once.values()}
    return [(name if len(names) == len(once) else str(file), file) for name, file in once.values()]


def _listed(inputs: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Each input, and whether it stands in the list on standard input."""
    for text in inputs:
        if text == "-":
            yield from ((line, True) for line in sys.stdin.read().splitlines() if line.strip())
        else:
            yield text, False


def expand(files: Asked) -> list[tuple[str, Path]]:
    """Files of several pages (PDF, TIFF) as their pages, named ``scan.pdf#page=3``."""
    pages: list[tuple[str, Path]] = []
    for name, file in files:
        paths = page_paths(file)
        pages += [(name if path == file else name + path.name.removeprefix(file.name), path) for path in paths]
    return pages
