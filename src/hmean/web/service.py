"""A detector behind HTTP: batches, limits, refusals, metrics. Knows no file, no config and no server.

A request needs the key (401), a body of a known kind (415) within limits of bytes (413) and time (408), options in
range (422), then a place (429; 503 when stopping), and an image of few enough pixels by its header (413; 422 if it is
none). Then one thread, which alone decodes and runs the detector, answers it in a batch, or too late (503).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import io
import logging
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Any

import numpy as np
import PIL.Image
import pydantic
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import WithJsonSchema
from pydantic_core import from_json
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from hmean import __version__
from hmean.errors import InputError
from hmean.geometry import Image
from hmean.images import decode
from hmean.inference.detector import TextDetector
from hmean.postprocess.parameters import PARAMETERS, PostprocessParams, present_names
from hmean.types import Detections

log = logging.getLogger("hmean.serve")
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
MAX_SIDE = 32_000  # OpenCV warps no image with a side of 2^15
MAX_SCANS = 100  # encoders write about 10 into a progressive JPEG; thousands take hours to decode


def _whole(value: object) -> object:
    """7.0 is an integer in JSON Schema, and some clients write one so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_EXAMPLE = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAAEUlEQVR42mP8z8DAwMQwaAkAswEBP25AfJYAAAAASUVORK5CYII="

_BEARER = HTTPBearer(auto_error=False)


@dataclass(frozen=True)
class Limits:
    """Of one request, and of all together.

    Attributes:
        max_bytes: of a body.
        max_pixels: of an image, and of all that are decoded at a time.
        places: requests that wait or are worked on; all bodies, those being read among them, take places x max_bytes
            at most.
        readers: requests whose bodies are being read.
        batch: images in one call of the detector.
        wait_s: how long the first of a batch waits for others.
        timeout_s: for a body to arrive, and again for its answer.
        grace_s: a body has so long,
        least_rate: and a second more for each so many bytes that have come.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 25_000_000
    places: int = 64
    readers: int = 256
    batch: int = 8
    wait_s: float = 0.003
    timeout_s: float = 30.0
    grace_s: float = 5.0
    least_rate: int = 5_000


class RefusalError(HTTPException):
    """A request that is not served: its status, one word for programs, and every fault for people."""

    def __init__(self, status: int, error: str, *faults: str) -> None:
        headers = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}
        super().__init__(status, error, headers.get(status))
        self.faults = faults


# --- the thread that owns the detector ------------------------------------------------------------------------------


@dataclass(eq=False)
class Job:
    """A file to decode and detect on; ``future`` brings the regions; ``image`` and ``seconds`` of stages stay here."""

    data: bytes
    pixels: int
    params: PostprocessParams
    image: Image = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    future: Future[Detections] = field(default_factory=Future)
    arrived: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)


class Batcher:
    """One thread that takes jobs in the order they came, in batches; a job that fails takes no other with it."""

    def __init__(self, detector: TextDetector, limits: Limits, note: Callable[[int], object] = lambda _: None) -> None:
        self._detector, self._limits, self._note = detector, limits, note
        self._jobs: deque[Job | None] = deque()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="detector", daemon=True)
        self._thread.start()

    def submit(self, job: Job | None) -> None:
        """Queue a job; cancelling its future before its turn saves the work. None, the last, ends the thread."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def _loop(self) -> None:
        while jobs := self._take():
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if jobs:
                self._note(len(jobs))
            for job in jobs:
                job.seconds["wait"] = time.perf_counter() - job.arrived
            self._work(jobs)

    def _take(self) -> list[Job]:
        limits, taken, pixels = self._limits, list[Job](), 0
        with self._changed:
            self._changed.wait_for(lambda: self._jobs)
            self._changed.wait_for(lambda: len(self._jobs) >= limits.batch or self._jobs[-1] is None, limits.wait_s)
            while self._jobs and (job := self._jobs[0]) is not None and len(taken) < limits.batch:
                pixels += job.pixels
                if taken and pixels > limits.max_pixels:
                    break
                self._jobs.popleft()
                taken.append(job)
        return taken

    def _work(self, jobs: Sequence[Job]) -> None:
        alike: dict[PostprocessParams, list[Job]] = {}
        for job in jobs:
            start = time.perf_counter()
            try:
                job.image = decode(io.BytesIO(job.data)).image
            except Exception as error:  # noqa: BLE001 - whatever a strange file brings about is its request's alone
                job.future.set_exception(error)
            else:
                job.seconds["decode"] = time.perf_counter() - start
                alike.setdefault(job.params, []).append(job)
        for same in alike.values():
            self._detect(same)

    def _detect(self, jobs: Sequence[Job]) -> None:
        start = time.perf_counter()
        try:
            found = self._detector.detect([job.image for job in jobs], jobs[0].params)
        except Exception as error:  # noqa: BLE001 - likewise
            for job in jobs if len(jobs) > 1 else ():
                self._detect([job])
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            return
        for job, regions in zip(jobs, found, strict=True):
            job.seconds["detect"] = time.perf_counter() - start
            job.future.set_result(regions)


# --- what a request says --------------------------------------------------------------------------------------------


def _from_base64(value: object) -> object:
    if value is None:
        raise ValueError("is missing")
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError("is not base64") from error


_Bytes = Annotated[
    bytes,
    pydantic.BeforeValidator(_from_base64),
    WithJsonSchema({"type": "string", "format": "byte", "description": f"a file: {', '.join(FORMATS)}"}),
]


class _Form(MultiPartParser):
    spool_max_size = sys.maxsize  # in memory, which the limits bound: there may be no disk to write to


def request_model(params: PostprocessParams) -> type[pydantic.BaseModel]:
    """The record of a request: ``image`` and the knobs, with ``params`` as defaults."""
    config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)
    fields: dict[str, Any] = {"image": (_Bytes, ...)}
    for name, parameter in PARAMETERS.items():
        kind = parameter.annotation(in_request=True)
        if parameter.type is int:
            kind = Annotated[kind, pydantic.BeforeValidator(_whole)]
        fields[name] = (kind, getattr(params, name))
    return pydantic.create_model("DetectRequest", __config__=config, **fields)


def params_of(asked: pydantic.BaseModel, otherwise: PostprocessParams) -> PostprocessParams:
    """The values asked for, as ``PostprocessParams.replaced`` has it; beside ``unclip`` none is refused as unread."""
    given = asked.model_dump(include=asked.model_fields_set - {"image"})
    return replace(otherwise, **given) if "unclip" in given else otherwise.replaced(given)


def _renamed(options: dict[str, Any]) -> dict[str, Any]:
    """Options by the names of this version.

    Raises:
        RefusalError: if one is given twice, by its old and by its present name.
    """
    try:
        renamed: dict[str, Any] = present_names(options)
    except ValueError as error:
        raise RefusalError(422, "invalid", str(error)) from None
    return renamed


def _typed(text: str) -> object:
    """What a query or form field says: JSON where it is JSON, else text."""
    try:
        return from_json(text)
    except ValueError:
        return text


def _repeated(given: ImmutableMultiDict[str, Any]) -> list[str]:
    return [f"{key}: is given {len(given.getlist(key))} times" for key in given if len(given.getlist(key)) > 1]


def pixels_of(data: bytes, max_pixels: int) -> int:
    """Pixels of an image, from its header alone.

    Raises:
        RefusalError: if they are too many, or it is no image.
    """
    big = RefusalError(
        413, "too_large", f"image: over {max_pixels / 1e6:g} megapixels, or a side over {MAX_SIDE} pixels"
    )
    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            scans = data.count(b"\xff\xda") if image.format in ("JPEG", "MPO") else 0
            several = image.format == "TIFF" and _has_second(image)
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning):
        raise big from None
    except Exception as error:
        raise RefusalError(422, "invalid", f"image: damaged, or none of {', '.join(FORMATS)}") from error
    if width * height > max_pixels or max(width, height) > MAX_SIDE:
        raise big
    if scans > MAX_SCANS:
        raise RefusalError(422, "invalid", f"image: a JPEG of more than {MAX_SCANS} scans")
    if several:
        raise RefusalError(422, "invalid", "image: a TIFF of several pages; send each page as a file of its own")
    return width * height


def _has_second(image: PIL.Image.Image) -> bool:
    try:
        image.seek(1)  # n_frames would walk through all of them, which may be millions
    except EOFError:
        return False
    return True


# --- the service ----------------------------------------------------------------------------------------------------


class Service:
    """Places, state and metrics of one app."""

    def __init__(self, detector: TextDetector, limits: Limits) -> None:
        self.detector, self.limits = detector, limits
        self.draining, self.used, self.open, self.held = False, 0, 0, 0
        self.asked = request_model(detector.params)
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        kw: Any = {"registry": self.registry}
        self.requests = Counter("hmean_requests", "Answers", ["path", "status"], **kw)
        self.seconds = Histogram("hmean_seconds", "Seconds of a served image", ["stage"], **kw)
        self.batches = Histogram("hmean_batch", "Images of a batch", buckets=[1, 2, 4, 8, 16, 32, 64], **kw)
        self.words = Counter("hmean_words", "Regions found", **kw)
        Gauge("hmean_places_used", "Requests waiting or worked on", **kw).set_function(lambda: self.used)
        Gauge("hmean_reading", "Requests whose body is being read", **kw).set_function(lambda: self.open - self.used)
        Gauge("hmean_held_bytes", "Bytes of bodies in memory", **kw).set_function(lambda: self.held)
        Gauge("hmean_places", "Places", **kw).set(limits.places)

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Hold the thread while the app runs."""
        self.batcher = Batcher(self.detector, self.limits, self.batches.observe)
        yield
        self.batcher.submit(None)

    async def note(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        """Give an answer an id and safe headers, count it, and log it, without content or names of files."""
        start, ident, status = time.perf_counter(), uuid.uuid4().hex, 500
        request.state.seen = {}
        try:
            response = await go_on(request)
            status = response.status_code
        finally:
            path = getattr(request.scope.get("route"), "path", "other")
            self.requests.labels(path, str(status)).inc()
            fields = {"id": ident, "method": request.method, "path": path, "status": status, **request.state.seen}
            log.info("request", extra={"fields": {**fields, "ms": round(1e3 * (time.perf_counter() - start), 2)}})
        response.headers.update(
            {"x-request-id": ident, "x-content-type-options": "nosniff", "cache-control": "no-store"}
        )
        return response

    async def answer(self, request: Request) -> dict[str, Any]:
        """Detect on the image of a request.

        Raises:
            RefusalError: if it is not served.
        """
        if self.draining:
            raise RefusalError(503, "draining", "the server is stopping")
        self._require_place()
        if self.open - self.used >= self.limits.readers:
            raise RefusalError(429, "busy", f"{self.limits.readers} bodies are being read")
        start, request.state.held = time.perf_counter(), 0
        self.open += 1
        try:
            asked = await self._read(request)
            self._require_place()  # a client that sends slowly has none: others may have been quicker
            self.used += 1
            try:
                return await self._detect(request, asked, start)
            finally:
                self.used -= 1
        finally:
            self.open -= 1
            self.held -= request.state.held

    def _require_place(self) -> None:
        if self.used >= self.limits.places:
            raise RefusalError(429, "busy", f"all {self.limits.places} places are taken")

    async def _detect(self, request: Request, asked: Any, start: float) -> dict[str, Any]:
        pixels = await asyncio.to_thread(pixels_of, asked.image, self.limits.max_pixels)
        job = Job(asked.image, pixels, params_of(asked, self.detector.params))
        seen = request.state.seen | {"bytes": len(job.data), "pixels": pixels}
        gone = asyncio.ensure_future(request.receive())  # after a body nothing comes but that its client has gone
        gone.add_done_callback(lambda _: job.future.cancel())  # saves the work, where it has not begun
        self.batcher.submit(job)
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                found = await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            if not gone.done():
                raise
        except TimeoutError:
            raise RefusalError(503, "late", f"not done within {self.limits.timeout_s:g} s") from None
        except InputError as error:  # "the image: what is wrong"
            raise RefusalError(422, "invalid", f"image: {str(error).partition(': ')[2]}") from error
        finally:
            left = gone.done()
            gone.cancel()
        if left:
            raise RefusalError(499, "gone", "the client has gone")
        seconds = {"read": job.arrived - start, **job.seconds, "total": time.perf_counter() - start}
        for stage, value in seconds.items():
            self.seconds.labels(stage).observe(value)
        self.words.inc(len(found))
        request.state.seen = seen | {"words": len(found)}
        timing = {stage: round(1e3 * value, 2) for stage, value in seconds.items()}
        return {
            **found.to_ufo(job.image.shape[1], job.image.shape[0]),
            "postprocess": job.params.to_dict(),
            "timing_ms": timing,
        }

    async def _read(self, request: Request) -> pydantic.BaseModel:
        limits = self.limits
        try:
            async with asyncio.timeout(min(limits.grace_s, limits.timeout_s)) as patience:
                fields = {"image": None} | _renamed(await self._fields(request, patience))
        except TimeoutError:
            rate = f"came more slowly than {limits.least_rate / 1000:g} kB/s"
            raise RefusalError(408, "slow", f"the body {rate}, or took more than {limits.timeout_s:g} s") from None
        except ClientDisconnect:
            raise RefusalError(499, "gone", "the client has gone") from None
        query = _renamed({key: _typed(value) for key, value in request.query_params.items()})
        faults = dict.fromkeys(_repeated(request.query_params))  # in order, each once
        if "image" in query:
            faults["image: belongs in the body, not in the query"] = None
        for values in ({**query, "image": b""}, {**query, **fields}):  # what the body overrides must be right too
            try:
                asked = self.asked.model_validate(values)
            except pydantic.ValidationError as error:
                said = {"extra_forbidden": "there is no such option"}
                for d in error.errors(include_url=False, include_input=False):
                    faults[f"{d['loc'][0]}: {said.get(d['type'], d['msg'].removeprefix('Value error, '))}"] = None
        if faults:
            raise RefusalError(422, "invalid", *faults)
        return asked

    async def _fields(self, request: Request, patience: asyncio.Timeout) -> dict[str, Any]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if "content-encoding" in request.headers or not kind.startswith(
            ("image/", "multipart/form-data", "application/json")
        ):
            raise RefusalError(415, "kind", "send image/*, multipart/form-data or application/json, uncompressed")
        if kind == "multipart/form-data":
            parser = _Form(
                request.headers, self._chunks(request, patience), max_files=1, max_fields=20, max_part_size=999
            )
            try:
                form = await parser.parse()
            except MultiPartException as error:
                raise RefusalError(422, "invalid", f"the form cannot be read: {error.message}") from None
            fields = {k: _typed(v) if isinstance(v, str) else await v.read() for k, v in form.items()}
            await form.close()
            if faults := _repeated(form):
                raise RefusalError(422, "invalid", *faults)
            return fields
        body = b"".join([chunk async for chunk in self._chunks(request, patience)])
        if kind.startswith("image/"):
            return {"image": body}
        try:
            return {**from_json(body)}
        except (ValueError, TypeError):
            raise RefusalError(422, "invalid", "the body is not a JSON object") from None

    async def _chunks(self, request: Request, patience: asyncio.Timeout) -> AsyncGenerator[bytes, None]:
        limits, state, start = self.limits, request.state, asyncio.get_running_loop().time()
        async for chunk in request.stream():
            state.held += len(chunk)
            self.held += len(chunk)
            if max(state.held, int(request.headers.get("content-length", 0))) > limits.max_bytes:
                raise RefusalError(413, "too_large", f"the body has more than {limits.max_bytes / 1e6:g} MB")
            if self.held > limits.places * limits.max_bytes:
                raise RefusalError(429, "busy", "the bodies of others fill the memory")
            patience.reschedule(start + min(limits.timeout_s, limits.grace_s + state.held / limits.least_rate))
            yield chunk


class Word(pydantic.BaseModel):
    """A region: its outline in pixels of the upright image, and how sure the detector is."""

    points: list[tuple[float, float]]
    score: float


class Found(pydantic.BaseModel):
    """The regions of an image, in falling order of score, as an entry of a UFO file, and how they were found."""

    img_w: int
    img_h: int
    words: dict[str, Word]
    postprocess: dict[str, Any]
    timing_ms: dict[str, float]


class Refused(pydantic.BaseModel):
    """Why a request was not served: one word for programs, every fault for people."""

    error: str
    faults: list[str]


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Refused, "description": HTTPStatus(status).phrase} for status in statuses}


def _request_docs(asked: type[pydantic.BaseModel]) -> dict[str, Any]:
    """OpenAPI's description of what ``Service`` reads by hand."""
    schema = asked.model_json_schema()
    knobs = {name: value for name, value in schema["properties"].items() if name != "image"}
    file = {"type": "string", "format": "binary"}
    kinds = [f"image/{kind.lower()}" for kind in FORMATS]
    form = {"schema": {**schema, "properties": {"image": file, **knobs}}}
    content = {kind: {"schema": file} for kind in kinds} | {
        "multipart/form-data": {**form, "encoding": {"image": {"contentType": ", ".join(kinds)}}},
        "application/json": {"schema": schema, "example": {"image": _EXAMPLE, "box_thresh": 0.5}},
    }
    parameters = [{"name": name, "in": "query", "schema": value} for name, value in knobs.items()]
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters}


def create_app(detector: TextDetector, limits: Limits | None = None, key: str | None = None) -> FastAPI:
    """The service as an ASGI app; ``app.state.service`` is its ``Service``.

    Args:
        detector: used by one thread only.
        limits: of requests.
        key: what ``Authorization: Bearer`` must bring for /detect and /metrics; None lets everyone in.
    """
    service = Service(detector, limits or Limits())
    app = FastAPI(title="hmean", version=__version__, docs_url=None, redoc_url=None, lifespan=service.lifespan)
    app.state.service = service
    app.middleware("http")(service.note)

    async def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), str(key).encode()):
            raise RefusalError(401, "key", "send the key of this server: Authorization: Bearer KEY")

    guarded = [] if key is None else [Depends(check)]
    detected: dict[int | str, dict[str, Any]] = _refusals(400, 401, 408, 413, 415, 422, 429, 500, 503)
    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    async def detect(request: Request) -> Response:
        """Find text on an image; options in the query, or in the form or JSON beside it."""
        return JSONResponse(await service.answer(request))

    async def health() -> Response:
        """Whether requests are taken."""
        status, code = ("draining", 503) if service.draining else ("ready", 200)
        return JSONResponse({"status": status, "version": __version__}, code)

    async def metrics() -> Response:
        """For Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)

    async def refuse(_request: Request, error: Exception) -> Response:
        code = getattr(error, "status_code", 500)
        if isinstance(error, RefusalError):
            said = {"error": error.detail, "faults": error.faults}
        else:
            said = {"error": "other", "faults": [HTTPStatus(code).phrase]}
        return JSONResponse(said, code, getattr(error, "headers", None))

    docs, state = _request_docs(service.asked), dict[str, str]
    app.post("/detect", response_model=Found, responses=detected, openapi_extra=docs, dependencies=guarded)(detect)
    app.get("/health", response_model=state, responses={503: {"model": state}})(health)
    app.head("/health", include_in_schema=False)(health)
    app.get("/metrics", response_class=Response, responses=text | _refusals(401), dependencies=guarded)(metrics)
    for kind in (HTTPException, Exception):
        app.exception_handler(kind)(refuse)
    return app
