"""`/ws/products`: what is sent, to whom, and what happens when the stream, the client or the worker goes away."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from fairlead.channels.stream import StreamPosition
from fairlead.local.ports import free_port
from fairlead.settings import Secret
from fairlead.testing import AsyncTestClient, HandshakeRefused
from feed.api import products
from feed.domain import live
from feed.service import build_app
from feed.settings import Settings

from .conftest import Catalogue, close_code_of, next_of

LAMP: dict[str, Any] = {"id": "0190", "name": "Brass lamp", "price": {"amount": 8900, "currency": "EUR"}, "version": 2}


@pytest.mark.parametrize("event", ["product.created", "product.changed", "product.deleted"])
async def test_a_change_is_sent_with_its_stream_id(client: AsyncTestClient, catalogue: Catalogue, event: str) -> None:
    """The message is the event, the id to resume from, and the product as the catalogue wrote it."""
    async with client.websocket("/ws/products") as ws:
        await next_of(ws, "viewers")
        entry_id = await catalogue.publish(event, **LAMP)
        assert await next_of(ws, "product") == {"type": event, "id": entry_id, "product": LAMP}


async def test_the_number_of_viewers_comes_first_and_follows(client: AsyncTestClient) -> None:
    """Right after connecting, and whenever a page comes or goes."""
    async with client.websocket("/ws/products") as first:
        assert await first.recv_json() == {"type": "viewers", "count": 1}
        async with client.websocket("/ws/products") as second:
            assert await second.recv_json() == {"type": "viewers", "count": 2}
            assert await first.recv_json() == {"type": "viewers", "count": 2}
        assert await first.recv_json() == {"type": "viewers", "count": 1}


async def test_two_workers_are_one_feed(client: AsyncTestClient, settings: Settings, catalogue: Catalogue) -> None:
    """Viewers are counted over both, changes reach both, and an id of one resumes at the other (W9)."""
    app = build_app(settings)
    async with AsyncTestClient(app) as other, client.websocket("/ws/products") as here:
        await app.ctx.live.reader.live.wait()
        async with other.websocket("/ws/products") as there:
            while (await here.recv_json())["count"] != 2:
                pass
            while (await there.recv_json())["count"] != 2:
                pass
            first = await catalogue.publish(**LAMP)
            assert (await next_of(here, "product"))["id"] == first
            assert (await next_of(there, "product"))["id"] == first
            second = await catalogue.publish(**LAMP)
            assert (await next_of(here, "product"))["id"] == second
            assert (await next_of(there, "product"))["id"] == second
        async with other.websocket(f"/ws/products?after={first}") as resumed:
            assert (await next_of(resumed, "product"))["id"] == second


async def test_a_worker_that_stops_takes_its_viewers_along(client: AsyncTestClient, settings: Settings) -> None:
    """A drained worker closes with 1012 and leaves the count at once, not when its report expires."""
    async with client.websocket("/ws/products") as here, AsyncExitStack() as pages:
        async with AsyncTestClient(build_app(settings)) as other:
            there = await pages.enter_async_context(other.websocket("/ws/products"))
            while (await here.recv_json())["count"] != 2:
                pass
        assert await close_code_of(there) == 1012
        assert await here.recv_json() == {"type": "viewers", "count": 1}


async def test_resuming_gives_what_was_missed(client: AsyncTestClient, catalogue: Catalogue) -> None:
    """`?after=<id>`: everything since, in order, once, then what happens next."""
    async with client.websocket("/ws/products") as ws:
        ids = [await catalogue.publish(**LAMP) for _ in range(3)]
        for expected in ids:
            assert (await next_of(ws, "product"))["id"] == expected
    async with client.websocket(f"/ws/products?after={ids[0]}") as ws:
        ids.append(await catalogue.publish(**LAMP))
        for expected in ids[1:]:
            assert (await next_of(ws, "product"))["id"] == expected


async def test_resuming_from_an_unknown_past_says_so(client: AsyncTestClient, catalogue: Catalogue) -> None:
    """The id of another life of the stream can't be resumed from: the page is told to load anew."""
    future = StreamPosition(2**60, 0)
    async with client.websocket(f"/ws/products?after={future}") as ws:
        assert await next_of(ws, "stream") == {"type": "stream", "state": "gap"}


@pytest.mark.parametrize("after", ["yesterday", "1-2-3", "-1", "9" * 40, "1-0 OR 1=1"])
async def test_what_is_no_id_is_refused_before_the_upgrade(client: AsyncTestClient, after: str) -> None:
    """400, no websocket."""
    with pytest.raises(HandshakeRefused) as refused:
        async with client.websocket(f"/ws/products?after={after}"):
            pass
    assert refused.value.response.status_code == 400


@pytest.mark.parametrize("origin", [None, "http://testserver", "https://shop.example"])
async def test_known_origins_may_connect(client: AsyncTestClient, origin: str | None) -> None:
    """The page's own origin, configured ones, and clients that are no browsers (W7, SEC-W01)."""
    async with client.websocket("/ws/products", origin=origin) as ws:
        assert (await ws.recv_json())["type"] == "viewers"


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://evil.example",
        "http://testserver.evil.example",
        "http://testserver:8080",
        "https://a.shop.example",
        "https://shop.example.evil.example",
        "http://shop.example",
        "shop.example",
        "",
    ],
)
async def test_foreign_origins_are_refused_before_the_upgrade(client: AsyncTestClient, origin: str) -> None:
    """403 and no viewer more: a foreign page can't listen in a visitor's name (W7, SEC-W01)."""
    with pytest.raises(HandshakeRefused) as refused:
        async with client.websocket("/ws/products", origin=origin):
            pass
    assert refused.value.response.status_code == 403
    assert client.app.ctx.live.presence.count == 0


async def test_a_repeat_of_the_publisher_is_sent_once(client: AsyncTestClient, catalogue: Catalogue) -> None:
    """The outbox delivers at least once; pages see each event once."""
    event_id = str(uuid.uuid4())
    async with client.websocket("/ws/products") as ws:
        first = await catalogue.publish(event_id=event_id, **LAMP)
        await catalogue.publish(event_id=event_id, **LAMP)
        last = await catalogue.publish(**LAMP)
        assert [(await next_of(ws, "product"))["id"] for _ in range(2)] == [first, last]


async def test_events_that_pages_know_nothing_of_are_left_out(client: AsyncTestClient, catalogue: Catalogue) -> None:
    """So are entries that are no events at all; neither ends the feed."""
    async with client.websocket("/ws/products") as ws:
        await catalogue.publish("product.restocked", **LAMP)
        await catalogue.publish_fields({"event": "product.changed", "id": "x", "product": "{broken"})
        expected = await catalogue.publish(**LAMP)
        assert (await next_of(ws, "product"))["id"] == expected


async def test_what_the_client_says_is_ignored(client: AsyncTestClient, catalogue: Catalogue) -> None:
    """Messages of any kind change nothing and get no answer."""
    async with client.websocket("/ws/products") as ws:
        await next_of(ws, "viewers")
        for message in ("hello", b"\x00\xff", {"type": "viewers", "count": 7}):
            await ws.send(message)
        expected = await catalogue.publish(**LAMP)
        assert (await ws.recv_json())["id"] == expected


async def test_a_client_that_goes_on_and_on_is_closed(client: AsyncTestClient) -> None:
    """More messages than a page could mean are a policy violation (1008)."""
    async with client.websocket("/ws/products") as ws:
        for _ in range(products.MAX_MESSAGES + 1):
            await ws.send("again")
        assert await close_code_of(ws) == 1008


async def test_a_client_that_speaks_now_and_then_stays(client: AsyncTestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one of a stretch of time, not of the connection's life."""
    monkeypatch.setattr(products, "PER_S", -1.0)
    async with client.websocket("/ws/products") as ws:
        for _ in range(products.MAX_MESSAGES * 3):
            await ws.send("still here")
        await ws.ping()
        assert ws.close_code is None


async def test_a_client_that_says_too_much_at_once_is_closed(client: AsyncTestClient) -> None:
    """A message beyond the limit is refused as too big (1009)."""
    async with client.websocket("/ws/products") as ws:
        await ws.send("x" * (products.MAX_MESSAGE_BYTES + 1))
        assert await close_code_of(ws) == 1009


async def test_a_quiet_feed_is_told_from_a_dead_one(
    settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of viewers is repeated now and then."""
    monkeypatch.setattr(live, "REMINDER_S", 0.01)
    async with AsyncTestClient(build_app(settings)) as client, client.websocket("/ws/products") as ws:
        for _ in range(3):
            assert await next_of(ws, "viewers") == {"type": "viewers", "count": 1}


async def test_leaving_ends_everything_of_a_viewer(client: AsyncTestClient) -> None:
    """A page that is gone leaves no subscription and no task behind."""
    async with client.websocket("/ws/products") as stays:
        await next_of(stays, "viewers")
        before = len(asyncio.all_tasks())
        async with client.websocket("/ws/products"):
            while (await stays.recv_json())["count"] != 2:
                pass
            assert len(client.app.ctx.live.fanout) == 2
        while (await stays.recv_json())["count"] != 1:
            pass
        assert len(client.app.ctx.live.fanout) == 1
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - tasks end in their own turns
            await asyncio.sleep(0)


async def test_a_start_without_redis(settings: Settings) -> None:
    """The service starts, serves its page and its websockets, says that it is behind, and is not ready."""
    away = msgspec.structs.replace(settings, redis_url=Secret(f"redis://127.0.0.1:{free_port()}/0"))
    app = build_app(away)
    async with AsyncTestClient(app) as client, client.websocket("/ws/products") as early:
        assert (await client.get("/")).status_code == 200
        assert await next_of(early, "stream") == {"type": "stream", "state": "stale"}
        async with client.websocket("/ws/products") as late:
            assert await next_of(late, "viewers") == {"type": "viewers", "count": 2}
            assert await next_of(late, "stream") == {"type": "stream", "state": "stale"}
        await app.health.run()
        assert not app.health.ready
        assert {check.name for check in app.health.readiness if check.error} == {"redis", "stream", "ended sessions", "channels"}
