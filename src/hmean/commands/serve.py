"""``hmean serve``: a detector over HTTP, until a signal ends it; it finishes what it has accepted."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated, Any

import numpy as np
import PIL.Image
import pydantic
from pydantic import Field

from hmean.errors import InputError
from hmean.inference.detector import load
from hmean.postprocess.decoding import PageMap, detect
from hmean.postprocess.parameters import PostprocessParams
from hmean.settings.config import read_options

IDLE_S = 10  # for a request's head to arrive


class Options(pydantic.BaseModel):
    """Options of ``hmean serve``; docs/guides/serve.md says what they do."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
    model: str = "receipts-lite"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    open: bool = False
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_mb: Annotated[float, Field(gt=0, le=1000)] = 20
    max_megapixels: Annotated[float, Field(gt=0, le=178)] = 25  # Pillow refuses more
    queue: Annotated[int, Field(ge=1, le=10_000)] = 64
    batch: Annotated[int, Field(ge=1, le=64)] = 8
    wait_ms: Annotated[float, Field(ge=0, le=1000)] = 3
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": datetime.now(UTC).isoformat(), "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def main(words: Sequence[str]) -> str:
    """Serve until a signal; returns what to print.

    Raises:
        InputError: if an option, the model, the key or the address is wrong.
        KeyboardInterrupt: if a second signal cut requests off, or the signal was Ctrl-C.
    """
    options, key = read_options(Options, words), os.environ.get("HMEAN_API_KEY")
    if key is not None and not (len(key) >= 16 and key.isascii() and key.isprintable() and " " not in key):
        raise InputError("HMEAN_API_KEY must be 16 or more visible ASCII characters: openssl rand -hex 32")
    if key is None and not options.open and not _is_loopback(options.host):
        raise InputError(
            f"host={options.host}: others could use the server; set HMEAN_API_KEY, or say open=true to let everyone in"
        )
    return _serve(options, key)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _serve(options: Options, key: str | None) -> str:
    from hmean.web.service import Limits, create_app  # noqa: PLC0415 - an extra

    warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # the limits refuse what is too large
    limits = Limits(
        max_bytes=int(1e6 * options.max_mb), max_pixels=int(1e6 * options.max_megapixels), places=options.queue,
        batch=options.batch, wait_s=options.wait_ms / 1000, timeout_s=options.timeout,
    )  # fmt: skip
    with _bind(options) as listener:
        detector = load(options.model, threads=options.threads)
        compile_kernels()
        detector.detect([np.full((64, 64, 3), 255, np.uint8)])  # the runtime's first pass is slow too
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Json())
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
        server = _server(create_app(detector, limits, key), options)
        about = {
            "model": options.model,
            "host": options.host,
            "port": listener.getsockname()[1],
            "key": key is not None,
        }
        listener.listen(1024)
        logging.getLogger("hmean.serve").info("listening", extra={"fields": about})
        server.run(sockets=[listener])
    said = "stopped at once" if server.force_exit else "stopped; all accepted requests were answered"
    if server.by == signal.SIGINT or server.force_exit:
        raise KeyboardInterrupt(said)
    return said


def compile_kernels() -> None:
    """Compile the post-processing (half a minute, once an installation), so that no request has to wait for it."""
    probability = np.zeros((64, 64), np.float32)
    probability[20:40, 10:50] = 1
    page = PageMap("", probability, np.eye(3), 64, 64)
    for use_polygon in (False, True):
        detect(page, PostprocessParams(use_polygon=use_polygon))


def _bind(options: Options) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((options.host, options.port))
    except OSError as error:
        bound.close()
        raise InputError(f"host={options.host} port={options.port}: cannot listen there ({error.strerror})") from error
    return bound


def _protocol(most: int) -> Any:
    """For at most so many connections."""
    import h11  # noqa: PLC0415 - an extra
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

    class Protocol(H11Protocol):
        """uvicorn waits for ever for the head of a request, and for the rest of a body that was refused."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()
            if len(self.connections) > most:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.watch.cancel()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.watch.cancel()
            self._watch()

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"error": "other", "faults": [msg]}).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
            self.transport.close()

        def _watch(self) -> None:
            self.watch = asyncio.get_running_loop().call_later(IDLE_S, self._end_if_idle)

        def _end_if_idle(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

    return Protocol


def _server(app: Any, options: Options) -> Any:
    import uvicorn  # noqa: PLC0415 - an extra

    service = app.state.service
    # uvicorn's own limit would refuse /health too, and in plain text: the service counts requests, this bounds memory.
    protocol = _protocol(2 * (service.limits.places + service.limits.readers))

    class Server(uvicorn.Server):
        """At a signal refuses what is new, and ends when all that was accepted is answered; at a second one at once."""

        by: int | None = None

        def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
            self.force_exit = self.should_exit = service.draining
            self.by, service.draining = sig, True

        async def on_tick(self, counter: int) -> bool:
            return await super().on_tick(counter) or (service.draining and not service.open)

    return Server(
        uvicorn.Config(
            app, http=protocol, ws="none", loop="asyncio", lifespan="on", log_config=None, access_log=False,
            proxy_headers=False, server_header=False,
            h11_max_incomplete_event_size=16_384, timeout_graceful_shutdown=int(2 * options.timeout) + 1,
        )
    )  # fmt: skip
