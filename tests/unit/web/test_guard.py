"""The middleware: bodies within limits of size, time and memory, and what is noted of a request."""

import asyncio

import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")

from fastapi.responses import JSONResponse
from starlette.requests import Request

from hmean.web.guard import BodyLimits, BodyMemory, Guard, client_has_left, note_of
from hmean.web.refusals import RefusalError
from support.asgi import RawRequest, happens, in_loop


async def echo(scope, receive, send):
    """Answers with the size of the body."""
    request = Request(scope, receive)
    body = await request.body()
    if body == b"fail":
        raise RuntimeError("a bug")
    note_of(request).details["bytes"] = len(body)
    await JSONResponse({"size": len(body)})(scope, receive, send)


def admit(request):
    if "x-secret" in request.headers:
        raise RefusalError("key", "send the key")


def guard(limits, memory=None, app=echo):
    notes = []
    made = Guard(app, admit, limits, memory or BodyMemory(10**9), {"x-added": "yes"}, notes.append)
    return made, notes


def test_a_body_is_handed_on_whole():
    app, notes = guard(BodyLimits(max_bytes=10))

    async def test():
        request = RawRequest(app, b"abc", b"", b"defg", more=False)
        assert await request.answer() == (200, {"size": 7})
        assert request.header("x-added") == b"yes"
        assert request.header("connection") is None
        assert request.header("x-request-id") == notes[0].id.encode()

    in_loop(test)
    (note,) = notes
    assert (note.method, note.path, note.status, note.details) == ("POST", "/detect", 200, {"bytes": 7})


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"11"),)])
def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(headers):
    app, notes = guard(BodyLimits(max_bytes=10))

    async def test():
        request = RawRequest(app, b"abcdef", b"ghijkl", headers=headers)
        status, refusal = await request.answer()
        assert (status, refusal["error"]) == (413, "too_large")
        assert request.header("connection") == b"close"

    in_loop(test)
    assert notes[0].held == (0 if headers else 12)


def test_who_is_not_admitted_is_not_read():
    app, notes = guard(BodyLimits(max_bytes=10))

    async def test():
        request = RawRequest(app, headers=((b"x-secret", b"1"),))
        assert (await request.answer())[0] == 401
        assert request.header("www-authenticate") == b"Bearer"
        assert request.header("connection") == b"close"

    in_loop(test)
    assert notes[0].status == 401


def test_a_body_has_a_least_rate_and_an_end():
    limits = BodyLimits(max_bytes=10**6, timeout_s=0.3, grace_s=0.05, least_rate=1000)
    assert [limits.patience(received) for received in (0, 100, 10**6)] == pytest.approx([0.05, 0.15, 0.3])
    app, _ = guard(limits)

    async def test():
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def trickle(size):
            request = RawRequest(app)
            while not request.task.done():
                request.send(bytes(size))
                await asyncio.sleep(0.01)
            status, refusal = await request.answer()
            assert (status, refusal["error"]) == (408, "slow")
            return loop.time() - start

        slow, endless = await asyncio.gather(trickle(1), trickle(10_000))
        assert endless > 0.29
        assert slow < endless

    in_loop(test)


def test_all_bodies_together_are_bounded():
    memory = BodyMemory(2000)
    app, _ = guard(BodyLimits(max_bytes=1000), memory)

    async def test():
        first = [RawRequest(app, bytes(900)) for _ in range(2)]
        await happens(lambda: memory.held == 1800)
        assert memory.reading == 2
        status, refusal = await RawRequest(app, bytes(300)).answer()
        assert (status, refusal["faults"]) == (429, ["the bodies of other requests fill the memory"])
        for request in first:
            request.leave()
            await request.answer()
        assert (memory.reading, memory.held) == (0, 0)
        assert (await RawRequest(app, bytes(900), more=False).answer())[0] == 200
        assert memory.held == 0

    in_loop(test)


def test_a_client_that_leaves_while_its_body_is_read():
    app, notes = guard(BodyLimits(max_bytes=10))

    async def test():
        request = RawRequest(app, b"abc")
        request.leave()
        assert (await request.answer())[0] == 499

    in_loop(test)
    assert notes[0].status == 499


def test_a_client_that_leaves_later_is_noticed_by_the_app():
    left = []

    async def wait(scope, receive, send):
        await Request(scope, receive).body()
        await client_has_left(receive)
        left.append(True)
        await JSONResponse({})(scope, receive, send)

    app, _ = guard(BodyLimits(max_bytes=10), app=wait)

    async def test():
        request = RawRequest(app, b"abc", more=False)
        await asyncio.sleep(0.01)
        assert not left
        request.leave()
        await request.answer()

    in_loop(test)
    assert left


def test_a_bug_is_logged_and_answered(caplog):
    app, notes = guard(BodyLimits(max_bytes=10))

    async def test():
        expected = (500, {"error": "other", "faults": ["Internal Server Error"]})
        assert await RawRequest(app, b"fail", more=False).answer() == expected

    in_loop(test)
    assert notes[0].status == 500
    (record,) = [record for record in caplog.records if record.name == "hmean.web"]
    assert record.fields == {"id": notes[0].id}
    assert "a bug" in str(record.exc_info[1])
