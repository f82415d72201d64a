"""docs/guide/signals.md: every block runs and does what the text around it says (P9)."""

from __future__ import annotations

import asyncio

from fairlead.signals import Event
from fairlead.testing import AsyncTestClient
from tests.docs.page import Page

PAGE = Page("guide/signals.md")


def test_no_block_is_left_out() -> None:
    """A block that is added to the page needs a test here."""
    assert len(PAGE.blocks) == 3


def test_every_event_is_listed() -> None:
    """The table names each built-in event."""
    text = PAGE.path.read_text()
    for event in Event:
        namespace, _, action = event.rpartition(".")
        assert f"`{event}`" in text or (f"`{namespace}." in text and f"`.{action}`" in text), event


async def test_shop() -> None:
    """The handler is given what it names."""
    app = PAGE.run('App("shop")')["app"]
    async with AsyncTestClient(app) as client:
        assert (await client.post("/users", json={"email": "ada@example.org"})).status_code == 201
    assert app.ctx.mails == ["ada@example.org"]


async def test_orders() -> None:
    """A request waits for what another dispatches."""
    async with AsyncTestClient(PAGE.run('App("orders")')["app"]) as client:
        waiting = asyncio.create_task(client.get("/next"))
        while not waiting.done():
            await client.post("/orders/7")
        assert (await waiting).json() in ({"state": "paid", "number": 7}, {"state": "packed"})


async def test_watched() -> None:
    """Responses and exceptions are told of."""
    app = PAGE.run('App("watched")')["app"]
    async with AsyncTestClient(app) as client:
        await client.get("/")
        await client.get("/nowhere")
    assert sorted(map(str, app.ctx.seen)) == ["('/', 200)", "('/nowhere', 404)", "Requested URL /nowhere not found"]
