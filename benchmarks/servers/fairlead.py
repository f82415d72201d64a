"""Fairlead as `app.run` serves it in a single process: metrics, watchdog and management port on, access log off."""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "Fairlead"
PACKAGES = ("httptools", "msgspec", "uvloop", "websockets")
WORKLOADS = EVERYTHING


def build() -> Any:
    """The application, for the other ways to serve it as well."""
    from benchmarks.item import Item
    from fairlead import App, Body, Request, json, text

    app: App[Any, Any] = App("bench")

    @app.get("/plaintext")
    async def plaintext(request: Request[Any, Any]) -> Any:
        return text(HELLO)

    @app.get("/json")
    async def answer(request: Request[Any, Any]) -> Any:
        return json({"message": HELLO, "id": 42, "ok": True})

    @app.get("/users/<id:int>")
    async def user(request: Request[Any, Any], id: int) -> Any:
        return json({"id": id, "q": request.args.get("q")})

    async def items(request: Request[Any, Any], item: Any) -> Any:
        return json(item)

    items.__annotations__ = {"item": Body[Item]}
    app.post("/items")(items)

    @app.websocket("/ws")
    async def echo(request: Request[Any, Any], ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    return app


def serve(port: int) -> None:
    """Run until SIGTERM."""
    logging.disable(logging.INFO)
    build().run("127.0.0.1", port, single_process=True, access_log=False, management_port=0)
