"""Compressed answers: for whom, which, and what else changes with the bytes."""

from __future__ import annotations

import asyncio
import threading
import zlib
from pathlib import Path
from typing import Any

import brotli
import pytest
from backports import zstd

from fairlead import App, HTTPResponse, Request, empty, json, raw, text
from fairlead.compression import Compression, codec
from fairlead.errors import ConfigurationError, Conflict
from fairlead.testing import AsyncTestClient

LONG = "the quick brown fox jumps over the lazy dog; " * 100
ALL = {"accept-encoding": "gzip, br, zstd"}


def decoded(coding: str, body: bytes) -> bytes:
    if coding == "gzip":
        return zlib.decompress(body, 31)
    return bytes(brotli.decompress(body) if coding == "br" else zstd.decompress(body))


def make_app(**options: Any) -> App[Any, Any]:
    app: App[Any, Any] = App("app")
    Compression(**options).install(app)

    @app.route("/long", methods=["GET", "HEAD", "POST"])
    async def long(request: Request[Any, Any]) -> HTTPResponse:
        wanted = request.args
        headers = {name: wanted.get(name) for name in wanted if name not in ("type", "status")}
        status, kind = int(wanted.get("status", "200")), wanted.get("type", "text/plain")
        return HTTPResponse(LONG, status, headers, kind)

    @app.get("/short/<size:int>")
    async def short(request: Request[Any, Any], size: int) -> HTTPResponse:
        return text("x" * size)

    @app.get("/noise")
    async def noise(request: Request[Any, Any]) -> HTTPResponse:
        import random

        return raw(random.Random(7).randbytes(2000), content_type="application/json")

    @app.get("/error")
    async def error(request: Request[Any, Any]) -> HTTPResponse:
        raise Conflict(LONG)

    @app.get("/unmodified")
    async def unmodified(request: Request[Any, Any]) -> HTTPResponse:
        return empty(304, headers={"etag": '"7"'})

    @app.get("/spared")
    @Compression.exempt
    async def spared(request: Request[Any, Any]) -> HTTPResponse:
        return text(LONG)

    @app.get("/stream")
    async def stream(request: Request[Any, Any]) -> None:
        response = await request.respond(content_type=request.args.get("type", "text/plain"), headers={"etag": '"1"'})
        for _ in range(3):
            await response.send(LONG)
        await response.send("end", end_stream=True)

    @app.get("/counted/<size:int>")
    async def counted(request: Request[Any, Any], size: int) -> None:
        response = await request.respond(content_type="text/plain", headers={"content-length": str(size)})
        await response.send("x" * size)

    return app


async def get(app: App[Any, Any], path: str, headers: dict[str, str] | None = None, method: str = "GET") -> tuple[Any, bytes]:
    """The response's head, and its body as it was sent."""
    async with (
        AsyncTestClient(app) as client,
        client.stream(method, path, headers=ALL if headers is None else headers) as response,
    ):
        return response, b"".join([piece async for piece in response.aiter_raw()])


@pytest.mark.parametrize(("accepted", "coding"), [("gzip", "gzip"), ("gzip, br", "br"), ("gzip, br, zstd", "zstd")])
async def test_codings(accepted: str, coding: str) -> None:
    """The body can be decoded by the library of its coding, is shorter, and its length is said."""
    response, body = await get(make_app(), "/long?etag=%221%22&accept-ranges=bytes", {"accept-encoding": accepted})
    assert decoded(coding, body) == LONG.encode()
    fields = ("content-encoding", "vary", "etag", "content-length", "content-type")
    assert [response.headers[name] for name in fields] == [coding, "Accept-Encoding", 'W/"1"', str(len(body)), "text/plain"]
    assert "accept-ranges" not in response.headers


@pytest.mark.parametrize("accepted", ["", "identity", "deflate", "gzip;q=0"])
async def test_for_whom_it_is_not(accepted: str) -> None:
    """The body as it is; the answer says that others may get another one."""
    response, body = await get(make_app(), "/long?etag=%221%22", {"accept-encoding": accepted})
    assert body == LONG.encode()
    assert ("content-encoding" in response.headers, response.headers["vary"], response.headers["etag"]) == (
        False,
        "Accept-Encoding",
        '"1"',
    )


@pytest.mark.parametrize(
    "path",
    [
        "/short/1023",
        "/long?content-encoding=identity",
        "/long?content-encoding=br",
        "/long?cache-control=public, No-Transform",
        "/long?status=206&content-range=bytes 0-9/10",
        "/long?type=image/png",
        "/long?type=video/mp4",
        "/long?type=application/zip",
        "/long?type=font/woff2",
        "/long?type=text/event-stream",
        "/long?type=application/octet-stream",
        "/long?type=x",
        "/long?repr-digest=sha-256=:x:",
        "/long?content-md5=x",
        "/spared",
        "/counted/1023",
        "/stream?type=text/event-stream; charset=utf-8",
    ],
)
async def test_what_is_left_as_it_is(path: str) -> None:
    """Short, coded, partial, not to be transformed, incompressible, with a digest, exempt: the same bytes for everybody."""
    response, body = await get(make_app(), path)
    assert "vary" not in response.headers
    assert "content-encoding" not in response.headers or "content-encoding" in path
    assert body.startswith((b"the quick", b"xxx"))


@pytest.mark.parametrize(
    "kind",
    [
        "text/html; charset=utf-8",
        "TEXT/CSS",
        "application/json",
        "application/problem+json",
        "application/vnd.api+json; version=1",
        "application/atom+xml",
        "application/wasm",
        "image/svg+xml",
    ],
)
async def test_media_types_that_gain(kind: str) -> None:
    """By what the answer says it is, parameters and case aside."""
    response, _ = await get(make_app(), f"/long?type={kind.replace('+', '%2B').replace(';', '%3B')}")
    assert response.headers["content-encoding"] == "zstd"


async def test_the_header_says_the_type() -> None:
    """A Content-Type among the headers goes before the response's own."""
    response, _ = await get(make_app(), "/long?content-type=image/png")
    assert "content-encoding" not in response.headers


async def test_errors_are_compressed_too() -> None:
    """Problem details like any other body; an answer of another status keeps it."""
    response, body = await get(make_app(), "/error")
    assert (response.status_code, response.headers["content-encoding"]) == (409, "zstd")
    assert LONG.encode() in decoded("zstd", body)


async def test_what_would_grow() -> None:
    """Noise stays as it is, and yet varies: another noise might not."""
    response, body = await get(make_app(), "/noise")
    assert (len(body), "content-encoding" in response.headers, response.headers["vary"]) == (2000, False, "Accept-Encoding")


async def test_head() -> None:
    """The same fields as GET's, and no body."""
    (got, _), (head, body) = await get(make_app(), "/long"), await get(make_app(), "/long", method="HEAD")
    assert body == b""
    for name in ("content-encoding", "content-length", "vary"):
        assert got.headers[name] == head.headers[name]


@pytest.mark.parametrize(("tags", "etag"), [('W/"7"', 'W/"7"'), ('"7"', '"7"'), ('"1", W/"7"', 'W/"7"')])
async def test_not_modified(tags: str, etag: str) -> None:
    """A 304 names the tag that the client's copy has."""
    response, _ = await get(make_app(), "/unmodified", {"if-none-match": tags})
    assert (response.status_code, response.headers["etag"], response.headers["vary"]) == (304, etag, "Accept-Encoding")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_streams(coding: str) -> None:
    """Coded as they go, chunked, with a weak tag."""
    response, body = await get(make_app(), "/stream", {"accept-encoding": coding})
    assert decoded(coding, body) == (LONG * 3 + "end").encode()
    assert response.headers["etag"] == 'W/"1"'
    response, body = await get(make_app(), "/counted/5000", {"accept-encoding": coding})
    assert decoded(coding, body) == b"x" * 5000
    assert (response.headers["transfer-encoding"], "content-length" in response.headers) == ("chunked", False)


async def test_the_compressed_bytes_are_counted() -> None:
    """What the access log says of a stream is what was sent of it."""
    app = make_app()
    sizes: list[int] = []
    app.finalise().observer = lambda request, status, body_bytes, *rest: sizes.append(body_bytes)
    async with AsyncTestClient(app) as client, client.stream("GET", "/stream", headers={"accept-encoding": "gzip"}) as response:
        body = b"".join([piece async for piece in response.aiter_raw()])
    assert sizes == [len(body)]


async def test_each_piece_arrives() -> None:
    """What was sent can be decoded before anything else is sent."""
    app, received = make_app(), asyncio.Queue[None]()

    @app.get("/steps")
    async def steps(request: Request[Any, Any]) -> None:
        response = await request.respond(content_type="application/x-ndjson")
        for number in range(3):
            await response.send(f"{number}\n")
            await received.get()

    decoder, text = zlib.decompressobj(31), ""
    async with AsyncTestClient(app) as client, client.stream("GET", "/steps", headers={"accept-encoding": "gzip"}) as response:
        async for piece in response.aiter_raw():
            text += decoder.decompress(piece).decode()
            if text.endswith("\n"):
                received.put_nowait(None)
    assert (text, decoder.eof) == ("0\n1\n2\n", True)


async def test_several_senders() -> None:
    """Pieces of tasks that send at the same time stay whole, long ones from the threads included."""
    app = make_app()

    @app.get("/many")
    async def many(request: Request[Any, Any]) -> None:
        response = await request.respond(content_type="text/plain")
        await asyncio.gather(*(response.send(str(number) * (50_000 if number % 2 else 10)) for number in range(8)))

    _, body = await get(app, "/many")
    assert decoded("zstd", body).decode() == "".join(str(number) * (50_000 if number % 2 else 10) for number in range(8))


@pytest.mark.parametrize(("size", "off_loop"), [(30_000, False), (40_000, True)])
async def test_long_bodies_are_compressed_in_a_thread(monkeypatch: pytest.MonkeyPatch, size: int, off_loop: bool) -> None:
    """The loop answers others meanwhile."""
    threads: list[int] = []

    def noting(coding: str) -> Any:
        threads.append(threading.get_ident())
        return codec.new_encoder(coding)

    monkeypatch.setattr("fairlead.compression.compression.new_encoder", noting)
    await get(make_app(), f"/short/{size}")
    assert (threads != [threading.get_ident()]) == off_loop


@pytest.mark.parametrize("size", [2000, 2_000_000])
async def test_static_files(tmp_path: Path, size: int) -> None:
    """Whole and streamed files alike; a range is sent as it is, under the strong tag; the weak one answers 304."""
    (tmp_path / "app.js").write_bytes(b"x" * size)
    app = make_app()
    app.static("/files", tmp_path)
    response, body = await get(app, "/files/app.js")
    assert decoded("zstd", body) == b"x" * size
    assert response.headers["etag"].startswith('W/"')
    part, body = await get(app, "/files/app.js", ALL | {"range": "bytes=0-1199"})
    assert (part.status_code, len(body), part.headers["etag"]) == (206, 1200, response.headers["etag"].removeprefix("W/"))
    unmodified, _ = await get(app, "/files/app.js", ALL | {"if-none-match": response.headers["etag"]})
    assert (unmodified.status_code, unmodified.headers["etag"]) == (304, response.headers["etag"])
    whole, _ = await get(app, "/files/app.js", ALL | {"range": "bytes=0-9", "if-range": response.headers["etag"]})
    assert whole.status_code == 200
    head, body = await get(app, "/files/app.js", method="HEAD")
    assert (head.status_code, body) == (200, b"")


async def test_chosen_codings() -> None:
    """The application's preference, and its own threshold."""
    response, _ = await get(make_app(codings=["br", "gzip"], min_bytes=10), "/short/20")
    assert response.headers["content-encoding"] == "br"
    with pytest.raises(ConfigurationError, match="deflate"):
        Compression(codings=["deflate"])


async def test_json_values() -> None:
    """A response that a handler made is compressed as it is sent, after all other middleware."""
    app = make_app()

    @app.get("/list")
    async def numbers(request: Request[Any, Any]) -> HTTPResponse:
        return json([0] * 2000)

    @app.on_response
    async def change(request: Request[Any, Any], response: Any) -> None:
        response.append(1)

    _, body = await get(app, "/list")
    assert decoded("zstd", body).endswith(b"0,1]")
