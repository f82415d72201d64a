"""The peers in Python, each a function that serves until SIGTERM and broadcasts as its users are told to."""

from __future__ import annotations

from typing import Any

from benchmarks.broadcast.task import LONG, MESSAGE, repeat, run


def websockets(port: int) -> None:
    """The library's own server and its `broadcast`."""
    _websockets(port, None, MESSAGE)


def websockets_deflate(port: int) -> None:
    """The same with permessage-deflate."""
    _websockets(port, "deflate", LONG)


def _websockets(port: int, compression: str | None, message: str) -> None:
    from websockets.asyncio.server import broadcast, serve

    subscribers: set[Any] = set()

    async def subscriber(ws: Any) -> None:
        subscribers.add(ws)
        try:
            async for wish in ws:
                subscribers.discard(ws)
                await repeat(int(wish), lambda: broadcast(subscribers, message))
        finally:
            subscribers.discard(ws)

    async def main() -> None:
        await serve(subscriber, "127.0.0.1", port, compression=compression, ping_interval=None, backlog=4096)

    run(main)


def aiohttp(port: int) -> None:
    """One `send_str` after the other, as its users write it."""
    _aiohttp(port, False, MESSAGE)


def aiohttp_deflate(port: int) -> None:
    """The same with permessage-deflate."""
    _aiohttp(port, True, LONG)


def _aiohttp(port: int, compress: bool, message: str) -> None:
    from aiohttp import web

    subscribers: set[Any] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send_str(message)

    async def subscriber(request: Any) -> Any:
        ws = web.WebSocketResponse(compress=compress)
        await ws.prepare(request)
        subscribers.add(ws)
        async for wish in ws:
            subscribers.discard(ws)
            await repeat(int(wish.data), send)
        subscribers.discard(ws)
        return ws

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", subscriber)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()

    run(main)


def starlette(port: int) -> None:
    """On uvicorn with the `websockets` library."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    subscribers: set[Any] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send_text(MESSAGE)

    async def subscriber(ws: Any) -> None:
        await ws.accept()
        subscribers.add(ws)
        async for wish in ws.iter_text():
            subscribers.discard(ws)
            await repeat(int(wish), send)
        subscribers.discard(ws)

    app = Starlette(routes=[WebSocketRoute("/", subscriber)])
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="error", ws_per_message_deflate=False, ws_ping_interval=None, backlog=4096
    )


def sanic(port: int) -> None:
    """In its single process."""
    from sanic import Sanic

    app: Any = Sanic("broadcast")
    app.config.WEBSOCKET_PING_INTERVAL = None
    subscribers: set[Any] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send(MESSAGE)

    @app.websocket("/")
    async def subscriber(request: Any, ws: Any) -> None:
        subscribers.add(ws)
        try:
            async for wish in ws:
                subscribers.discard(ws)
                await repeat(int(wish), send)
        finally:
            subscribers.discard(ws)

    app.run("127.0.0.1", port, single_process=True, access_log=False, motd=False, backlog=4096)


def tornado(port: int) -> None:
    """`write_message` to everybody, as in its chat demonstration."""
    _tornado(port, None, MESSAGE)


def tornado_deflate(port: int) -> None:
    """The same with permessage-deflate."""
    _tornado(port, {}, LONG)


def _tornado(port: int, compression: dict[str, Any] | None, message: str) -> None:
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    subscribers: set[Any] = set()

    def send() -> None:
        for ws in subscribers:
            ws.write_message(message)

    class Subscriber(WebSocketHandler):
        def get_compression_options(self) -> dict[str, Any] | None:
            return compression

        def open(self) -> None:
            subscribers.add(self)

        async def on_message(self, wish: str) -> None:
            subscribers.discard(self)
            await repeat(int(wish), send)

        def on_close(self) -> None:
            subscribers.discard(self)

    async def main() -> None:
        Application([("/", Subscriber)]).listen(port, "127.0.0.1", backlog=4096)

    run(main)
