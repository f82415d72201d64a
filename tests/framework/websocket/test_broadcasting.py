"""One message for many websockets, and what happens to those that are too slow for it (W10, W11)."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

from fairlead.websocket import Accepted, Overflow, PreparedMessage, SendQueue
from fairlead.websocket.outbox import COLLECT_BYTES

from .conftest import BINARY, FIN, TEXT, Wire, close, refused, turns

MakeWire = Callable[..., Wire]
LONG = "a message that deflate makes shorter " * 10


def deflate(bits: int = 12, *, takeover: bool = True) -> PerMessageDeflate:
    """What a handshake agrees on."""
    return PerMessageDeflate(not takeover, not takeover, bits, bits)


def understood(peer: Wire, extension: PerMessageDeflate) -> list[str]:
    """The messages, as a client reads what the server has written."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.extensions = [extension]
    client.receive_data(b"".join(peer.transport.writes))
    return [bytes(event.data).decode() for event in client.events_received() if isinstance(event, Frame)]


async def test_prepared_message_is_what_send_sends(wire: MakeWire) -> None:
    """W11: whatever `send` takes can be prepared: text, bytes, JSON, an encoding."""
    peer = wire()
    for data in ("grüß", b"\x00\xff", {"price": 5}):
        await peer.ws.send(PreparedMessage(data))
    await peer.ws.send(PreparedMessage("5", encoding="bytes"))
    await turns()
    assert peer.sent == [
        (TEXT | FIN, "grüß".encode()),
        (BINARY | FIN, b"\x00\xff"),
        (TEXT | FIN, b'{"price":5}'),
        (BINARY | FIN, b"5"),
    ]
    assert (peer.stats.messages_sent, peer.stats.bytes_sent) == (4, 6 + 2 + 11 + 1)
    assert (str(PreparedMessage("grüß")), str(PreparedMessage(b"\x00"))) == ("grüß", "b'\\x00'")


async def test_posts_of_a_turn_leave_in_one_write(wire: MakeWire) -> None:
    """What is posted in one turn of the loop is one write, in order with what is sent."""
    peer = wire()
    for number in range(5):
        peer.ws.post(PreparedMessage(str(number)))
    assert peer.transport.writes == []
    await peer.ws.send("5")
    peer.ws.post(PreparedMessage("6"))
    await turns()
    assert len(peer.transport.writes) == 2
    assert [payload for _, payload in peer.sent] == [b"%d" % number for number in range(7)]
    peer.feed(close(1001))
    with pytest.raises(Exception, match="1001"):
        peer.ws.post(PreparedMessage("late"))


async def test_every_websocket_is_written_the_same_frame(wire: MakeWire, monkeypatch: pytest.MonkeyPatch) -> None:
    """W11: compressed once for each window, however many websockets there are."""
    made = 0
    real = zlib.compressobj

    def counted(**options: Any) -> object:
        nonlocal made
        made += 1
        return real(**options)

    windows = [12, 12, 12, 10, 10]
    peers = [wire(accepted=Accepted(accept="", extensions=(deflate(bits, takeover=False),))) for bits in windows]
    monkeypatch.setattr(zlib, "compressobj", counted)
    message = PreparedMessage(LONG)
    for peer in peers:
        peer.ws.post(message)
    await turns()
    assert made == 2
    assert peers[0].transport.writes == peers[2].transport.writes
    for peer, bits in zip(peers, windows, strict=True):
        assert understood(peer, deflate(bits, takeover=False)) == [LONG]


@pytest.mark.parametrize("takeover", [True, False])
async def test_own_messages_between_shared_ones(wire: MakeWire, takeover: bool) -> None:
    """A connection that keeps its compression context still reads its own messages right after one that was shared."""
    peer = wire(accepted=Accepted(accept="", extensions=(deflate(takeover=takeover),)))
    own = [f"{number} of my own, {LONG}" for number in range(4)]
    shared = PreparedMessage(LONG)
    await peer.ws.send(own[0])
    peer.ws.post(shared)
    await peer.ws.send(own[1])
    await peer.ws.send(own[2])
    peer.ws.post(shared)
    peer.ws.post(PreparedMessage("short"))
    await peer.ws.send(own[3])
    assert understood(peer, deflate(takeover=takeover)) == [own[0], LONG, own[1], own[2], LONG, "short", own[3]]


async def test_queue_of_a_peer_that_reads(wire: MakeWire) -> None:
    """Nothing waits as long as there is room."""
    peer = wire()
    queue = SendQueue(peer.ws, max_messages=1)
    for number in range(5):
        assert queue.put(PreparedMessage(str(number)))
        assert len(queue) == 0
    await turns()
    assert [payload for _, payload in peer.sent] == [b"0", b"1", b"2", b"3", b"4"]
    assert len(peer.transport.writes) == 1


async def test_full_queue_closes_with_1013(wire: MakeWire) -> None:
    """W10: for streams in which every message counts, the peer that is too slow is told to come again."""
    peer = wire()
    queue = SendQueue(peer.ws, max_messages=2)
    peer.ws.pause_writing()
    assert [queue.put(PreparedMessage(str(number))) for number in range(4)] == [True, True, False, False]
    assert peer.sent_close == (1013, "too slow")
    assert await refused(peer.ws.recv()) == (1013, "too slow")
    assert (len(queue), peer.stats.queued, peer.stats.dropped) == (0, 0, 2)
    peer.ws.resume_writing()
    assert len(peer.sent) == 1


async def test_dropping_the_oldest(wire: MakeWire) -> None:
    """W10: for what grows stale, the newest messages wait, in order, and what was dropped is counted."""
    peer = wire()
    queue = SendQueue(peer.ws, max_messages=3, overflow=Overflow.DROP_OLDEST)
    peer.ws.pause_writing()
    assert all(queue.put(PreparedMessage(str(number))) for number in range(10))
    assert (len(queue), peer.stats.queued, peer.stats.dropped) == (3, 3, 7)
    peer.ws.resume_writing()
    await turns()
    assert [payload for _, payload in peer.sent] == [b"7", b"8", b"9"]
    assert (len(queue), peer.stats.queued) == (0, 0)


async def test_coalescing_by_key(wire: MakeWire) -> None:
    """W10: of messages with one key the last waits, in the place of the first; others are not touched."""
    peer = wire()
    queue = SendQueue(peer.ws, max_messages=3)
    peer.ws.pause_writing()
    for price in range(100):
        assert queue.put(PreparedMessage(f"hammer {price}"), key="hammer")
        assert queue.put(PreparedMessage(f"nail {price}"), key="nail")
    assert queue.put(PreparedMessage("news"))
    assert (len(queue), peer.stats.coalesced, peer.stats.dropped) == (3, 198, 0)
    peer.ws.resume_writing()
    await turns()
    assert [payload for _, payload in peer.sent] == [b"hammer 99", b"nail 99", b"news"]


async def test_queue_stops_when_the_transport_is_full_again(wire: MakeWire, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited leaves only as far as there is room; the rest waits on, and later messages behind it."""
    peer = wire()
    queue = SendQueue(peer.ws, max_messages=10)
    peer.ws.pause_writing()
    big = "x" * COLLECT_BYTES
    for message in (big, "second", "third"):
        queue.put(PreparedMessage(message))
    write = peer.transport.write

    def write_and_be_full(data: bytes | bytearray | memoryview) -> None:
        write(data)
        peer.ws.pause_writing()

    monkeypatch.setattr(peer.transport, "write", write_and_be_full)
    peer.ws.resume_writing()
    assert len(queue) == 2
    queue.put(PreparedMessage("fourth"))
    peer.ws.resume_writing()
    await turns()
    assert [payload for _, payload in peer.sent] == [big.encode(), b"second", b"third", b"fourth"]


async def test_queue_of_a_websocket_that_closes(wire: MakeWire) -> None:
    """What waits goes with the connection and is counted; the broadcaster is told by False, not by an exception."""
    peer = wire()
    queue = SendQueue(peer.ws)
    peer.ws.pause_writing()
    queue.put(PreparedMessage("never"))
    peer.hang_up()
    await turns()
    assert (len(queue), peer.stats.queued, peer.stats.dropped) == (0, 0, 1)
    assert not queue.put(PreparedMessage("never"))


async def test_one_slow_peer_delays_nobody(wire: MakeWire) -> None:
    """W10: a broadcast is a loop over the queues; who does not read holds up neither it nor a sender that waits elsewhere."""
    peers = [wire() for _ in range(3)]
    queues = [SendQueue(peer.ws, max_messages=2, overflow=Overflow.DROP_OLDEST) for peer in peers]
    peers[1].ws.pause_writing()
    waiting = asyncio.create_task(peers[1].ws.send("of the handler"))
    for number in range(5):
        message = PreparedMessage(str(number))
        for queue in queues:
            queue.put(message)
        await turns(1)
    assert [len(peer.sent) for peer in peers] == [5, 1, 5]
    assert not waiting.done()
    peers[1].ws.resume_writing()
    await waiting
    await turns()
    assert [payload for _, payload in peers[1].sent] == [b"of the handler", b"3", b"4"]


async def test_queue_without_a_place(wire: MakeWire) -> None:
    """A bound below one is the caller's mistake."""
    with pytest.raises(ValueError, match="at least one"):
        SendQueue(wire().ws, max_messages=0)


async def test_a_websocket_has_one_queue(wire: MakeWire) -> None:
    """Broadcasts that share a websocket share its bound; a second queue would take the first one's turn."""
    peer = wire()
    queue = SendQueue.of(peer.ws)
    assert SendQueue.of(peer.ws) is queue
    with pytest.raises(RuntimeError, match="has a send queue"):
        SendQueue(peer.ws)


async def test_a_backlog_waits_beyond_the_bound(wire: MakeWire) -> None:
    """W10: a peer that resumes is not slow: what it has missed counts no more than what the transport holds."""
    peer = wire()
    queue = SendQueue(peer.ws, max_messages=2)
    queue.put_backlog([PreparedMessage("at once")])
    peer.ws.pause_writing()
    queue.put_backlog(PreparedMessage(str(number)) for number in range(10))
    assert queue.put(PreparedMessage("new"))
    assert queue.put(PreparedMessage("newer"))
    assert (len(queue), peer.stats.queued) == (12, 12)
    peer.ws.resume_writing()
    await turns()
    assert [payload for _, payload in peer.sent] == [b"at once", *(b"%d" % number for number in range(10)), b"new", b"newer"]
    peer.ws.pause_writing()
    assert [queue.put(PreparedMessage("")) for _ in range(3)] == [True, True, False]
    queue.put_backlog([PreparedMessage("too late")])
    assert len(queue) == 0


async def test_a_transport_that_fails_takes_nobody_along(wire: MakeWire) -> None:
    """What a turn has collected is written by one callback: one connection's error is reported, and the others are written."""
    peers, told = [wire() for _ in range(3)], []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))

    def fail(data: object) -> None:
        raise OSError("broken")

    peers[1].transport.write = fail  # type: ignore[method-assign]
    message = PreparedMessage("to all")
    for peer in peers:
        peer.ws.post(message)
    await turns()
    assert [len(peer.sent) for peer in (peers[0], peers[2])] == [1, 1]
    assert [str(error) for error in told] == ["broken"]
