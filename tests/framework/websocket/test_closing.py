"""The end of a websocket, whoever begins it, and the sweep that enforces it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fairlead.websocket import State

from .conftest import CLOSE, FIN, PING, PONG, Wire, client_frame, close, refused, text, turns

MakeWire = Callable[..., Wire]


async def test_our_close_waits_for_the_peer(wire: MakeWire) -> None:
    """W4: close sends code and reason, waits for the peer's frame, and ends the TCP connection; both are readable."""
    peer = wire()
    states = [(peer.ws.server_state, peer.ws.client_state, peer.ws.open, peer.ws.closed)]
    assert (peer.ws.close_code, peer.ws.close_reason) == (None, None)
    closing = asyncio.create_task(peer.ws.close(4000, "enough"))
    await turns()
    states.append((peer.ws.server_state, peer.ws.client_state, peer.ws.open, peer.ws.closed))
    assert peer.sent_close == (4000, "enough")
    assert not peer.transport.is_closing()
    peer.feed(close(4000))
    states.append((peer.ws.server_state, peer.ws.client_state, peer.ws.open, peer.ws.closed))
    await closing
    states.append((peer.ws.server_state, peer.ws.client_state, peer.ws.open, peer.ws.closed))
    assert states == [
        (State.OPEN, State.OPEN, True, False),
        (State.CLOSING, State.OPEN, False, True),
        (State.CLOSING, State.CLOSING, False, True),
        (State.CLOSED, State.CLOSED, False, True),
    ]
    assert (peer.ws.close_code, peer.ws.close_reason) == (4000, "enough")
    assert peer.stats.closed == {4000: 1}
    assert peer.stats.open == 0


async def test_peers_close_is_answered(wire: MakeWire) -> None:
    """RFC 6455 §5.5.1: the peer's close frame is echoed, and the server ends the TCP connection at once (§7.1.1)."""
    peer = wire()
    peer.feed(close(4001, "bye"))
    assert peer.sent_close == (4001, "bye")
    assert peer.transport.is_closing()
    await peer.ws.wait_closed()
    assert (peer.ws.close_code, peer.ws.close_reason) == (4001, "bye")


async def test_close_without_a_code_is_1005(wire: MakeWire) -> None:
    """RFC 6455 §7.1.5: an empty close frame is code 1005, and answered with an empty one."""
    peer = wire()
    peer.feed(close(None))
    assert peer.sent == [(CLOSE | FIN, b"")]
    assert await refused(peer.ws.recv()) == (1005, "")


async def test_closing_twice_waits_only(wire: MakeWire) -> None:
    """W4: a second close, also after the peer's, sends nothing."""
    peer = wire()
    peer.feed(close(1000))
    await peer.ws.close(4000)
    peer.ws.close_soon(4000)
    peer.ws.fail(1011)
    assert len(peer.sent) == 1
    assert peer.ws.close_code == 1000


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_codes_that_may_not_be_sent(wire: MakeWire, code: int) -> None:
    """RFC 6455 §7.4: a reserved or unknown code is the handler's mistake; the websocket stays open."""
    peer = wire()
    with pytest.raises(ValueError, match=str(code)):
        await peer.ws.close(code)
    assert peer.ws.open
    assert peer.sent == []


async def test_failing_with_a_wrong_code(wire: MakeWire) -> None:
    """The same for fail."""
    peer = wire()
    with pytest.raises(ValueError, match="1005"):
        peer.ws.fail(1005)
    assert peer.ws.open


async def test_long_reason_is_cut(wire: MakeWire) -> None:
    """RFC 6455 §5.5.1: a reason that does not fit is cut, so that closing never fails for it."""
    peer = wire()
    peer.ws.close_soon(4000, "ü" * 100)
    assert peer.sent_close == (4000, "ü" * 61)


async def test_close_drops_what_was_not_taken(wire: MakeWire) -> None:
    """After the handler's own close nothing is received any more, also what waits or still comes."""
    peer = wire(max_queue=2)
    peer.feed(text("a") + text("b") + text("c"))
    assert peer.transport.is_reading_paused
    peer.ws.close_soon(1000)
    assert not peer.transport.is_reading_paused
    peer.feed(text("d"), client_frame(PING, b"?"), close(1000))
    assert await peer.received() == [(1000, "")]
    assert peer.transport.is_closing()
    assert peer.sent == [(CLOSE | FIN, b"\x03\xe8")]


async def test_peers_close_behind_a_full_queue(wire: MakeWire) -> None:
    """Messages that the peer sent before it closed are still given out."""
    peer = wire(max_queue=2)
    peer.feed(b"".join(map(text, "abcde")) + close(1000))
    assert await peer.received() == [*"abcde", (1000, "")]


async def test_close_wakes_a_waiting_receiver(wire: MakeWire) -> None:
    """A task that waits in recv while another one closes gets code and reason (never a bare cancellation)."""
    peer = wire()
    receiver = asyncio.create_task(peer.received())
    await turns()
    peer.ws.close_soon(4002, "moved")
    assert await receiver == [(4002, "moved")]


async def test_fail_shuts_our_side_and_reads_on(wire: MakeWire) -> None:
    """RFC 6455 §7.1.7: fail sends its code, hears nothing more, and leaves the peer the time to read the frame."""
    peer = wire(max_queue=1)
    peer.feed(text("a"))
    peer.ws.fail(1011, "broken")
    assert peer.sent_close == (1011, "broken")
    assert peer.transport.has_eof
    assert not peer.transport.is_reading_paused
    peer.feed(text("b"), close(1000))
    assert peer.sent_close == (1011, "broken")
    peer.ws.eof_received()
    await peer.ws.wait_closed()
    assert peer.stats.closed == {1011: 1}


async def test_fail_without_half_close(wire: MakeWire) -> None:
    """A transport that cannot shut one side (TLS) is closed."""
    peer = wire()
    peer.transport.can_eof = False
    peer.feed(client_frame(0x3))
    assert peer.transport.is_closing()


async def test_fail_while_closing(wire: MakeWire) -> None:
    """A rule broken after our close frame ends the connection, without a second frame."""
    peer = wire()
    peer.ws.close_soon(4000)
    peer.feed(client_frame(0x3))
    assert peer.sent_close == (4000, "")
    assert peer.transport.has_eof


async def test_failing_twice(wire: MakeWire) -> None:
    """A connection fails once: the first code stands, and no second frame follows it."""
    peer = wire()
    peer.ws.fail(1011, "broken")
    peer.ws.fail(1002, "again")
    assert peer.sent_close == (1011, "broken")
    assert peer.ws.close_code == 1011


async def test_two_broken_rules_in_one_read(wire: MakeWire) -> None:
    """What the general path finds wrong after it has failed the connection changes nothing."""
    general = wire().ws._general_path()
    general.fail(1002, "first")
    general.fail(1009, "second")
    assert (general.sent_close, general.is_over) == ((1002, "first"), True)


async def test_connection_lost_twice(wire: MakeWire) -> None:
    """A connection ends once; the second notice changes nothing."""
    peer = wire()
    peer.ws.connection_lost(None)
    peer.ws.connection_lost(ConnectionResetError())
    peer.feed(text("late"))
    assert peer.stats.closed == {1006: 1}
    assert await refused(peer.ws.recv()) == (1006, "")
    peer.ws.fail()


async def test_close_that_is_not_answered_is_cut(wire: MakeWire) -> None:
    """W5: past WEBSOCKET_TIMEOUT a peer that does not answer our close frame is cut."""
    peer = wire(close_timeout_s=10.0)
    now = asyncio.get_running_loop().time()
    peer.ws.close_soon(1012, "restart")
    peer.ws.sweep(now + 9)
    assert not peer.transport.is_aborted
    peer.ws.sweep(now + 11)
    assert peer.transport.is_aborted
    await peer.ws.wait_closed()
    assert peer.stats.closed == {1012: 1}


async def test_regular_pings(wire: MakeWire) -> None:
    """W5: a ping in every interval, the first one somewhere in its second half; an answered one is followed by the next."""
    peer = wire(ping_interval_s=20.0, ping_timeout_s=20.0)
    now = asyncio.get_running_loop().time()
    peer.ws.sweep(now + 9)
    assert peer.sent == []
    peer.ws.sweep(now + 21)
    peer.ws.sweep(now + 22)
    [(first, payload)] = peer.sent
    assert first == PING | FIN
    peer.feed(client_frame(PONG, payload))
    assert peer.ws.latency_s is not None
    peer.ws.sweep(now + 40)
    assert len(peer.sent) == 1
    peer.ws.sweep(now + 42)
    assert len(peer.sent) == 2
    assert peer.sent[1][1] != payload


async def test_half_a_frame(wire: MakeWire) -> None:
    """A frame that is not whole WEBSOCKET_FRAME_TIMEOUT after it was first seen is 1008, also when it drips; 0 is no limit."""
    frame = text("x" * 100)
    peer, patient = wire(ping_interval_s=None, frame_timeout_s=20.0), wire(ping_interval_s=None, frame_timeout_s=0)
    now = asyncio.get_running_loop().time()
    for each in (peer, patient):
        each.feed(frame + frame[:50])
        each.ws.sweep(now)
        each.feed(frame[50:60])
        each.ws.sweep(now + 19)
        assert each.sent_close is None
        each.ws.sweep(now + 20)
    assert peer.sent_close == (1008, "a frame took too long")
    assert patient.sent_close is None


async def test_time_of_a_frame_begins_with_it(wire: MakeWire) -> None:
    """Each frame has its own time, and one that waits for a handler which takes no messages is not counted."""
    frame = text("x" * 100)
    peer = wire(ping_interval_s=None, max_queue=2)
    now = asyncio.get_running_loop().time()
    peer.feed(frame[:50])
    peer.ws.sweep(now)
    peer.feed(frame[50:] + frame[:50])
    peer.ws.sweep(now + 15)
    peer.ws.sweep(now + 34)
    peer.feed(frame[50:] + frame[:50])
    for later in (35, 60, 90):
        peer.ws.sweep(now + later)
    assert peer.sent_close is None
    assert peer.transport.is_reading_paused


async def test_silent_peer_is_given_up(wire: MakeWire) -> None:
    """W5, W12: a ping that is not answered within the timeout closes with 1011, and then cuts."""
    peer = wire(ping_interval_s=20.0, ping_timeout_s=5.0, close_timeout_s=3.0)
    now = asyncio.get_running_loop().time()
    peer.ws.sweep(now + 21)
    peer.ws.sweep(now + 25)
    assert peer.ws.open
    peer.ws.sweep(now + 27)
    assert peer.sent_close == (1011, "keepalive ping timeout")
    peer.ws.sweep(asyncio.get_running_loop().time() + 4)
    assert peer.transport.is_aborted


@pytest.mark.parametrize("interval", [None, 0])
async def test_pings_can_be_switched_off(wire: MakeWire, interval: float | None) -> None:
    """W5: WEBSOCKET_PING_INTERVAL 0 or None: no regular pings."""
    peer = wire(ping_interval_s=interval)
    peer.ws.sweep(asyncio.get_running_loop().time() + 1000)
    assert peer.sent == []


async def test_no_time_limit_for_the_pong(wire: MakeWire) -> None:
    """WEBSOCKET_PING_TIMEOUT 0 or None: pings are sent (they keep proxies awake), and nobody is given up for silence."""
    peer = wire(ping_timeout_s=None)
    now = asyncio.get_running_loop().time()
    peer.ws.sweep(now + 100)
    peer.ws.sweep(now + 1000)
    assert peer.ws.open
    assert len(peer.sent) == 1


async def test_slow_handler_is_not_a_silent_peer(wire: MakeWire) -> None:
    """While the handler takes no messages nothing is read, so that no pong can be seen; the peer is not blamed for it."""
    peer = wire(max_queue=1, ping_interval_s=20.0, ping_timeout_s=5.0)
    now = asyncio.get_running_loop().time()
    peer.ws.sweep(now + 21)
    peer.feed(text("unread"))
    peer.ws.sweep(now + 60)
    assert peer.ws.open
    assert await peer.ws.recv() == "unread"
    peer.ws.sweep(now + 64)
    assert peer.ws.open
    peer.ws.sweep(now + 66)
    assert peer.ws.close_code == 1011


async def test_peer_that_never_reads_is_given_up(wire: MakeWire) -> None:
    """A peer whose unread output has stopped our reading is not excused."""
    peer = wire(ping_interval_s=20.0, ping_timeout_s=5.0)
    now = asyncio.get_running_loop().time()
    peer.ws.pause_writing()
    peer.feed(client_frame(PING, b"x") * 2)
    assert peer.transport.is_reading_paused
    peer.ws.sweep(now + 21)
    peer.ws.sweep(now + 27)
    assert peer.ws.close_code == 1011
