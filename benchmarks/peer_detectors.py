"""Other people's text detectors, each in a virtual environment of its own: what they are, and what they find on pages.

A file of ``peers/detectors`` is one detector. Its head (PEP 723) names the pinned packages that it needs and says what it is, so
``install`` makes its environment from that alone and nothing that hmean needs can clash with it. The detector runs as a program
that knows nothing of hmean; ``find`` keeps what it finds, page by page, and goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from hmean.errors import InputError
from hmean.postprocess.decoding import PageMap
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.runs.predictions import write_predictions
from hmean.types import Detections, Page, Polygons

FOLDER = Path(__file__).parent / "peers" / "detectors"
RUNNER = "runner.py"
NO_WEIGHTS = 3  # exit status of the runner
_HEAD = re.compile(r"(?m)^# /// script$\n(?P<content>(?:^#(?: .*)?$\n)+)^# ///$")


class Peer(Record):
    """What the head of a detector's file says of it."""

    name: str = Field(description="of the file, without its ending")
    title: str = Field(description="for tables")
    kind: Literal["maps", "boxes"] = Field(
        description="maps: gives probability maps, which can be tuned; boxes: text boxes alone"
    )
    input: str = Field(description="how it scales a page, at its defaults")
    requirements: tuple[str, ...] = Field(
        description="pinned packages, in full: they are installed without what they ask for"
    )
    program: str | None = Field(default=None, description="that has to be there, such as one of Debian's packages")
    borrow: bool = Field(default=False, description="whether it finds what it lacks in the environment of hmean: torch")
    postprocess: PostprocessParams | None = Field(default=None, description="its own values, from which tuning starts")


@dataclass(frozen=True)
class FoundPage:
    """What a detector found on a page.

    Attributes:
        detections: text boxes.
        seconds: that it took, with the threads of that run.
        map_file: of its probability map in 8 bits; None: it has none.
    """

    detections: Detections
    seconds: float
    map_file: Path | None


class NotAvailableError(Exception):
    """A detector that cannot be run here; the message says why."""


def read_peer(path: Path) -> Peer:
    """What a detector's file says of it.

    Raises:
        InputError: if its head is missing or wrong.
    """
    match = _HEAD.search(path.read_text(encoding="utf-8"))
    if match is None:
        raise InputError(f"{path}: has no head that says what it needs (# /// script)")
    lines = [line[2:] for line in match["content"].splitlines()]
    head = tomllib.loads("\n".join(lines))
    about = {**head["tool"]["leaderboard"], "name": path.stem, "requirements": head["dependencies"]}
    if "postprocess" in about:
        about["postprocess"] = PostprocessParams.from_dict(about["postprocess"])
    return Peer.model_validate(about)


def peers() -> list[Peer]:
    """All detectors, by name."""
    files = sorted(FOLDER.glob("*.py"))
    return [read_peer(path) for path in files if path.name != RUNNER]


# --- environments -----------------------------------------------------------------------------------------------------


def install(peer: Peer, cache: Path) -> Path:
    """Make a detector's environment under a folder, if it is not there; returns its python.

    Raises:
        NotAvailableError: if a program or a package cannot be had.
    """
    if peer.program is not None and shutil.which(peer.program) is None:
        raise NotAvailableError(f"the program {peer.program} is not installed")
    folder = cache / "venvs" / f"{peer.name}-{_digest(peer.requirements)}"
    python = folder / "bin" / "python"
    is_ready = folder / "ready"
    if is_ready.exists():
        return python
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--"]
    answer = subprocess.run(
        [*command, *peer.requirements], capture_output=True, text=True, env=_environment(), check=False
    )
    if answer.returncode != 0:
        raise NotAvailableError(f"pip cannot install it: {_last_error(answer.stderr)}")
    if peer.borrow:
        packages = next(folder.glob("lib/python*/site-packages"))
        (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    is_ready.touch()
    return python


def _digest(requirements: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]


def _environment() -> dict[str, str]:
    """That of this process without what would lead a detector to hmean's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def _last_error(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("ERROR")]
    if errors:
        return errors[-1]
    return text.strip().splitlines()[-1]


# --- finding ----------------------------------------------------------------------------------------------------------


def find(
    peer: Peer,
    pages: Sequence[tuple[Page, Path]],
    folder: Path,
    cache: Path,
    *,
    threads: int = 1,
    on_page: Callable[[str], object] = print,
) -> dict[str, FoundPage]:
    """What a detector finds on pages; what it has found before is taken over.

    Args:
        peer: the detector.
        pages: with their image files.
        folder: that keeps what it finds: ``predictions.json``, a journal and maps.
        cache: folder of the environments.
        threads: of the detector.
        on_page: called with the name of each page that is done.

    Raises:
        NotAvailableError: if the detector cannot be run here and has not found all of it before.
    """
    keys = {page.name: _key(peer, file) for page, file in pages}
    found = _read_found(folder, keys)
    missing = [(page, file) for page, file in pages if page.name not in found]
    if missing:
        python = install(peer, cache)
        wanted = []
        for page, file in missing:
            wanted.append({"name": page.name, "file": str(file.resolve()), "key": keys[page.name]})
        folder.mkdir(parents=True, exist_ok=True)
        job = (folder / "job.json").resolve()
        job.write_text(
            json.dumps({"threads": threads, "pages": wanted, "out": str(folder.resolve())}), encoding="utf-8"
        )
        _run(peer, [str(python.absolute()), str(FOLDER / f"{peer.name}.py"), "find", str(job)], on_page)
        found = _read_found(folder, keys)
    with write_predictions(folder / "predictions.json") as predictions:
        for page, _ in pages:
            predictions.write(page.name, found[page.name].detections, page.width, page.height)
    return found


def _key(peer: Peer, file: Path) -> str:
    """A hash of what was found depends on: the detector's packages, and the bytes of the image."""
    about = _digest(peer.requirements).encode()
    return hashlib.blake2b(about + b"\0" + file.read_bytes(), digest_size=16).hexdigest()


def _run(peer: Peer, command: Sequence[str], on_page: Callable[[str], object]) -> None:
    log = Path(command[-1]).with_name("log.txt")  # some write files of their own where they stand
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment(), cwd=log.parent
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            on_page(line.strip())
        code = process.wait()
    if code == NO_WEIGHTS:
        raise NotAvailableError("weights not reachable where the page was made")
    if code != 0:
        last = log.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise NotAvailableError(f"{peer.title}: ended with {code}: {''.join(last)}")


def _read_found(folder: Path, keys: dict[str, str]) -> dict[str, FoundPage]:
    """What the journal holds of the pages with these keys; the last line of a killed run may be cut off."""
    journal = folder / "found.jsonl"
    if not journal.exists():
        return {}
    found = {}
    for text in journal.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if keys.get(line["name"]) != line["key"]:
            continue
        boxes = Polygons.of(line["boxes"])
        map_file = None
        if line["has_map"]:
            map_file = folder / "maps" / f"{line['key']}.png"
        detections = Detections(boxes, np.array(line["scores"], dtype=np.float32))
        found[line["name"]] = FoundPage(detections, line["seconds"], map_file)
    return found


def read_map(page: Page, file: Path) -> PageMap:
    """A detector's probability map in 8 bits; it spans the whole page."""
    probability = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if probability is None:
        raise InputError(f"{file}: is damaged or missing; delete the folder and run the command again")
    height, width = probability.shape
    to_page = np.diag([page.width / width, page.height / height, 1.0])
    return PageMap(page.name, np.asarray(probability, dtype=np.uint8), to_page, page.width, page.height)


# --- timing -----------------------------------------------------------------------------------------------------------


@contextmanager
def timer(peer: Peer, cache: Path, threads: int) -> Iterator[Callable[[Path], float]]:
    """Gives a function: milliseconds of one page, image in memory to boxes, in the detector's own process.

    Raises:
        NotAvailableError: if the detector cannot be run here.
    """
    python = install(peer, cache)
    command = [str(python.absolute()), str(FOLDER / f"{peer.name}.py"), "time", str(threads)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(),
        cwd=python.parents[1],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin: Any = process.stdin
    stdout: Any = process.stdout

    def milliseconds(file: Path) -> float:
        stdin.write(f"{file.resolve()}\n")
        stdin.flush()
        return float(stdout.readline())

    try:
        if stdout.readline().strip() != "ready":
            raise NotAvailableError(f"{peer.title}: does not start")
        yield milliseconds
    finally:
        stdin.close()
        process.wait()
        stdout.close()


if __name__ == "__main__":
    for one in peers():
        print(one.name, install(one, Path(sys.argv[1])))
