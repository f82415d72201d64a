"""Starlette on uvicorn with uvloop, httptools and uvicorn's default websocket implementation."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "Starlette, uvicorn"
PACKAGES = ("starlette", "uvicorn", "uvloop", "httptools", "websockets")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import msgspec
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse, Response
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocketDisconnect

    from benchmarks.item import decode, encode

    async def plaintext(request: Any) -> Any:
        return PlainTextResponse(HELLO)

    async def json(request: Any) -> Any:
        return JSONResponse({"message": HELLO, "id": 42, "ok": True})

    async def user(request: Any) -> Any:
        return JSONResponse({"id": request.path_params["id"], "q": request.query_params.get("q")})

    async def items(request: Any) -> Any:
        try:
            item = decode(await request.body())
        except msgspec.DecodeError:
            return Response(status_code=422)
        return Response(encode(item), media_type="application/json")

    async def echo(websocket: Any) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect:
            pass

    app = Starlette(
        routes=[
            Route("/plaintext", plaintext),
            Route("/json", json),
            Route("/users/{id:int}", user),
            Route("/items", items, methods=["POST"]),
            WebSocketRoute("/ws", echo),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
