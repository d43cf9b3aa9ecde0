"""The thread that owns the detector: it decodes the images that wait, and detects on them in batches."""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hmean.geometry import Image
from hmean.images import decode
from hmean.postprocess.parameters import PostprocessParams
from hmean.types import Detections


class Detector(Protocol):
    """What the thread needs of a detector."""

    @property
    def params(self) -> PostprocessParams:
        """The parameters that hold for a request that gives none."""

    def detect(self, images: Sequence[Image], params: PostprocessParams | None = None) -> list[Detections]:
        """Text polygons of each image."""


@dataclass(eq=False)
class Job:
    """One image file to decode and detect on.

    Attributes:
        data: the bytes of the file.
        pixels: of the image, by its header.
        params: post-processing parameters.
        future: brings the text polygons, or the error.
        image: what was decoded; empty until then.
        submitted: ``time.perf_counter()`` when the job was made.
        seconds: how long it waited, was decoded and detected on, by the name of the stage.
    """

    data: bytes
    pixels: int
    params: PostprocessParams
    future: Future[Detections] = field(default_factory=Future)
    image: Image = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    submitted: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchLimits:
    """What one batch may hold.

    Attributes:
        images: at most.
        pixels: of all its images together, at most; a single image may have more.
        wait_s: seconds that the first image waits for others.
    """

    images: int = 8
    pixels: int = 25_000_000
    wait_s: float = 0.003


def ignore_batch(_images: int) -> None:
    """Note nothing."""


class Batcher:
    """One thread that takes jobs in the order of their arrival, in batches. A job that fails fails alone.

    Args:
        detector: used by this thread only.
        limits: of a batch.
        on_batch: called with the number of images of each batch.
    """

    def __init__(
        self, detector: Detector, limits: BatchLimits, on_batch: Callable[[int], object] = ignore_batch
    ) -> None:
        self._detector = detector
        self._limits = limits
        self._on_batch = on_batch
        self._waiting: deque[Job] = deque()
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="detector", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs that no batch has taken yet."""
        return len(self._waiting)

    def submit(self, job: Job) -> None:
        """Queue a job."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()

    def withdraw(self, job: Job) -> None:
        """Forget a job whose result nobody needs. One that is being worked on is finished all the same."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
        job.future.cancel()

    def close(self) -> None:
        """End the thread once all jobs are done. No job may follow."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, at most so many seconds."""
        self._thread.join(timeout)

    def _work(self) -> None:
        while self._wait_for_jobs():
            batch = self._next_batch()
            running = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if running:
                self._on_batch(len(running))
                self._answer(running)

    def _wait_for_jobs(self) -> bool:
        """Wait until a batch may be taken; False when no job is left and none will follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return False
            self._changed.wait_for(self._is_full, self._limits.wait_s)
            return True

    def _next_batch(self) -> list[Job]:
        """Take the jobs of the next batch; none if all have been withdrawn meanwhile."""
        batch: list[Job] = []
        pixels = 0
        with self._changed:
            while self._waiting and len(batch) < self._limits.images:
                pixels += self._waiting[0].pixels
                if batch and pixels > self._limits.pixels:
                    break
                batch.append(self._waiting.popleft())
        return batch

    def _is_full(self) -> bool:
        return self._closed or len(self._waiting) >= self._limits.images

    def _answer(self, batch: Sequence[Job]) -> None:
        """Decode all images of a batch, then detect on those that have the same parameters together."""
        alike: dict[PostprocessParams, list[Job]] = {}
        taken = time.perf_counter()
        for job in batch:
            job.seconds["wait"] = taken - job.submitted
        for job in batch:
            if _decode(job):
                alike.setdefault(job.params, []).append(job)
        for jobs in alike.values():
            self._detect(jobs)

    def _detect(self, jobs: Sequence[Job]) -> None:
        started = time.perf_counter()
        try:
            found = self._detector.detect([job.image for job in jobs], jobs[0].params)
        except Exception as error:  # noqa: BLE001 - whatever an image brings about must not end the thread
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:  # the other images of the batch may be good
                self._detect([job])
            return
        for job, detections in zip(jobs, found, strict=True):
            job.seconds["detect"] = time.perf_counter() - started
            job.future.set_result(detections)


def _decode(job: Job) -> bool:
    """Decode the image of a job; False if that failed, which ends the job."""
    started = time.perf_counter()
    try:
        job.image = decode(io.BytesIO(job.data)).image
    except Exception as error:  # noqa: BLE001 - whatever a strange file brings about must not end the thread
        job.future.set_exception(error)
        return False
    job.seconds["decode"] = time.perf_counter() - started
    return True
