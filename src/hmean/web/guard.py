"""The one middleware of the service and the studio: which requests are admitted, how large and slow they may be.

``Guard`` is plain ASGI. It admits a request, reads its body within limits of size, time and memory, passes it on whole,
and adds headers to the answer. A reverse proxy does what else the open internet requires: TLS, limits for each client,
connections on which no request arrives (docs/guides/serve.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hmean.web.refusals import RefusalError, internal_error

log = logging.getLogger("hmean.web")


@dataclass(frozen=True)
class BodyLimits:
    """Limits of one request's body.

    Attributes:
        max_bytes: its size.
        timeout_s: seconds for all of it to arrive.
        grace_s: seconds that it has at least,
        least_rate: and a further second for each so many bytes that have arrived.
    """

    max_bytes: int
    timeout_s: float = 30.0
    grace_s: float = 5.0
    least_rate: int = 5_000

    def patience(self, received: int) -> float:
        """Seconds after the start at which the body is given up, once so many bytes of it have arrived."""
        return min(self.timeout_s, self.grace_s + received / self.least_rate)


class BodyMemory:
    """Memory that all bodies together may take; one more byte is refused.

    Attributes:
        max_bytes: at most.
        held: bytes that are held now.
        reading: bodies that are being read now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0
        self.reading = 0

    def take(self, count: int) -> None:
        """Account for bytes that have arrived.

        Raises:
            RefusalError: if they are too many.
        """
        self.held += count
        if self.held > self.max_bytes:
            raise RefusalError("busy", "the bodies of other requests fill the memory")


@dataclass
class RequestNote:
    """What is noted of a request, for the log and the metrics: neither content nor names of files.

    Attributes:
        id: the ``X-Request-ID`` of the answer.
        method, path: of the request.
        status: of the answer.
        started: ``time.perf_counter()`` at its beginning.
        held: bytes of its body.
        details: what the app adds.
    """

    method: str
    path: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: int = 500
    started: float = field(default_factory=time.perf_counter)
    held: int = 0
    details: dict[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Seconds since its beginning."""
        return time.perf_counter() - self.started


def note_of(connection: HTTPConnection) -> RequestNote:
    """The note of a request that a ``Guard`` has let in."""
    note: RequestNote = connection.state.note
    return note


def ignore_note(_note: RequestNote) -> None:
    """Note nothing."""


class Guard:
    """Admits requests, reads their bodies within limits, adds headers to the answers, and notes both.

    Args:
        app: what answers.
        admit: called with each request before its body is read; raises ``RefusalError`` for one that is not served.
        limits: of a body.
        memory: of all bodies.
        headers: of every answer.
        done: called with the note of every request that was answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        admit: Callable[[HTTPConnection], None],
        limits: BodyLimits,
        memory: BodyMemory,
        headers: Mapping[str, str],
        done: Callable[[RequestNote], None] = ignore_note,
    ) -> None:
        self.app = app
        self.admit = admit
        self.limits = limits
        self.memory = memory
        self.headers = headers
        self.done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        note = RequestNote(scope["method"], scope["path"])
        request.state.note = note
        answer = _Answer(send, note, self.headers)
        try:
            await self._serve(request, receive, answer)
        except RefusalError as refusal:
            await refusal.response()(scope, receive, answer.send)
        except Exception:
            log.exception("A request has failed", extra={"fields": {"id": note.id}})
            if answer.started:
                raise
            await internal_error()(scope, receive, answer.send)
        finally:
            self.memory.held -= note.held
            self.done(note)

    async def _serve(self, request: HTTPConnection, receive: Receive, answer: _Answer) -> None:
        self.admit(request)
        body = await self._read_body(request, receive, note_of(request))
        answer.body_was_read = True
        await self.app(request.scope, _replayed(body, receive), answer.send)

    async def _read_body(self, request: HTTPConnection, receive: Receive, note: RequestNote) -> bytes:
        """The whole body.

        Raises:
            RefusalError: if it is too large or too slow, or its client has left.
        """
        self._require_size(_announced_size(request.headers))
        self.memory.reading += 1
        try:
            async with asyncio.timeout(self.limits.patience(0)) as patience:
                return await self._read_chunks(receive, note, patience)
        except TimeoutError:
            rate = f"{self.limits.least_rate / 1000:g} kB/s"
            raise RefusalError(
                "slow", f"the body arrived at less than {rate}, or took more than {self.limits.timeout_s:g} s"
            ) from None
        finally:
            self.memory.reading -= 1

    async def _read_chunks(self, receive: Receive, note: RequestNote, patience: asyncio.Timeout) -> bytes:
        started = asyncio.get_running_loop().time()
        chunks: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusalError("gone", "the client has left")
            chunk: bytes = message.get("body", b"")
            chunks.append(chunk)
            note.held += len(chunk)
            self.memory.take(len(chunk))
            self._require_size(note.held)
            patience.reschedule(started + self.limits.patience(note.held))
            more = message.get("more_body", False)
        return b"".join(chunks)

    def _require_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise RefusalError("too_large", f"the body is larger than {self.limits.max_bytes / 1e6:g} MB")


class _Answer:
    """Passes an answer on, with the guard's headers, and notes its status."""

    def __init__(self, send: Send, note: RequestNote, headers: Mapping[str, str]) -> None:
        self._send = send
        self._note = note
        self._headers = headers
        self.started = False
        self.body_was_read = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._note.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._note.id
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            if not self.body_was_read:
                # The client may go on sending for ever, and the server would have to read it all.
                headers["connection"] = "close"
        await self._send(message)


def _announced_size(headers: Headers) -> int:
    """The size that a request announces; 0 where it does not."""
    length = headers.get("content-length", "")
    if length.isdecimal():
        return int(length)
    return 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    """``receive`` of a request whose body has been read: the body, whole, and then whatever comes."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


async def client_has_left(receive: Receive) -> None:
    """Wait until the client of a request whose body has been read closes its connection."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
