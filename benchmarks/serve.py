"""Load ``hmean serve`` over loopback: throughput against the bare detector, latency, overload, memory.

usage: python benchmarks/serve.py [model=receipts-lite|FILE] [images=FOLDER] [threads=2] [requests=400] [flat=10000]

Without a bundled model: the network of receipts_lite after a short training, since weights play no part in the time.
Without images: drawn receipts. Bare detector and service take turns, each one process with the same threads; this
process is the client, and idle while the bare detector works. Writes docs/results/serve.{json,md}.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import environment, words

import hmean
from hmean.errors import InputError
from hmean.files import write_json, write_text
from hmean.images import decode, list_images
from hmean.inference.bundled import model_path
from hmean.runs.pictures import jpeg
from hmean.synth.dataset import write_dataset

ROOT = Path(__file__).parents[1]
DEFAULTS = {"model": "receipts-lite", "images": "", "threads": "2", "requests": "400", "flat": "10000"}
PACKAGES = ("fastapi", "uvicorn", "onnxruntime", "numpy", "opencv-python-headless", "numba")
ROUNDS = 3
CLIENTS = 16
BATCH = 8
QUEUE = 32
PAGES = 24
MEMORY_SAMPLES = 10


@dataclass(frozen=True)
class Answer:
    """Status of an answer, and the seconds that it took."""

    status: int
    seconds: float


@dataclass(frozen=True)
class Load:
    """What became of a number of requests: how many a second, and the answers."""

    rate: float
    answers: list[Answer]


@dataclass(frozen=True)
class Round:
    """Images a second of the bare detector and of the service, one after the other, and their ratio."""

    bare: float
    served: float
    ratio: float


# --- the bare detector, in a process of its own ---------------------------------------------------------------------


def work_bare(model: str, threads: int, files: Sequence[Path]) -> None:
    """For each line of stdin, a number of images: decode, detect and write them as JSON; print the images a second."""
    detector = hmean.load(model, threads=threads)
    pages = [file.read_bytes() for file in files]
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            images = [decode(io.BytesIO(pages[i % len(pages)])).image for i in numbers]
            for image, found in zip(images, detector.detect(images), strict=True):
                height, width = image.shape[:2]
                json.dumps(found.to_ufo(width, height))
        print(count / (time.perf_counter() - start), flush=True)


class BareDetector:
    """The client's side of ``work_bare``."""

    def __init__(self, model: str, threads: int, files: Sequence[Path]) -> None:
        command = [sys.executable, __file__, "--bare", model, str(threads), *map(str, files)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def rate(self, count: int) -> float:
        """Images a second, of so many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


# --- the client -----------------------------------------------------------------------------------------------------


class Client:
    """Kept connections to the server; plain sockets, so that the client takes little of the processor."""

    def __init__(self, port: int, pages: Sequence[bytes]) -> None:
        self._port = port
        self._pages = pages
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, number: int) -> Answer:
        """Send a page."""
        page = self._pages[number % len(self._pages)]
        head = f"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(page)}\r\n\r\n"
        start = time.perf_counter()
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(head.encode() + page)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = answer.partition("content-length: ")[2].partition("\r\n")[0]
        await reader.readexactly(int(length))
        self._idle.append((reader, writer))
        return Answer(int(answer.split()[1]), time.perf_counter() - start)

    def close(self) -> None:
        """End the connections."""
        for _, writer in self._idle:
            writer.close()


async def closed_loop(client: Client, count: int) -> Load:
    """So many requests by CLIENTS, each of which waits for its answer; the rate is that of the answers."""
    numbers = iter(range(count))

    async def one() -> list[Answer]:
        return [await client.ask(number) for number in numbers]

    start = time.perf_counter()
    parts = await asyncio.gather(*(one() for _ in range(CLIENTS)))
    rate = count / (time.perf_counter() - start)
    client.close()
    answers = []
    for part in parts:
        answers += part
    return Load(rate, answers)


async def open_loop(client: Client, rate: float, count: int) -> Load:
    """So many requests at a fixed rate, whatever becomes of them; the rate is that of the requests."""
    start = time.perf_counter()
    tasks = []
    for number in range(count):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(number)))
    sent = count / (time.perf_counter() - start)
    answers = await asyncio.gather(*tasks)
    client.close()
    return Load(sent, list(answers))


# --- the server -----------------------------------------------------------------------------------------------------


class Server:
    """A running ``hmean serve``."""

    def __init__(self, port: int) -> None:
        self._port = port

    def load(self, pages: Sequence[bytes], loop: Callable[[Client], Coroutine[Any, Any, Load]]) -> Load:
        """Send it pages."""
        return asyncio.run(loop(Client(self._port, pages)))

    def memory_mb(self) -> float:
        """Its resident memory."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics") as answer:
            text = answer.read().decode()
        found = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
        assert found is not None
        return float(found[1]) / 1e6


@contextmanager
def running_server(model: str, threads: int) -> Iterator[Server]:
    """A server on a port of its own."""
    settings = ["port=0", f"model={model}", f"threads={threads}", f"batch={BATCH}", f"queue={QUEUE}"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, "-m", "hmean", "serve", *settings], stderr=log)
        try:
            port = None
            while port is None:
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(log.read())
                time.sleep(0.1)
                log.seek(0)
                port = announced_port(log)
            yield Server(port)
        finally:
            process.terminate()
            process.wait()


def announced_port(log: Iterator[str]) -> int | None:
    """The port that the log says it listens on."""
    for line in log:
        if '"event": "listening"' in line:
            return int(json.loads(line)["port"])
    return None


# --- the measurements -----------------------------------------------------------------------------------------------


def latencies(answers: Sequence[Answer], status: int) -> dict[str, float]:
    """Number, median, 99th percentile and maximum of milliseconds of the answers with a status."""
    ms = [1e3 * answer.seconds for answer in answers if answer.status == status]
    if not ms:
        return {"count": 0}
    return {"count": len(ms), "p50": median(ms), "p99": float(np.quantile(ms, 0.99)), "max": max(ms)}


def strip(page: bytes) -> bytes:
    """A narrow piece of a page, as JPEG: thousands of whole pages would take hours."""
    image = decode(io.BytesIO(page)).image
    middle = image.shape[1] // 2
    half = max(8, image.shape[0] // 24)
    return jpeg(np.ascontiguousarray(image[:, middle - half : middle + half]))


def measure(model: str, threads: int, files: Sequence[Path], requests: int, flat: int) -> dict[str, Any]:
    """All measurements on one server."""
    pages = [file.read_bytes() for file in files]
    bare = BareDetector(model, threads, files)
    with running_server(model, threads) as server:
        bare.rate(2 * BATCH)  # warm
        server.load(pages, lambda client: closed_loop(client, 4 * CLIENTS))
        rounds, answers = measure_throughput(server, bare, pages, requests // ROUNDS)
        rate = median(one.served for one in rounds)
        flood = server.load(pages, lambda client: open_loop(client, 2 * rate, requests))
        memory = measure_memory(server, [strip(page) for page in pages], flat)
    bare.close()
    others = [answer for answer in flood.answers if answer.status not in (200, 429)]
    overload = {
        "sent_a_second": flood.rate,
        "times": flood.rate / rate,
        "served": latencies(flood.answers, 200),
        "refused": latencies(flood.answers, 429),
        "others": len(others),
        "queue_ms": 1e3 * (QUEUE + BATCH) / rate,
    }
    return {
        "rounds": [asdict(one) for one in rounds],
        "ratio": median(one.ratio for one in rounds),
        "load": latencies(answers, 200),
        "overload": overload,
        "memory": memory,
    }


def measure_throughput(
    server: Server, bare: BareDetector, pages: Sequence[bytes], requests: int
) -> tuple[list[Round], list[Answer]]:
    """The bare detector and the service in turn; and the service's answers."""
    rounds = []
    answers = []
    for _ in range(ROUNDS):
        alone = bare.rate(requests)
        load = server.load(pages, lambda client: closed_loop(client, requests))
        rounds.append(Round(alone, load.rate, load.rate / alone))
        answers += load.answers
    return rounds, answers


def measure_memory(server: Server, pages: Sequence[bytes], requests: int) -> dict[str, Any]:
    """Resident memory before, and after each part of so many requests."""
    before = server.memory_mb()
    part = max(1, requests // MEMORY_SAMPLES)
    after = []
    for start in range(0, requests, part):
        count = min(part, requests - start)
        server.load(pages, lambda client, count=count: closed_loop(client, count))  # type: ignore[misc]
        after.append(server.memory_mb())
    return {"requests": requests, "before_mb": before, "after_mb": after}


# --- what is measured -----------------------------------------------------------------------------------------------


def trained_model(folder: Path) -> Path:
    """The network of receipts_lite after one epoch on two pages, exported."""
    write_dataset(folder / "data", train=2, val=2, seed=3)
    run = folder / "lite"
    train = ["preset=receipts_lite", "models.encoder.pretrained=false", "trainer.max_epochs=1", "exp_name=lite"]
    run_hmean("train", *train, f"output_dir={folder}", f"dataset_base_path={folder / 'data'}")
    run_hmean("export", f"run={run}", f"output={folder / 'model.onnx'}", f"dataset_base_path={folder / 'data'}")
    return folder / "model.onnx"


def run_hmean(*arguments: str) -> None:
    """Run a command; what it prints is left out."""
    subprocess.run([sys.executable, "-m", "hmean", *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure, and write the result page."""
    options = dict(DEFAULTS)
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key not in DEFAULTS:
            raise SystemExit(f"{key}: no such option")
        options[key] = value
    threads = int(options["threads"])
    with tempfile.TemporaryDirectory() as scratch:
        model = options["model"]
        images = options["images"]
        model_name = model
        pages_name = "images"
        try:
            model_path(model)
        except InputError:
            model = str(trained_model(Path(scratch)))
            model_name = "the network of receipts_lite after a short training"
        if not images:
            write_dataset(Path(scratch) / "pages", train=PAGES, seed=5)
            images = str(Path(scratch) / "pages" / "images")
            pages_name = "drawn receipts"
        files = list(islice(list_images(Path(images)), PAGES))
        record = {
            "model": model_name,
            "pages": f"{len(files)} {pages_name}",
            "threads": threads,
            "clients": CLIENTS,
            "batch": BATCH,
            "queue": QUEUE,
            **measure(model, threads, files, int(options["requests"]), int(options["flat"])),
        }
    record["environment"] = environment(*PACKAGES)  # at the end: it says how long it took
    write_json(ROOT / "docs/results/serve.json", record)
    write_text(ROOT / "docs/results/serve.md", page(record))


# --- the result page ------------------------------------------------------------------------------------------------


def round_row(number: int, values: dict[str, float]) -> str:
    """A line of the throughput table."""
    return f"| {number} | {values['bare']:.2f} | {values['served']:.2f} | {values['ratio']:.2f} |"


def latency_row(name: str, status: int, values: dict[str, float]) -> str:
    """A line of the latency table."""
    cells = " | ".join(f"{values[key]:.0f}" for key in ("count", "p50", "p99", "max"))
    return f"| {name} | {status} | {cells} |"


def page(record: dict[str, Any]) -> str:
    """The result page."""
    over = record["overload"]
    memory = record["memory"]
    rounds = [round_row(number, values) for number, values in enumerate(record["rounds"], start=1)]
    rows = [latency_row(f"at load ({record['clients']} clients)", 200, record["load"])]
    for name, status in (("served", 200), ("refused", 429)):
        if over[name]["count"]:
            rows.append(latency_row(f"at {over['times']:.1f} x its throughput", status, over[name]))
    samples = ", ".join(f"{mb:.0f}" for mb in memory["after_mb"])
    newline = "\n"
    return f"""# hmean serve under load

{record["model"]}, {record["pages"]}, {record["threads"]} threads, batches of up to {record["batch"]}, {record["queue"]} places. One process serves over loopback, another sends requests.

## Throughput

Images a second: the bare detector (files in memory, decoded, detected and written as JSON, in the same batches), and the
service with {record["clients"]} clients, in turn. Median ratio **{record["ratio"]:.2f}** (aim >= 0.9).

| round | bare | served | served / bare |
|--:|--:|--:|--:|
{newline.join(rounds)}

## Latency, milliseconds

| | status | answers | p50 | p99 | largest |
|---|--:|--:|--:|--:|--:|
{newline.join(rows)}

Under overload requests come at a fixed rate, whatever becomes of them. At the throughput above, all places and a batch take
{over["queue_ms"]:.0f} ms: accepted requests wait about that long at most, the others are refused. Other answers: {over["others"]}.

## Memory

Resident: {memory["before_mb"]:.0f} MB before {memory["requests"]} further requests (narrow strips of the pages, which are quick);
after each tenth of them {samples} MB.

{words(record["environment"])}
"""


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        work_bare(sys.argv[2], int(sys.argv[3]), [Path(name) for name in sys.argv[4:]])
    else:
        main()
