"""Connections that tell of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead import App, text
from fairlead.server.connection import HttpConnection
from fairlead.taps import Taps
from fairlead.testing import AsyncTestClient


@pytest.mark.parametrize("live", [False, True])
async def test_what_is_told(live: bool) -> None:
    """Begin and end with the same addresses, and every byte of HTTP that is written, streamed or not."""
    app, told = App("a"), []
    app.get("/")(lambda request: text("hello"))

    @app.get("/stream")
    async def stream(request: Any) -> None:
        response = await request.respond()
        await response.send("in ")
        await response.send("pieces")

    app.finalise().taps = Taps(
        begin=lambda info: told.append(info), complete=lambda info: told.append(info), send=lambda data: told.append(data)
    )
    async with AsyncTestClient(app, live=live) as client:
        await client.get("/")
        await client.get("/stream")
    first, *written, last = told
    assert first is last
    assert first.client_ip == "127.0.0.1"
    assert b"".join(written).startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"hello" in written[0]
    assert b"".join(written).endswith(b"6\r\npieces\r\n0\r\n\r\n")


async def test_plain_connections() -> None:
    """Without taps a connection is what it always is."""
    app = App("a")
    app.get("/")(lambda request: text(type(request.exchange).__name__))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == HttpConnection.__name__
