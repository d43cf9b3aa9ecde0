"""``hmean studio`` as an ASGI app: one studio for one person, on loopback only, under a path that holds a secret."""

from __future__ import annotations

import asyncio
import hmac
import threading

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.requests import HTTPConnection

from hmean import __version__
from hmean.web.guard import BodyLimits, BodyMemory, Guard, client_has_left
from hmean.web.refusals import RefusalError, answer_refusals
from hmean.web.studio_answers import Studio
from hmean.web.studio_records import (
    PageAnswer,
    PageRequest,
    RunAbout,
    SaveRequest,
    ScoreAnswer,
    ScoreRequest,
    StudioAbout,
    TruthWord,
)
from hmean.web.studio_scores import SupersededError

HOSTS = ("127.0.0.1", "localhost")
BODY_LIMITS = BodyLimits(max_bytes=2**16)
ALL_BODIES = 2**24  # bytes
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
KEPT = {"cache-control": "private, max-age=86400"}  # of pictures, which do not change


def create_studio_app(studio: Studio, token: str) -> FastAPI:
    """The studio as an ASGI app.

    Args:
        studio: the runs.
        token: the first part of every path; a secret, so that neither another user of the machine nor another page in
            the browser can ask anything.
    """

    def admit(request: HTTPConnection) -> None:
        # Another page may reach this port: under a name of its own that leads here (hence the host), or blindly.
        host = request.headers.get("host", "").partition(":")[0]
        given = request.scope["path"].split("/")[1]
        if host not in HOSTS or not hmac.compare_digest(given.encode(), token.encode()):
            raise RefusalError("address", "this is not the address that hmean studio printed")

    app = FastAPI(title="hmean studio", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, admit=admit, limits=BODY_LIMITS, memory=BodyMemory(ALL_BODIES), headers=HEADERS)
    answer_refusals(app)
    app.include_router(_routes(studio), prefix=f"/{token}")
    app.mount(f"/{token}", StaticFiles(packages=[("hmean.web", "static")], html=True))
    return app


def _routes(studio: Studio) -> APIRouter:
    """What the page asks for. Nothing is remembered between two requests but what is saved."""
    routes = APIRouter()

    @routes.get("/about")
    def about() -> StudioAbout:
        """What does not change while parameters do."""
        return studio.about()

    @routes.get("/truth/{page}")
    def truth(page: int) -> list[TruthWord]:
        """The words of a page."""
        return studio.truth(page)

    @routes.get("/image/{page}")
    def image(page: int) -> Response:
        """A page as a picture."""
        return Response(studio.picture(page), media_type="image/jpeg", headers=KEPT)

    @routes.get("/map/{run}/{page}")
    def probability_map(run: int, page: int) -> Response:
        """The probability map of a page as a picture."""
        return Response(studio.map_picture(run, page), media_type="image/png", headers=KEPT)

    @routes.post("/page")
    def page(body: PageRequest) -> PageAnswer:
        """What a run finds on a page."""
        return studio.page(body)

    @routes.post("/score")
    async def score(body: ScoreRequest, request: Request) -> ScoreAnswer:
        """What the runs score on all pages."""
        return await _score_until_left(studio, body, request)

    @routes.post("/save")
    def save(body: SaveRequest) -> RunAbout:
        """Write parameters into a checkpoint."""
        return studio.save(body)

    return routes


async def _score_until_left(studio: Studio, body: ScoreRequest, request: Request) -> ScoreAnswer:
    """Score in a thread; a browser that needs the answer no longer closes its connection, which ends the work.

    Raises:
        RefusalError: if the work was ended.
    """
    superseded = threading.Event()
    scoring = asyncio.create_task(asyncio.to_thread(studio.score, body, superseded.is_set))
    left = asyncio.create_task(client_has_left(request.receive))
    try:
        await asyncio.wait({scoring, left}, return_when=asyncio.FIRST_COMPLETED)
        superseded.set()  # no effect on a scoring that has ended
        return await scoring
    except SupersededError:
        raise RefusalError("gone", "the client has left") from None
    finally:
        superseded.set()
        left.cancel()
