"""The transport of a connection: ordered writes, a peer that doesn't read, and an end that loses no answer.

`HttpConnection` is a `Link` that speaks HTTP. What is here knows nothing of messages: it collects what one turn writes, waits for a
peer that reads slowly, cuts one that reads nothing, and closes so that what was written still arrives.
"""

from __future__ import annotations

import asyncio
import enum
from math import inf
from typing import TYPE_CHECKING, Any

from fairlead.errors import RequestCancelled
from fairlead.http.clock import CLOCK

if TYPE_CHECKING:
    from fairlead.server.server import Shared


class State(enum.Enum):
    """Where a connection stands."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    HANDLING = enum.auto()
    HELD = enum.auto()
    UPGRADED = enum.auto()
    LINGERING = enum.auto()
    CLOSING = enum.auto()


IDLE, HEAD, BODY, HANDLING, HELD, UPGRADED, LINGERING, CLOSING = State


class Link(asyncio.Protocol):
    """One accepted connection and what is being written to it."""

    __slots__ = (
        "_out",
        "_paused",
        "_unread",
        "_waiters",
        "_write",
        "deadline",
        "final",
        "lost",
        "shared",
        "state",
        "transport",
        "write_deadline",
    )

    def __init__(self, shared: Shared, *, final: bool) -> None:
        self.shared = shared
        self.transport: Any = None
        self.state = IDLE
        self.final = final
        """The next answer is the last one."""
        self.lost = False
        self.deadline = CLOCK.now + shared.limits.header_timeout_s
        self.write_deadline = inf
        self._out: list[bytes] | None = None
        self._paused = False
        self._unread = 0
        self._waiters: list[asyncio.Future[None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._write = self.transport.write

    # Writing

    def _send(self, data: bytes) -> None:
        if self._out is not None:
            self._out.append(data)
        else:
            self._write(data)

    def send_now(self, data: bytes) -> None:
        """Write data after everything that was collected before it."""
        out = self._out
        if out:
            data = b"".join([*out, data])
            out.clear()
        if not self.lost:
            self._write(data)

    async def writable(self) -> None:
        """Wait while the peer reads too slowly. Raises `RequestCancelled` when it is gone."""
        while self._paused and not self.lost:
            waiter = self.shared.loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not self.lost:  # else both have come, and this is the cause
                    raise
            finally:
                self._waiters.remove(waiter)
        if self.lost:
            raise RequestCancelled("the client is gone")

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Ending

    def abort(self) -> None:
        """Cut the connection, and take up nothing more of what came over it."""
        self.final = True
        self.transport.abort()

    def _expire_writing(self) -> None:
        """Cut a peer that has read nothing since it was looked at last; one that reads slowly has another while."""
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread >= before:
            self.abort()
            return
        again = CLOCK.now + self.shared.limits.write_timeout_s
        if self._paused:
            self.write_deadline = again
        if self.state is CLOSING:
            self.deadline = again

    @property
    def is_ended(self) -> bool:
        """Answered for the last time, and the answer is out; only the client's leftovers are being thrown away."""
        return self.state is LINGERING and not self.transport.get_write_buffer_size()
