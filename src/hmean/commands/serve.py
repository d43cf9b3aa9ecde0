"""``hmean serve``: a detector over HTTP, until a signal ends it; it answers what it has accepted."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import warnings
from dataclasses import dataclass
from typing import Annotated

import PIL.Image
from pydantic import Field

from hmean.errors import InputError
from hmean.inference.detector import load
from hmean.settings.sections import OptionSettings
from hmean.web.json_log import log_to_stderr
from hmean.web.server import bind, listen, make_server, port_of, run_until_signal
from hmean.web.service import Limits, create_app
from hmean.web.warm_up import warm_up

MIN_KEY_LENGTH = 16
MOST_MEGAPIXELS = 178  # Pillow refuses larger images
ALL_ANSWERED = "stopped; all accepted requests were answered"
KEEP_ALIVE_S = 10  # of a connection without requests


class ServeSettings(OptionSettings):
    """Settings of ``hmean serve``."""

    model: str = "receipts-lite"
    """A bundled model, or a file that `hmean export` wrote."""
    host: str = "127.0.0.1"
    """Address to listen on; beyond loopback only with a key, or with `open=true`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0: any free one."""
    open: bool = False
    """Let everyone in, without a key."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of the network; null: one for each core."""
    max_mb: Annotated[float, Field(gt=0, le=1000)] = 20
    """Size of a body, megabytes."""
    max_megapixels: Annotated[float, Field(gt=0, le=MOST_MEGAPIXELS)] = 25
    """Pixels of an image, and of all images of a batch, in millions."""
    queue: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Requests that wait or are worked on; further ones are answered with 429."""
    batch: Annotated[int, Field(ge=1, le=64)] = 8
    """Images in one pass of the network."""
    wait_ms: Annotated[float, Field(ge=0, le=1000)] = 3
    """How long the first image of a batch waits for others, milliseconds."""
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30
    """Seconds for a body to arrive, and again for its answer."""
    connections: Annotated[int, Field(ge=2, le=100_000)] = 640
    """Connections that are open at a time, idle ones among them; requests on further ones are answered with 503."""


@dataclass(frozen=True)
class ServeResult:
    """How the server ended."""

    def summary(self) -> str:
        """What the command prints."""
        return ALL_ANSWERED


def run(settings: ServeSettings) -> ServeResult:
    """Serve until a signal.

    Raises:
        InputError: if the model, the key or the address cannot be used.
        KeyboardInterrupt: if the signal was Ctrl-C.
    """
    key = _api_key(settings)
    warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)  # the limits refuse what is too large
    with bind(settings.host, settings.port) as listener:
        detector = load(settings.model, threads=settings.threads)
        warm_up(detector)
        log_to_stderr()
        server = make_server(
            create_app(detector, _limits(settings), key),
            connections=settings.connections,
            keep_alive_s=KEEP_ALIVE_S,
            stop_s=int(2 * settings.timeout) + 1,  # for a body, and then its answer
        )
        listen(listener)
        about = {"model": settings.model, "host": settings.host, "port": port_of(listener), "key": key is not None}
        logging.getLogger("hmean.serve").info("listening", extra={"fields": about})
        signals = run_until_signal(server, listener)
    if server.force_exit:
        raise KeyboardInterrupt("stopped at once")
    if signal.SIGINT in signals:
        raise KeyboardInterrupt(ALL_ANSWERED)
    return ServeResult()


def _api_key(settings: ServeSettings) -> str | None:
    """The key that requests must bring, if any.

    Raises:
        InputError: if it is too short or cannot stand in a header, or there is none and others could use the server.
    """
    key = os.environ.get("HMEAN_API_KEY")
    if key is None:
        if not settings.open and not _is_loopback(settings.host):
            raise InputError(
                f"host={settings.host}: others could use the server; set HMEAN_API_KEY, or open=true to let everyone in"
            )
        return None
    visible = key.isascii() and key.isprintable() and " " not in key
    if len(key) < MIN_KEY_LENGTH or not visible:
        raise InputError(
            f"HMEAN_API_KEY must be {MIN_KEY_LENGTH} or more visible ASCII characters: openssl rand -hex 32"
        )
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _limits(settings: ServeSettings) -> Limits:
    return Limits(
        max_bytes=int(1e6 * settings.max_mb),
        max_pixels=int(1e6 * settings.max_megapixels),
        places=settings.queue,
        batch=settings.batch,
        wait_s=settings.wait_ms / 1000,
        timeout_s=settings.timeout,
    )
