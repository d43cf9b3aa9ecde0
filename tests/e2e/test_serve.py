"""hmean serve as a process: what it refuses to start with, real sockets, and how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("uvicorn", reason="needs hmean[web]")

import hmean
from hmean.cli import main
from support.serving import picture

SUPPORT = Path(__file__).parents[1] / "support"
SLOW = SUPPORT / "slow_serve.py"


class Running:
    """A server process and its log."""

    def __init__(self, process):
        self.process = process
        self.log = []
        threading.Thread(target=self._read, daemon=True).start()
        self.port = self.wait(lambda: next((e["port"] for e in self.events() if e["event"] == "listening"), None))

    def _read(self):
        self.log.extend(iter(self.process.stderr.readline, ""))

    def events(self):
        return [json.loads(line) for line in list(self.log) if line.startswith("{")]

    def wait(self, found, seconds=120):
        """What ``found`` returns, once that is neither None nor False."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = found()
            if value is not None and value is not False:
                return value
            assert self.process.poll() is None or found(), "".join(self.log)
            time.sleep(0.02)
        pytest.fail(f"not within {seconds} s: {''.join(self.log)}")

    def ask(self, path, data=None, kind="image/png", key=None):
        """(status, JSON or text)."""
        headers = {"content-type": kind} | ({"authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                text = answer.read().decode()
                return answer.status, text if path == "/metrics" else json.loads(text)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def stops_listening(self):
        def refused():
            try:
                self.connect().close()
            except ConnectionRefusedError:
                return True
            return False

        return self.wait(refused)


@contextmanager
def serving(program, *arguments, **env):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT.parent), *sys.path]), **env}
    command = [sys.executable, *program, "port=0", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One server for all tests that leave it running; its detector does not wait."""
    go = tmp_path_factory.mktemp("slow") / "go"
    go.touch()
    with serving([SLOW], "timeout=0.5", "max_mb=1", "connections=8", GO=str(go)) as server:
        yield server


# --- what it refuses to start with ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        (["prot=80"], None, "prot: unknown key; did you mean port?"),
        (["port=80000", "batch=0"], None, "batch: input should be greater"),
        (["model.onnx"], None, "takes key=value only, not 'model.onnx'"),
        (["host=0.0.0.0"], None, "set HMEAN_API_KEY, or open=true"),
        (["host=example"], None, "set HMEAN_API_KEY, or open=true"),
        ([], "short", "16 or more"),
        ([], "", "16 or more"),
        (["model=missing.onnx"], None, "missing.onnx: exported model not found"),
    ],
)
def test_wrong_options(monkeypatch, capsys, words, key, said):
    monkeypatch.delenv("HMEAN_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("HMEAN_API_KEY", key)
    assert main(["serve", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", f"port={port}"]) == 2
    assert f"port={port}: cannot listen there" in capsys.readouterr().err


def test_help(capsys):
    assert main(["serve", "--help"]) == 0
    assert "preset" not in capsys.readouterr().out


# --- a real process -------------------------------------------------------------------------------------------------


def test_the_answer_is_the_detectors(ink, tmp_path):
    page, key = tmp_path / "page.png", "k" * 32
    pixels = np.full((150, 110, 3), 255, np.uint8)
    pixels[10:20, 8:44] = pixels[60:70, 40:90] = 0
    PIL.Image.fromarray(pixels).save(page)
    with serving(["-m", "hmean", "serve"], f"model={ink}", "threads=1", "host=0.0.0.0", HMEAN_API_KEY=key) as server:
        assert server.ask("/detect", page.read_bytes())[0] == 401
        status, said = server.ask("/detect?box_thresh=0.55", page.read_bytes(), key=key)
        for size in ((1, 1), (1, 20_000)):  # of a size that no page has
            assert server.ask("/detect", picture(size=size), key=key)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert all(line.startswith("{") for line in server.log), server.log
        assert "all accepted requests were answered" in server.process.stdout.read()
    found = hmean.load(ink, threads=1)(page, box_thresh=0.55)
    assert status == 200
    assert {k: said[k] for k in ("img_w", "img_h", "words")} == found.to_ufo(110, 150)
    assert len(said["words"]) == 2


def answer_of(connection) -> bytes:
    """All that comes until the server closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


HEAD = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


def test_a_body_that_comes_too_slowly(shared):
    with shared.connect() as connection:
        connection.sendall(HEAD % 1000 + b"\x89PNG")
        assert b"408 Request Timeout" in answer_of(connection)


def trickle(connection):
    for _ in range(6000):
        connection.sendall(bytes(1000))
        time.sleep(0.001)


def test_a_body_that_goes_on_after_it_was_refused(shared):
    with shared.connect() as connection:
        connection.sendall(HEAD % 2_000_000_000 + bytes(100_000))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            trickle(connection)


def test_no_http(shared):
    with shared.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert answer_of(connection).startswith(b"HTTP/1.1 400 ")
    assert shared.ask("/detect", picture())[0] == 200


def test_a_head_that_is_too_large(shared):
    with shared.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX: " + b"a" * 20_000)
        assert answer_of(connection).startswith(b"HTTP/1.1 400 ")


def test_more_connections_than_it_keeps_are_refused(shared):
    with ExitStack() as stack:
        connections = [stack.enter_context(shared.connect()) for _ in range(8)]
        connections[-1].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer_of(connections[-1]).startswith(b"HTTP/1.1 503 ")
    shared.wait(lambda: shared.ask("/detect", picture())[0] == 200)


# --- how it stops ---------------------------------------------------------------------------------------------------


@contextmanager
def at_work(tmp_path):
    """A server with a request at work; (server, the answer when it is there, a file that lets it end)."""
    go, answers = tmp_path / "go", []
    with serving([SLOW], GO=str(go)) as server:

        def ask():
            try:
                answers.append(server.ask("/detect", picture())[0])
            except (OSError, ValueError):  # reset, or a bare 500
                answers.append("cut off")

        def is_at_work():
            metrics = server.ask("/metrics")[1]
            return "hmean_places_used 1.0" in metrics and "hmean_batch_count 1.0" in metrics

        thread = threading.Thread(target=ask)
        thread.start()
        server.wait(is_at_work)
        yield server, answers, go
        thread.join(60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_answers_what_was_accepted_and_accepts_nothing_new(tmp_path, number, code):
    with at_work(tmp_path) as (server, answers, go):
        server.process.send_signal(number)
        assert server.stops_listening()
        assert answers == []
        go.touch()
        assert server.process.wait(60) == code
    assert answers == [200]


def test_a_second_interrupt_stops_at_once(tmp_path):
    with at_work(tmp_path) as (server, answers, _):
        server.process.send_signal(signal.SIGTERM)
        assert server.stops_listening()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
    assert answers == ["cut off"]
