"""A studio on the pages of planted runs, asked in process or served on loopback."""

import threading
from contextlib import contextmanager

from fastapi.testclient import TestClient

from hmean.commands.studio import StudioSettings, open_studio
from hmean.web.server import bind, listen, make_server, port_of
from hmean.web.studio import create_studio_app

TOKEN = "t" * 32


def studio_of(*folders, **settings):
    """The studio of these run folders."""
    return open_studio(StudioSettings(inputs=tuple(str(folder) for folder in folders), **settings))


class StudioClient:
    """Asks a studio in process."""

    def __init__(self, studio):
        self.studio = studio
        self.app = create_studio_app(studio, TOKEN)
        self._client = TestClient(self.app, base_url="http://127.0.0.1:8080")

    def raw(self, method, path, **more):
        return self._client.request(method, path, **more)

    def get(self, path):
        return self.raw("GET", f"/{TOKEN}/{path}")

    def post(self, path, value):
        """Status and JSON."""
        answer = self.raw("POST", f"/{TOKEN}/{path}", json=value)
        return answer.status_code, answer.json()

    def saved(self, run=0):
        """The parameters that a run's checkpoint holds."""
        return self.get("about").json()["runs"][run]["saved"]


@contextmanager
def served(studio):
    """The address of a studio on loopback."""
    listener = bind("127.0.0.1", 0)
    listen(listener)
    app = create_studio_app(studio, TOKEN)
    server = make_server(app, connections=None, keep_alive_s=60, stop_s=1, log_level="critical")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port_of(listener)}/{TOKEN}/"
    finally:
        server.should_exit = True
        thread.join(20)
