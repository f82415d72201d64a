"""aiohttp on uvloop."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import EVERYTHING, HELLO

TITLE = "aiohttp"
PACKAGES = ("aiohttp", "uvloop")
WORKLOADS = EVERYTHING


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import msgspec
    import uvloop
    from aiohttp import web

    from benchmarks.item import decode, encode

    async def plaintext(request: Any) -> Any:
        return web.Response(text=HELLO)

    async def json(request: Any) -> Any:
        return web.json_response({"message": HELLO, "id": 42, "ok": True})

    async def user(request: Any) -> Any:
        return web.json_response({"id": int(request.match_info["id"]), "q": request.query.get("q")})

    async def items(request: Any) -> Any:
        try:
            item = decode(await request.read())
        except msgspec.DecodeError:
            return web.Response(status=422)
        return web.Response(body=encode(item), content_type="application/json")

    async def echo(request: Any) -> Any:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/plaintext", plaintext)
    app.router.add_get("/json", json)
    app.router.add_get(r"/users/{id:\d+}", user)
    app.router.add_post("/items", items)
    app.router.add_get("/ws", echo)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())
