"""A websocket ends with the token that opened it (SEC-W02)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fairlead import App, Request
from fairlead.auth import Principal, until_expiry
from fairlead.testing import AsyncTestClient


def app_with(expires_in_s: float) -> App[Any, Any]:
    app: App[Any, Any] = App("app")

    @app.websocket("/feed")
    async def feed(request: Request[Any, Any], ws: Any) -> None:
        principal = Principal("ada", frozenset(), "", time.time() + expires_in_s, {})
        with until_expiry(ws, principal):
            async for message in ws:
                await ws.send(message)

    return app


async def test_closed_at_expiry() -> None:
    """4401, at the moment or at once when it has passed; the handler's loop ends."""
    for expires_in_s in (0.05, -10):
        app = app_with(expires_in_s)
        async with AsyncTestClient(app) as client, client.websocket("/feed") as ws:
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (4401, "token expired")


async def test_left_before_expiry() -> None:
    """A block that has ended is no longer concerned: the connection stays."""
    app: App[Any, Any] = App("app")

    @app.websocket("/feed")
    async def feed(request: Request[Any, Any], ws: Any) -> None:
        passed = asyncio.Event()
        principal = Principal("ada", frozenset(), "", time.time() + 0.01, {})
        with until_expiry(ws, principal):
            asyncio.get_running_loop().call_later(0.02, passed.set)  # after the moment
        await passed.wait()
        await ws.send("still here")

    async with AsyncTestClient(app) as client, client.websocket("/feed") as ws:
        assert await ws.recv() == "still here"
