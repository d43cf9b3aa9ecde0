"""``hmean studio``: a page on loopback that shows what models found, follows the knobs, and keeps the values chosen."""

from __future__ import annotations

import functools
import hmac
import json
import os
import secrets
import select
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydantic

from hmean import __version__
from hmean.data.check import check_pages
from hmean.data.pages import LabelledImages
from hmean.errors import InputError
from hmean.images import read_image
from hmean.metrics.breakdown import EDGES
from hmean.metrics.scorer import choose_characters
from hmean.postprocess.parameters import PARAMETERS, Parameter, PostprocessParams
from hmean.runs.carried import read_carried
from hmean.runs.folder import RunFolder, load_yaml, model_of
from hmean.runs.maps import MapStore, map_settings
from hmean.runs.pictures import jpeg, shrunk
from hmean.runs.scores import Scores
from hmean.settings.build import open_pages
from hmean.settings.config import Config, PostprocessConfig, _Strict, _word
from hmean.tuning.grids import SettingScores, gain_of
from hmean.types import Pad, Polygons, View
from hmean.web.studio_scores import FAULTS, Model, SetResult, Superseded, text_heights

ASSETS = {"": ("studio.html", "text/html"), "studio.css": ("studio.css", "text/css"),
          "studio.js": ("studio.js", "text/javascript")}  # fmt: skip
LONG_SIDE = 2560  # of the pictures of pages
BODY = 2**16  # bytes of a request, at most
DRAWS = 2000  # resamples of an interval that follows a slider
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(eq=False)
class Run:
    """One model: where it lies, its maps, what its checkpoint holds now, and what it has seen of the pages."""

    folder: Path
    weights_hash: str
    model: Model
    saved: PostprocessParams
    history: list[dict[str, Any]]
    influenced_by: dict[str, int]


@dataclass(eq=False)
class Studio:
    """The runs that are shown, on the same pages."""

    part: str
    pages: LabelledImages
    runs: list[Run]
    long_side: int
    saving: threading.Lock = field(default_factory=threading.Lock)

    def about(self) -> dict[str, Any]:
        """What does not change with the knobs."""
        pages = []
        for page in self.runs[0].model.truth:
            heights = text_heights(page, self.long_side)
            pages.append({
                "name": page.name, "width": page.width, "height": page.height, "group": page.group,
                "words": len(heights), "text": round(float(np.median(heights)), 1) if len(heights) else None,
                "bins": np.unique(np.searchsorted(EDGES["height"], heights, side="right")).tolist(),
            })  # fmt: skip
        return {"version": __version__, "part": self.part, "characters": self.runs[0].model.characters,
                "faults": FAULTS, "edges": EDGES["height"], "pages": pages,
                "parameters": [shown(parameter) for parameter in PARAMETERS.values()],
                "runs": [self.run_about(run) for run in self.runs]}  # fmt: skip

    def run_about(self, run: Run) -> dict[str, Any]:
        """A run's values and their history."""
        return {"name": run.folder.name, "saved": run.saved.to_dict(), "history": run.history,
                "influenced_by": run.influenced_by}  # fmt: skip

    def truth(self, index: int) -> list[dict[str, Any]]:
        """The words of a page."""
        page = self.runs[0].model.truth[index]
        words = zip(outlines(page.polygons), page.texts, page.ignored.tolist(), strict=True)
        return [{"points": points, "text": text, "ignored": ignored} for points, text, ignored in words]

    def page(self, ask: PageAsk) -> dict[str, Any]:
        """Regions, faults and scores of one page at a setting."""
        model = self.runs[ask.run].model
        result = model.page(ask.page, ask.postprocess.params())
        scores, kinds = result.found.scores.tolist(), result.of_regions.tolist()
        return {
            "regions": [
                {"points": points, "score": round(score, 4), "fault": fault}
                for points, score, fault in zip(outlines(result.found.polygons), scores, kinds, strict=True)
            ],
            "words": result.of_words.tolist(),
            "to_page": model.map(model.truth[ask.page]).to_page.tolist(),
            **{name: vars(getattr(result, name)) for name in ("prh", "iou50", "iou70")},
        }

    def score(self, ask: ScoreAsk, gone: Callable[[], bool]) -> dict[str, Any]:
        """Scores of all pages with each run's setting, against its saved values and against the first run."""
        found = [run.model.score(p.params(), gone) for run, p in zip(self.runs, ask.postprocess, strict=True)]
        saved = [run.model.score(run.saved, gone) for run in self.runs]
        rows = [self._scored(*pair) for pair in zip(found, saved, strict=True)]
        between = gain(found[1].at_setting(), found[0].at_setting()) if len(found) > 1 else None
        return {"runs": rows, "between": between}

    def _scored(self, now: SetResult, saved: SetResult) -> dict[str, Any]:
        prh, faults = now.pages()
        pages = [[*np.round(a, 5).tolist(), *b] for a, b in zip(prh, faults.tolist(), strict=True)]
        return {"now": self.total(now.at_setting()), "saved": self.total(saved.at_setting()),
                "gain": gain(now.at_setting(), saved.at_setting()), "pages": pages,
                "curve": np.round(now.curve(), 5).tolist()}  # fmt: skip

    def total(self, scores: SettingScores) -> dict[str, Any]:
        """The layout that ``hmean score`` prints."""
        model = self.runs[0].model
        return scores.scorer([page.name for page in model.truth], model.characters).compute().to_dict()

    def save(self, ask: SaveAsk) -> dict[str, Any]:
        """Put values into a run's checkpoint and ``tuned.json``; the run's record then.

        Raises:
            InputError: if that cannot be done.
        """
        run, params = self.runs[ask.run], ask.postprocess.params()
        try:
            from hmean.commands import tune  # noqa: PLC0415 - torch, which writes checkpoints, is not needed to look
        except ImportError as error:
            raise InputError(
                f"saving into a checkpoint needs {error.name}; install it with: pip install 'hmean[train]'"
            ) from error
        with self.saving:
            before, after = (run.model.score(p).at_setting() for p in (run.saved, params))
            best = RunFolder(run.folder).best
            tune.keep(best, run.weights_hash, self.part, self.pages, before, after, run.model.characters)
            run.saved, run.history = saved_values(best)
        return self.run_about(run)

    @functools.lru_cache(maxsize=32)  # noqa: B019 - one studio lives as long as its process
    def picture(self, index: int) -> bytes:
        """A page as a JPEG file."""
        return jpeg(shrunk(read_image(self.pages.file(index)), LONG_SIDE)[0])

    def map_picture(self, run: int, index: int) -> bytes:
        """The probability map of a page as a PNG file: the likelier, the less transparent."""
        model = self.runs[run].model
        probability = model.map(model.truth[index]).probability
        tinted = np.full((*probability.shape, 4), (200, 120, 0, 0), dtype=np.uint8)
        tinted[..., 3] = probability
        return cv2.imencode(".png", tinted, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


class SaveAsk(_Strict):
    """Values for a run."""

    run: int
    postprocess: PostprocessConfig


class PageAsk(SaveAsk):
    """Values for a page of a run."""

    page: int


class ScoreAsk(_Strict):
    """Values of each run."""

    postprocess: list[PostprocessConfig]


def shown(parameter: Parameter) -> dict[str, Any]:
    """How the page shows a parameter: as a slider, or as a list of choices."""
    about = {"name": parameter.name, "help": parameter.help, "unclip": parameter.unclip}
    if parameter.slider is not None:
        return {**about, "slider": asdict(parameter.slider)}
    labels = parameter.labels or parameter.choices
    return {**about, "choices": list(zip(parameter.choices, labels, strict=True))}


def gain(of: SettingScores, over: SettingScores) -> dict[str, Any] | None:
    """Difference of macro H with its interval; None between equals."""
    same = of.settings == over.settings and np.array_equal(of.counts, over.counts)
    return None if same else gain_of(of, over, {"macro": 1.0}, draws=DRAWS)


def outlines(polygons: Polygons) -> list[list[float]]:
    """Each polygon as x y x y ..., in tenths of a pixel."""
    return [np.round(polygon, 1).ravel().tolist() for polygon in polygons]


# --- files ----------------------------------------------------------------------------------------------------------


def open_studio(folders: Sequence[str], part: str = "val", **labels: str) -> Studio:
    """The runs in these folders, on the pages of the first one.

    Args:
        folders: one run, or two to compare.
        part: which pages: val, test or train.
        labels: ``annotation_path`` and ``image_path`` where the pages are not where the run's config says.

    Raises:
        InputError: if a folder is no run, its maps are not there, or the pages have faults.
    """
    if len(folders) not in (1, 2):
        raise InputError("hmean studio takes one run folder, or two to compare")
    if part not in ("val", "test", "train"):
        raise InputError(f"evaluate_on={part}: must be val, test or train")
    paths = [run_folder(Path(folder)) for folder in folders]
    configs = [Config.model_validate(load_yaml(path / "config.yaml")) for path in paths]
    dataset = getattr(configs[0].datasets, f"{part}_dataset")
    pages = open_pages(dataset.model_copy(update={**labels, **({"split": None} if labels else {})}))
    faults = check_pages(pages)
    truth = [pages.page(i, []) for i in range(len(pages))]
    faults += [f"{page.name}: is unlabelled (no words)" for page in truth if not page.words_known]
    if faults:
        raise InputError.listing("The data set has faults (hmean data check lists all of them):", faults)
    runs = []
    for path, config in zip(paths, configs, strict=True):
        store, record = find_store(path, config.transforms.pad, pages, part)
        model = Model(truth, store.read, choose_characters(truth), threads=os.cpu_count() or 1)
        influenced = record["influenced_by"] if record.get("data_hash") == pages.fingerprint() else {}
        runs.append(Run(path, record["weights_hash"], model, *saved_values(RunFolder(path).best), influenced))
    return Studio(part, pages, runs, configs[0].transforms.long_side)


def run_folder(path: Path) -> Path:
    """The run that a folder is, or that a campaign decided for."""
    model = model_of(path)
    folder = model.parent.parent
    if model.suffix != ".ckpt" or not (folder / "config.yaml").is_file():
        raise InputError(f"{path}: is no run folder (it has no config.yaml)")
    return folder


def find_store(folder: Path, pad: Pad, pages: LabelledImages, part: str) -> tuple[MapStore, dict[str, Any]]:
    """A run's maps of all pages, and the ``scores.json`` that says of which weights and preprocessing they are."""
    images = {pages.name(i): pages.file(i) for i in range(len(pages))}
    least, chosen = len(images) + 1, None
    records = [
        Scores.read(path).to_json()
        for path in (folder / "scores.json", *sorted(folder.glob("*/scores.json")))
        if path.is_file()
    ]
    for record in sorted(records, key=lambda record: record.get("split") != part):
        maps = folder / "maps" / f"best-{record['weights_hash'][:12]}"
        store = MapStore(maps, map_settings(record["weights_hash"], View(record["long_side"], pad)), images)
        missing = sum(name not in store for name in images)
        if missing < least:
            least, chosen = missing, (store, record)
    if chosen is None or least:
        raise InputError(
            f"{folder}: has no maps of {min(least, len(images))} of the {len(images)} pages; make them with: "
            f"hmean evaluate run={folder} evaluate_on={part} (and dataset_base_path, as in its training)"
        )
    return chosen


def saved_values(checkpoint: Path) -> tuple[PostprocessParams, list[dict[str, Any]]]:
    """Post-processing values of a checkpoint, and the earlier ones, the latest first."""
    carried = read_carried(checkpoint)
    earlier = [change.model_dump(mode="json", exclude={"pages"}) for change in carried.history]
    return carried.postprocess, earlier[::-1]


# --- HTTP -----------------------------------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Serves one studio to one person: on loopback only, under a path that holds a secret."""

    daemon_threads = True

    def __init__(self, studio: Studio, port: int = 0) -> None:
        self.studio, self.token = studio, secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"port={port}: cannot be listened on ({error})") from error

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Assets, pictures, and what does not change."""
        self._guarded(self._get)

    def do_POST(self) -> None:
        """What depends on the knobs."""
        self._guarded(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Stay quiet: the terminal shows the address."""

    def _guarded(self, answer: Callable[[list[str]], None]) -> None:
        # A page elsewhere can reach this port: by a name of its own that leads here (hence Host), or blindly (token).
        host, _, _ = self.headers.get("Host", "").partition(":")
        token, *route = self.path.partition("?")[0].removeprefix("/").split("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if not known or host not in ("127.0.0.1", "localhost"):
            self._fail(403, "not the address that hmean studio printed")
            return
        try:
            answer(route)
        except InputError as error:
            self._fail(400, str(error))
        except pydantic.ValidationError as error:
            self._fail(400, "; ".join(_word(detail) for detail in error.errors()))
        except (Superseded, ConnectionError, TimeoutError):
            self.close_connection = True

    def _get(self, route: list[str]) -> None:
        studio = self.server.studio
        match route:
            case [name] if name in ASSETS:
                asset, kind = ASSETS[name]
                self._send(200, (files("hmean.web") / "static" / asset).read_bytes(), f"{kind}; charset=utf-8")
            case ["about"]:
                self._json(studio.about())
            case ["truth", page]:
                self._json(studio.truth(self._index(page, len(studio.pages), "page")))
            case ["image", page]:
                self._send(200, studio.picture(self._index(page, len(studio.pages), "page")), "image/jpeg", keep=True)
            case ["map", run, page]:
                indices = self._index(run, len(studio.runs), "run"), self._index(page, len(studio.pages), "page")
                self._send(200, studio.map_picture(*indices), "image/png", keep=True)
            case _:
                self._fail(404, "there is no such thing here")

    def _post(self, route: list[str]) -> None:
        studio, body = self.server.studio, self._body()
        match route:
            case ["page"]:
                ask = PageAsk.model_validate(body)
                self._index(ask.page, len(studio.pages), "page")
                self._index(ask.run, len(studio.runs), "run")
                self._json(studio.page(ask))
            case ["score"]:
                both = ScoreAsk.model_validate(body)
                if len(both.postprocess) != len(studio.runs):
                    raise InputError(
                        f"postprocess: one for each of {len(studio.runs)} runs, got {len(both.postprocess)}"
                    )
                self._json(studio.score(both, self._gone))
            case ["save"]:
                values = SaveAsk.model_validate(body)
                self._index(values.run, len(studio.runs), "run")
                self._json(studio.save(values))
            case _:
                self._fail(404, "there is no such thing here")

    def _body(self) -> Any:
        if self.headers.get_content_type() != "application/json":
            raise InputError("Content-Type: must be application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY:
            raise InputError(f"Content-Length: must be at most {BODY}, got {length!r}")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:
            raise InputError(f"the body is not JSON ({error})") from error

    @staticmethod
    def _index(value: str | int, count: int, what: str) -> int:
        if not str(value).isdecimal() or int(value) >= count:
            raise InputError(f"{what}: must be 0..{count - 1}, got {value!r}")
        return int(value)

    def _gone(self) -> bool:
        """Whether the browser has closed the connection, as it does with a request that it no longer needs."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value, allow_nan=False).encode(), "application/json")

    def _fail(self, status: int, message: str) -> None:
        self.close_connection = True  # what is left of the body is not read
        self._send(status, json.dumps({"error": message}).encode(), "application/json")

    def _send(self, status: int, data: bytes, kind: str, *, keep: bool = False) -> None:
        self.send_response(status)
        headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(len(data)),
                   "Cache-Control": "private, max-age=86400" if keep else "no-store"}  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def run(folders: Sequence[str], overrides: Sequence[str], announce: Callable[[str], object] = print) -> None:
    """Serve the page until interrupted.

    Args:
        folders: one run, or two.
        overrides: ``evaluate_on``, ``port``, ``annotation_path``, ``image_path`` as key=value.
        announce: told the address.

    Raises:
        InputError: as ``open_studio`` does, and if an override is none of these.
    """
    values = dict(override.split("=", 1) for override in overrides)
    unknown = set(values) - {"evaluate_on", "port", "annotation_path", "image_path"}
    port = values.pop("port", "0")
    if unknown or not port.isdecimal():
        raise InputError(
            f"{', '.join(sorted(unknown)) or f'port={port}'}: hmean studio takes run folders, "
            "evaluate_on=val|test|train, port=NUMBER, annotation_path=FILE and image_path=FOLDER"
        )
    studio = open_studio(folders, values.pop("evaluate_on", "val"), **values)
    for shown in studio.runs:
        shown.model.score(shown.saved)  # reads the maps, so that the first page need not wait
    with Server(studio, int(port)) as server:
        announce(f"{server.url}\nOpen this address in a browser on this machine; Ctrl-C ends the studio.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # how it is meant to end
            return
