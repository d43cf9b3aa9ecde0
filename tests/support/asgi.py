"""Requests to an ASGI app whose body comes when a test says so, and whose client can leave."""

import asyncio
import json


class RawRequest:
    """A request that is under way; only within a running loop."""

    def __init__(self, app, *chunks, more=True, path="/detect", headers=((b"content-type", b"image/png"),)):
        self.sent = []
        self._incoming = asyncio.Queue()
        scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": path, "query_string": b"",
                 "root_path": "", "scheme": "http", "headers": list(headers)}  # fmt: skip
        for i, chunk in enumerate(chunks):
            self.send(chunk, more=more or i + 1 < len(chunks))
        self.task = asyncio.create_task(app(scope, self._incoming.get, self._take))

    async def _take(self, message):
        self.sent.append(message)

    def send(self, data, *, more=True):
        self._incoming.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def leave(self):
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def answer(self):
        """Status and JSON."""
        await asyncio.wait_for(self.task, 20)
        return self.sent[0]["status"], json.loads(b"".join(message["body"] for message in self.sent[1:]))

    def header(self, name):
        return dict(self.sent[0]["headers"]).get(name.encode())


def in_loop(test, lifespan=None):
    """Run the coroutine function ``test`` in a loop, while an app's ``lifespan`` holds."""

    async def run():
        if lifespan is None:
            await asyncio.wait_for(test(), 30)
            return
        async with lifespan:
            await asyncio.wait_for(test(), 30)

    asyncio.run(run())


async def happens(condition):
    """Let other tasks run until something is true."""
    while not condition():  # noqa: ASYNC110 - of plain counters
        await asyncio.sleep(0.001)
