"""What every detector here shares: pages in, a journal of boxes and probability maps out; or the time of single pages.

It runs in the detector's own virtual environment, without hmean: Python's library, NumPy and OpenCV are all it needs.

usage: python DETECTOR.py find JOB.json     {"threads": 1, "pages": [{"name", "file", "key"}, ...], "out": FOLDER}
       python DETECTOR.py time THREADS      then files on standard input, one a line; milliseconds come back

``find`` adds a line of JSON to OUT/found.jsonl for each page, and OUT/maps/KEY.png where the detector has a probability map.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np


class Found(NamedTuple):
    """What a detector finds on a page.

    Attributes:
        boxes: corners (n, 2) of each text box, pixels of the page.
        scores: of the boxes, in [0, 1]; None: it gives none.
        probability: map (h, w) in [0, 1] that the boxes were made from, which spans the whole page; None: there is none.
    """

    boxes: Sequence[Any]
    scores: Sequence[float] | None = None
    probability: Any = None


Detector = Callable[[Any], Found]  # of an image (h, w, 3), uint8 BGR


def main(make: Callable[[int], Detector]) -> None:
    """Do what the command line asks for; ``make`` gets the number of threads."""
    if sys.argv[1] == "time":
        threads = int(sys.argv[2])
    else:
        job = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        threads = job["threads"]
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a detector prints is no answer
    _limit_threads(threads)
    detect = make(threads)
    if sys.argv[1] == "time":
        _time(detect, answers)
    else:
        _find(detect, job["pages"], Path(job["out"]), answers)


def _limit_threads(threads: int) -> None:
    """For OpenCV, OpenMP and every session of ONNX Runtime, whatever the detector asks for."""
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    cv2.setNumThreads(threads)
    try:
        import onnxruntime  # noqa: PLC0415 - not every detector has it
    except ImportError:
        return

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, model: Any, sess_options: Any = None, *others: Any, **more: Any) -> None:
            options = sess_options or onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            super().__init__(model, options, *others, **more)

    onnxruntime.InferenceSession = Session


def read(file: str) -> Any:
    """The upright image, BGR.

    Raises:
        ValueError: if it cannot be read.
    """
    image = cv2.imread(file, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{file}: cannot be read")
    return image


def _find(detect: Detector, pages: Sequence[dict[str, str]], out: Path, answers: Any) -> None:
    (out / "maps").mkdir(parents=True, exist_ok=True)
    with (out / "found.jsonl").open("a", encoding="utf-8") as journal:
        journal.write("\n")  # ends the line of a run that was killed while it wrote
        for page in pages:
            image = read(page["file"])
            height, width = image.shape[:2]
            start = time.perf_counter()
            found = detect(image)
            seconds = time.perf_counter() - start
            has_map = found.probability is not None
            if has_map:
                pixels = np.round(np.clip(found.probability, 0, 1) * 255).astype(np.uint8)
                part = out / "maps" / f"{page['key']}.part.png"
                cv2.imwrite(str(part), pixels)
                part.rename(out / "maps" / f"{page['key']}.png")
            scores = found.scores
            if scores is None:
                scores = [1.0] * len(found.boxes)
            line = {
                "name": page["name"],
                "key": page["key"],
                "width": width,
                "height": height,
                "seconds": round(seconds, 4),
                "has_map": has_map,
                "boxes": [np.asarray(box, dtype=np.float64).round(2).tolist() for box in found.boxes],
                "scores": [round(min(max(float(score), 0.0), 1.0), 5) for score in scores],
            }
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            print(page["name"], file=answers, flush=True)


def _time(detect: Detector, answers: Any) -> None:
    images: dict[str, Any] = {}
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        file = line.strip()
        if file not in images:
            images[file] = read(file)
            detect(images[file])  # the first call of a size is slower
        start = time.perf_counter()
        detect(images[file])
        print(1000 * (time.perf_counter() - start), file=answers, flush=True)


NO_WEIGHTS = 3  # the exit status of a detector whose weights cannot be downloaded


@contextmanager
def downloading() -> Iterator[None]:
    """Ends the program with ``NO_WEIGHTS`` if what is made here cannot fetch its weights."""
    socket.setdefaulttimeout(20)
    try:
        yield
    except OSError as error:  # also those of urllib and requests
        print(f"weights not reachable: {error}", file=sys.stderr)
        raise SystemExit(NO_WEIGHTS) from error
    finally:
        socket.setdefaulttimeout(None)


def of_fractions(words_of: Callable[[Any], Any]) -> Detector:
    """Of a predictor that takes RGB and gives boxes (n, 5): left, top, right, bottom as fractions of the page, and a score."""

    def detect(image: Any) -> Found:
        height, width = image.shape[:2]
        answer = words_of(np.ascontiguousarray(image[:, :, ::-1]))
        if isinstance(answer, dict):
            answer = answer["words"]
        boxes = []
        for x0, y0, x1, y1 in np.asarray(answer)[:, :4] * (width, height, width, height):
            boxes.append([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        return Found(boxes, np.asarray(answer)[:, 4].tolist())

    return detect


class KeepsLast:
    """Wraps a network's session, and keeps what it gave last."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self.last: Any = None

    def __call__(self, *inputs: Any, **more: Any) -> Any:
        """What the session gives."""
        self.last = self._run(*inputs, **more)
        return self.last
