"""`Session`: a websocket between its connection and its handler, from the handshake to the end.

How it works. The connection passes on what its transport tells it (`data_received` … `connection_lost`) and calls `sweep`
about once a second; `Websocket` adds what only the handler calls. There are no tasks and no timers here.

In: `inbox` cuts whole frames out of the bytes. A plain message (final, uncompressed, no fragments under way) is unmasked,
decoded and queued right there, and a ping is answered; every other frame goes, whole, to the general path (`general`). The handler
that waits for a message then runs at once (`waiter`).

Closing: whoever begins, `open` turns false, `close_code` and `close_reason` are known, and every call that waits ends with
`WebsocketClosed`. After both close frames the server ends the TCP connection (§7.1.1). When it is failed, only the sending
side is shut (a close would reset a socket with unread input, close frame included); `close_timeout_s` later it is cut.
"""

from __future__ import annotations

import asyncio
from codecs import IncrementalDecoder
from collections.abc import Sequence
from typing import Any

from websockets.frames import CloseCode, Opcode
from websockets.protocol import State

from fairlead.errors import WebsocketClosed
from fairlead.request import Request
from fairlead.websocket.ending import Ending
from fairlead.websocket.frames import PING, PONG, close_reason, control_frame
from fairlead.websocket.general import GeneralPath, Message, Utf8Decoder, payload_bytes
from fairlead.websocket.handshake import Accepted
from fairlead.websocket.heartbeat import Heartbeat
from fairlead.websocket.inbox import Inbox
from fairlead.websocket.outbox import Outbox
from fairlead.websocket.stats import WebsocketStats


class Session:
    """What the connection, its sweep and the drain see of a websocket. All that is public here is the handler's as well."""

    # fmt: off
    __slots__ = (
        "__weakref__", "_close_deadline", "_extensions", "_frame_timeout_s", "_general", "_heartbeat", "_is_lost", "_is_shut",
        "_loop", "_max_pings", "_max_size", "_pings", "_queue", "_transport", "_waiter", "close_code", "close_reason",
        "close_timeout_s", "compresses", "ending", "inbox", "is_deaf", "is_direct", "open", "outbox", "request", "stats",
        "subprotocol", "takes_fragments",
    )
    # fmt: on

    def __init__(
        self,
        transport: asyncio.Transport,
        request: Request[Any, Any],
        accepted: Accepted,
        *,
        max_size: int = 1_048_576,
        max_queue: int = 32,
        ping_interval_s: float | None = 20.0,
        ping_timeout_s: float | None = 20.0,
        close_timeout_s: float = 10.0,
        frame_timeout_s: float = 20.0,
        max_pings: int = 100,
        stats: WebsocketStats | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self.request = request
        self.subprotocol = accepted.subprotocol
        """The subprotocol that was agreed on; None without one."""
        self._extensions: Sequence[Any] = accepted.extensions
        self.compresses = bool(accepted.extensions)
        """Whether permessage-deflate was agreed on."""
        self._general: GeneralPath | None = None
        self.stats = stats if stats is not None else WebsocketStats()
        self.stats.opened += 1
        self._heartbeat = Heartbeat(self._loop.time(), ping_interval_s, ping_timeout_s)
        self.outbox = Outbox(transport, self._loop)
        self.inbox = Inbox(transport, self, self.outbox, self.stats, max_queue, max_size)
        self._queue = self.inbox.queue
        self._waiter = self.inbox.waiter
        self._max_size = max_size
        self.takes_fragments = True
        """Open, and no compressed message under way."""
        self.is_direct = True
        """Open, and no fragmented message under way: plain messages take the direct path."""
        self.is_deaf = False
        """Nothing that still arrives counts."""
        self.open = True
        """Whether messages can be sent and received: neither side has begun to close."""
        self.close_code: int | None = None
        """The code of the close frame that began the end, ours or the peer's; 1006 without one; None while open."""
        self.close_reason: str | None = None
        self.close_timeout_s = close_timeout_s
        self._frame_timeout_s = frame_timeout_s
        self._max_pings = max_pings
        self._pings = 0  # and pongs, since the last sweep
        self._close_deadline: float | None = None
        self._is_lost = False
        self._is_shut = False  # our sending side has ended
        self.ending = Ending()

    # --- state ---

    @property
    def closed(self) -> bool:
        """The opposite of `open`; `server_state` and `client_state` tell how far the closing has come."""
        return not self.open

    @property
    def server_state(self) -> State:
        """Our side: OPEN, CLOSING once our close frame is sent, CLOSED once the TCP connection is gone."""
        if self._is_lost:
            return State.CLOSED
        return State.OPEN if self.open else State.CLOSING

    @property
    def client_state(self) -> State:
        """The peer's side: OPEN, CLOSING once its close frame has come, CLOSED once the TCP connection is gone."""
        if self._is_lost:
            return State.CLOSED
        return State.CLOSING if self._general is not None and self._general.received_close else State.OPEN

    @property
    def latency_s(self) -> float | None:
        """Seconds that the last ping took to be answered; None before."""
        return self._heartbeat.latency_s

    # --- closing ---

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with `code` and `reason` and wait until the connection is gone, `close_timeout_s` at most.

        The reason is cut to 123 bytes. Does nothing but wait when closed already. Raises ValueError for a code that may
        not be sent (RFC 6455 §7.4: 1000-1003, 1007-1014, 3000-4999 may).
        """
        self.close_soon(code, reason)
        await self.wait_closed()

    def close_soon(self, code: int = 1012, reason: str = "") -> None:
        """Begin to close and return at once; as `close` otherwise. The drain's way."""
        if not self.open:
            return
        general, reason = self._general_path(), close_reason(reason)
        general.close(code, reason)
        self._queue.clear()
        self._begin_end(code, reason)
        self.outbox.write(general.to_send())
        self.inbox.go_on()  # the peer's close frame may be waiting behind messages that nobody will take

    def fail(self, code: int = 1011, reason: str = "") -> None:
        """Fail the connection (RFC 6455 §7.1.7): send a close frame, take nothing more, wait for no answer."""
        if self._is_lost or self._is_shut:
            return
        general, reason = self._general_path(), close_reason(reason)
        general.fail(code, reason)
        self._begin_end(code, reason)
        self.outbox.write(general.to_send())
        self._end_transport(shut_only=True)

    async def wait_closed(self) -> None:
        """Wait until the TCP connection is gone."""
        await self.ending.wait()

    def _closed(self) -> WebsocketClosed:
        return WebsocketClosed(self.close_code or CloseCode.ABNORMAL_CLOSURE, self.close_reason or "")

    def _begin_end(self, code: int, reason: str) -> None:
        """From here on nothing can be sent; whoever waits is woken."""
        if not self.open:
            return
        self.open = self.is_direct = self.takes_fragments = False
        self.close_code, self.close_reason = code, reason
        self._close_deadline = self._loop.time() + self.close_timeout_s
        self.inbox.waiter.wake_soon()
        self.outbox.end()
        self._heartbeat.abandon(self._closed())

    def _end_transport(self, *, shut_only: bool) -> None:
        self.outbox.flush()
        self.is_deaf = self._is_shut = True
        self.inbox.buffer.clear()
        if shut_only and self._transport.can_write_eof():
            self._transport.write_eof()
            self.inbox.go_on()  # read on, and forget it, until the peer closes
        else:
            self._transport.close()

    # --- what the server's connection calls ---

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        self.inbox.read(data)

    def eof_received(self) -> None:
        """The peer has shut its side: the end, 1006 if no close frame came before."""
        self._begin_end(CloseCode.ABNORMAL_CLOSURE, "")
        self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The TCP connection is gone, in order or not."""
        if self._is_lost:
            return
        self._begin_end(CloseCode.ABNORMAL_CLOSURE, "")
        self._is_lost = self.is_deaf = True
        self.inbox.buffer.clear()
        self.stats.count_closed(self.close_code or CloseCode.ABNORMAL_CLOSURE)
        self.ending.arrive()

    def pause_writing(self) -> None:
        """The transport is over its high-water mark: `send` waits."""
        self.outbox.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self.outbox.resume()
        self.inbox.go_on()

    def sweep(self, now: float) -> None:
        """Ping; end what does not answer, leaves a frame half sent, or takes too long to close. `now` is the loop's time."""
        heartbeat, self._pings = self._heartbeat, 0
        if self._close_deadline is not None:
            if now >= self._close_deadline:
                self._transport.abort()
        elif self._frame_timeout_s and self.inbox.partial_s(now) >= self._frame_timeout_s:
            self.fail(CloseCode.POLICY_VIOLATION, "a frame took too long")
        elif self.inbox.is_held and not self.outbox.is_paused:
            heartbeat.postpone(now)  # the handler takes no messages, so that a pong could not be seen
        elif heartbeat.is_overdue(now):
            self.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        elif heartbeat.is_due(now):
            waiter: asyncio.Future[float] = self._loop.create_future()
            self.outbox.write(control_frame(PING, heartbeat.start_regular(waiter, now)))

    # --- what the inbox calls ---

    @property
    def limit(self) -> int:
        """How long the next frame may be."""
        return self._max_size if self._general is None else self._general.room

    def text_decoder(self, first: int) -> IncrementalDecoder | None:
        """What checks a text frame that comes in several reads."""
        if self.is_direct:
            return Utf8Decoder() if first & 0x7F == Opcode.TEXT else None
        return self._general.text_decoder() if self._general is not None and first & 0x7F == Opcode.CONT else None

    def receive_no_text(self, error: UnicodeDecodeError) -> None:
        """A text that is no UTF-8: the connection fails (§8.1)."""
        general = self._general_path()
        general.fail(CloseCode.INVALID_DATA, f"{error.reason} at position {error.start}")
        self._follow_soon(general)

    def receive_control(self, first: int, payload: bytes) -> None:
        """A whole ping or pong."""
        self._pings += 1
        if self._max_pings and self._pings > self._max_pings:
            self.fail(CloseCode.POLICY_VIOLATION, "too many pings")
        elif first == PONG:
            round_trip_s = self._heartbeat.answered(payload, self._loop.time())
            if round_trip_s is not None:
                self.stats.count_round_trip(round_trip_s)
        elif self.open:
            self.outbox.write(control_frame(PONG, payload))
            if self.outbox.is_paused:
                self.inbox.hold()

    def receive_other(self, data: bytearray) -> None:
        """Any other frame: the general path."""
        general = self._general_path()
        self._after(general, general.receive(data))

    def receive_fragment(self, first: int, payload: bytes) -> None:
        """An uncompressed data frame of a message that has several: the general path's short cut."""
        general = self._general_path()
        self._after(general, general.receive_fragment(first, payload))

    def _after(self, general: GeneralPath, message: Message | None) -> None:
        if message is not None and self.open:
            self.inbox.deliver(message, payload_bytes(message))
        if general.has_ended:
            self._follow_soon(general)
        else:
            self.is_direct = not general.is_fragmented
            self.takes_fragments = general.takes_fragments

    def _general_path(self) -> GeneralPath:
        if self._general is None:
            self._general = GeneralPath(self._max_size, self._extensions)
        return self._general

    def _follow_soon(self, general: GeneralPath) -> None:
        """The end has come in one read with messages: a handler that answers them without waiting may still do so."""
        self.is_direct = False
        self.is_deaf = self.is_deaf or general.is_over
        if self.open and self._queue:
            self.inbox.waiter.wake_soon()
            self._loop.call_soon(self._follow, general)
        else:
            self._follow(general)

    def _follow(self, general: GeneralPath) -> None:
        """The general path has seen or begun the end."""
        code, reason = general.received_close or general.sent_close or (CloseCode.ABNORMAL_CLOSURE, "")
        self._begin_end(code, reason)
        if not self._is_lost and (data := general.to_send()):
            self.outbox.write(data)
        if general.is_over and not (self._is_shut or self._is_lost):
            self._end_transport(shut_only=not general.is_complete)
