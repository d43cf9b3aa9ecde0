"""Refusals: the one form in which the service and the studio say why they do not serve a request."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from hmean.errors import InputError
from hmean.records import Record, describe_fault

Reason = Literal["key", "address", "slow", "too_large", "kind", "invalid", "busy", "gone", "late", "other"]

STATUS: Mapping[Reason, int] = {
    "key": 401,
    "address": 403,
    "slow": 408,
    "too_large": 413,
    "kind": 415,
    "invalid": 422,
    "busy": 429,
    "gone": 499,  # not a registered status; proxies log a client that has left with it
    "late": 503,
    "other": 500,
}
RETRY = {"retry-after": "1"}
HEADERS: Mapping[Reason, Mapping[str, str]] = {
    "key": {"www-authenticate": "Bearer"},
    "busy": RETRY,
    "late": RETRY,
}


class Refusal(Record):
    """The answer to a request that is not served."""

    error: Reason = Field(description="the reason as one word, for programs")
    faults: list[str] = Field(description="every fault in words, for people")


class RefusalError(Exception):
    """Ends a request that is not served.

    Args:
        reason: as one word; it decides the status.
        faults: every fault in words.
    """

    def __init__(self, reason: Reason, *faults: str) -> None:
        super().__init__(reason, *faults)
        self.refusal = Refusal(error=reason, faults=list(faults))

    def response(self) -> JSONResponse:
        """The HTTP response."""
        reason = self.refusal.error
        return _response(self.refusal, STATUS[reason], HEADERS.get(reason))


def internal_error() -> JSONResponse:
    """The response to a request that a bug of ours has ended."""
    return _response(Refusal(error="other", faults=[HTTPStatus(500).phrase]), 500)


def _response(refusal: Refusal, status: int, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(refusal.to_json(), status, headers)


def answer_refusals(app: FastAPI) -> None:
    """Let an app answer in this form whatever it does not serve, unknown paths among it."""

    @app.exception_handler(RefusalError)
    async def refused(_request: Request, error: RefusalError) -> JSONResponse:
        return error.response()

    @app.exception_handler(InputError)
    async def wrong(_request: Request, error: InputError) -> JSONResponse:
        return RefusalError("invalid", str(error)).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [_describe(detail) for detail in error.errors()]
        return RefusalError("invalid", *faults).response()

    @app.exception_handler(HTTPException)
    async def other(_request: Request, error: HTTPException) -> JSONResponse:
        refusal = Refusal(error="other", faults=[error.detail])
        return _response(refusal, error.status_code, error.headers)


def _describe(detail: Any) -> str:
    """A fault that FastAPI found, without the place (body, path or query) that its key begins with."""
    place = detail["loc"][1:]
    if detail["type"] == "extra_forbidden":
        key = ".".join(str(part) for part in place)
        return f"{key}: there is no such key"
    if not place:
        return f"the body: {detail['msg']}"
    return describe_fault({**detail, "loc": place})


def refusal_docs(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of refusals with these statuses."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        described[status] = {"model": Refusal, "description": HTTPStatus(status).phrase}
    return described
