"""``hmean serve`` as an ASGI app: finds text on the image of a request. Knows no file, no settings and no server.

A request passes through ``Guard`` (key, free place, size and arrival of its body) and ``RequestReader`` (kind of body,
parameters). Then its image is judged by its header, and waits for its turn in the ``Batcher``. Whatever is wrong on the
way is answered with a ``Refusal``.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import HTTPBearer
from pydantic import Field
from starlette.requests import HTTPConnection

from hmean import __version__
from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams
from hmean.records import Record
from hmean.types import Detections
from hmean.web.batcher import Batcher, BatchLimits, Detector, Job
from hmean.web.detect_request import DetectRequest, RequestReader
from hmean.web.guard import BodyLimits, BodyMemory, Guard, RequestNote, client_has_left, note_of
from hmean.web.image_check import count_pixels
from hmean.web.metrics import CONTENT_TYPE, ServiceMetrics
from hmean.web.refusals import RefusalError, answer_refusals, refusal_docs

log = logging.getLogger("hmean.serve")

PATHS = ("/detect", "/health", "/metrics")  # any other is "other" in log and metrics: a path may hold secrets
PROTECTED = ("/detect", "/metrics")
STOP_S = 5.0  # for the detector to finish a batch that nobody waits for any more
HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


@dataclass(frozen=True)
class Limits:
    """Limits of one request, and of all together.

    Attributes:
        max_bytes: of a body.
        max_pixels: of an image, and of all images of a batch.
        places: requests that wait or are worked on. All bodies together, those being read among them, take at most
            places x max_bytes of memory.
        batch: images of one call of the detector.
        wait_s: seconds that the first image of a batch waits for others.
        timeout_s: seconds for a body to arrive, and again for its answer.
        grace_s, least_rate: see ``BodyLimits``.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 25_000_000
    places: int = 64
    batch: int = 8
    wait_s: float = 0.003
    timeout_s: float = 30.0
    grace_s: float = 5.0
    least_rate: int = 5_000

    @property
    def of_body(self) -> BodyLimits:
        """Limits of a body."""
        return BodyLimits(self.max_bytes, self.timeout_s, self.grace_s, self.least_rate)

    @property
    def of_batch(self) -> BatchLimits:
        """Limits of a batch."""
        return BatchLimits(self.batch, self.max_pixels, self.wait_s)


class FoundWord(Record):
    """A text polygon."""

    points: list[tuple[float, float]] = Field(description="its corners in pixels of the upright image")
    score: float = Field(description="how sure the detector is, 0 to 1")


class DetectAnswer(Record):
    """The text polygons of an image, as an entry of a UFO file, and how they were found."""

    img_w: int = Field(description="width of the upright image")
    img_h: int = Field(description="height of the upright image")
    words: dict[str, FoundWord] = Field(description="the text polygons, in falling order of score")
    postprocess: PostprocessParams = Field(description="the post-processing parameters that were used")
    timing_ms: dict[str, float] = Field(description="milliseconds by stage: read, wait, decode, detect, total")


class HealthAnswer(Record):
    """Whether the service takes requests."""

    status: Literal["ready"] = Field(description="ready")
    version: str = Field(description="of hmean")


class Service:
    """State of one app: its places, its bodies, its metrics, and the thread that owns the detector.

    Attributes:
        limits: of requests.
        key: what ``Authorization: Bearer`` must bring to the protected paths; None lets everyone in.
        memory: of the bodies.
        metrics: of the answers.
        places_used: requests that wait or are worked on.
        batcher: the thread; only while the app runs.
    """

    batcher: Batcher

    def __init__(self, detector: Detector, limits: Limits, key: str | None) -> None:
        self.limits = limits
        self.key = key
        self.memory = BodyMemory(limits.places * limits.max_bytes)
        self.metrics = ServiceMetrics()
        self.places_used = 0
        self._detector = detector
        self._reader = RequestReader(detector.params)
        self.metrics.watch("hmean_places_used", "Requests waiting or worked on", lambda: self.places_used)
        self.metrics.watch("hmean_places", "Places", lambda: limits.places)
        self.metrics.watch("hmean_waiting", "Images that no batch has taken yet", lambda: self.batcher.waiting)
        self.metrics.watch("hmean_reading", "Requests whose body is being read", lambda: self.memory.reading)
        self.metrics.watch("hmean_held_bytes", "Bytes of bodies in memory", lambda: self.memory.held)

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Hold the detector's thread while the app runs."""
        self.batcher = Batcher(self._detector, self.limits.of_batch, self.metrics.batches.observe)
        yield
        self.batcher.close()
        await asyncio.to_thread(self.batcher.join, STOP_S)

    def openapi(self) -> dict[str, Any]:
        """OpenAPI's description of a request to /detect."""
        return self._reader.openapi()

    def admit(self, request: HTTPConnection) -> None:
        """Refuse a request without the key, and an image where no place is free, before the body is read.

        Raises:
            RefusalError: if it is not served.
        """
        path = request.scope["path"]
        if path in PROTECTED and self.key is not None:
            given = request.headers.get("authorization", "")
            if not _is_bearer(given, self.key):
                raise RefusalError("key", "send the key of this server: Authorization: Bearer KEY")
        if path == "/detect":
            self._require_place()

    def done(self, note: RequestNote) -> None:
        """Count and log a request: neither content nor names of files."""
        path = note.path if note.path in PATHS else "other"
        self.metrics.answers.labels(path, str(note.status)).inc()
        fields = {"id": note.id, "method": note.method, "path": path, "status": note.status, **note.details}
        fields["ms"] = round(1e3 * note.seconds, 2)
        log.info("request", extra={"fields": fields})

    async def answer(self, request: Request) -> DetectAnswer:
        """Detect on the image of a request.

        Raises:
            RefusalError: if it is not served.
        """
        wanted = await self._reader.read(request)
        with self._place():
            return await self._detect(request, wanted)

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold a place. It is taken once a body is there, so that slow clients hold none."""
        self._require_place()
        self.places_used += 1
        try:
            yield
        finally:
            self.places_used -= 1

    def _require_place(self) -> None:
        if self.places_used >= self.limits.places:
            raise RefusalError("busy", f"all {self.limits.places} places are taken")

    async def _detect(self, request: Request, wanted: DetectRequest) -> DetectAnswer:
        note = note_of(request)
        pixels = await asyncio.to_thread(count_pixels, wanted.image, self.limits.max_pixels)
        note.details |= {"bytes": len(wanted.image), "pixels": pixels}
        job = Job(wanted.image, pixels, wanted.params)
        read_s = job.submitted - note.started
        self.batcher.submit(job)
        found = await self._result(job, request)
        seconds = {"read": read_s, **job.seconds, "total": note.seconds}
        note.details["words"] = len(found)
        self.metrics.served(seconds, len(found))
        return _describe(found, job, seconds)

    async def _result(self, job: Job, request: Request) -> Detections:
        """What a job finds, unless its client leaves or it takes too long.

        Raises:
            RefusalError: if there is no result, or the image is damaged.
        """
        result = asyncio.wrap_future(job.future)
        left = asyncio.create_task(client_has_left(request.receive))
        either: list[asyncio.Future[Any]] = [result, left]
        try:
            await asyncio.wait(either, timeout=self.limits.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            if left.done():
                raise RefusalError("gone", "the client has left")
            raise RefusalError("late", f"not done within {self.limits.timeout_s:g} s")
        except InputError as error:  # "<image>: what is wrong with it"
            raise RefusalError("invalid", f"image: {str(error).partition(': ')[2]}") from error
        finally:
            left.cancel()
            result.cancel()
            self.batcher.withdraw(job)


def _is_bearer(authorization: str, key: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), key.encode())


def _describe(found: Detections, job: Job, seconds: dict[str, float]) -> DetectAnswer:
    height, width = job.image.shape[:2]
    timing = {stage: round(1e3 * value, 2) for stage, value in seconds.items()}
    return DetectAnswer(**found.to_ufo(width, height), postprocess=job.params, timing_ms=timing)


def create_app(detector: Detector, limits: Limits | None = None, key: str | None = None) -> FastAPI:
    """The service as an ASGI app; ``app.state.service`` is its ``Service``.

    Args:
        detector: used by one thread only.
        limits: of requests.
        key: what ``Authorization: Bearer`` must bring to /detect and /metrics; None lets everyone in.
    """
    service = Service(detector, limits or Limits(), key)
    app = FastAPI(title="hmean", version=__version__, docs_url=None, redoc_url=None, lifespan=service.lifespan)
    app.state.service = service
    app.add_middleware(
        Guard,
        admit=service.admit,
        limits=service.limits.of_body,
        memory=service.memory,
        headers=HEADERS,
        done=service.done,
    )
    answer_refusals(app)
    _add_routes(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    # The guard checks the key before a body is read; for FastAPI it is only a line of the OpenAPI document.
    documented_key = []
    if service.key is not None:
        documented_key.append(Depends(HTTPBearer(auto_error=False)))

    @app.post(
        "/detect",
        responses=refusal_docs(401, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra=service.openapi(),
        dependencies=documented_key,
    )
    async def detect(request: Request) -> DetectAnswer:
        """Find text on an image; options in the query, or in the form or JSON beside it."""
        return await service.answer(request)

    @app.get("/health")
    @app.head("/health", include_in_schema=False)
    async def health() -> HealthAnswer:
        """Whether requests are taken."""
        return HealthAnswer(status="ready", version=__version__)

    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @app.get(
        "/metrics", response_class=Response, responses={200: text, **refusal_docs(401)}, dependencies=documented_key
    )
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)
