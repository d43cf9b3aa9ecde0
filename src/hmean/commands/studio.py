"""``hmean studio``: a page on loopback that shows what runs find, follows the parameters, and saves those chosen."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from hmean.data.check import check_pages
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.metrics.scorer import choose_characters
from hmean.runs.carried import Influence
from hmean.runs.folder import RunFolder, model_of
from hmean.runs.maps import MapStore, map_settings
from hmean.runs.scores import Scores
from hmean.settings.build import open_dataset
from hmean.settings.compose import load_yaml
from hmean.settings.keys import pruned, with_present_keys
from hmean.settings.sections import EvaluationView, LabelledDatasets, OptionSettings, Settings, SplitName
from hmean.tuning.scores import SettingScores
from hmean.types import Pad, Page, View
from hmean.web.server import bind, listen, make_server, port_of, run_until_signal
from hmean.web.studio import create_studio_app
from hmean.web.studio_runs import Studio, StudioRun, read_saved
from hmean.web.studio_scores import ModelScores

HOST = "127.0.0.1"
KEEP_ALIVE_S = 60
STOP_S = 1


class StudioSettings(OptionSettings):
    """Settings of ``hmean studio``."""

    shorthands: ClassVar[dict[str, str]] = {"evaluate_on": "split"}  # its name in earlier versions

    inputs: tuple[str, ...] = ()
    """One run folder, or two to compare."""
    split: SplitName = "val"
    """Which pages."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port to listen on; 0: any free one."""
    annotation_path: str | None = None
    """The labels, if they are not where the run's config says."""
    image_path: str | None = None
    """Folder of the images, if they are not where the run's config says."""


class ShownRun(Settings):
    """What the studio reads of the ``config.yaml`` of a run."""

    datasets: LabelledDatasets
    """Labels and images."""
    transforms: EvaluationView
    """How the run shows pages to its network."""


@dataclass(frozen=True)
class StudioResult:
    """How the studio ended."""

    def summary(self) -> str:
        """What the command prints: nothing; the address was printed while it ran."""
        return ""


def run(settings: StudioSettings) -> StudioResult:
    """Serve the page until interrupted.

    Raises:
        InputError: if a folder is not a run, its maps are missing, or the pages have faults.
    """
    with bind(HOST, settings.port) as listener:
        studio = open_studio(settings)
        for shown in studio.runs:
            shown.scores.all_pages(shown.saved)  # reads the maps, so that the first page need not wait
        token = secrets.token_urlsafe(24)
        app = create_studio_app(studio, token)
        server = make_server(app, connections=None, keep_alive_s=KEEP_ALIVE_S, stop_s=STOP_S, log_level="critical")
        listen(listener)
        print(f"http://{HOST}:{port_of(listener)}/{token}/")
        print("Open this address in a browser on this machine; Ctrl-C ends the studio.", flush=True)
        run_until_signal(server, listener)
    return StudioResult()


# --- opening runs -----------------------------------------------------------------------------------------------------


def open_studio(settings: StudioSettings) -> Studio:
    """The runs in the folders given, on the pages of the first one.

    Raises:
        InputError: if a folder is not a run, its maps are missing, or the pages have faults.
    """
    if len(settings.inputs) not in (1, 2):
        raise InputError("hmean studio takes one run folder, or two to compare")
    folders = [run_folder(Path(folder)) for folder in settings.inputs]
    configs = [_read_config(folder) for folder in folders]
    pages = _open_pages(configs[0], settings)
    truth = _read_truth(pages)
    shown = _ShownPages(settings.split, pages, truth)
    runs = []
    for folder, config in zip(folders, configs, strict=True):
        runs.append(shown.open_run(folder, config.transforms.pad))
    return Studio(settings.split, pages, runs, configs[0].transforms.long_side, shown.adopt)


def _read_config(folder: Path) -> ShownRun:
    values = with_present_keys(load_yaml(folder / "config.yaml"))
    return ShownRun.model_validate(pruned(values, ShownRun))


def run_folder(path: Path) -> Path:
    """The run that a folder is, or the winner of the campaign that it is.

    Raises:
        InputError: if it is neither.
    """
    model = model_of(path)
    folder = model.parent.parent
    if model.suffix != ".ckpt" or not (folder / "config.yaml").is_file():
        raise InputError(f"{path}: is not a run folder (it has no config.yaml)")
    return folder


def _open_pages(config: ShownRun, settings: StudioSettings) -> LabelledImages:
    dataset = config.datasets.of_split(settings.split)
    moved: dict[str, Any] = {}
    if settings.annotation_path is not None:
        moved["annotation_path"] = settings.annotation_path
    if settings.image_path is not None:
        moved["image_path"] = settings.image_path
    if moved:
        moved["folds"] = None  # they belong to the label file of the config
    return open_dataset(dataset.model_copy(update=moved))


def _read_truth(pages: LabelledImages) -> list[Page]:
    """All pages.

    Raises:
        InputError: listing every fault of the pages.
    """
    faults = check_pages(pages)
    truth = [pages.page(index, []) for index in range(len(pages))]
    for page in truth:
        if not page.words_known:
            faults.append(f"{page.name}: is unlabelled (no words)")
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)
    return truth


@dataclass(frozen=True)
class _Maps:
    """Maps of all pages, and what they were made with."""

    store: MapStore
    weights_hash: str
    made_with: Scores


@dataclass(frozen=True)
class _ShownPages:
    """The pages that all runs are shown on."""

    split: str
    pages: LabelledImages
    truth: list[Page]

    def open_run(self, folder: Path, pad: Pad) -> StudioRun:
        """A run, with its maps of these pages.

        Raises:
            InputError: if maps are missing.
        """
        maps = self._find_maps(folder, pad)
        scores = ModelScores(self.truth, maps.store.read, choose_characters(self.truth), threads=os.cpu_count() or 1)
        influenced_by = Influence()
        if maps.made_with.data_hash == self.pages.fingerprint():
            influenced_by = maps.made_with.influenced_by
        saved, history = read_saved(RunFolder(folder).best)
        return StudioRun(folder, maps.weights_hash, scores, saved, history, influenced_by)

    def _find_maps(self, folder: Path, pad: Pad) -> _Maps:
        """A run's maps, and the ``scores.json`` that says which weights and preprocessing they were made with.

        Raises:
            InputError: if none of its ``scores.json`` leads to maps of all pages.
        """
        images = {self.pages.name(i): self.pages.file(i) for i in range(len(self.pages))}
        fewest_missing = len(images)
        for record in self._score_records(folder):
            weights_hash = record.weights_hash
            if not isinstance(weights_hash, str) or record.long_side is None:
                continue  # of folds, which have no maps together
            settings = map_settings(weights_hash, View(record.long_side, pad))
            store = MapStore(folder / "maps" / f"best-{weights_hash[:12]}", settings, images)
            missing = [name for name in images if name not in store]
            if not missing:
                return _Maps(store, weights_hash, record)
            fewest_missing = min(fewest_missing, len(missing))
        raise InputError(
            f"{folder}: has no maps of {fewest_missing} of the {len(images)} pages; make them with: "
            f"hmean evaluate run={folder} split={self.split} (and dataset_base_path, as in its training)"
        )

    def _score_records(self, folder: Path) -> list[Scores]:
        """What a run's ``scores.json`` files hold, those of this split first."""
        records = []
        for path in (folder / "scores.json", *sorted(folder.glob("*/scores.json"))):
            if path.is_file():
                records.append(Scores.read(path))
        return sorted(records, key=lambda record: record.split != self.split)

    def adopt(self, run: StudioRun, before: SettingScores, after: SettingScores) -> None:
        """Write the parameters of ``after`` into the checkpoint of a run, and into its ``tuned.json``.

        Raises:
            InputError: if torch is not installed, or the checkpoint has changed.
        """
        try:
            from hmean.tuning import manual  # noqa: PLC0415 - torch, which writes checkpoints, is not needed to look
        except ImportError as error:
            raise InputError(
                f"saving into a checkpoint needs {error.name}; install it with: pip install 'hmean[train]'"
            ) from error
        best = RunFolder(run.folder).best
        manual.adopt_manually(best, run.weights_hash, self.split, self.pages, before, after, run.scores.characters)
