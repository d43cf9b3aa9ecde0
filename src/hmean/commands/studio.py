"""``hmean studio``: a page on loopback that shows what runs find, follows the parameters, and saves those chosen."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic
from pydantic import Field

from hmean.data.check import check_pages
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.records import describe_fault
from hmean.settings.build import open_dataset
from hmean.settings.compose import load_yaml
from hmean.settings.keys import pruned, with_present_keys
from hmean.settings.sections import EvaluationView, LabelledDatasets, LabelPaths, OptionSettings, Settings, SplitName
from hmean.types import Page
from hmean.web.server import bind, listen, make_server, port_of, run_until_signal
from hmean.web.studio import create_studio_app
from hmean.web.studio_answers import Studio
from hmean.web.studio_runs import ShownPages, find_run, open_run

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
    annotation_path: LabelPaths | None = None
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


def open_studio(settings: StudioSettings) -> Studio:
    """The runs in the folders given, on the pages of the first one.

    Raises:
        InputError: if a folder is not a run, its maps are missing, or the pages have faults.
    """
    if len(settings.inputs) not in (1, 2):
        raise InputError("hmean studio takes one run folder, or two to compare")
    folders = [find_run(Path(folder)) for folder in settings.inputs]
    configs = [_read_config(folder) for folder in folders]
    images = _open_images(configs[0], settings)
    pages = ShownPages(settings.split, images, _read_truth(images))
    runs = []
    for folder, config in zip(folders, configs, strict=True):
        runs.append(open_run(folder, config.transforms.pad, pages))
    return Studio(settings.split, images, runs)


def _read_config(folder: Path) -> ShownRun:
    file = folder / "config.yaml"
    values = with_present_keys(load_yaml(file))
    try:
        return ShownRun.model_validate(pruned(values, ShownRun))
    except pydantic.ValidationError as error:
        faults = [describe_fault(detail) for detail in error.errors()]
        raise InputError.listing(f"{file}: is not the config of a run:", faults) from None


def _open_images(config: ShownRun, settings: StudioSettings) -> LabelledImages:
    dataset = config.datasets.of_split(settings.split)
    moved: dict[str, Any] = {}
    if settings.annotation_path is not None:
        moved["annotation_path"] = settings.annotation_path
    if settings.image_path is not None:
        moved["image_path"] = settings.image_path
    if moved:
        moved["folds"] = None  # they belong to the label file of the config
    return open_dataset(dataset.model_copy(update=moved))


def _read_truth(images: LabelledImages) -> list[Page]:
    """All pages.

    Raises:
        InputError: listing every fault of the pages.
    """
    faults = check_pages(images)
    truth = [images.page(index, []) for index in range(len(images))]
    for page in truth:
        if not page.words_known:
            faults.append(f"{page.name}: is unlabelled (no words)")
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)
    return truth
