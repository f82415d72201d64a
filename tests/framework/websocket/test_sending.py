"""What is sent: one frame a message, one write a turn, and waiting where the peer does not read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from fairlead.errors import WebsocketClosed
from fairlead.websocket import Accepted
from fairlead.websocket.outbox import COLLECT_BYTES, SENDS_PER_TURN
from fairlead.websocket.prepared import COMPRESS_FROM_BYTES

from .conftest import BINARY, FIN, PING, PONG, TEXT, Wire, client_frame, refused, text, turns

MakeWire = Callable[..., Wire]


async def test_messages_are_frames(wire: MakeWire) -> None:
    """W2: str is a text frame, bytes a binary one, a dict JSON text; each is one write."""
    peer = wire()
    await peer.ws.send("grüß")
    await peer.ws.send(b"\x00" * 200)
    await peer.ws.send({"price": 5})
    await peer.ws.send("5", encoding="bytes")
    assert peer.sent == [
        (TEXT | FIN, "grüß".encode()),
        (BINARY | FIN, b"\x00" * 200),
        (TEXT | FIN, b'{"price":5}'),
        (BINARY | FIN, b"5"),
    ]
    assert len(peer.transport.writes) == 4
    assert (peer.stats.messages_sent, peer.stats.bytes_sent) == (4, 6 + 200 + 11 + 1)


async def test_answers_to_a_batch_leave_in_one_write(wire: MakeWire) -> None:
    """Messages that arrived together are answered together, in order, with what else is sent in between."""
    peer = wire()
    peer.feed(b"".join(text(str(number)) for number in range(20)) + client_frame(PING, b"x"))
    for _ in range(20):
        await peer.ws.send(await peer.ws.recv())
    assert peer.transport.writes[0] == b"\x8a\x01x"  # the pong went first: it was answered when it was read
    assert len(peer.transport.writes) == 2
    assert peer.sent[1:] == [(TEXT | FIN, str(number).encode()) for number in range(20)]


async def test_collected_answers_do_not_wait_for_the_handler(wire: MakeWire) -> None:
    """A handler that sends and then waits for something else does not keep its answers back."""
    peer = wire()
    peer.feed(text("a") + text("b"))
    await peer.ws.send(await peer.ws.recv())
    assert peer.sent == []
    await turns()
    assert peer.sent == [(TEXT | FIN, b"a")]


async def test_collected_answers_keep_their_order(wire: MakeWire) -> None:
    """What is written at once, a ping or the last answer, never overtakes what was collected; much is not collected."""
    peer = wire()
    peer.feed(text("a") + text("b"))
    await peer.ws.send(await peer.ws.recv())
    await peer.ws.ping(b"p")
    assert peer.sent == [(TEXT | FIN, b"a"), (PING | FIN, b"p")]
    await peer.ws.send("x" * COLLECT_BYTES)
    assert len(peer.sent) == 3


async def test_slow_reader_holds_up_the_sender(wire: MakeWire) -> None:
    """W10: past the transport's high-water mark send waits, for all senders, until there is room."""
    peer = wire()
    peer.ws.pause_writing()
    senders = [asyncio.create_task(peer.ws.send(str(number))) for number in range(3)]
    await turns()
    assert not any(sender.done() for sender in senders)
    senders[0].cancel()  # giving up on one must not wake the others
    await turns()
    assert [sender.done() for sender in senders] == [True, False, False]
    peer.ws.resume_writing()
    await asyncio.gather(*senders[1:])
    assert len(peer.sent) == 3


async def test_waiting_sender_learns_of_the_end(wire: MakeWire) -> None:
    """A sender that waits for a peer that has gone gets WebsocketClosed, not silence."""
    peer = wire()
    peer.ws.pause_writing()
    sender = asyncio.create_task(peer.ws.send("unread"))
    await turns()
    peer.hang_up()
    assert await refused(sender) == (1006, "")


async def test_endless_sending_leaves_others_their_turn(wire: MakeWire) -> None:
    """T5: `while True: await ws.send(…)` never starves the loop; every 64th send gives it a turn."""
    peer = wire()
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(10 * (SENDS_PER_TURN + 1)):
        await peer.ws.send("tick")
    task.cancel()
    assert others >= 10


async def test_next_send_after_the_tab_closed(wire: MakeWire, caplog: pytest.LogCaptureFixture) -> None:
    """T5: the send after the tab was closed raises with code and reason, and nothing is logged as an error."""
    peer = wire()
    await peer.ws.send("tick")
    peer.feed(client_frame(0x8, b"\x03\xe9going"))
    assert await refused(peer.ws.send("tick")) == (1001, "going")
    assert await refused(peer.ws.ping()) == (1001, "going")
    assert await refused(peer.ws.pong()) == (1001, "going")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_writing_to_a_dying_transport_is_silent(wire: MakeWire) -> None:
    """Between the break of a connection and its notice, sends go nowhere instead of making the loop log."""
    peer = wire()
    peer.hang_up()
    await peer.ws.send("nobody")
    await peer.ws.pong(b"nobody")
    assert peer.sent == []
    await turns()
    assert (await refused(peer.ws.send("nobody")))[0] == 1006


async def test_ping_waits_for_its_pong(wire: MakeWire) -> None:
    """W4: ping gives a future that has the round-trip time once the pong is here; a later pong answers earlier pings."""
    peer = wire()
    first = await peer.ws.ping("one")
    second = await peer.ws.ping(b"two")
    third = await peer.ws.ping()
    assert [payload for _, payload in peer.sent][:2] == [b"one", b"two"]
    assert len(peer.sent[2][1]) == 4
    peer.feed(client_frame(PONG, b"unasked"))
    assert not first.done()
    peer.feed(client_frame(PONG, b"two"))
    assert await first >= 0
    assert await second == peer.ws.latency_s
    assert not third.done()


async def test_a_ping_that_nobody_waits_for_any_more(wire: MakeWire) -> None:
    """Giving up on a ping disturbs neither its pong, which answers the earlier ones too, nor the end of the connection."""
    peer = wire()
    earlier, given_up, unanswered = await peer.ws.ping(b"1"), await peer.ws.ping(b"2"), await peer.ws.ping(b"3")
    given_up.cancel()
    unanswered.cancel()
    peer.feed(client_frame(PONG, b"2"))
    assert await earlier == peer.ws.latency_s
    peer.hang_up()
    await peer.ws.wait_closed()
    assert peer.stats.closed == {1006: 1}


async def test_ping_of_a_closed_websocket(wire: MakeWire) -> None:
    """W4: whoever waits for a pong learns of the end; a ping that nobody waits for leaves no noise."""
    peer = wire()
    waiter = await peer.ws.ping()
    peer.hang_up()
    with pytest.raises(WebsocketClosed):
        await waiter


async def test_wrong_pings(wire: MakeWire) -> None:
    """A payload that is too long or still under way is the caller's mistake."""
    peer = wire()
    await peer.ws.ping("same")
    with pytest.raises(ValueError, match="still waits"):
        await peer.ws.ping("same")
    with pytest.raises(ValueError, match="125"):
        await peer.ws.pong(b"x" * 126)
    with pytest.raises(ValueError, match="125"):
        await peer.ws.ping(b"x" * 126)
    assert len(peer.sent) == 1


async def test_unasked_pong(wire: MakeWire) -> None:
    """W4: a pong can be sent by hand (RFC 6455 §5.5.3)."""
    peer = wire()
    await peer.ws.pong("beat")
    await peer.ws.pong()
    assert peer.sent == [(PONG | FIN, b"beat"), (PONG | FIN, b"")]


async def test_compressed_sending(wire: MakeWire) -> None:
    """W13: where it was agreed, messages are compressed as the client expects, short ones left as they are."""
    peer = wire(accepted=Accepted(accept="", extensions=(PerMessageDeflate(False, False, 12, 12),)))
    messages = ["short", "long " * 100, b"\x01" * COMPRESS_FROM_BYTES, "long " * 100]
    for message in messages:
        await peer.ws.send(message)
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.extensions = [PerMessageDeflate(False, False, 12, 12)]
    client.receive_data(b"".join(peer.transport.writes))
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert [bytes(frame.data) for frame in frames] == [
        message.encode() if isinstance(message, str) else message for message in messages
    ]
    assert [data[0] for data in peer.transport.writes] == [0x81, 0xC1, 0xC2, 0xC1]
    assert len(peer.transport.writes[3]) < len(peer.transport.writes[1])  # the context is kept


async def test_collected_answers_leave_when_the_handler_waits(wire: MakeWire) -> None:
    """An answer that was held back for the next message's is sent when that one gets none."""
    peer = wire()
    peer.feed(text("a") + text("b"))
    await peer.ws.send(await peer.ws.recv())
    await peer.ws.recv()
    assert peer.sent == []
    waiting = asyncio.ensure_future(peer.ws.recv())
    await asyncio.sleep(0)
    assert peer.sent == [(TEXT | FIN, b"a")]
    waiting.cancel()


async def test_collected_answers_leave_when_the_iteration_waits(wire: MakeWire) -> None:
    """The same for a handler that iterates: what it has sent does not wait with it for the next message."""
    peer = wire()
    taken: list[str] = []

    async def answer_the_first() -> None:
        async for message in peer.ws:
            taken.append(message)
            if len(taken) == 1:
                await peer.ws.send(message)

    peer.feed(text("a") + text("b"))
    handler = asyncio.create_task(answer_the_first())
    await asyncio.sleep(0)
    assert (taken, peer.sent) == (["a", "b"], [(TEXT | FIN, b"a")])
    handler.cancel()


async def test_collected_answers_to_a_peer_that_has_gone(wire: MakeWire) -> None:
    """What was held back when the connection broke goes nowhere, and nothing is written to the dying transport."""
    peer = wire()
    peer.feed(text("a") + text("b"))
    await peer.ws.send(await peer.ws.recv())
    peer.hang_up()
    await turns()
    assert (peer.sent, peer.ws.outbox.frames) == ([], [])
