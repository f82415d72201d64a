"""Publishing to many: everybody gets it, nobody waits for anybody (W9, W10, W11)."""

from __future__ import annotations

import asyncio
from typing import Any

from fairlead import App, Request
from fairlead.channels import Fanout, StreamPosition
from fairlead.channels.fanout import MAX_WAITING, SLICE
from fairlead.channels.stream import BEGINNING
from fairlead.errors import WebsocketClosed
from fairlead.testing import AsyncTestClient
from fairlead.websocket import Websocket

from .mailbox import Mailbox

GAP = "load anew"


def at(number: int) -> StreamPosition:
    return StreamPosition(number, 0)


def started(history_size: int = 10) -> Fanout:
    fanout = Fanout(gap_notice=GAP, history_size=history_size)
    fanout.history.restart(BEGINNING)
    return fanout


async def test_every_subscription_gets_the_same_publication() -> None:
    """A message is encoded, framed and compressed once, whatever the number of clients (W11)."""
    fanout, first, second = started(), Mailbox(), Mailbox()
    with fanout.subscribe(first), fanout.subscribe(second):
        fanout.publish(at(1), "message")
        fanout.announce("viewers", "2 viewers")
        assert len(fanout) == 2
    assert first.texts == ["message", "2 viewers"]
    assert all(one is other for one, other in zip(first.publications, second.publications, strict=True))
    assert first.publications[0].event is first.publications[0].event
    assert first.publications[0].event == b"id: 1-0\ndata: message\n\n"
    assert len(fanout) == 0


async def test_messages_count_and_notices_coalesce() -> None:
    """Only notices have a key, and two fanouts that share a client don't take each other's notices for their own."""
    mailbox, fanout, other = Mailbox(), started(), started()
    with fanout.subscribe(mailbox) as subscription, other.subscribe(mailbox):
        fanout.publish(at(1), "message")
        fanout.announce("viewers", "2")
        subscription.notify("viewers", mailbox.publications[0])
        other.announce("viewers", "9")
    message, notice, own, others = mailbox.keys
    assert message is None
    assert notice == own
    assert notice != others


async def test_thousands_are_sent_to_slice_by_slice() -> None:
    """The loop does other things in between; everybody gets all messages in order, who leaves or comes meanwhile his part."""
    fanout, mailboxes = started(), [Mailbox() for _ in range(2 * SLICE + 1)]
    subscriptions = [fanout.subscribe(mailbox) for mailbox in mailboxes]
    fanout.publish(at(1), "m1")
    fanout.publish(at(2), "m2")
    late = Mailbox()
    fanout.subscribe(late, after=at(1))
    assert [mailbox.texts for mailbox in (mailboxes[0], mailboxes[-1], late)] == [["m1"], [], ["m2"]]
    subscriptions[-1].leave()
    turns = 0
    while mailboxes[-2].texts != ["m1", "m2"]:
        turns += 1
        await asyncio.sleep(0)
    assert 3 <= turns <= 8
    assert all(mailbox.texts == ["m1", "m2"] for mailbox in mailboxes[:-1])
    assert mailboxes[-1].texts == []
    fanout.publish(at(3), "m3")
    while late.texts != ["m2", "m3"]:  # noqa: ASYNC110 - slices follow each other by the loop's turns
        await asyncio.sleep(0)


async def test_who_publishes_too_fast_is_held_up() -> None:
    """What is on its way to thousands is bounded; order is kept."""
    fanout, mailboxes = started(1000), [Mailbox() for _ in range(SLICE + 1)]
    for mailbox in mailboxes:
        fanout.subscribe(mailbox)
    for number in range(1, 101):
        fanout.publish(at(number), str(number))
        assert len(fanout._waiting) <= MAX_WAITING
    assert len(mailboxes[-1].texts) >= 100 - 2 * MAX_WAITING  # those that wait, and those of a round
    while len(mailboxes[-1].texts) < 100:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert {tuple(mailbox.texts) for mailbox in mailboxes} == {tuple(str(number) for number in range(1, 101))}
    await asyncio.sleep(0)
    fanout.publish(at(101), "101")
    assert mailboxes[0].texts[-1] == "101"


async def test_who_takes_nothing_more_is_left_out() -> None:
    """A client that was too slow or has left is forgotten; the others don't notice (W10)."""
    fanout, gone, present = started(), Mailbox(), Mailbox()
    with fanout.subscribe(gone) as subscription, fanout.subscribe(present):
        gone.is_open = False
        fanout.publish(at(1), "message")
        assert len(fanout) == 1
        assert present.texts == ["message"]
        subscription.leave()


async def test_resuming_gives_the_missed_messages_and_then_the_new_ones() -> None:
    """`after` joins history and present without a hole and without a repeat (W9)."""
    fanout, mailbox = started(), Mailbox()
    for number in range(1, 4):
        fanout.publish(at(number), f"m{number}")
    with fanout.subscribe(mailbox, after=at(1)):
        fanout.publish(at(4), "m4")
    fanout.publish(at(5), "m5")
    assert mailbox.texts == ["m2", "m3", "m4"]


async def test_without_a_position_only_the_new_ones() -> None:
    """Who just arrives has loaded its data elsewhere."""
    fanout, mailbox = started(), Mailbox()
    fanout.publish(at(1), "m1")
    with fanout.subscribe(mailbox):
        assert mailbox.texts == []


async def test_a_resume_beyond_the_history_says_so() -> None:
    """Rather than a part of what was missed, the client gets the notice to load anew."""
    fanout, mailbox = started(history_size=2), Mailbox()
    for number in range(1, 6):
        fanout.publish(at(number), f"m{number}")
    with fanout.subscribe(mailbox, after=at(1)):
        assert mailbox.texts == [GAP]


async def test_a_resume_before_the_reader_has_started_waits_for_its_notice() -> None:
    """The start interrupts everybody; saying it before would make the client load twice."""
    fanout, mailbox = Fanout(gap_notice=GAP), Mailbox()
    with fanout.subscribe(mailbox, after=at(1)):
        assert mailbox.texts == []
        fanout.interrupt(at(5))
        assert mailbox.texts == [GAP]


async def test_announcements_are_not_kept() -> None:
    """A statement about now reaches those who are here, and no one who resumes later."""
    fanout, mailbox = started(), Mailbox()
    fanout.announce("viewers", "1")
    with fanout.subscribe(mailbox, after=BEGINNING):
        assert mailbox.texts == []


async def test_a_reader_that_never_reads() -> None:
    """W10: it costs its transport's buffer and its queue, is closed with 1013, and delays nobody; the others get it all."""
    app: App[Any, Any] = App("fanout")
    fanout = started(history_size=4)
    queued: list[int] = []

    @app.websocket("/feed")
    async def feed(request: Request[Any, Any], ws: Websocket) -> None:
        with fanout.subscribe(ws):
            await ws.send("joined")
            try:
                await ws.recv()
            except WebsocketClosed as closed:
                queued.append(closed.code)

    async with AsyncTestClient(app) as client, client.websocket("/feed") as quick, client.websocket("/feed") as dead:
        for ws in (quick, dead):
            assert await ws.recv() == "joined"
        dead.pause_reading()
        count = 0
        while not queued:
            count += 1
            fanout.publish(at(count), f"{count} " + "x" * 1024)
            assert str(await quick.recv()).startswith(f"{count} ")
        assert queued == [1013]
        assert 256 < count <= 256 + 65536 // 1024 + 2
        assert len(fanout) == 1
        dead.resume_reading()
        seen = [str(message).partition(" ")[0] async for message in untilclosed(dead)]
        assert seen == [str(number) for number in range(1, len(seen) + 1)]
        assert dead.close_code == 1013


async def untilclosed(ws: Any) -> Any:
    """The messages, whatever the close code."""
    try:
        while True:
            yield await ws.recv()
    except WebsocketClosed:
        return
