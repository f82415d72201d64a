"""Robyn (Rust)."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import HELLO

TITLE = "Robyn (Rust)"
PACKAGES = ("robyn", "uvloop")
WORKLOADS = ("plaintext", "json", "path", "body", "headers", "pipelined", "websocket")


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import sys

    import msgspec

    sys.argv[1:] = ["--log-level", "ERROR"]  # which it reads
    from robyn import Request, Response, Robyn

    from benchmarks.item import decode, encode

    app = Robyn(__file__)

    @app.get("/plaintext")
    async def plaintext(request: Request) -> str:
        return HELLO

    @app.get("/json")
    async def json(request: Request) -> dict[str, Any]:
        return {"message": HELLO, "id": 42, "ok": True}

    @app.get("/users/:id")
    async def user(request: Request) -> dict[str, Any]:
        return {"id": int(request.path_params["id"]), "q": request.query_params.get("q", None)}

    @app.post("/items")
    async def items(request: Request) -> Response:
        body = request.body
        try:
            item = decode(body.encode() if isinstance(body, str) else bytes(body))
        except msgspec.DecodeError:
            return Response(status_code=422, headers={}, description="")
        return Response(status_code=200, headers={"content-type": "application/json"}, description=encode(item))

    @app.websocket("/ws")
    async def echo(websocket: Any) -> None:
        while True:
            await websocket.send_text(await websocket.receive_text())

    app.start(host="127.0.0.1", port=port)
