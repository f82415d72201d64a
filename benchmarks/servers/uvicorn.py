"""uvicorn with a bare ASGI function: what the server costs without any framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "bare ASGI, uvicorn"
PACKAGES = ("uvicorn", "uvloop", "httptools", "websockets")
WORKLOADS = EVERYTHING

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
JSON = [(b"content-type", b"application/json")]


def application() -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """The ASGI function, for other ASGI servers as well."""
    import msgspec

    from benchmarks.item import decode, encode

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        kind, path = scope["type"], scope.get("path", "")
        if kind == "http":
            status, headers, body = 200, JSON, b""
            if path == "/plaintext":
                headers, body = TEXT, HELLO.encode()
            elif path == "/json":
                body = encode({"message": HELLO, "id": 42, "ok": True})
            elif path.startswith("/users/"):
                query = dict(pair.split("=", 1) for pair in scope["query_string"].decode().split("&"))
                body = encode({"id": int(path[7:]), "q": query.get("q")})
            elif path == "/items":
                try:
                    body = encode(decode(await _body(receive)))
                except msgspec.DecodeError:
                    status = 422
            else:
                status = 404
            length = (b"content-length", b"%d" % len(body))
            await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
            await send({"type": "http.response.body", "body": body})
        elif kind == "websocket":
            await _echo(receive, send)
        else:
            await _lifespan(receive, send)

    return app


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": f"{message['type']}.complete"})


def serve(port: int, ws: Literal["auto", "websockets", "wsproto"] = "auto") -> None:
    """Run until SIGTERM, with one of its websocket implementations; "auto" is websockets-sansio."""
    import uvicorn

    uvicorn.run(
        application(),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws=ws,
        access_log=False,
        log_level="warning",
    )
