"""The labelled pages of the results pages, with a probability map each: out of fold, of the bundled model, of the peer.

DATA is a folder with sroie/ and receipts_de/, each with images/ and labels.json. Values of the post-processing are chosen
in one way on all pages: ``tune``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness
import numpy as np

from hmean.data.pages import LabelledImages
from hmean.data.views import letterbox
from hmean.files import write_with
from hmean.inference.bundled import BUNDLED
from hmean.inference.maps import make_maps, make_run_maps
from hmean.inference.opening import open_model
from hmean.metrics.scorer import PageScore
from hmean.metrics.single_characters import with_single
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.runs.folder import RunFolder
from hmean.runs.maps import MapStore
from hmean.runs.predictions import read_predictions, write_predictions
from hmean.settings.build import open_dataset
from hmean.settings.sections import Dataset, Folds
from hmean.tuning.choose import choose
from hmean.tuning.crossfit import crossfit_settings, deal
from hmean.tuning.grid import Axes, make_grid
from hmean.tuning.scores import SettingScores, score_settings
from hmean.types import Detections, Page, Polygons, Statistic

SEEDS = (42, 1, 2)  # of the trainings of scripts/results.sh
THREADS = 2
FOLDS = 5  # of the pages, in cross-fitting
CHARACTERS = "transcription"
VALIDATION = Folds(k=5, seed=42, fold=0, split="val")  # SROIE's shops that the bundled model was not trained on
BEFORE = "e26ff964"  # the last commit with the first bundled model: EfficientNet-Lite0, from ImageNet's weights
BUNDLED_FILE = "src/hmean/weights/receipts_lite.onnx"

# What values are chosen for, and among which, wherever a results page chooses any.
OBJECTIVE: dict[Statistic, float] = {"macro": 3.0, "iou70": 1.0}
AXES: dict[str, list[Any]] = {
    "unclip": ["ratio", "inverse"],
    "thresh": [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4],
    "box_thresh": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    "unclip_ratio": [0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5],
    "inverse_r": [0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9],
}
CROSS_FITTED = (
    "Cross-fitted: the pages are dealt to 5 folds, each shop whole, and each page is scored with the values that are chosen "
    "on the four other folds."
)

# The peer: the detector in the wheel of rapidocr, whose input and defaults these are.
PEER = "PP-OCRv6 small"
PEER_SHORT_SIDE = 736
PEER_DEFAULTS = PostprocessParams(thresh=0.3, box_thresh=0.5, unclip="ratio", unclip_ratio=1.6)


@dataclass(frozen=True, eq=False)
class MappedPages:
    """Labelled pages, the probability map of each, and the post-processing values of what made the maps.

    Attributes:
        truth: the pages.
        read: gives the map of a page.
        postprocess: the values.
        relabelled: pages whose labels (or images) are not those that the models of a cross-validation were trained with.
    """

    truth: Sequence[Page]
    read: Callable[[Page], PageMap]
    postprocess: PostprocessParams
    relabelled: int = 0

    @property
    def names(self) -> list[str]:
        """Of the pages."""
        return [page.name for page in self.truth]

    @property
    def groups(self) -> list[str | None]:
        """Of the pages: shops."""
        return [page.group for page in self.truth]

    def score(self, settings: Sequence[PostprocessParams]) -> SettingScores:
        """All pages at each setting."""
        return score_settings(self.truth, self.read, settings, CHARACTERS, threads=THREADS)

    def score_with(self, params: PostprocessParams) -> list[PageScore]:
        """Each page with these values."""
        return self.counting_single(self.page_scores(self.score([params])), [params] * len(self.truth))

    def counting_single(self, scores: Sequence[PageScore], of_page: Sequence[PostprocessParams]) -> list[PageScore]:
        """The scores of all pages with what is found of words of one character, each page with values of its own."""
        found = []
        for page, params in zip(self.truth, of_page, strict=True):
            found.append(detect(self.read(page), params))
        return with_single(scores, self.truth, found)

    def only(self, names: Sequence[str]) -> MappedPages:
        """Those of the pages that have one of these names."""
        wanted = set(names)
        return replace(self, truth=[page for page in self.truth if page.name in wanted])

    def page_scores(self, scores: SettingScores) -> list[PageScore]:
        """Each page at the first setting."""
        return scores.scorer(self.names, self.groups, CHARACTERS).pages


def open_pages(data: Path, folds: Folds | None = None) -> LabelledImages:
    """The pages of a data set (a folder with images/ and labels.json), or some folds of them."""
    return open_dataset(
        Dataset(image_path=str(data / "images"), annotation_path=str(data / "labels.json"), folds=folds)
    )


def named(pages: LabelledImages, names: Sequence[str]) -> LabelledImages:
    """Those of the pages that have one of these names."""
    wanted = set(names)
    return replace(pages, indices=[index for index in pages.indices if pages.labels.names[index] in wanted])


def labels_of(pages: LabelledImages) -> list[Page]:
    """The labels of all pages."""
    return [pages.page(position) for position in range(len(pages))]


@dataclass(frozen=True)
class FoldRun:
    """A training, and the pages of the fold that it was trained without."""

    run: Path
    pages: Folds


def crossval_runs(crossval: Path) -> list[FoldRun]:
    """The trainings of a cross-validation: a folder that ``hmean crossval`` made."""
    found = []
    for folder in sorted(crossval.glob("fold_*/")):
        number = int(folder.name.removeprefix("fold_"))
        found.append(FoldRun(folder, Folds(file=str(crossval / "splits.json"), fold=number, split="val")))
    return found


def shipped_runs(folder: Path, seed: int) -> list[FoldRun]:
    """The trainings of the bundled model's recipe with one seed, one for each fold: ``scripts/train_box_model.sh``."""
    found = []
    for number in range(FOLDS):
        pages = Folds(k=FOLDS, seed=42, fold=number, split="val")
        found.append(FoldRun(folder / f"receipts_lite_fold{number}_seed{seed}", pages))
    return found


def out_of_fold(data: Path, runs: Sequence[FoldRun]) -> MappedPages:
    """All pages of the folds, each with the map of the model that was trained without it.

    Args:
        data: the data set.
        runs: one for each fold.

    Raises:
        ValueError: if a model was trained on a page of its fold.
    """
    stores: dict[str, MapStore] = {}
    postprocess = PostprocessParams()
    relabelled = 0
    for one in runs:
        pages = open_pages(data, one.pages)
        model = open_model(RunFolder(one.run).best)
        keys = pages.page_keys()
        if np.isin(keys, model.pages.train).any():
            raise ValueError(f"{one.run}: was trained on pages that it is to be scored on")
        relabelled += int(np.isin(keys, model.pages.val, invert=True).sum())
        store = make_run_maps(model, pages)
        postprocess = _preset_of(model.training)
        for position in range(len(pages)):
            stores[pages.name(position)] = store
    truth = [page for page in labels_of(open_pages(data)) if page.name in stores]
    return MappedPages(truth, lambda page: stores[page.name].read(page.name), postprocess, relabelled)


def describe_relabelled(pages: int) -> str:
    """A sentence for a page of results; nothing if the labels are those of the trainings."""
    if pages == 0:
        return ""
    return (
        f" The labels of {pages} of these pages are read otherwise now than when the models were trained: scores are by the "
        "present ones."
    )


def _preset_of(training: Mapping[str, Any]) -> PostprocessParams:
    """The values that a model was trained with, whatever was tuned since."""
    return PostprocessParams.from_dict(training["models"]["head"]["postprocess"])


def first_bundled(folder: Path) -> Path:
    """The file of the first bundled model, taken from the history of the repository into a folder."""
    file = folder / "receipts_lite_first.onnx"
    if not file.exists():
        command = ["git", "show", f"{BEFORE}:{BUNDLED_FILE}"]
        shown = subprocess.run(command, cwd=harness.ROOT, check=True, capture_output=True)
        write_with(file, lambda opened: opened.write(shown.stdout))
    return file


def bundled_maps(
    pages: LabelledImages, folder: Path, long_side: int | None = None, file: Path = BUNDLED["receipts-lite"]
) -> MappedPages:
    """Pages with the maps of the bundled model, or of another exported one, kept in a folder."""
    model = open_model(file)
    view = model.view
    if long_side is not None:
        view = type(view)(long_side, view.pad)
    return _mapped(pages, make_maps(model, pages, folder, view=view), model.postprocess)


def run_maps(pages: LabelledImages, run: Path) -> MappedPages:
    """Pages with the maps of a training's model, kept in its folder."""
    model = open_model(RunFolder(run).best)
    return _mapped(pages, make_run_maps(model, pages), _preset_of(model.training))


def _mapped(pages: LabelledImages, store: MapStore, postprocess: PostprocessParams) -> MappedPages:
    return MappedPages(labels_of(pages), lambda page: store.read(page.name), postprocess)


# --- the peer ---------------------------------------------------------------------------------------------------------


def peer_maps(pages: LabelledImages, folder: Path) -> MappedPages:
    """Pages with the peer's maps, kept in a folder; they go through our post-processing."""
    files = {pages.name(position): pages.file(position) for position in range(len(pages))}
    store = MapStore(folder, f"{PEER}, short side {PEER_SHORT_SIDE}", files)
    truth = labels_of(pages)
    missing = [position for position in range(len(pages)) if pages.name(position) not in store]
    if missing:
        run = _peer_network()
        for position in missing:
            store.add(_peer_map(run, pages, position, truth[position]))
    return _mapped(pages, store, PEER_DEFAULTS)


def _peer_network() -> Callable[[Any], Any]:
    import onnxruntime  # noqa: PLC0415
    import rapidocr  # noqa: PLC0415 - a peer, which tests do without

    weights = Path(rapidocr.__file__).parent / "models" / "PP-OCRv6_det_small.onnx"
    session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
    (network_input,) = session.get_inputs()
    return lambda image: session.run(None, {network_input.name: image})[0][0, 0]


def _peer_map(run: Callable[[Any], Any], pages: LabelledImages, position: int, page: Page) -> PageMap:
    """The page scaled, coloured and filled as rapidocr does it."""
    long_side = round(PEER_SHORT_SIDE * max(page.width, page.height) / min(page.width, page.height))
    view = letterbox(page.width, page.height, long_side, "stride")
    rgb = view.image(pages.pixels(position, page), (255, 255, 255))
    bgr = rgb[:, :, ::-1].astype(np.float32) / 127.5 - 1
    found = run(bgr.transpose(2, 0, 1)[None])
    return PageMap(page.name, np.round(found * 255).astype(np.uint8), view.to_page, page.width, page.height)


def rapidocr_detector(**values: Any) -> Callable[[Any], Detections]:
    """RapidOCR's detection, with a post-processing of its own: as it comes, or with other values of its section Det."""
    from rapidocr import RapidOCR  # noqa: PLC0415 - a peer, which tests do without

    params = {"Global.log_level": "error", "EngineConfig.onnxruntime.intra_op_num_threads": THREADS}
    for name, value in values.items():
        params[f"Det.{name}"] = value
    engine = RapidOCR(params=params)
    detector = engine._load_det_model()  # noqa: SLF001 - called whole, it would cut out every word too

    def find(image: Any) -> Detections:
        found = detector(np.ascontiguousarray(image[:, :, ::-1]))
        if found.boxes is None or len(found.boxes) == 0:
            return Detections.empty()
        polygons = Polygons.of(np.asarray(found.boxes, np.float64))
        return Detections(polygons, np.asarray(found.scores, np.float32))

    return find


def rapidocr_found(pages: LabelledImages, file: Path) -> dict[str, Detections]:
    """What RapidOCR as it comes finds on each page; kept in a file, which is made again if it lacks a page."""
    truth = labels_of(pages)
    if file.exists():
        found = dict(read_predictions(file))
        if all(page.name in found for page in truth):
            return found
    find = rapidocr_detector()
    file.parent.mkdir(parents=True, exist_ok=True)
    with write_predictions(file) as predictions:
        for position, page in enumerate(truth):
            predictions.write(page.name, find(pages.pixels(position, page).image), page.width, page.height)
    return dict(read_predictions(file))


# --- the choice of values ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a choice of values is worth.

    Attributes:
        chosen: the values chosen on all pages.
        in_sample: each page with these: optimistic.
        cross_fitted: each page with values chosen on pages of other shops.
        chosen_by_folds: these values, each of them once.
    """

    chosen: PostprocessParams
    in_sample: list[PageScore]
    cross_fitted: list[PageScore]
    chosen_by_folds: list[PostprocessParams]


def grid_of(pages: MappedPages, axes: Axes = AXES) -> list[PostprocessParams]:
    """The settings that are tried: every combination of ``axes``, the values of what made the maps first."""
    return make_grid(pages.postprocess, axes)


def tune(
    pages: MappedPages, objectives: Sequence[Mapping[Statistic, float]] = (OBJECTIVE,), axes: Axes = AXES
) -> list[Tuned]:
    """Choose among ``grid_of``, once for each objective."""
    scores = pages.score(grid_of(pages, axes))
    found = []
    for objective in objectives:

        def pick(some: SettingScores, objective: Mapping[Statistic, float] = objective) -> Any:
            return choose(some, objective)

        chosen = pick(scores).chosen
        crossed = crossfit_settings(scores, pages.names, pages.groups, FOLDS, pick)
        if crossed is None:
            raise ValueError("cross-fitting needs pages of two groups or more")
        cross_fitted = pages.page_scores(crossed.scores)
        tuned = Tuned(
            chosen=scores.settings[chosen],
            in_sample=pages.page_scores(scores.of_settings(chosen)),
            cross_fitted=pages.counting_single(cross_fitted, _values_of_pages(pages, crossed.chosen)),
            chosen_by_folds=list(dict.fromkeys(crossed.chosen)),
        )
        found.append(tuned)
    return found


def _values_of_pages(pages: MappedPages, chosen_by_fold: Sequence[PostprocessParams]) -> list[PostprocessParams]:
    """The values that were chosen without the fold of each page; folds are those of ``tune``."""
    fold = deal(pages.names, pages.groups, FOLDS)
    assert fold is not None
    position = {number: index for index, number in enumerate(np.unique(fold).tolist())}
    return [chosen_by_fold[position[number]] for number in fold.tolist()]
