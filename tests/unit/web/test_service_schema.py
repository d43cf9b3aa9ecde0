"""Schemathesis: requests that fit the OpenAPI document are served, others refused, and every answer is one of it."""

import base64
import io

import PIL.Image
import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")
schemathesis = pytest.importorskip("schemathesis")
import hypothesis
from fastapi.testclient import TestClient
from hypothesis import strategies as st

from hmean.web.image_check import FORMATS
from hmean.web.service import Limits, create_app
from support.serving import FakeDetector

CHECKS = hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)


def files(kind):
    def draw(size):
        out = io.BytesIO()
        PIL.Image.new("L", size, 200).save(out, kind)
        return out.getvalue()

    return st.tuples(st.integers(1, 60), st.integers(1, 60)).map(draw)


@pytest.fixture(scope="module")
def schema():
    for kind in FORMATS:
        schemathesis.openapi.media_type(f"image/{kind.lower()}", files(kind))
    schemathesis.openapi.format("byte", files("PNG").map(lambda data: base64.b64encode(data).decode()))
    schemathesis.openapi.format("binary", files("PNG"))
    app = create_app(FakeDetector(), Limits(places=8, timeout_s=20))
    with TestClient(app) as client:  # holds the detector's thread
        client.get("/health")
        yield schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        ("/detect", "POST", "positive"),
        ("/detect", "POST", "negative"),
        ("/health", "GET", "positive"),
        ("/metrics", "GET", "positive"),
    ],
)
def test_answers_fit_the_document(schema, path, method, mode):
    operation = schema[path][method]
    strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))

    @CHECKS
    @hypothesis.given(case=strategy)
    def run(case):
        case.call_and_validate()

    run()
