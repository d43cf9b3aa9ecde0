"""The service in process: what it answers, what it refuses and with which status, and its batches."""

import asyncio
import base64
import io
import json
import struct
import threading
import zipfile
import zlib

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest

pytest.importorskip("fastapi", reason="needs hmean[serve]")
from fastapi.testclient import TestClient

from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams
from hmean.web.service import FORMATS, Batcher, Job, Limits, create_app, pixels_of
from support.serving import Fake

KEY = "k" * 20


def picture(kind="PNG", size=(40, 30), colour=(128, 128, 128)) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def huge_png(side=50_000) -> bytes:
    """A whole PNG of a few megabytes' work for a decoder that trusts it: a header and one short stream of zeros."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100_000)))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def fake():
    return Fake()


@pytest.fixture
def client(fake):
    limits = Limits(max_bytes=200_000, max_pixels=90_000, places=4, batch=3, timeout_s=20)
    with TestClient(create_app(fake, limits), raise_server_exceptions=False) as client:
        yield client


def post(client, data, kind="image/png", **query):
    return client.post("/detect", content=data, headers={"content-type": kind}, params=query)


# --- what it answers ------------------------------------------------------------------------------------------------


def test_three_kinds_of_body_say_the_same(client, fake):
    data = picture()
    coded = base64.b64encode(data).decode()
    answers = [
        post(client, data, thresh=0.2, use_polygon="true", min_size=5),
        client.post("/detect", files={"image": ("secret.png", data)}, data={"thresh": "0.2", "use_polygon": "true", "min_size": "5"}),
        client.post("/detect", json={"image": coded, "thresh": 0.2, "use_polygon": True}, params={"min_size": 5}),
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code == 200
        said = answer.json()
        word = {"points": [[0, 0], [40, 0], [40, 30], [0, 30]], "score": pytest.approx(128 / 255, abs=1e-5)}
        assert (said["img_w"], said["img_h"], said["words"]) == (40, 30, {"0001": word})
        assert said["postprocess"] == {**fake.params.to_dict(), "thresh": 0.2, "use_polygon": True, "min_size": 5.0}
        assert list(said["timing_ms"]) == ["read", "wait", "decode", "detect", "total"]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


@pytest.mark.parametrize("kind", FORMATS)
def test_kinds_of_image(client, kind):
    assert post(client, picture(kind), f"image/{kind.lower()}").json()["img_w"] == 40


def test_the_unclip_mode_follows_the_value_that_is_given(client):
    rules = [
        post(client, picture(), **query).json()["postprocess"]["unclip"]
        for query in ({}, {"unclip_ratio": 1.8}, {"inverse_r": 0.5}, {"unclip_ratio": 1.8, "unclip": "inverse"}, {"unclip_ratio": 1, "inverse_r": 0.5})
    ]  # fmt: skip
    assert rules == ["inverse", "ratio", "inverse", "inverse", "inverse"]
    assert post(client, picture(), growth="ratio").json()["postprocess"]["unclip"] == "ratio"  # its old name
    said = post(client, picture(), growth="ratio", unclip="ratio").json()
    assert said["faults"] == ["growth is the old name of unclip: leave one of them out"]


# --- what it refuses ------------------------------------------------------------------------------------------------


def test_all_faults_of_the_options_are_listed(client):
    said = post(client, picture(), thresh=1.5, box_thresh="NaN", unclip_ratio=1e9, inverse_r="x", unclip="round", min_size=-1,
                max_candidates=1.5, use_polygon=1, tresh=0.3)  # fmt: skip
    assert said.status_code == 422
    names = [
        "thresh",
        "box_thresh",
        "unclip",
        "unclip_ratio",
        "inverse_r",
        "min_size",
        "max_candidates",
        "use_polygon",
        "tresh",
    ]
    assert [fault.partition(":")[0] for fault in said.json()["faults"]] == names
    said = client.post("/detect", json={"thresh": "0.3", "image": "%%"})
    assert said.json()["faults"] == ["image: is not base64", "thresh: Input should be a valid number"]
    assert client.post("/detect", json={}).json()["faults"] == ["image: is missing"]
    assert client.post("/detect", files={"file": picture()}).status_code == 422


def test_an_image_in_the_query_and_options_given_twice_are_refused(client):
    said = post(client, picture(), image="x", thresh=[0.2, 0.3], box_thresh=2)
    assert said.status_code == 422
    assert said.json()["faults"] == [
        "thresh: is given 2 times",
        "image: belongs in the body, not in the query",
        "box_thresh: Input should be less than or equal to 1",
    ]
    form = client.post("/detect", files=[("image", picture()), ("thresh", (None, "0.2")), ("thresh", (None, "0.3"))])
    assert form.json()["faults"] == ["thresh: is given 2 times"]


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("page.png", bytes(10_000_000))
    return out.getvalue()


def scans() -> bytes:
    whole = picture("JPEG")
    start = whole.index(b"\xff\xda")
    return whole[:start] + whole[start:-2] * 200 + whole[-2:]


def noise(kind: str) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)).save(out, kind)
    return out.getvalue()


def two_pages() -> bytes:
    out, page = io.BytesIO(), PIL.Image.new("RGB", (40, 30))
    page.save(out, "TIFF", save_all=True, append_images=[page])
    return out.getvalue()


BAD = {
    "png of 50,000 x 50,000": (huge_png(), 413),
    "png of 20,000 x 20,000, which Pillow opens": (huge_png(19_000), 413),
    "more pixels than the limit": (picture(size=(301, 300)), 413),
    "a side that OpenCV cannot warp": (picture(size=(33_000, 1)), 413),
    "more bytes than the limit": (bytes(200_001), 413),
    "zip": (zipped(), 422),
    "gzip of an image": (zlib.compress(picture()), 422),
    "jpeg of 200 scans": (scans(), 422),
    "cut-off jpeg": (noise("JPEG")[:3000], 422),
    "cut-off png": (noise("PNG")[:9000], 422),
    "tiff of two pages": (two_pages(), 422),
    "header alone": (picture()[:33], 422),
    "gif": (picture("GIF"), 422),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", 422),
    "text": (b"no image", 422),
    "nothing": (b"", 422),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(client, fake, name):
    data, status = BAD[name]
    for said in (post(client, data), client.post("/detect", files={"image": data})):
        assert said.status_code == status, said.text
        assert said.json()["error"] in ("too_large", "invalid")
        assert all(len(fault) > len("image: a") for fault in said.json()["faults"]), said.text
        assert "0x" not in said.text  # no repr of an object
    assert fake.calls == []
    assert post(client, picture()).status_code == 200


def test_pixels_come_from_the_header_alone(monkeypatch):
    data = picture(size=(40, 30))
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    assert pixels_of(data, 1200) == 1200


@pytest.mark.parametrize(
    ("kind", "coding"),
    [("text/plain", None), ("application/x-www-form-urlencoded", None), ("", None), ("image/png", "gzip")],
)
def test_other_kinds_of_body(client, kind, coding):
    headers = {"content-type": kind} | ({"content-encoding": coding} if coding else {})
    assert client.post("/detect", content=picture(), headers=headers).status_code == 415


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"[" * 100_000, b'"a"', b"{", b"\xff", b'{"image": 1' + b"9" * 9000 + b"}"]
)
def test_json_that_is_none(client, body):
    assert post(client, body, "application/json").status_code == 422


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\n\r\n\r\n--x--", b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\na']
)
def test_forms_that_are_none(client, body):
    assert post(client, body, "multipart/form-data; boundary=x").status_code == 422
    assert post(client, body, "multipart/form-data").status_code == 422


def test_forms_with_too_much_in_them(client):
    many = {f"f{i}": "1" for i in range(50)}
    assert client.post("/detect", files={"image": picture()}, data=many).status_code == 422
    assert client.post("/detect", files={"image": picture()}, data={"thresh": "1" * 5000}).status_code == 422
    assert client.post("/detect", files=[("image", picture()), ("image", picture())]).status_code == 422


def test_a_stream_of_unknown_length_ends_at_the_limit(client):
    def endless():
        for _ in range(10):
            yield bytes(50_000)

    assert client.post("/detect", content=endless(), headers={"content-type": "image/png"}).status_code == 413


def test_other_paths_and_methods_answer_in_the_same_form(client):
    assert client.get("/nothing").json() == {"error": "other", "faults": ["Not Found"]}
    said = client.get("/detect")
    assert (said.status_code, said.headers["allow"]) == (405, "POST")


def test_health_answers_head(client):
    said = client.head("/health")
    assert (said.status_code, said.headers["content-type"]) == (200, "application/json")


def test_key(fake):
    with TestClient(create_app(fake, key=KEY)) as client:
        for headers in (
            {},
            {"authorization": "Bearer x"},
            {"authorization": f"Basic {KEY}"},
            {"authorization": "Bearer \u00e9".encode("latin-1")},
        ):
            said = client.post("/detect", content=picture(), headers={"content-type": "image/png", **headers})
            assert (said.status_code, said.headers["www-authenticate"]) == (401, "Bearer")
            assert client.get("/metrics", headers=headers).status_code == 401
        assert client.get("/health").status_code == 200  # of a load balancer, which has no key
        client.headers["authorization"] = f"Bearer {KEY}"
        assert post(client, picture()).status_code == 200
        assert client.get("/metrics").status_code == 200


def test_pages_of_a_tiff_are_not_dropped_silently(client):
    said = post(client, two_pages(), "image/tiff").json()
    assert said["faults"] == ["image: a TIFF of several pages; send each page as a file of its own"]


# --- load -----------------------------------------------------------------------------------------------------------


def in_threads(count, call):
    answers = [None] * count
    threads = [threading.Thread(target=lambda i=i: answers.__setitem__(i, call(i))) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def until(condition):
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("did not happen within 20 s")


def test_overload_is_refused_and_what_was_accepted_is_answered(client, fake):
    fake.go.clear()
    service = client.app.state.service
    threads, answers = in_threads(4, lambda _: post(client, picture()).status_code)
    until(lambda: service.used == 4)
    for _ in range(5):
        said = post(client, picture())
        assert (said.status_code, said.headers["retry-after"], said.json()["error"]) == (429, "1", "busy")
    assert client.get("/health").status_code == 200
    service.draining = True
    said = post(client, picture())
    assert (said.status_code, said.headers["retry-after"], said.json()["error"]) == (503, "1", "draining")
    said = client.get("/health")
    assert (said.status_code, said.json()["status"]) == (503, "draining")
    fake.go.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert service.used == 0


def test_what_is_late_is_refused_and_not_worked_on(fake):
    fake.go.clear()
    with TestClient(create_app(fake, Limits(timeout_s=0.2, wait_s=0))) as client:
        first = post(client, picture())  # is being worked on
        assert (first.status_code, first.headers["retry-after"], first.json()["error"]) == (503, "1", "late")
        assert post(client, picture()).status_code == 503  # waits
        fake.go.set()
        assert post(client, picture(), thresh=0.1).status_code == 200
    assert [params.thresh for _, params in fake.calls] == [0.3, 0.1]


def test_a_bug_is_its_requests_alone(client, fake):
    fake.go.clear()
    colours = [(10, 10, 10), (255, 0, 0), (30, 30, 30), (40, 40, 40)]  # the first alone, then a batch of three
    threads, answers = in_threads(1, lambda _: post(client, picture(colour=colours[0])))
    assert fake.busy.wait(20)
    more, later = in_threads(3, lambda i: post(client, picture(colour=colours[i + 1])))
    until(lambda: len(client.app.state.service.batcher._jobs) == 3)
    fake.go.set()
    for thread in threads + more:
        thread.join()
    assert [a.status_code for a in answers + later] == [200, 500, 200, 200]
    assert later[0].json() == {"error": "other", "faults": ["Internal Server Error"]}
    assert [a.json()["words"]["0001"]["score"] for a in later[1:]] == pytest.approx([30 / 255, 40 / 255], abs=1e-5)
    assert [count for count, _ in fake.calls] == [1, 3, 1, 1, 1]


def run_batch(fake, limits, jobs):
    """Sizes of calls, after a first job that holds the thread until all are queued."""
    fake.go.clear(), fake.busy.clear(), fake.calls.clear()
    batcher = Batcher(fake, limits)
    first = Job(picture(), 1, PostprocessParams())
    batcher.submit(first)
    assert fake.busy.wait(20)
    for job in jobs:
        batcher.submit(job)
    fake.go.set()
    batcher.submit(None)
    batcher._thread.join(20)
    return [count for count, _ in fake.calls[1:]]


def test_batches_keep_the_order_and_hold_no_more_than_the_limits(fake):
    limits, params = Limits(batch=3, max_pixels=100), PostprocessParams()
    jobs = [Job(picture(colour=(i, i, i)), 30, params) for i in range(7)]
    assert run_batch(fake, limits, jobs) == [3, 3, 1]
    assert [job.future.result(0).scores[0] for job in jobs] == pytest.approx([i / 255 for i in range(7)])
    assert run_batch(fake, limits, [Job(picture(), n, params) for n in (60, 60, 40, 200, 10)]) == [1, 2, 1, 1]


def test_a_batch_is_split_by_options_and_without_what_was_cancelled_or_damaged(fake):
    kinds = [PostprocessParams(), PostprocessParams(thresh=0.1)]
    jobs = [Job(picture(), 1, kinds[i % 2]) for i in range(6)]
    jobs[1].future.cancel()
    jobs[2].data = noise("PNG")[:9000]
    assert run_batch(fake, Limits(batch=8), jobs) == [2, 2]
    with pytest.raises(InputError):
        jobs[2].future.result(0)
    assert all(job.future.result(0) for i, job in enumerate(jobs) if i not in (1, 2))


class Raw:
    """A request whose body comes when told, and whose client can go."""

    def __init__(self, app, *chunks, more=True):
        self.incoming, self.sent = asyncio.Queue(), []
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/detect", "query_string": b"",
                 "root_path": "", "scheme": "http", "headers": [(b"content-type", b"image/png")]}  # fmt: skip
        for i, chunk in enumerate(chunks):
            self.send(chunk, more=more or i + 1 < len(chunks))
        self.task = asyncio.create_task(app(scope, self.incoming.get, self.take))

    async def take(self, message):
        self.sent.append(message)

    def send(self, data, *, more=True):
        self.incoming.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def leave(self):
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def answer(self):
        """Status and JSON."""
        await asyncio.wait_for(self.task, 20)
        return self.sent[0]["status"], json.loads(b"".join(m["body"] for m in self.sent[1:]))


def by_hand(app, test):
    """Run ``test(service)`` in the app's loop."""

    async def run():
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(test(app.state.service), 30)

    asyncio.run(run())


async def happens(condition):
    while not condition():  # noqa: ASYNC110 - of plain counters
        await asyncio.sleep(0.01)


def test_bodies_that_come_slowly_keep_nobody_out(fake):
    app = create_app(fake, Limits(places=2, grace_s=0.5, timeout_s=20))

    async def test(service):
        slow = [Raw(app, b"\x89PNG") for _ in range(8)]
        await happens(lambda: service.held == 32)
        assert (await Raw(app, picture(), more=False).answer())[0] == 200
        assert service.used == 0
        for request in slow:
            assert (await request.answer())[1]["error"] == "slow"
        assert (service.open, service.held) == (0, 0)

    by_hand(app, test)


def test_a_body_has_a_least_rate_and_an_end(fake):
    app = create_app(fake, Limits(grace_s=0.3, least_rate=1000, timeout_s=2))

    async def test(_):
        async def trickle(size):
            request = Raw(app)
            while not request.task.done():
                request.send(bytes(size))
                await asyncio.sleep(0.05)
            return loop.time() - start, (await request.answer())[0]

        loop = asyncio.get_running_loop()
        start = loop.time()
        (slow, code), (endless, other) = await asyncio.gather(trickle(1), trickle(500))
        assert (code, other) == (408, 408)
        assert slow < 1.5
        assert endless > 1.9

    by_hand(app, test)


def test_all_bodies_together_are_bounded_and_so_are_those_that_read_them(fake):
    app = create_app(fake, Limits(places=2, readers=3, max_bytes=1000))

    async def test(service):
        first = [Raw(app, bytes(900)) for _ in range(2)]
        await happens(lambda: service.held == 1800)
        status, said = await Raw(app, bytes(300)).answer()
        assert (status, said["faults"]) == (429, ["the bodies of others fill the memory"])
        third = Raw(app, bytes(100))
        await happens(lambda: service.held == 1900)
        status, said = await Raw(app).answer()
        assert (status, said["faults"]) == (429, ["3 bodies are being read"])
        for request in (*first, third):
            request.leave()
            await request.answer()
        assert (service.open, service.held) == (0, 0)
        assert (await Raw(app, picture(), more=False).answer())[0] == 200

    by_hand(app, test)


def test_a_client_that_has_gone_is_logged_so_and_not_worked_for(fake, caplog):
    app = create_app(fake, Limits(wait_s=0, timeout_s=20))
    fake.go.clear()

    async def test(service):
        working = Raw(app, picture(), more=False)
        await happens(fake.busy.is_set)
        waiting = Raw(app, picture(), more=False)
        await happens(lambda: service.used == 2)
        half = Raw(app, b"\x89PNG")
        await happens(lambda: service.open == 3)
        for request in (waiting, half, working):
            request.leave()
        for request in (waiting, half):
            assert (await request.answer())[0] == 499
        assert service.used == 1  # its work cannot be taken back
        fake.go.set()
        assert (await working.answer())[0] == 499
        assert (await Raw(app, picture(), more=False).answer())[0] == 200

    with caplog.at_level("INFO", "hmean.serve"):
        by_hand(app, test)
    assert len(fake.calls) == 2
    assert [r.fields["status"] for r in caplog.records if r.name == "hmean.serve"] == [499, 499, 499, 200]


# --- what it tells --------------------------------------------------------------------------------------------------


def test_metrics(client):
    post(client, picture())
    post(client, b"")
    client.get("/nothing")
    text = client.get("/metrics").text
    for line in (
        'hmean_requests_total{path="/detect",status="200"} 1.0',
        'hmean_requests_total{path="/detect",status="422"} 1.0',
        'hmean_requests_total{path="other",status="404"} 1.0',
        'hmean_seconds_count{stage="detect"} 1.0',
        "hmean_batch_count 1.0",
        "hmean_words_total 1.0",
        "hmean_places 4.0",
        "hmean_places_used 0.0",
    ):
        assert line in text.splitlines()


def test_the_log_shows_neither_content_nor_names(client, caplog):
    with caplog.at_level("INFO", "hmean.serve"):
        client.post("/detect", files={"image": ("secret.png", picture())}, data={"thresh": "0.25"})
        client.post("/detect", files={"secret": ("secret.png", b"secret")})
        client.get("/secret", params={"secret": "1"})
    fields = [record.fields for record in caplog.records if record.name == "hmean.serve"]
    assert [f["status"] for f in fields] == [200, 422, 404]
    assert set(fields[0]) == {"id", "method", "path", "status", "ms", "bytes", "pixels", "words"}
    assert "secret" not in json.dumps(fields)


def test_examples_of_openapi_are_requests_that_work(client):
    operation = client.get("/openapi.json").json()["paths"]["/detect"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert client.post("/detect", json=example).status_code == 200
    defaults = {p["name"]: p["schema"]["default"] for p in operation["parameters"]}
    assert defaults == Fake().params.to_dict()
    assert {"400", "401", "408", "413", "415", "422", "429", "500", "503"} < set(operation["responses"])
