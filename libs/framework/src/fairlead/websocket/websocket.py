"""`Websocket`, the `ws` that a handler is given: a session, and the calls that receive and send.

Out: a message is one frame and one `transport.write`. While further received messages wait, the handler will probably
answer them in the same turn, so the frames are collected until it waits for the next message, and written at once.
Rejected: a `send` that has sent when it returns, and gives an awaitable that is done. It spares an echo 0.06 µs; but a send that
is kept for later would leave at once, and one that is made in a thread (`asyncio.run_coroutine_threadsafe`) in that thread.

PERF: an echo costs 1.5 µs more than the least that is possible in Python (docs/benchmarks.md); the library's parser takes 8 µs.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from typing import Any

from websockets.frames import CloseCode

from fairlead.websocket.frames import PING, PONG, SHORT_TEXT, TEXT, Encoding, control_frame, control_payload, encode_message, frame
from fairlead.websocket.general import Message
from fairlead.websocket.outbox import SENDS_PER_TURN
from fairlead.websocket.prepared import COMPRESS_FROM_BYTES, PreparedMessage
from fairlead.websocket.session import Session
from fairlead.websocket.waiter import AWAITED, NOBODY

NORMAL_CODES = frozenset((CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD))
"""Codes with which `async for` ends without an exception: done, tab closed, closed without a code."""


class Websocket(Session):
    """A websocket connection, seen by its handler. Tasks may share it; only one at a time may wait in `recv`."""

    __slots__ = ()

    # --- receiving ---

    async def recv(self, timeout: float | None = None) -> Message:
        """The next message: `str` for text, `bytes` for binary.

        Raises TimeoutError (`asyncio.TimeoutError`) after `timeout` seconds without one, `WebsocketClosed` once the
        websocket is closed (messages that came before the peer closed are still given out first), RuntimeError when
        another task waits already. Cancelling loses no message.
        """
        if timeout is not None:
            async with asyncio.timeout(timeout):
                return await self.recv()
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise self._closed() from None

    def __aiter__(self) -> Websocket:
        return self

    @types.coroutine
    def __anext__(self) -> Generator[Any, None, Message]:
        """The next message; ends on a normal close (1000, 1001, no code), raises `WebsocketClosed` on any other."""
        # PERF: no coroutine, as a frame more on the way to where the handler waits costs 0.2 µs, a tenth of an echo
        queue = self._queue
        while not queue:
            outbox = self.outbox
            if not outbox.is_clear:
                self._before_waiting()
            waiter = self._waiter
            if waiter.state:
                raise RuntimeError("another task waits in recv already")
            waiter.state = AWAITED
            outbox.turn.sends = 0
            try:
                yield waiter
            finally:
                waiter.state = NOBODY
            message: Message | None = waiter.message
            if message is not None:
                waiter.message = None
                return message
        message = queue.pop(0)
        if self.inbox.is_held and not queue:
            self.inbox.go_on()
        return message

    def _before_waiting(self) -> None:
        if self.outbox.frames:
            self.outbox.flush()
        if not self.open:
            if self.close_code in NORMAL_CODES:
                raise StopAsyncIteration
            raise self._closed()

    # --- sending ---

    async def send(self, data: Any, encoding: Encoding | None = None) -> None:
        """Send a message: `str` as text, bytes-like as binary, dict and list as JSON text (`encode_message` says all),
        or a `PreparedMessage`.

        Returns when the transport has room again: a peer that does not read holds up the sender, and nobody else.
        Every `SENDS_PER_TURN`-th call, of all websockets together, gives the loop a turn. Raises `WebsocketClosed` with code and
        reason when closed.
        """
        outbox = self.outbox
        turn = outbox.turn
        sends = turn.sends
        if encoding is None and data.__class__ is str and outbox.is_clear and not (self._queue or self.compresses):
            # PERF: what nearly every call comes to, with nothing looked at twice: three quarters of the bytecodes
            payload = data.encode()
            size = len(payload)
            whole = SHORT_TEXT[size] + payload if size < 126 else frame(TEXT, payload)
            transport = outbox.transport
            if not transport.is_closing():
                transport.write(whole)
            stats = self.stats
            stats.messages_sent += 1
            stats.bytes_sent += size
        else:
            self._send(data, encoding)
        if outbox.is_paused or sends == SENDS_PER_TURN:
            await self._pace()
        else:
            turn.sends = sends + 1

    def _send(self, data: Any, encoding: Encoding | None) -> None:
        """Any message, in any state."""
        if type(data) is PreparedMessage:
            self.post(data)
            return
        first, payload = encode_message(data, encoding)
        if not self.open:
            raise self._closed()
        size = len(payload)
        if self.compresses and size >= COMPRESS_FROM_BYTES:
            whole = self._general_path().compress(first == TEXT, payload)
        else:
            whole = frame(first, payload)
        self.stats.messages_sent += 1
        self.stats.bytes_sent += size
        if self._queue:
            self.outbox.collect(whole)
        else:
            self.outbox.write(whole)

    async def _pace(self) -> None:
        """Wait for room, or give the loop a turn."""
        self.outbox.turn.sends = 0
        if not self.outbox.is_paused:
            await asyncio.sleep(0)
            return
        await self.outbox.drain()
        if not self.open:
            raise self._closed()

    def post(self, message: PreparedMessage) -> None:
        """Send a message that many websockets are sent, without waiting: it leaves with all else of this loop's turn.

        Nothing bounds what a peer that does not read lets pile up: `SendQueue` does. Raises `WebsocketClosed` when closed.
        """
        if not self.open:
            raise self._closed()
        self.stats.messages_sent += 1
        self.stats.bytes_sent += message.size
        is_compressed = self.compresses and message.size >= COMPRESS_FROM_BYTES
        self.outbox.collect(self._general_path().share(message) if is_compressed else message.plain)

    async def ping(self, data: str | bytes | None = None) -> asyncio.Future[float]:
        """Send a ping; await the returned future for the pong: it gives the round-trip time in seconds.

        Raises ValueError for more than 125 bytes, `WebsocketClosed` when closed; the future then raises it too.
        """
        if not self.open:
            raise self._closed()
        waiter: asyncio.Future[float] = self._loop.create_future()
        payload = self._heartbeat.start(None if data is None else control_payload(data), waiter, self._loop.time())
        self.outbox.write(control_frame(PING, payload))
        return waiter

    async def pong(self, data: str | bytes = b"") -> None:
        """Send a pong that nobody has asked for; pings are answered without it."""
        if not self.open:
            raise self._closed()
        self.outbox.write(control_frame(PONG, control_payload(data)))
