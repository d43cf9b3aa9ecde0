"""An ASGI app on a socket, by uvicorn as it comes, until a signal ends it: for the service and the studio."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from hmean.errors import InputError

MAX_HEAD_BYTES = 16_384  # of a request line and its headers
BACKLOG = 1024  # connections that the system accepts before the server does


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds an address; ``listen`` lets connections in.

    Args:
        host: name or address.
        port: 0 leaves the choice to the system.

    Raises:
        InputError: if the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(f"host={host} port={port}: cannot listen there ({error})") from error
    return listener


def listen(listener: socket.socket) -> None:
    """Let connections in; those that come before a server runs wait for it."""
    listener.listen(BACKLOG)


def port_of(listener: socket.socket) -> int:
    """The port of a socket."""
    port: int = listener.getsockname()[1]
    return port


def make_server(
    app: ASGIApp, *, connections: int | None, keep_alive_s: int, stop_s: int, log_level: str | None = None
) -> uvicorn.Server:
    """A server of an app; ``server.should_exit = True`` ends it.

    Args:
        app: ASGI.
        connections: at a time; more are answered with 503.
        keep_alive_s: seconds after an answer until an idle connection is closed.
        stop_s: seconds that requests have to end when the server is to stop.
        log_level: of uvicorn's own messages; None: as the program's.
    """
    config = uvicorn.Config(
        app,
        http="h11",  # the parser that MAX_HEAD_BYTES is a limit of
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=log_level,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=connections,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=stop_s,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    return uvicorn.Server(config)


def run_until_signal(server: uvicorn.Server, listener: socket.socket) -> list[int]:
    """Run a server until SIGTERM or SIGINT; it answers what it has accepted, and a second SIGINT ends it at once.

    Returns:
        The signals that ended it.
    """
    with _collected_signals() as signals:
        server.run(sockets=[listener])
    return signals


@contextmanager
def _collected_signals() -> Iterator[list[int]]:
    """Signals that are sent meanwhile. uvicorn raises those that ended it again, for the handlers from before it."""
    received: list[int] = []

    def collect(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, collect) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
