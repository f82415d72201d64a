"""Sanic's guide, chapter Streaming: runs on Sanic and on Fairlead (S; see framework.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.framework.guide.framework import App, Blueprint, HTTPMethodView, file_stream, stream, text


async def reader(request: Any) -> Any:
    """Reads the stream to its end."""
    result = ""
    while (body := await request.stream.read()) is not None:
        result += body.decode()
    return text(result)


@pytest.mark.parametrize("way", ["decorator", "add_route", "view", "iteration"])
def test_request_streaming(way: str) -> None:
    """By keyword, by `add_route`, by the decorator of a view's method; `read` gives None at the end."""
    app, bp = App("request"), Blueprint("bp")
    if way == "decorator":
        app.post("/", stream=True)(reader)
    elif way == "add_route":
        bp.add_route(reader, "/", methods=["POST"], stream=True)
        app.blueprint(bp)
    elif way == "view":

        class SimpleView(HTTPMethodView):  # type: ignore[misc]
            @stream
            async def post(self, request: Any) -> Any:
                return await reader(request)

        app.add_route(SimpleView.as_view(), "/")
    else:

        @app.post("/", stream=True)
        async def iterate(request: Any) -> Any:
            return text("".join([chunk.decode() async for chunk in request.stream]))

    assert app.test_client.post("/", content=b"first second")[1].text == "first second"


@pytest.mark.parametrize("ends", [True, False])
def test_response_streaming(ends: bool) -> None:
    """`respond`, `send`, and `eof`, which may be left out."""
    app, seen = App("response"), []

    @app.on_response
    async def note(request: Any, response: Any) -> None:
        seen.append(response.status)
        response.headers["x-note"] = "1"

    @app.route("/")
    async def handler(request: Any) -> None:
        response = await request.respond(content_type="text/csv", status=201, headers={"x-own": "1"})
        await response.send("foo,")
        await response.send(b"bar")
        if ends:
            await response.eof()

    _, response = app.test_client.get("/")
    assert (response.text, response.status, response.headers["content-type"]) == ("foo,bar", 201, "text/csv")
    assert (response.headers["x-own"], response.headers["x-note"], seen) == ("1", "1", [201])
    assert response.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("length", [None, "7"])
def test_file_streaming(tmp_path: Path, length: str | None) -> None:
    """In pieces; with a Content-Length of one's own it isn't chunked."""
    (tmp_path / "sample.mp4").write_bytes(b"content")
    app = App("file")

    @app.route("/mp4")
    async def handler(request: Any) -> Any:
        headers = {"Content-Disposition": 'Attachment; filename="nicer_name.meta4"'}
        if length is not None:
            headers["Content-Length"] = length
        return await file_stream(tmp_path / "sample.mp4", chunk_size=3, mime_type="application/metalink4+xml", headers=headers)

    _, response = app.test_client.get("/mp4")
    assert (response.body, response.headers["content-type"]) == (b"content", "application/metalink4+xml")
    assert response.headers["content-disposition"] == 'Attachment; filename="nicer_name.meta4"'
    assert response.headers.get("content-length") == length
