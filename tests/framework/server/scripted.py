"""A connection without a network: the test says when bytes arrive, when the peer reads and when it leaves.

The transport keeps the rules of asyncio's: nothing is delivered to a protocol that has paused reading or closed, writing after
`write_eof` raises, `close` first lets the peer take what is written, `connection_lost` comes from the loop. What a protocol
must not do (write after `write_eof`) fails the test.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from fairlead.http.limits import Limits
from fairlead.server.connection import HttpConnection
from fairlead.server.shared import Shared

HIGH_WATER_BYTES = 65536


class ScriptedTransport(asyncio.Transport):
    """The server's end. `taken` is what the peer has read, `unread` what it has not."""

    def __init__(self, protocol: HttpConnection) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711), "sockname": ("192.0.2.2", 80)})
        self.protocol: Any = protocol
        self.taken = b""
        self.unread = b""
        self.peer_reads = True
        self.ended = False  # the peer sees the end of the stream behind what is unread
        self.cut = False  # and it was no orderly one
        self._reading = True
        self._closing = False
        self._paused = False
        self._is_lost = False

    # What the protocol calls

    def write(self, data: Any) -> None:
        """Send: the peer takes it at once when it reads."""
        if self.ended and not self._closing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self.ended or self._is_lost:
            return
        self.unread += bytes(data)
        if self.peer_reads:
            self.read_all()
        elif len(self.unread) > HIGH_WATER_BYTES and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def set_protocol(self, protocol: Any) -> None:
        """From now on this one is told what happens."""
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        """What the peer has not read."""
        return len(self.unread)

    def can_write_eof(self) -> bool:
        """As TCP."""
        return True

    def write_eof(self) -> None:
        """The end of what is sent; reading goes on."""
        self.ended = True

    def is_reading(self) -> bool:
        """Whether data would be delivered."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver again."""
        self._reading = True

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self._closing

    def close(self) -> None:
        """Deliver what is written, then end."""
        if not self._closing:
            self._closing = self.ended = True
            self._lose_when_empty()

    def abort(self) -> None:
        """End at once."""
        if not self._is_lost:
            self._closing = self.ended = self.cut = True
            self.unread = b""
            self._lose()

    # What the test does

    def read_all(self) -> None:
        """The peer takes everything that was written."""
        self.taken, self.unread = self.taken + self.unread, b""
        self._relax()

    def read_some(self, size: int) -> None:
        """The peer takes a few bytes."""
        self.taken, self.unread = self.taken + self.unread[:size], self.unread[size:]
        self._relax()

    def leave(self) -> None:
        """The peer is gone: RST."""
        if not self._is_lost:
            self._closing = self.cut = True
            self._lose()

    @property
    def is_lost(self) -> bool:
        """Whether `connection_lost` is on its way, or was called."""
        return self._is_lost

    def _relax(self) -> None:
        if self._paused and len(self.unread) <= HIGH_WATER_BYTES // 4:
            self._paused = False
            self.protocol.resume_writing()
        if self._closing:
            self._lose_when_empty()

    def _lose_when_empty(self) -> None:
        if not self.unread and not self._is_lost:
            self._lose()

    def _lose(self) -> None:
        self._is_lost = True
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Scripted:
    """A connection of an application and its transport.

    What happens to a connection comes from the loop, never from within a task: a test calls `await scripted.happen(…)`, which
    also gives the loop a turn.
    """

    def __init__(self, app: Any, limits: Limits | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.shared = Shared(app.finalise(), limits or app.config.limits(), self.loop)
        self.connection = HttpConnection(self.shared)
        self.transport = ScriptedTransport(self.connection)
        self._waiting: deque[bytes] = deque()
        self.connection.connection_made(self.transport)

    async def happen(self, event: Callable[..., Any], *arguments: Any) -> None:
        """Call something from the loop. Raises what it raises."""
        outcome = self.loop.create_future()

        def call() -> None:
            try:
                event(*arguments)
                self._deliver()
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        self.loop.call_soon(call)
        await outcome

    def arrive(self, data: bytes) -> None:
        """Bytes of the peer, or b"" for the end of its side: the connection has them as soon as it reads. For `happen`."""
        self._waiting.append(data)
        self._deliver()

    async def send(self, data: bytes) -> None:
        """The peer sends bytes."""
        await self.happen(self.arrive, data)

    def _deliver(self) -> None:
        while self._waiting and self.transport.is_reading():
            data = self._waiting.popleft()
            if data:
                self.transport.protocol.data_received(data)
            elif not self.transport.protocol.eof_received():
                self.transport.close()

    async def turn(self) -> None:
        """Let the loop turn."""
        await self.happen(lambda: None)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let the loop turn until something holds; the test's deadline ends a wait in vain."""
        while not condition():
            await self.turn()

    @property
    def taken(self) -> bytes:
        """What the peer has read."""
        return self.transport.taken

    def close(self) -> None:
        """Let go of the runner's spare task."""
        self.shared.runner.close()


async def turn() -> None:
    """Let the loop turn."""
    await asyncio.sleep(0)


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until something holds; the test's deadline ends a wait in vain."""
    while not condition():
        await turn()


def cut(data: bytes, seed: int) -> list[bytes]:
    """The bytes in pieces of random sizes."""
    chance, pieces, position = random.Random(seed), [], 0
    while position < len(data):
        size = chance.choice((1, 3, 30, 200, 5000, len(data)))
        pieces.append(data[position : position + size])
        position += size
    return pieces
