"""Load ``hmean serve`` over loopback: throughput against the bare detector, latency, overload, memory.

usage: python benchmarks/serve.py [model=receipts-lite|FILE] [images=FOLDER] [threads=2] [requests=400] [flat=10000]

Without a model in the box, the network of receipts_lite with random weights: they play no part in the time. Without images,
drawn receipts. Bare detector and service take turns, both as one process with the same threads; this process is the client,
and idle while the bare detector works in a process of its own. Writes docs/results/serve.{json,md}.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from harness import environment, words

import hmean
from hmean.files import write_json, write_text
from hmean.images import decode, list_images
from hmean.inference.detector import BOX
from hmean.runs.pictures import jpeg
from hmean.synth.dataset import write_dataset

ROOT = Path(__file__).parents[1]
DEFAULTS = {"model": "receipts-lite", "images": "", "threads": "2", "requests": "400", "flat": "10000"}
ROUNDS, CLIENTS, BATCH, QUEUE = 3, 16, 8, 32


def random_model(folder: Path) -> Path:
    """The network of receipts_lite, random, as hmean export writes it."""
    import torch  # noqa: PLC0415 - only where there is no model

    from hmean.commands import export  # noqa: PLC0415
    from hmean.runs.carried import Carried, PagesSeen  # noqa: PLC0415
    from hmean.runs.checkpoints import write_checkpoint  # noqa: PLC0415
    from hmean.settings.build import build_detector  # noqa: PLC0415
    from hmean.settings.config import compose  # noqa: PLC0415

    write_dataset(folder / "data", train=2, val=2, seed=3)
    config = compose(
        ["preset=receipts_lite", "models.encoder.pretrained=false", f"dataset_base_path={folder / 'data'}"]
    )
    torch.manual_seed(0)
    state = build_detector(config, pretrained=False).eval().state_dict()
    carried = Carried(
        epoch=0,
        config=config.to_dict(),
        postprocess=config.models.head.postprocess.params(),
        history=(),
        pages=PagesSeen(train=[], val=[]),
    )
    write_checkpoint(folder / "best.ckpt", carried, state)
    with contextlib.redirect_stdout(io.StringIO()):
        export.run(
            [],
            [
                f"checkpoint_path={folder / 'best.ckpt'}",
                f"output={folder / 'model.onnx'}",
                f"dataset_base_path={folder / 'data'}",
            ],
        )
    return folder / "model.onnx"


# --- the bare detector, in a process of its own ---------------------------------------------------------------------


def bare(model: str, threads: int, files: Sequence[Path]) -> None:
    """For each line of stdin, a number of images: decode, detect and write them as JSON; print the images a second."""
    detector = hmean.load(model, threads=threads)
    pages = [file.read_bytes() for file in files]
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        for first in range(0, count, BATCH):
            images = [decode(io.BytesIO(pages[i % len(pages)])).image for i in range(first, min(first + BATCH, count))]
            for image, found in zip(images, detector.detect(images), strict=True):
                json.dumps(found.to_ufo(image.shape[1], image.shape[0]))
        print(count / (time.perf_counter() - start), flush=True)


# --- the client -----------------------------------------------------------------------------------------------------


class Client:
    """Kept connections to the server; plain sockets, so that the client takes little of the processor."""

    def __init__(self, port: int, pages: Sequence[bytes]) -> None:
        self.port, self.pages = port, pages
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, i: int) -> tuple[int, float]:
        """(status, seconds) of a request with page ``i``."""
        page = self.pages[i % len(self.pages)]
        head = f"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(page)}\r\n\r\n"
        start = time.perf_counter()
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.encode() + page)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
        self.idle.append((reader, writer))
        return int(answer.split()[1]), time.perf_counter() - start

    def close(self) -> None:
        """End the connections."""
        for _, writer in self.idle:
            writer.close()


async def closed_loop(client: Client, count: int) -> tuple[float, list[tuple[int, float]]]:
    """``count`` requests by CLIENTS, each of which waits for its answer; (answers a second, answers)."""
    numbers = iter(range(count))

    async def one() -> list[tuple[int, float]]:
        return [await client.ask(i) for i in numbers]

    start = time.perf_counter()
    answers = [answer for part in await asyncio.gather(*(one() for _ in range(CLIENTS))) for answer in part]
    rate = count / (time.perf_counter() - start)
    client.close()
    return rate, answers


async def open_loop(client: Client, rate: float, count: int) -> tuple[float, list[tuple[int, float]]]:
    """``count`` requests, ``rate`` a second whatever becomes of them; (requests a second, answers)."""
    start, tasks = time.perf_counter(), []
    for i in range(count):
        await asyncio.sleep(max(0.0, start + i / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(i)))
    sent = count / (time.perf_counter() - start)
    answers = await asyncio.gather(*tasks)
    client.close()
    return sent, list(answers)


# --- the measurements -----------------------------------------------------------------------------------------------


@contextmanager
def server(model: str, threads: int) -> Iterator[int]:
    """The port of a running server."""
    words = ["port=0", f"model={model}", f"threads={threads}", f"batch={BATCH}", f"queue={QUEUE}"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, "-m", "hmean", "serve", *words], stderr=log)
        try:
            port = None
            while port is None:
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(log.read())
                time.sleep(0.1)
                log.seek(0)
                port = next((json.loads(line)["port"] for line in log if '"event": "listening"' in line), None)
            yield port
        finally:
            process.terminate()
            process.wait()


def memory(port: int) -> float:
    """Resident memory of the server, MB."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        found = re.search(r"^process_resident_memory_bytes (\S+)", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1]) / 1e6


def latencies(answers: Sequence[tuple[int, float]], status: int) -> dict[str, float]:
    """Number, median, 99th percentile and maximum of milliseconds of the answers with a status."""
    ms = [1e3 * seconds for code, seconds in answers if code == status]
    if not ms:
        return {"count": 0}
    return {"count": len(ms), "p50": median(ms), "p99": float(np.quantile(ms, 0.99)), "max": max(ms)}


def strip(page: bytes) -> bytes:
    """A narrow piece of a page, as JPEG: thousands of them take minutes."""
    image = decode(io.BytesIO(page)).image
    middle, half = image.shape[1] // 2, max(8, image.shape[0] // 24)
    return jpeg(np.ascontiguousarray(image[:, middle - half : middle + half]))


def measure(model: str, threads: int, files: Sequence[Path], requests: int, flat: int) -> dict[str, Any]:
    pages = [file.read_bytes() for file in files]
    strips = [strip(page) for page in pages]
    command = [sys.executable, __file__, "--bare", model, str(threads), *map(str, files)]
    with (
        server(model, threads) as port,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None

        def alone(count: int) -> float:
            process.stdin.write(f"{count}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        def drive(loop: Callable[..., Awaitable[Any]], *arguments: Any, files: Sequence[bytes] = pages) -> Any:
            return asyncio.run(loop(Client(port, files), *arguments))

        alone(2 * BATCH), drive(closed_loop, 4 * CLIENTS)  # warm
        rounds, answers = [], []
        for _ in range(ROUNDS):
            alone_rate = alone(requests // ROUNDS)
            rate, more = drive(closed_loop, requests // ROUNDS)
            rounds.append({"bare": alone_rate, "served": rate, "ratio": rate / alone_rate})
            answers += more
        rate = median(r["served"] for r in rounds)
        sent, flood = drive(open_loop, 2 * rate, requests)
        before, samples = memory(port), []
        for start in range(0, flat, max(1, flat // 10)):
            drive(closed_loop, min(flat // 10, flat - start), files=strips)
            samples.append(memory(port))
        process.stdin.close()
    return {
        "rounds": rounds, "ratio": median(r["ratio"] for r in rounds), "load": latencies(answers, 200),
        "overload": {"sent_a_second": sent, "times": sent / rate, "served": latencies(flood, 200), "refused": latencies(flood, 429),
                     "others": sum(code not in (200, 429) for code, _ in flood), "queue_ms": 1e3 * (QUEUE + BATCH) / rate},
        "memory": {"requests": flat, "before_mb": before, "after_mb": samples},
    }  # fmt: skip


def main() -> None:
    options = DEFAULTS | dict(argument.split("=", 1) for argument in sys.argv[1:])
    if unknown := set(options) - set(DEFAULTS):
        raise SystemExit(f"no such option: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as scratch:
        model, images, what = options["model"], options["images"], options["model"]
        if model in BOX and not BOX[model].is_file():
            model, what = str(random_model(Path(scratch))), "the network of receipts_lite with random weights"
        if not images:
            write_dataset(Path(scratch) / "pages", train=24, seed=5)
            images = str(Path(scratch) / "pages" / "images")
        files = list(islice(list_images(Path(images)), 24))
        about = {
            "command": " ".join(["python benchmarks/serve.py", *(f"{k}={v}" for k, v in options.items() if k != "images" and v)]),
            "model": what, "pages": f"{len(files)} {'images' if options['images'] else 'drawn receipts'}",
            "threads": int(options["threads"]), "clients": CLIENTS, "batch": BATCH, "queue": QUEUE,
            "environment": environment("fastapi", "uvicorn", "onnxruntime", "numpy", "opencv-python-headless", "numba"),
        }  # fmt: skip
        record = about | measure(model, about["threads"], files, int(options["requests"]), int(options["flat"]))
    write_json(ROOT / "docs/results/serve.json", record)
    write_text(ROOT / "docs/results/serve.md", page(record))


def page(record: dict[str, Any]) -> str:
    """The result page."""
    load, over, used, env = record["load"], record["overload"], record["memory"], record["environment"]
    rows = "\n".join(
        f"| {i} | {r['bare']:.2f} | {r['served']:.2f} | {r['ratio']:.2f} |" for i, r in enumerate(record["rounds"], 1)
    )
    lines = [
        f"| at load ({record['clients']} clients) | 200 | {load['count']} | {load['p50']:.0f} | {load['p99']:.0f} | {load['max']:.0f} |"
    ]
    for name, status in (("served", 200), ("refused", 429)):
        if over[name]["count"]:
            cells = " | ".join(f"{over[name][k]:.0f}" for k in ("count", "p50", "p99", "max"))
            lines.append(f"| at {over['times']:.1f} x what it can | {status} | {cells} |")
    samples = ", ".join(f"{mb:.0f}" for mb in used["after_mb"])
    return f"""# hmean serve under load

Written by `benchmarks/serve.py`; do not edit. `{record["command"]}`: {record["model"]}, {record["pages"]}, {record["threads"]} threads,
batches of up to {record["batch"]}, {record["queue"]} places. One process serves over loopback, another drives it.

## Throughput

Images a second: the bare detector (files in memory, decoded, detected and written as JSON, in the same batches), and the
service driven by {record["clients"]} clients, in turn. Median ratio **{record["ratio"]:.2f}** (aim >= 0.9).

| round | bare | served | served / bare |
|--:|--:|--:|--:|
{rows}

## Latency, milliseconds

| | status | answers | p50 | p99 | largest |
|---|--:|--:|--:|--:|--:|
{chr(10).join(lines)}

Under overload requests come at a fixed rate, whatever becomes of them. All places and a batch take
{over["queue_ms"]:.0f} ms at the rate above: what is accepted waits about as long at most, the rest is refused. Other answers: {over["others"]}.

## Memory

Resident, before {used["requests"]} further requests (narrow strips of the pages, which are quick) {used["before_mb"]:.0f} MB; after each tenth of them {samples} MB.

{words(env)}
"""


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        bare(sys.argv[2], int(sys.argv[3]), [Path(name) for name in sys.argv[4:]])
    else:
        main()
