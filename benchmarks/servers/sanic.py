"""Sanic on its own server with uvloop and httptools, in a single process, as its guide advises for one worker."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "Sanic"
PACKAGES = ("sanic", "uvloop", "httptools", "websockets")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import msgspec
    from sanic import Sanic, response

    from benchmarks.item import decode, encode

    app = Sanic("bench", configure_logging=False)

    @app.get("/plaintext")
    async def plaintext(request: Any) -> Any:
        return response.text(HELLO)

    @app.get("/json")
    async def json(request: Any) -> Any:
        return response.json({"message": HELLO, "id": 42, "ok": True})

    @app.get("/users/<id:int>")
    async def user(request: Any, id: int) -> Any:
        return response.json({"id": id, "q": request.args.get("q")})

    @app.post("/items")
    async def items(request: Any) -> Any:
        try:
            item = decode(request.body)
        except msgspec.DecodeError:
            return response.empty(422)
        return response.raw(encode(item), content_type="application/json")

    @app.websocket("/ws")
    async def echo(request: Any, ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    app.run("127.0.0.1", port, single_process=True, access_log=False, motd=False, debug=False)
