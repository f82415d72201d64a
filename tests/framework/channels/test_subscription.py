"""One websocket's queue: order, bound, notices, and what happens to a slow client (W10)."""

from __future__ import annotations

import asyncio

import pytest

from fairlead.channels import Subscription
from fairlead.errors import WebsocketClosed
from fairlead.websocket import PreparedMessage


class Client:
    """A recipient whose network can stall; keeps what it was sent."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.sending = asyncio.Event()
        self.closed: tuple[int, str] | None = None
        self.error: Exception | None = None

    async def send(self, data: str | PreparedMessage, /) -> None:
        self.sending.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.received.put_nowait(str(data))

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    async def take(self, count: int) -> list[str]:
        return [await self.received.get() for _ in range(count)]


def subscription(queue_size: int = 3, backlog: tuple[str, ...] = ()) -> Subscription:
    return Subscription(lambda subscription: None, queue_size, backlog)


async def test_messages_arrive_in_order() -> None:
    """What is offered before and after `deliver` starts is sent once each, in order."""
    client, subscribed = Client(), subscription()
    subscribed.offer("a")
    task = asyncio.create_task(subscribed.deliver(client))
    assert await client.take(1) == ["a"]
    subscribed.offer("b")
    subscribed.offer("c")
    assert await client.take(2) == ["b", "c"]
    assert client.received.empty()
    assert len(subscribed) == 0
    task.cancel()


async def test_a_backlog_comes_first_and_is_not_counted_against_the_bound() -> None:
    """A resume may bring more messages than the queue holds."""
    client, subscribed = Client(), subscription(queue_size=1, backlog=("a", "b", "c"))
    assert subscribed.offer("d")
    task = asyncio.create_task(subscribed.deliver(client))
    assert await client.take(4) == ["a", "b", "c", "d"]
    task.cancel()


async def test_a_newer_notice_replaces_an_unsent_one_and_overtakes_messages() -> None:
    """Statements about now need no queue: only the last of its kind is sent, ahead of the stream."""
    client, subscribed = Client(), subscription()
    subscribed.offer("message")
    subscribed.notify("viewers", "1 viewer")
    subscribed.notify("state", "stale")
    subscribed.notify("viewers", "2 viewers")
    assert len(subscribed) == 3
    task = asyncio.create_task(subscribed.deliver(client))
    assert await client.take(3) == ["2 viewers", "stale", "message"]
    assert client.received.empty()
    task.cancel()


async def test_a_slow_client_is_closed_with_1013() -> None:
    """When its queue is full a client is told to come again; what it had not got is dropped as a whole (W10)."""
    client, subscribed = Client(), subscription(queue_size=2)
    client.open.clear()
    task = asyncio.create_task(subscribed.deliver(client))
    subscribed.offer("in the socket")
    await client.sending.wait()
    assert subscribed.offer("1")
    assert subscribed.offer("2")
    assert not subscribed.offer("3")
    assert not subscribed.offer("4")
    subscribed.notify("viewers", "5")
    await task
    assert subscribed.is_overflowed
    assert len(subscribed) == 0
    assert client.closed is not None
    assert client.closed[0] == 1013


async def test_a_closed_websocket_ends_the_delivery() -> None:
    """The error of `send` reaches the handler; nothing is closed twice."""
    client, subscribed = Client(), subscription()
    client.error = WebsocketClosed(1001)
    subscribed.offer("a")
    with pytest.raises(WebsocketClosed):
        await subscribed.deliver(client)
    assert client.closed is None


async def test_cancelling_the_delivery_leaves_no_task_behind() -> None:
    """A handler that is cancelled (drain, closed tab) takes its sender along and closes nothing itself."""
    client, subscribed = Client(), subscription()
    client.open.clear()
    subscribed.offer("a")
    task = asyncio.create_task(subscribed.deliver(client))
    await client.sending.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.closed is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_leaving_at_the_end_of_the_block() -> None:
    """The context manager leaves the fanout exactly once, also after an error."""
    left: list[Subscription] = []
    subscribed = Subscription(left.append, 3)
    with pytest.raises(RuntimeError, match="broken"), subscribed:
        raise RuntimeError("broken")
    assert left == [subscribed]
