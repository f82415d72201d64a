"""The `websockets` library's own server: websockets only."""

from __future__ import annotations

from typing import Any

TITLE = "websockets"
PACKAGES = ("websockets", "uvloop")
WORKLOADS = ("websocket",)


def serve(port: int) -> None:
    """Run until SIGTERM."""
    import asyncio

    import uvloop
    from websockets.asyncio.server import serve

    async def echo(ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    async def run() -> None:
        server = await serve(echo, "127.0.0.1", port, compression=None)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
