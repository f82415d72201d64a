"""Sanic's guide, chapter Websockets: runs on Sanic and on Fairlead (S, W1; see framework.py)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.framework.guide.framework import App


@pytest.mark.parametrize("decorated", [True, False])
def test_routing_and_talking(decorated: bool) -> None:
    """`@app.websocket` and `add_websocket_route`; send and receive by turns."""
    app = App("talking")

    async def feed(request: Any, ws: Any) -> None:
        while True:
            await ws.send("hello!")
            data = await ws.recv()
            if not data:
                break

    if decorated:
        app.websocket("/feed")(feed)
    else:
        app.add_websocket_route(feed, "/feed")

    async def client(ws: Any) -> None:
        for _ in range(2):
            assert await ws.recv() == "hello!"
            await ws.send("again")

    _, response = app.test_client.websocket("/feed", mimic=client)
    assert response.server_sent == ["hello!", "hello!"]
    assert response.server_received[:2] == ["again", "again"]
    assert response.opened is True


def test_iterating() -> None:
    """`async for` over the messages, path parameters, bytes."""
    app = App("iterating")

    @app.websocket("/feed/<name>")
    async def feed(request: Any, ws: Any, name: str) -> None:
        async for message in ws:
            await ws.send(f"{name}: {message}" if isinstance(message, str) else message)

    async def client(ws: Any) -> None:
        await ws.send("one")
        assert await ws.recv() == "ada: one"
        await ws.send(b"\x00\xff")
        assert await ws.recv() == b"\x00\xff"

    _, response = app.test_client.websocket("/feed/ada", mimic=client)
    assert response.client_received == ["ada: one", b"\x00\xff"]


def test_defaults() -> None:
    """Of the configuration."""
    config = App("defaults").config
    assert (config.WEBSOCKET_MAX_SIZE, config.WEBSOCKET_PING_INTERVAL, config.WEBSOCKET_PING_TIMEOUT) == (2**20, 20, 20)
