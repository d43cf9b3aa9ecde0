"""The service in process: what it answers, what it refuses and with which status, and what it does under load."""

import base64
import json
import threading

import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")

from fastapi.testclient import TestClient

from hmean.web.image_check import FORMATS
from hmean.web.service import Limits, create_app
from support.asgi import RawRequest, happens, in_loop
from support.serving import FakeDetector, huge_png, noise, picture

KEY = "k" * 20


@pytest.fixture
def detector():
    return FakeDetector()


@pytest.fixture
def client(detector):
    limits = Limits(max_bytes=200_000, max_pixels=90_000, places=4, batch=3, timeout_s=20)
    with TestClient(create_app(detector, limits)) as client:
        yield client


def post(client, data, kind="image/png", **query):
    return client.post("/detect", content=data, headers={"content-type": kind}, params=query)


# --- what it answers ------------------------------------------------------------------------------------------------


def test_three_kinds_of_body_say_the_same(client, detector):
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
        assert said["postprocess"] == {**detector.params.to_dict(), "thresh": 0.2, "use_polygon": True, "min_size": 5.0}
        assert list(said["timing_ms"]) == ["read", "wait", "decode", "detect", "total"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


@pytest.mark.parametrize("kind", FORMATS)
def test_kinds_of_image(client, kind):
    assert post(client, picture(kind), f"image/{kind.lower()}").json()["img_w"] == 40


def test_the_unclip_mode_follows_the_value_that_is_given(client):
    queries = [
        {},
        {"unclip_ratio": 1.8},
        {"inverse_r": 0.5},
        {"unclip_ratio": 1.8, "unclip": "inverse"},
        {"unclip_ratio": 1, "inverse_r": 0.5},
    ]
    modes = [post(client, picture(), **query).json()["postprocess"]["unclip"] for query in queries]
    assert modes == ["inverse", "ratio", "inverse", "inverse", "inverse"]


def test_the_unclip_modes_old_name_is_read(client):
    assert post(client, picture(), growth="ratio").json()["postprocess"]["unclip"] == "ratio"
    said = post(client, picture(), growth="ratio", unclip="ratio")
    assert said.json() == {"error": "invalid", "faults": ["growth is the old name of unclip: leave one of them out"]}


# --- what it refuses ------------------------------------------------------------------------------------------------


def test_all_faults_of_the_options_are_listed(client):
    said = post(client, picture(), thresh=1.5, box_thresh="NaN", unclip_ratio=1e9, inverse_r="x", unclip="round", edge_level=2, min_size=-1,
                max_candidates=1.5, use_polygon=1, tresh=0.3)  # fmt: skip
    assert said.status_code == 422
    names = [
        "thresh",
        "box_thresh",
        "unclip",
        "unclip_ratio",
        "inverse_r",
        "edge_level",
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


def test_requests_have_narrower_ranges_than_a_config(client):
    for query in ({"unclip_ratio": 11}, {"inverse_r": 0.05}, {"min_size": 1001}, {"max_candidates": 10_001}):
        assert post(client, picture(), **query).status_code == 422


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


BAD_FILES = {
    "more pixels than the limit": (picture(size=(301, 300)), 413),
    "png of 50,000 x 50,000": (huge_png(), 413),
    "more bytes than the limit": (bytes(200_001), 413),
    "not an image": (b"no image", 422),
    "cut-off jpeg": (noise("JPEG")[:3000], 422),
    "cut-off png": (noise("PNG")[:9000], 422),
    "header alone": (picture()[:33], 422),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(client, detector, name):
    data, status = BAD_FILES[name]
    for said in (post(client, data), client.post("/detect", files={"image": data})):
        assert said.status_code == status, said.text
        assert said.json()["error"] in ("too_large", "invalid")
        assert all(len(fault) > len("image: a") for fault in said.json()["faults"]), said.text
        assert "0x" not in said.text  # no repr of an object
    assert detector.calls == []
    assert post(client, picture()).status_code == 200


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
    assert said.json() == {"error": "other", "faults": ["Method Not Allowed"]}


def test_health_answers_head(client):
    said = client.head("/health")
    assert (said.status_code, said.headers["content-type"]) == (200, "application/json")


def test_key(detector):
    with TestClient(create_app(detector, key=KEY)) as client:
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
        assert "HTTPBearer" in client.get("/openapi.json").json()["components"]["securitySchemes"]
        client.headers["authorization"] = f"Bearer {KEY}"
        assert post(client, picture()).status_code == 200
        assert client.get("/metrics").status_code == 200


# --- load -----------------------------------------------------------------------------------------------------------


def in_threads(count, call):
    answers = [None] * count
    threads = [threading.Thread(target=lambda i=i: answers.__setitem__(i, call(i))) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def until(condition):
    for _ in range(4000):
        if condition():
            return
        threading.Event().wait(0.005)
    pytest.fail("did not happen within 20 s")


def test_overload_is_refused_and_what_was_accepted_is_answered(client, detector):
    detector.go.clear()
    service = client.app.state.service
    threads, answers = in_threads(4, lambda _: post(client, picture()).status_code)
    until(lambda: service.places_used == 4)
    for _ in range(5):
        said = post(client, picture())
        assert (said.status_code, said.headers["retry-after"], said.json()["error"]) == (429, "1", "busy")
    assert client.get("/health").json()["status"] == "ready"
    detector.go.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4
    assert service.places_used == 0


def test_what_is_late_is_refused_and_not_worked_on(detector):
    detector.go.clear()
    with TestClient(create_app(detector, Limits(timeout_s=0.05, grace_s=20, wait_s=0))) as client:
        first = post(client, picture())  # is being worked on
        assert (first.status_code, first.headers["retry-after"], first.json()["error"]) == (503, "1", "late")
        assert post(client, picture()).status_code == 503  # waits
        assert client.app.state.service.batcher.waiting == 0
        detector.go.set()
    with TestClient(create_app(detector, Limits())) as client:
        assert post(client, picture(), thresh=0.1).status_code == 200
    assert [params.thresh for _, params in detector.calls] == [0.3, 0.1]


def test_a_bug_is_its_requests_alone(client, detector):
    detector.go.clear()
    colors = [(10, 10, 10), (255, 0, 0), (30, 30, 30), (40, 40, 40)]  # the first alone, then a batch of three
    threads, answers = in_threads(1, lambda _: post(client, picture(color=colors[0])))
    assert detector.busy.wait(20)
    more, later = in_threads(3, lambda i: post(client, picture(color=colors[i + 1])))
    until(lambda: client.app.state.service.batcher.waiting == 3)
    detector.go.set()
    for thread in threads + more:
        thread.join()
    assert [answer.status_code for answer in answers + later] == [200, 500, 200, 200]
    assert later[0].json() == {"error": "other", "faults": ["Internal Server Error"]}
    scores = [answer.json()["words"]["0001"]["score"] for answer in later[1:]]
    assert scores == pytest.approx([30 / 255, 40 / 255], abs=1e-5)
    assert [count for count, _ in detector.calls] == [1, 3, 1, 1, 1]


def test_bodies_that_come_slowly_keep_nobody_out(detector):
    app = create_app(detector, Limits(places=2, grace_s=0.1, timeout_s=20))
    service = app.state.service

    async def test():
        slow = [RawRequest(app, b"\x89PNG") for _ in range(8)]
        await happens(lambda: service.memory.held == 32)
        assert (await RawRequest(app, picture(), more=False).answer())[0] == 200
        assert service.places_used == 0
        for request in slow:
            assert (await request.answer())[1]["error"] == "slow"
        assert (service.memory.reading, service.memory.held) == (0, 0)

    in_loop(test, app.router.lifespan_context(app))


def test_a_client_that_has_left_is_logged_so_and_not_worked_for(detector, caplog):
    app = create_app(detector, Limits(wait_s=0, timeout_s=20))
    service = app.state.service
    detector.go.clear()

    async def test():
        working = RawRequest(app, picture(), more=False)
        await happens(detector.busy.is_set)
        waiting = RawRequest(app, picture(), more=False)
        await happens(lambda: service.places_used == 2)
        await happens(lambda: service.batcher.waiting == 1)
        half = RawRequest(app, b"\x89PNG")
        await happens(lambda: service.memory.reading == 1)
        for request in (waiting, half, working):
            request.leave()
            assert (await request.answer())[0] == 499
        assert (service.places_used, service.batcher.waiting, service.memory.held) == (0, 0, 0)
        detector.go.set()
        assert (await RawRequest(app, picture(), more=False).answer())[0] == 200

    with caplog.at_level("INFO", "hmean.serve"):
        in_loop(test, app.router.lifespan_context(app))
    assert len(detector.calls) == 2
    statuses = [record.fields["status"] for record in caplog.records if record.name == "hmean.serve"]
    assert statuses == [499, 499, 499, 200]
    assert not [record for record in caplog.records if record.name == "asyncio"]


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
        "hmean_waiting 0.0",
        "hmean_reading 0.0",
        "hmean_held_bytes 0.0",
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
    assert defaults == FakeDetector().params.to_dict()
    assert all(p["schema"]["description"] for p in operation["parameters"])
    assert {"401", "408", "413", "415", "422", "429", "500", "503"} < set(operation["responses"])
