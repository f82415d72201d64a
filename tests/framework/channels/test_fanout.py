"""Publishing to many: everybody gets it, nobody waits for anybody (W9, W10)."""

from __future__ import annotations

import asyncio

from fairlead.channels import Fanout, StreamPosition, Subscription
from fairlead.channels.stream import BEGINNING
from fairlead.websocket import PreparedMessage

GAP = "load anew"


class Client:
    """A recipient; `open` can be cleared to stall it."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.closed_with = 0

    async def send(self, data: str | PreparedMessage, /) -> None:
        await self.open.wait()
        self.received.put_nowait(str(data))

    async def close(self, code: int, reason: str) -> None:
        self.closed_with = code


def at(number: int) -> StreamPosition:
    return StreamPosition(number, 0)


def started(history_size: int = 10, queue_size: int = 10) -> Fanout:
    fanout = Fanout(gap_notice=GAP, history_size=history_size, queue_size=queue_size)
    fanout.history.restart(BEGINNING)
    return fanout


async def collect(subscription: Subscription) -> list[str]:
    """Everything that waits in a subscription."""
    client = Client()
    task = asyncio.create_task(subscription.deliver(client))
    messages = [await client.received.get() for _ in range(len(subscription))]
    task.cancel()
    return messages


async def test_every_subscription_gets_the_same_prepared_message() -> None:
    """A message is encoded, framed and compressed once, whatever the number of clients (W11)."""
    fanout, sent = started(), list[object]()

    class Recipient(Client):
        async def send(self, data: str | PreparedMessage, /) -> None:
            sent.append(data)
            await super().send(data)

    with fanout.subscribe() as first, fanout.subscribe() as second:
        fanout.publish(at(1), "message")
        fanout.announce("viewers", "2 viewers")
        assert len(fanout) == 2
        clients = Recipient(), Recipient()
        tasks = [
            asyncio.create_task(subscription.deliver(client)) for subscription, client in zip((first, second), clients, strict=True)
        ]
        for client in clients:
            assert [await client.received.get(), await client.received.get()] == ["2 viewers", "message"]
        assert len({id(message) for message in sent}) == 2
        assert {type(message) for message in sent} == {PreparedMessage}
        for task in tasks:
            task.cancel()
    assert len(fanout) == 0


async def test_one_slow_client_never_delays_the_others() -> None:
    """A stalled client is dropped at its bound; the others have everything by then (W10)."""
    fanout = started(queue_size=4)
    with fanout.subscribe() as slow, fanout.subscribe() as quick:
        stalled, client = Client(), Client()
        stalled.open.clear()
        slow_task, quick_task = (
            asyncio.create_task(slow.deliver(stalled)),
            asyncio.create_task(quick.deliver(client)),
        )
        for number in range(1, 9):
            fanout.publish(at(number), f"m{number}")
            assert await client.received.get() == f"m{number}"
        await slow_task
        assert stalled.closed_with == 1013
        assert stalled.received.empty()
        assert fanout.overflows == 1
        assert len(fanout) == 1
        quick_task.cancel()


async def test_resuming_gives_the_missed_messages_and_then_the_new_ones() -> None:
    """`after` joins history and present without a hole and without a repeat (W9)."""
    fanout = started()
    for number in range(1, 4):
        fanout.publish(at(number), f"m{number}")
    with fanout.subscribe(after=at(1)) as subscription:
        fanout.publish(at(4), "m4")
        assert await collect(subscription) == ["m2", "m3", "m4"]


async def test_without_a_position_only_the_new_ones() -> None:
    """Who just arrives has loaded its data elsewhere."""
    fanout = started()
    fanout.publish(at(1), "m1")
    with fanout.subscribe() as subscription:
        assert len(subscription) == 0


async def test_a_resume_beyond_the_history_says_so() -> None:
    """Rather than a part of what was missed, the client gets the notice to load anew."""
    fanout = started(history_size=2)
    for number in range(1, 6):
        fanout.publish(at(number), f"m{number}")
    with fanout.subscribe(after=at(1)) as subscription:
        assert await collect(subscription) == [GAP]


async def test_a_resume_before_the_reader_has_started_waits_for_its_notice() -> None:
    """The start interrupts everybody; saying it before would make the client load twice."""
    fanout = Fanout(gap_notice=GAP)
    with fanout.subscribe(after=at(1)) as subscription:
        assert len(subscription) == 0
        fanout.interrupt(at(5))
        assert await collect(subscription) == [GAP]


async def test_announcements_are_not_kept() -> None:
    """A statement about now reaches those who are here, and no one who resumes later."""
    fanout = started()
    with fanout.subscribe() as present:
        fanout.announce("viewers", "1")
        fanout.announce("viewers", "2")
        assert await collect(present) == ["2"]
    with fanout.subscribe(after=BEGINNING) as later:
        assert len(later) == 0
