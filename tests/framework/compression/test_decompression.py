"""Compressed request bodies: decoded within the limit, or refused with the right status."""

from __future__ import annotations

import gzip
from typing import Any

import brotli
import pytest
from backports import zstd

from fairlead import App, HTTPResponse, Request, json
from fairlead.compression import Decompression
from fairlead.testing import AsyncTestClient

BODY = b'{"name": "hammer"}'


@pytest.fixture
def app() -> App[Any, Any]:
    app: App[Any, Any] = App("app", {"REQUEST_MAX_SIZE": 5000})
    Decompression().install(app)

    @app.post("/")
    async def show(request: Request[Any, Any]) -> HTTPResponse:
        fields = [name for name in ("content-encoding", "content-length") if name in request.headers]
        return json({"json": request.json, "fields": fields, "length": request.headers["content-length"]})

    @app.post("/small", max_body_bytes=100)
    async def small(request: Request[Any, Any]) -> HTTPResponse:
        return json(len(request.body))

    @app.post("/stream", stream=True)
    async def stream(request: Request[Any, Any]) -> HTTPResponse:
        await request.receive_body()
        return json(len(request.body))

    @app.post("/spared")
    @Decompression.exempt
    async def spared(request: Request[Any, Any]) -> HTTPResponse:
        return json(request.headers["content-encoding"])

    return app


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("X-GZIP", gzip.compress(BODY)),
        ("br", brotli.compress(BODY)),
        ("zstd", zstd.compress(BODY)),
        ("identity", BODY),
        (" ", BODY),
    ],
)
async def test_decoded(app: App[Any, Any], coding: str, body: bytes) -> None:
    """The handler sees the body as it was meant, and fields that fit it."""
    async with AsyncTestClient(app) as client:
        response = await client.post("/", content=body, headers={"content-encoding": coding.strip()})
    assert response.json()["json"] == {"name": "hammer"}
    assert response.json()["length"] == str(len(BODY))
    if coding.strip() not in ("", "identity"):
        assert response.json()["fields"] == ["content-length"]


@pytest.mark.parametrize("coding", ["deflate", "gzip, gzip", "br, gzip", "compress", "nonsense", "gzip;q=1", "*"])
async def test_unknown_codings(app: App[Any, Any], coding: str) -> None:
    """415, and the answer says which are known."""
    async with AsyncTestClient(app) as client:
        response = await client.post("/", content=b"x", headers={"content-encoding": coding})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "zstd, br, gzip")


async def test_two_fields_are_one_list(app: App[Any, Any]) -> None:
    """Codings on top of each other in two lines are refused like those in one."""
    async with AsyncTestClient(app) as client:
        response = await client.post("/", content=b"x", headers=[("content-encoding", "gzip"), ("content-encoding", "gzip")])
    assert response.status_code == 415


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/", b"no gzip", 400),
        ("/", b"", 400),
        ("/", gzip.compress(BODY)[:-1], 400),
        ("/", gzip.compress(b"1".ljust(5000)), 200),
        ("/", gzip.compress(b"1".ljust(5001)), 413),
        ("/", gzip.compress(b"\x00" * 10_000_000)[:4990], 413),
        ("/small", gzip.compress(b" " * 100), 200),
        ("/small", gzip.compress(b" " * 101), 413),
        ("/stream", gzip.compress(BODY), 415),
        ("/missing", gzip.compress(BODY), 404),
        ("/spared", gzip.compress(BODY), 200),
    ],
)
async def test_limits(app: App[Any, Any], path: str, body: bytes, status: int) -> None:
    """The route's limit holds for what comes out; a bomb is 413, a malformed body 400."""
    async with AsyncTestClient(app) as client:
        response = await client.post(path, content=body, headers={"content-encoding": "gzip"})
        assert response.status_code == status
