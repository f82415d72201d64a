"""What arrives: frames become messages, whatever the pieces in which they come, and every broken rule has its close code."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate

from fairlead.websocket import Accepted, State

from .conftest import BINARY, CLOSE, CONT, FIN, PING, PONG, TEXT, Wire, client_frame, close, refused, text, turns

MakeWire = Callable[..., Wire]

CONVERSATION = b"".join(
    (
        text("first"),
        text(""),
        client_frame(BINARY, b"\x00" * 126),
        client_frame(TEXT, b"spl", fin=False),
        client_frame(PING, b"between"),
        client_frame(CONT, b"it \xc3", fin=False),
        client_frame(CONT, b"", fin=False),
        client_frame(PONG, b"unasked"),
        client_frame(CONT, b"\xbc"),
        client_frame(BINARY, b"a", fin=False),
        client_frame(CONT, b"b"),
        text("x" * 70000),
        text("last"),
        close(4001, "Schluß"),
    )
)
EVENTS = ["first", "", b"\x00" * 126, "split ü", b"ab", "x" * 70000, "last", (4001, "Schluß")]


async def test_messages_arrive_in_order(wire: MakeWire) -> None:
    """W3: text is str, binary is bytes; fragments are joined over interleaved control frames; then the close code."""
    peer = wire()
    peer.feed(CONVERSATION)
    assert await peer.received() == EVENTS
    assert peer.sent == [(PONG | FIN, b"between"), (CLOSE | FIN, b"\x0f\xa1" + "Schluß".encode())]


@given(cuts=st.lists(st.integers(0, len(CONVERSATION)), max_size=40))
async def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    """TCP keeps no borders: the same bytes in other pieces are the same conversation."""
    peer = Wire()
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), len(CONVERSATION)], strict=True):
        if start < stop:
            peer.feed(CONVERSATION[start:stop])
    assert await peer.received() == EVENTS
    assert [first for first, _ in peer.sent] == [PONG | FIN, CLOSE | FIN]


async def test_every_byte_alone(wire: MakeWire) -> None:
    """The finest split: one byte a read."""
    peer = wire()
    start = CONVERSATION.index(text("x" * 70000))  # the long message would only take long
    for byte in CONVERSATION[:start] + CONVERSATION[start + len(text("x" * 70000)) :]:
        peer.feed(bytes((byte,)))
    assert await peer.received() == [event for event in EVENTS if event != "x" * 70000]


@given(data=st.binary(max_size=300), masked=st.booleans())
async def test_garbage_ends_in_a_close_frame_at_most(data: bytes, masked: bool) -> None:
    """Any bytes lead to a legal state: still open, or closed with a code, never an exception out of the protocol."""
    peer = Wire(max_size=1000)
    peer.feed(client_frame(TEXT, data) if masked else data, data)
    await turns()
    if peer.ws.open:
        assert peer.sent_close is None
    else:
        assert peer.ws.close_code in (1000, 1001, 1002, 1005, 1007, 1009) or 3000 <= (peer.ws.close_code or 0) < 5000


BROKEN_RULES = {
    "unmasked": (client_frame(TEXT, b"a", masked=False), 1002),
    "unmasked, announced only": (b"\x81\x7e\xff\xff", 1002),
    "reserved bit 1": (client_frame(TEXT, b"a", bits=0x40), 1002),
    "reserved bit 2": (client_frame(TEXT, b"a", bits=0x20), 1002),
    "reserved bit 3 of a ping": (client_frame(PING, b"a", bits=0x10), 1002),
    "opcode 3": (client_frame(0x3, b"a"), 1002),
    "opcode 15": (client_frame(0xF), 1002),
    "opcode 15, announced only": (b"\xff\xff", 1002),
    "fragmented ping": (client_frame(PING, b"a", fin=False), 1002),
    "ping of 126 bytes": (client_frame(PING, b"a" * 126), 1002),
    "continuation of nothing": (client_frame(CONT, b"a"), 1002),
    "new message within a fragmented one": (client_frame(TEXT, b"a", fin=False) + text("b"), 1002),
    "new message with a reserved bit within a fragmented one": (
        client_frame(TEXT, b"a", fin=False) + client_frame(TEXT, b"b", bits=0x40),
        1002,
    ),
    "empty fragment, then a new message": (client_frame(TEXT, b"", fin=False) + text("b"), 1002),
    "continuation with a reserved bit": (client_frame(BINARY, b"a", fin=False) + client_frame(CONT, b"b", bits=0x40), 1002),
    "unmasked continuation": (client_frame(BINARY, b"a", fin=False) + client_frame(CONT, b"b", masked=False), 1002),
    "close code 999": (close(999), 1002),
    "close code 1005": (close(1005), 1002),
    "close code 1006": (close(1006), 1002),
    "close code 5000": (close(5000), 1002),
    "close frame of one byte": (client_frame(CLOSE, b"\x03"), 1002),
    "close reason no UTF-8": (client_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "text no UTF-8": (client_frame(TEXT, b"\xff"), 1007),
    "text with a surrogate": (client_frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text cut within a character": (client_frame(TEXT, b"\xc3"), 1007),
    "fragmented text no UTF-8": (client_frame(TEXT, b"\xff", fin=False), 1007),
    "fragmented text cut within a character": (client_frame(TEXT, b"a", fin=False) + client_frame(CONT, b"\xc3"), 1007),
    "too long by one": (client_frame(BINARY, b"x" * 1001), 1009),
    "too long, announced only": (b"\x82\xff" + (2**40).to_bytes(8, "big"), 1009),
    "fragments too long together": (
        client_frame(BINARY, b"x" * 600, fin=False) + client_frame(CONT, b"x" * 401),
        1009,
    ),
    "second fragment too long, announced only": (client_frame(BINARY, b"x" * 600, fin=False) + b"\x80\xfe\x01\x91", 1009),
}


@pytest.mark.parametrize("name", BROKEN_RULES)
async def test_broken_rule_has_its_code(wire: MakeWire, name: str) -> None:
    """RFC 6455 §7.4.1: 1002 for the protocol, 1007 for text, 1009 for size; then nothing that follows is heard.

    Our sending side is shut, the other one is read until the peer closes: closing at once would reset the connection.
    """
    data, code = BROKEN_RULES[name]
    peer = wire(max_size=1000)
    peer.feed(text("before"), data, text("after"))
    assert await peer.ws.recv() == "before"
    assert (await refused(peer.ws.recv()))[0] == code
    assert peer.sent_close is not None
    assert peer.sent_close[0] == code
    assert peer.transport.has_eof
    assert not peer.transport.is_closing()
    assert not peer.transport.is_reading_paused
    peer.ws.eof_received()
    await peer.ws.wait_closed()
    assert peer.stats.closed == {code: 1}


async def test_size_limit_is_inclusive(wire: MakeWire) -> None:
    """W5: a message of exactly WEBSOCKET_MAX_SIZE bytes is taken, in one frame, in fragments and below 126 bytes."""
    peer = wire(max_size=1000)
    peer.feed(client_frame(BINARY, b"x" * 1000), client_frame(BINARY, b"x" * 600, fin=False), client_frame(CONT, b"x" * 400))
    assert [len(await peer.ws.recv()) for _ in range(2)] == [1000, 1000]
    short = wire(max_size=10)
    short.feed(text("x" * 10), text("x" * 11))
    assert [event if isinstance(event, str) else event[0] for event in await short.received()] == ["x" * 10, 1009]


async def test_dribbled_frame_is_not_looked_at_for_every_byte(wire: MakeWire) -> None:
    """A message that comes byte by byte is kept in one growing buffer, and cut when it is whole."""
    peer = wire()
    frame = client_frame(BINARY, b"x" * 5000)
    for byte in frame:
        peer.feed(bytes((byte,)))
    assert await peer.ws.recv() == b"x" * 5000


async def test_flood_of_tiny_fragments_is_ended(wire: MakeWire) -> None:
    """A message in endless fragments, empty ones included, ends with 1009 instead of taking the CPU for ever."""
    peer = wire(max_size=1000)
    peer.feed(client_frame(TEXT, b"", fin=False))
    for _ in range(100):
        peer.feed(client_frame(CONT, b"", fin=False))
        if not peer.ws.open:
            break
        await turns(1)
    assert await refused(peer.ws.recv()) == (1009, "too many fragments")


async def test_a_read_full_of_fragments_leaves_others_their_turn(wire: MakeWire) -> None:
    """What one read brings in frames that are no message is handled in portions, with reading stopped meanwhile."""
    peer = wire()
    peer.feed(client_frame(TEXT, b"", fin=False) + client_frame(CONT, b"x", fin=False) * 200 + client_frame(CONT, b"x"))
    assert peer.transport.is_reading_paused
    peer.feed(text("behind"))
    assert await peer.ws.recv() == "x" * 201
    assert await peer.ws.recv() == "behind"
    assert not peer.transport.is_reading_paused


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_flood_of_control_frames_is_ended(wire: MakeWire, opcode: int) -> None:
    """More than WEBSOCKET_MAX_PINGS pings or pongs between two sweeps are 1008; as many, again and again, are not."""
    peer = wire(max_pings=5, ping_interval_s=None)
    for _ in range(3):
        peer.feed(client_frame(opcode, b"x") * 5)
        peer.ws.sweep(0)
    assert peer.ws.open
    peer.feed(client_frame(opcode, b"x") * 6)
    assert peer.sent_close == (1008, "too many pings")
    assert sum(first == PONG | FIN for first, _ in peer.sent) == (20 if opcode == PING else 0)


async def test_bombs_below_the_limit_leave_others_their_turn(wire: MakeWire) -> None:
    """Messages of a kilobyte that inflate to the limit each are handled one a turn, and stop at the queue's bound."""
    size = 1_048_576
    peer = wire(accepted=with_compression(), max_size=size, max_queue=3)
    peer.feed(deflated(b"a" * size) + deflated(b"b" * size) * 9)
    assert (peer.stats.messages_received, peer.transport.is_reading_paused) == (1, True)
    await turns(20)
    assert peer.stats.messages_received == 3
    assert await peer.ws.recv() == "a" * size


async def test_ping_flood_of_a_peer_that_does_not_read_is_bounded(wire: MakeWire) -> None:
    """Pongs that the peer does not take stop the reading of its pings; nothing grows."""
    peer = wire(max_pings=0)
    peer.ws.pause_writing()
    peer.feed(client_frame(PING, b"flood") * 500)
    assert len(peer.sent) == 1
    assert peer.transport.is_reading_paused
    peer.ws.resume_writing()
    for _ in range(10):
        await turns(1)
    assert len(peer.sent) == 500
    assert not peer.transport.is_reading_paused


async def test_slow_handler_slows_the_peer(wire: MakeWire) -> None:
    """W5: WEBSOCKET_MAX_QUEUE messages wait at most; then nothing is read or decoded until the handler has taken them."""
    peer = wire(max_queue=4)
    peer.feed(b"".join(text(str(number)) for number in range(10)))
    assert peer.transport.is_reading_paused
    assert peer.stats.messages_received == 4
    assert [await peer.ws.recv() for _ in range(10)] == [str(number) for number in range(10)]
    assert not peer.transport.is_reading_paused


async def test_queue_can_be_one(wire: MakeWire) -> None:
    """The smallest queue works, single messages and batches alike."""
    peer = wire(max_queue=1)
    peer.feed(text("a"))
    peer.feed(text("b") + text("c"))
    assert [await peer.ws.recv() for _ in range(3)] == ["a", "b", "c"]
    assert not peer.transport.is_reading_paused


async def test_recv_waits_and_wakes(wire: MakeWire) -> None:
    """W3: a handler that waits gets the message when it comes."""
    peer = wire()
    waiting = asyncio.create_task(peer.ws.recv())
    await turns()
    peer.feed(text("now"))
    assert await waiting == "now"


async def test_recv_times_out_and_goes_on(wire: MakeWire) -> None:
    """W3: past the timeout asyncio.TimeoutError; the websocket stays usable."""
    peer = wire()
    with pytest.raises(asyncio.TimeoutError):
        await peer.ws.recv(timeout=0.001)
    peer.feed(text("late"))
    assert await peer.ws.recv(timeout=0.001) == "late"


async def test_cancelled_recv_loses_nothing(wire: MakeWire) -> None:
    """A receiver that is cancelled in the very turn in which its message comes leaves it for the next one."""
    peer = wire()
    waiting = asyncio.create_task(peer.ws.recv())
    await turns()
    peer.feed(text("kept"))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await peer.ws.recv() == "kept"


async def test_only_one_task_may_wait(wire: MakeWire) -> None:
    """Two waiting receivers would share the messages by chance; the second one is told so."""
    peer = wire()
    first = asyncio.create_task(peer.ws.recv())
    await turns()
    with pytest.raises(RuntimeError, match="another task"):
        await peer.ws.recv()
    peer.feed(text("for the first"))
    assert await first == "for the first"


async def test_a_message_may_be_taken_over_a_waiting_task(wire: MakeWire) -> None:
    """Whoever comes before the woken task takes the message; that one goes on waiting."""
    peer = wire()
    woken = asyncio.create_task(peer.ws.recv())
    await turns()
    peer.feed(text("one"))
    assert await peer.ws.recv() == "one"
    await turns()
    peer.feed(text("two"))
    assert await woken == "two"


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_iteration_ends_on_a_normal_close(wire: MakeWire, code: int | None) -> None:
    """W3: `async for` ends quietly when the peer is done, leaves the page, or closes without a code."""
    peer = wire()
    peer.feed(text("a"), text("b"), close(code))
    assert [message async for message in peer.ws] == ["a", "b"]
    assert peer.ws.close_code == (code or 1005)


@pytest.mark.parametrize("code", [1002, 1011, 4000])
async def test_iteration_raises_on_another_close(wire: MakeWire, code: int) -> None:
    """W3: a close that is no normal one is not mistaken for the end of the messages."""
    peer = wire()
    peer.feed(text("a"), close(code, "why"))
    messages = []

    async def iterate() -> None:
        async for message in peer.ws:
            messages.append(message)

    assert await refused(iterate()) == (code, "why")
    assert messages == ["a"]


async def test_lost_connection_is_1006(wire: MakeWire) -> None:
    """RFC 6455 §7.1.5: without a close frame the code is 1006; a waiting receiver is woken with it."""
    peer = wire()
    waiting = asyncio.create_task(peer.received())
    await turns()
    peer.hang_up()
    assert await waiting == [(1006, "")]
    assert peer.ws.client_state is State.CLOSED
    assert peer.stats.closed == {1006: 1}


async def test_end_of_stream_is_1006_and_ends_the_transport(wire: MakeWire) -> None:
    """A peer that shuts its side without a close frame has gone."""
    peer = wire()
    peer.feed(text("a"), client_frame(TEXT, b"half")[:4])
    peer.ws.eof_received()
    assert await peer.received() == ["a", (1006, "")]
    await peer.ws.wait_closed()


def deflated(payload: bytes, *, fin: bool = True) -> bytes:
    """A compressed text frame (RFC 7692 §7.2.1), without context takeover."""
    compressor: Any = zlib.compressobj(wbits=-12)
    data: bytes = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return client_frame(TEXT, data[:-4] if fin else data, fin=fin, bits=0x40)


def with_compression() -> Accepted:
    """What a handshake with permessage-deflate gives."""
    return Accepted(accept="", extensions=(PerMessageDeflate(True, False, 12, 12),))


async def test_compressed_messages(wire: MakeWire) -> None:
    """W13: compressed, uncompressed and compressed fragmented messages mix."""
    peer = wire(accepted=with_compression())
    peer.feed(deflated(b"one " * 100), text("two"), deflated(b"three " * 100, fin=False) + client_frame(CONT, b"\x03\x00"))
    assert await peer.ws.recv() == "one " * 100
    assert await peer.ws.recv() == "two"
    assert await peer.ws.recv() == "three " * 100


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (deflated(b"\0" * 1_000_000), 1009),
        (client_frame(TEXT, b"\xff\xff\xff", bits=0x40), 1002),
        (deflated(b"\xff"), 1007),
        (deflated(b"a", fin=False) + client_frame(CONT, b"\x03\x00", bits=0x40), 1002),
    ],
    ids=["bomb", "no deflate", "no UTF-8", "continuation marked as compressed"],
)
async def test_compressed_attacks(wire: MakeWire, data: bytes, code: int) -> None:
    """A kilobyte that inflates to a megabyte is stopped while inflating (1009); broken data is 1002, broken text 1007."""
    peer = wire(accepted=with_compression(), max_size=10_000)
    peer.feed(data)
    assert (await refused(peer.ws.recv()))[0] == code


async def test_received_is_counted(wire: MakeWire) -> None:
    """Messages and payload bytes are counted on every path, by what the handler sees."""
    peer = wire(accepted=with_compression())
    peer.feed(text("ab"), client_frame(BINARY, b"abc"), client_frame(BINARY, b"a", fin=False) + client_frame(CONT, b"b"))
    peer.feed(deflated(b"x" * 1000))
    stats: Any = peer.stats
    assert (stats.opened, stats.open, stats.messages_received, stats.bytes_received) == (1, 1, 4, 1007)


async def test_text_in_one_frame_fails_at_its_first_wrong_byte(wire: MakeWire) -> None:
    """§8.1: a long text that comes slowly is refused as soon as its bytes can be no UTF-8, not at its end."""
    payload = "grüß".encode() + b"\xf4\x90\x80\x80" + b"x" * 1000
    frame = client_frame(TEXT, payload)
    start = len(frame) - len(payload)
    for size in (1, 2, 3, 5):
        peer = wire()
        for at in range(0, start + 8, size):
            assert peer.sent_close is None
            peer.feed(frame[at : min(at + size, start + 8)])
        assert peer.sent_close is not None
        assert peer.sent_close[0] == 1007


@pytest.mark.parametrize("first", ["ü".encode()[:1], b"plain"])
async def test_fragment_in_part_is_checked_with_those_before(wire: MakeWire, first: bytes) -> None:
    """A fragment that comes slowly is checked too, and a character may begin in the one before."""
    peer = wire()
    rest = ("ü".encode()[1:] if first != b"plain" else b"") + b"fine"
    fragment = client_frame(CONT, rest + b"\xff" + b"x" * 1000)
    peer.feed(client_frame(TEXT, first, fin=False), fragment[:-1001])
    assert peer.sent_close is None
    peer.feed(fragment[-1001:-900])
    assert peer.sent_close is not None
    assert peer.sent_close[0] == 1007


async def test_what_is_no_text_may_hold_any_bytes_in_part(wire: MakeWire) -> None:
    """Only uncompressed text is checked before it is whole: binary frames and compressed fragments are not."""
    peer = wire(accepted=Accepted(accept="", extensions=(PerMessageDeflate(False, False, 12, 12),)))
    compressor = zlib.compressobj(wbits=-12)
    compressed = (compressor.compress("größer ".encode() * 200) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    half = len(compressed) // 2
    frames = (
        client_frame(BINARY, b"\xff" * 200, fin=False),
        client_frame(CONT, b"\xff" * 200),
        client_frame(TEXT, compressed[:half], fin=False, bits=0x40),
        client_frame(CONT, compressed[half:]),
    )
    for frame in frames:
        peer.feed(frame[:-3], frame[-3:])
    assert [await peer.ws.recv(), await peer.ws.recv()] == [b"\xff" * 400, "größer " * 200]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (close(4001), (4001, "")),
        (client_frame(TEXT, b"x", bits=0x10), (1002, "reserved bits must be 0")),
        (client_frame(TEXT, b"\xff"), (1007, "invalid start byte at position 0")),
    ],
)
async def test_messages_before_the_end_are_answered(wire: MakeWire, end: bytes, expected: tuple[int, str]) -> None:
    """Messages that come in one read with the end of the connection can still be answered by a handler that waits for them."""
    peer = wire()

    async def echo() -> tuple[int, str]:
        while True:
            await peer.ws.send(await peer.ws.recv())

    ending = asyncio.create_task(refused(echo()))
    await turns()
    peer.feed(text("one") + text("two") + end + text("too late") + client_frame(PING, b"too late"))
    assert await ending == expected
    assert [payload for first, payload in peer.sent if first == TEXT | FIN] == [b"one", b"two"]
    assert peer.sent[-1][0] == CLOSE | FIN
    assert len(peer.sent) == 3


async def test_end_does_not_wait_for_a_handler_that_takes_no_messages(wire: MakeWire) -> None:
    """T5: the end that follows a message is known one turn of the loop later, also when nobody takes the message."""
    peer = wire()
    peer.feed(text("nobody takes me") + close(1001))
    await turns(1)
    assert peer.ws.close_code == 1001
    assert await refused(peer.ws.send("late")) == (1001, "")


async def test_close_frame_between_fragments(wire: MakeWire) -> None:
    """§5.4: a control frame may come between fragments, a close frame too; it is answered, not an error."""
    peer = wire()
    peer.feed(client_frame(TEXT, b"half", fin=False) + close(1000, "enough") + client_frame(CONT, b"rest"))
    assert await peer.received() == [(1000, "enough")]
    assert peer.sent_close == (1000, "enough")


async def test_received_bytes_are_counted_on_every_path(wire: MakeWire) -> None:
    """The counters count bytes, not characters, whether a text came whole or in fragments."""
    peer = wire()
    peer.feed(text("grüß"), client_frame(TEXT, "grü".encode(), fin=False), client_frame(CONT, "ß".encode()))
    assert [await peer.ws.recv(), await peer.ws.recv()] == ["grüß", "grüß"]
    assert (peer.stats.messages_received, peer.stats.bytes_received) == (2, 12)
