"""The service that is sent damaged bytes: everything that reads what a client sends, and nothing that fails by itself."""

from __future__ import annotations

from typing import Any

from fairlead import App, Body, HTTPResponse, Query, Request, json, raw, text
from fairlead.compression import Compression
from fairlead.websocket import Websocket

app: App[Any, Any] = App("fuzzed")
Compression(min_bytes=64).install(app)


@app.route("/", methods=["GET", "HEAD", "OPTIONS"])
def index(request: Request[Any, Any]) -> HTTPResponse:
    """Decodes all that a head can hold."""
    request.args, request.cookies, request.accept, request.forwarded, request.credentials, request.url  # noqa: B018
    return text("ok")


@app.route("/echo", methods=["POST", "PUT"])
def echo(request: Request[Any, Any]) -> HTTPResponse:
    """A body, whole."""
    return raw(request.body)


@app.post("/json")
async def take_json(request: Request[Any, Any], body: Body[dict[str, int]], query: Query[dict[str, str]]) -> HTTPResponse:
    """A body and a query, validated."""
    return json({"body": body, "query": query})


@app.post("/form")
async def take_form(request: Request[Any, Any]) -> HTTPResponse:
    """A form, urlencoded or multipart."""
    return json({"fields": len(request.form), "files": len(request.files)})


@app.post("/upload", stream=True)
async def upload(request: Request[Any, Any]) -> None:
    """Pieces come in and go out."""
    stream = await request.respond(content_type="application/octet-stream")
    assert request.stream is not None
    async for piece in request.stream:
        await stream.send(piece)


@app.get("/long")
def long(request: Request[Any, Any]) -> HTTPResponse:
    """More than a window of HTTP/2 takes."""
    return text("fair lead " * 20_000)


@app.websocket("/ws")
async def ws(request: Request[Any, Any], ws: Websocket) -> None:
    """An echo."""
    async for message in ws:
        await ws.send(message)


@app.websocket("/deflate", compression="deflate", max_size=4096)
async def deflate(request: Request[Any, Any], ws: Websocket) -> None:
    """An echo, compressed, of messages that are not long."""
    async for message in ws:
        await ws.send(message)
