"""docs/guide/websockets.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fairlead import App
from fairlead.testing import AsyncTestClient, HandshakeRefused

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "websockets.md"


def app_of(name: str) -> App[Any, Any]:
    """The application that the block with `App("name")` makes."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if f'App("{name}")' in block]
    names: dict[str, Any] = {}
    exec(compile(block, f"{PAGE}:{name}", "exec"), names)
    app: App[Any, Any] = names["app"]
    return app


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert re.findall(r"App\(\"(\w+)\"\)", PAGE.read_text()) == ["echo", "orders", "prices", "points"]
    assert PAGE.read_text().count("```python") == 5


async def test_echo() -> None:
    """Text and binary come back; the client's close ends the handler, ours is 1000."""
    async with AsyncTestClient(app_of("echo")) as client, client.websocket("/echo") as ws:
        for message in ("grüß", b"\x00\xff"):
            await ws.send(message)
            assert await ws.recv() == message


async def test_before_it_opens() -> None:
    """Refusals have their status, subprotocol and compression are agreed on."""
    signed_in = {"authorization": "Bearer secret"}
    async with AsyncTestClient(app_of("orders")) as client:
        for headers, origin, status in (({}, None, 401), (signed_in, "https://evil.example", 403)):
            with pytest.raises(HandshakeRefused) as refused:
                async with client.websocket("/orders", headers=headers, origin=origin):
                    raise AssertionError("unreachable")
            assert refused.value.response.status_code == status
        async with client.websocket(
            "/orders",
            headers=signed_in,
            origin="https://shop.example",
            subprotocols=["orders.v1", "orders.v2"],
            compression="deflate",
        ) as ws:
            assert await ws.recv_json() == {"speaks": "orders.v1"}
            assert ws.compression is not None
            await ws.wait_closed()
            assert ws.close_code == 1000


async def test_one_message_for_many() -> None:
    """A price that is changed over HTTP reaches every page."""
    async with (
        AsyncTestClient(app_of("prices")) as client,
        client.websocket("/prices") as one,
        client.websocket("/prices") as two,
    ):
        await one.ping()  # both handlers are there
        await two.ping()
        assert (await client.put("/prices/hammer/2490")).is_success
        for ws in (one, two):
            assert await ws.recv_json() == {"sku": "hammer", "amount": 2490}


async def test_as_a_class() -> None:
    """Typed messages, and the close code."""
    app = app_of("points")
    async with AsyncTestClient(app) as client, client.websocket("/boards/red") as ws:
        assert await ws.recv_json() == {"board": "red"}
        await ws.send({"x": 2, "y": 3})
        assert await ws.recv_json() == {"sum": 5}
        await ws.send({"x": "?"})
        await ws.wait_closed()
        assert ws.close_code == 1007
    assert app.ctx.last_code == 1007


async def test_a_client() -> None:
    """It follows a server, signed in."""
    block = next(block for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "client import" in block)
    names: dict[str, Any] = {}
    exec(compile(block, f"{PAGE}:client", "exec"), names)
    taken: list[Any] = []
    async with AsyncTestClient(app_of("orders"), live=True) as client:
        await names["follow"](str(client.base_url).replace("http", "ws", 1) + "/orders", taken.append)
    assert taken == [{"speaks": None}]
