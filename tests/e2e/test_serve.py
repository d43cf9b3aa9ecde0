"""hmean serve as a process: what it refuses to start with, real sockets, and how it stops."""

import io
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

pytest.importorskip("uvicorn", reason="needs hmean[serve]")
import hmean
from hmean.cli import main

HERE = Path(__file__).parents[1] / "support"


class Running:
    """A server process and its log."""

    def __init__(self, process):
        self.process, self.log = process, []
        threading.Thread(target=self._read, daemon=True).start()
        self.port = self.wait(lambda: next((e["port"] for e in self.events() if e["event"] == "listening"), None))

    def _read(self):
        self.log.extend(iter(self.process.stderr.readline, ""))

    def events(self):
        return [json.loads(line) for line in list(self.log) if line.startswith("{")]

    def wait(self, found, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (value := found()) is not None and value is not False:
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


@contextmanager
def serving(program, *arguments, **env):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path]), **env}
    process = subprocess.Popen([sys.executable, *program, "port=0", *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)  # fmt: skip
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


def picture(size=(40, 30)) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", size).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    go = tmp_path_factory.mktemp("slow") / "go"
    go.touch()
    with serving([HERE / "slow_serve.py"], "timeout=1", "max_mb=1", GO=str(go)) as server:
        yield server


# --- what it refuses to start with ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        (["prot=80"], None, "prot: there is no such key; did you mean port?"),
        (["port=80000", "batch=0"], None, "batch: input should be greater"),
        (["model.onnx"], None, "model.onnx: there is no such key"),
        (["host=0.0.0.0"], None, "set HMEAN_API_KEY, or say open=true"),
        (["host=example"], None, "set HMEAN_API_KEY, or say open=true"),
        ([], "short", "16 or more"),
        ([], "", "16 or more"),
        (["model=missing.onnx"], None, "missing.onnx: no such model"),
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
        for shape in ((1, 1), (1, 20_000)):  # of a size that no page has
            assert server.ask("/detect", picture(shape), key=key)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert all(line.startswith("{") for line in server.log), server.log
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


def test_a_body_that_comes_too_slowly(slow):
    with slow.connect() as connection:
        connection.sendall(HEAD % 1000 + b"\x89PNG")
        assert b"408 Request Timeout" in answer_of(connection)


@pytest.mark.parametrize("start", [b"", b"POST /det", HEAD[:60]])
def test_a_head_that_never_ends(slow, start):
    with slow.connect() as connection:
        connection.sendall(start)
        assert answer_of(connection) == b""  # and the connection is closed


def trickle(connection):
    for _ in range(6000):
        connection.sendall(bytes(1000))
        time.sleep(0.01)


def test_a_body_that_goes_on_after_it_was_refused(slow):
    with slow.connect() as connection:
        connection.sendall(HEAD % 2_000_000_000 + bytes(100_000))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            trickle(connection)


def test_no_http(slow):
    with slow.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        head, _, body = answer_of(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "other", "faults": ["Invalid HTTP request received."]}
    assert slow.ask("/detect", picture())[0] == 200


def test_more_clients_than_it_reads_are_refused_in_its_own_form_and_health_answers():
    with serving([HERE / "slow_serve.py"], "queue=1", GO=str(HERE)) as server, ExitStack() as slow:

        def more(stack, count):
            return [stack.enter_context(server.connect()) for _ in range(count)]

        for connection in more(slow, 256):
            connection.sendall(HEAD % 1000 + b"\x89PNG")
        server.wait(lambda: "hmean_reading 256.0" in server.ask("/metrics")[1])
        (connection,) = more(slow, 1)
        connection.sendall(HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") % 1000)
        head, _, body = answer_of(connection).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 1" in head
        assert json.loads(body) == {"error": "busy", "faults": ["256 bodies are being read"]}
        assert server.ask("/health")[0] == 200
        with ExitStack() as stack:
            assert answer_of(more(stack, 260)[-1]) == b""  # over all bounds
        server.wait(lambda: "hmean_reading 0.0" in server.ask("/metrics")[1])  # slow ones end soon
        assert server.ask("/detect", picture())[0] == 200


# --- how it stops ---------------------------------------------------------------------------------------------------


@contextmanager
def at_work(tmp_path):
    """A server with a request at work; (server, the answer when it is there, a file that lets it end)."""
    go, answers = tmp_path / "go", []
    with serving([HERE / "slow_serve.py"], GO=str(go)) as server:

        def ask():
            try:
                answers.append(server.ask("/detect", picture())[0])
            except (OSError, ValueError):  # reset, or a bare 500
                answers.append("cut off")

        thread = threading.Thread(target=ask)
        thread.start()
        server.wait(lambda: "hmean_places_used 1.0" in server.ask("/metrics")[1] and "hmean_batch_count 1.0" in server.ask("/metrics")[1])  # fmt: skip
        yield server, answers, go
        thread.join(60)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_answers_what_was_accepted_and_refuses_what_is_new(tmp_path, number, code):
    with at_work(tmp_path) as (server, answers, go):
        server.process.send_signal(number)
        server.wait(lambda: server.ask("/health") == (503, {"status": "draining", "version": hmean.__version__}))
        assert server.ask("/detect", picture())[0] == 503
        assert answers == []
        go.touch()
        assert server.process.wait(60) == code
    assert answers == [200]


def test_a_second_signal_stops_at_once(tmp_path):
    with at_work(tmp_path) as (server, answers, _):
        server.process.send_signal(signal.SIGTERM)
        server.wait(lambda: server.ask("/health")[0] == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 130
    assert answers == ["cut off"]
