"""What a websocket writes: collected within a loop's turn where more is to come, held back where the peer doesn't read."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary

COLLECT_BYTES: Final = 65536
"""Frames that are collected for one write are written when they reach this size."""

SENDS_PER_TURN: Final = 64
"""After so many `send`s that did not wait, one gives the loop a turn, so that `while True: await ws.send(…)` is harmless."""


class Turn:
    """What the outboxes of one loop have collected, written at the end of the turn by one callback for all.

    PERF: a broadcast to thousands needs no handle of the loop for each of them, which costs as much as all else before the write.
    """

    __slots__ = ("outboxes",)

    def __init__(self) -> None:
        self.outboxes: list[Outbox] = []

    def end(self) -> None:
        """Write."""
        outboxes, self.outboxes = self.outboxes, []
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

    __slots__ = ("_drained", "_loop", "_size", "_transport", "_turn", "frames", "is_paused", "queue")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._turn = _turn_of(loop)
        self.frames: list[bytes] = []
        """What was collected and is to be flushed."""
        self._size = 0
        self._drained: asyncio.Future[None] | None = None
        self.is_paused = False
        """The transport is over its high-water mark: the peer does not read as fast as we write. Ends with `resume`."""
        self.queue: Waiting | None = None
        """Told when there is room again, and when the outbox is released."""

    def write(self, data: bytes) -> None:
        """Write now."""
        if self.frames:
            self.frames.append(data)
            self.flush()
        elif not self._transport.is_closing():  # writing on would only make the loop log that nobody is there
            self._transport.write(data)

    def collect(self, data: bytes) -> None:
        """Write soon: at the next `write` or `flush`, at `COLLECT_BYTES`, at the latest in the loop's next turn."""
        if not self.frames:
            waiting = self._turn.outboxes
            if not waiting:
                self._loop.call_soon(self._turn.end)
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
            if not self._transport.is_closing():
                self._transport.write(data)

    async def drain(self) -> None:
        """While it `is_paused`: wait until the transport has room, or the outbox is released."""
        if self._drained is None:
            self._drained = self._loop.create_future()
        await asyncio.shield(self._drained)  # shared: cancelling one sender must not wake the others

    def resume(self) -> None:
        """The transport has room again."""
        self.is_paused = False
        self.release()

    def release(self) -> None:
        """Wake those who wait for room."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if self.queue is not None:
            self.queue.go_on()
