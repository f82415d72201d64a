"""What a websocket writes: collected within a loop's turn where more is to come, held back where the peer doesn't read.

How it works. Transports write at once (uvloop's since 0.23 as well), a system call for each piece, and with TLS a record. What one
websocket is sent in a turn of the loop is therefore collected here, as far as more is to be expected. A frame that comes alone is
handed to the transport, which may be done from outside as long as the outbox `is_clear`.

Rejected: sending on the transport's socket, as long as the transport's own buffer is empty. It spares a broadcast 3 % of its CPU
time, and rests on what transports don't promise.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary

COLLECT_BYTES: Final = 65536
"""Frames that are collected for one write are written when they reach this size."""

SENDS_PER_TURN: Final = 64
"""After so many `send`s that did not wait, one gives the loop a turn, so that `while True: await ws.send(…)` is harmless, and so is
sending to ten thousand one after the other. Counted for all websockets of a loop together."""


class Turn:
    """What the outboxes of one loop have collected, written at the end of the turn by one callback for all.

    PERF: a broadcast to thousands needs no handle of the loop for each of them, which costs as much as all else before the write.
    """

    __slots__ = ("outboxes", "sends")

    def __init__(self) -> None:
        self.outboxes: list[Outbox] = []
        self.sends = 0
        """How many `send`s, of all websockets together, did not wait since one has."""

    def end(self) -> None:
        """Write."""
        outboxes, self.outboxes = self.outboxes, []
        self.sends = 0
        for outbox in outboxes:
            try:
                outbox.flush()
            except Exception as error:
                context = {"message": "a websocket's frames could not be written", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turn] = WeakKeyDictionary()


def _turn_of(loop: asyncio.AbstractEventLoop) -> Turn:
    turn = _turns.get(loop)
    if turn is None:
        turn = _turns[loop] = Turn()
    return turn


class Waiting(Protocol):
    """What holds messages back while there is no room."""

    def go_on(self) -> None:
        """There is room again, or the end has come."""


class Outbox:
    """The sending side of a transport. Order is kept between `write` and `collect`."""

    __slots__ = ("_drained", "_has_ended", "_loop", "_size", "frames", "is_clear", "is_paused", "queue", "transport", "turn")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        self._loop = loop
        self.turn = _turn_of(loop)
        """Of the loop, shared by its websockets."""
        self._has_ended = False
        self.is_clear = True
        """Whether a message may be handed straight to the transport: it has room, nothing was collected or queued before, and the
        closing has not begun. See to it that the transport is not closing.

        PERF: one attribute to look at for a broadcast; the four from which it follows lie in four objects, and fetching these for
        each of a thousand websockets takes the CPU 0.25 µs.
        """
        self.frames: list[bytes] = []
        """What was collected and is to be flushed."""
        self._size = 0
        self._drained: asyncio.Future[None] | None = None
        self.is_paused = False
        """The transport is over its high-water mark: the peer does not read as fast as we write. From `pause` to `resume`."""
        self.queue: Waiting | None = None
        """Told when there is room again, and when the end begins."""

    def write(self, data: bytes) -> None:
        """Write now."""
        if self.frames:
            self.frames.append(data)
            self.flush()
        elif not self.transport.is_closing():  # writing on would only make the loop log that nobody is there
            self.transport.write(data)

    def collect(self, data: bytes) -> None:
        """Write soon: at the next `write` or `flush`, at `COLLECT_BYTES`, at the latest in the loop's next turn."""
        if not self.frames:
            self.is_clear = False
            waiting = self.turn.outboxes
            if not waiting:
                self._loop.call_soon(self.turn.end)
            waiting.append(self)
        self.frames.append(data)
        self._size += len(data)
        if self._size >= COLLECT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        frames = self.frames
        if frames:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            frames.clear()
            self._size = 0
            self.is_clear = not (self.is_paused or self._has_ended)
            if not self.transport.is_closing():
                self.transport.write(data)

    async def drain(self) -> None:
        """While it `is_paused`: wait until the transport has room, or the end begins."""
        if self._drained is None:
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)  # shared: cancelling one sender must not wake the others

    def pause(self) -> None:
        """The transport is over its high-water mark."""
        self.is_paused = True
        self.is_clear = False

    def resume(self) -> None:
        """The transport has room again."""
        self.is_paused = False
        self.is_clear = not (self.frames or self._has_ended)
        self._release()

    def end(self) -> None:
        """No more messages: what is still written are control frames."""
        self._has_ended, self.is_clear = True, False
        self._release()

    def _release(self) -> None:
        """Wake those who wait for room."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if self.queue is not None:
            self.queue.go_on()
