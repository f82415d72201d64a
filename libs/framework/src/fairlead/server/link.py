"""The transport of a connection: ordered writes, a peer that doesn't read, and an end that loses no answer.

`HttpConnection` is a `Link` that speaks HTTP. What is here knows nothing of messages: it collects what one turn writes, waits for a
peer that reads slowly, cuts one that reads nothing, and closes so that what was written still arrives.

States, and what the deadline means in each:

    IDLE        nothing has come since the last response          keep-alive (at first: first byte) time-out: close
    HEAD        a part of a head is in the buffer                 header time-out: 408
    BODY        the head is read, the body is being collected     body time-out: 408
    HANDLING    the handler waits for something; what the client  response time-out: 503, the handler is cancelled;
                sends meanwhile (pipelining) is kept, bounded     body time-out while a streamed body comes: 408
    HELD        requests wait in the buffer: the client does not  none: the write time-out counts
                read its answers, or others have their turn first
    UPGRADED    a websocket has the transport                     its own sweep, and the write time-out
    LINGERING   answered and half-closed; the rest of what the    two seconds, then the end
                client is still sending is thrown away, because
                closing at once would destroy the answer (RST)
    CLOSING     answered for the last time; what was written is   write time-out: cut
                on its way, and what still comes is ignored

There are no timers per connection: the server's sweep compares `deadline` once a second, and `write_deadline`, which runs while
the transport is over its high-water mark. It is not the time for everything, but for anything: a peer that reads slowly is served.
"""

from __future__ import annotations

import asyncio
import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import inf
from typing import Any

from fairlead.errors import FairleadException, RequestCancelled
from fairlead.http.clock import CLOCK
from fairlead.request import ConnectionInfo
from fairlead.server.answer import encode_refusal
from fairlead.server.shared import Shared

LINGER_S = 2.0
"""So long is a client that is still sending listened to, after its last answer."""


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


class Link(asyncio.Protocol, ABC):
    """One accepted connection and what is being written to it."""

    __slots__ = (
        "_info",
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
        self.deadline = CLOCK.now + shared.limits.first_byte_timeout_s
        self.write_deadline = inf
        self._out: list[bytes] | None = None
        self._paused = False
        self._unread = 0
        self._info: ConnectionInfo | None = None
        self._waiters: list[asyncio.Future[None]] | None = None  # made by the first who waits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._write = self.transport.write

    @property
    def info(self) -> ConnectionInfo:
        """Addresses of both sides, looked up when first asked for."""
        info = self._info
        if info is None:
            get = self.transport.get_extra_info
            asked_for = getattr(get("ssl_object"), "asked_for", "")  # set by `Certificates`
            info = self._info = ConnectionInfo(get("peername"), get("sockname"), get("sslcontext") is not None, asked_for)
            info.lost = self.lost
        return info

    def when_draining(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called once, when the server begins to stop; at once if it has."""
        told = self.shared.told_of_drain
        if self.shared.draining:
            callback()
        else:
            told.add(callback)
        return lambda: told.discard(callback)

    # Writing

    def send(self, data: bytes) -> None:
        """Write data with what else this turn writes."""
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
            if self._waiters is None:
                self._waiters = []
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
        for waiter in self._waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    # Ending

    @abstractmethod
    def settle(self) -> None:
        """What the new state asks for, now that everything is written."""

    def refuse(self, exc: FairleadException) -> None:
        """Answer what never became a request, and end the connection."""
        refused = self.shared.refused
        refused[exc.status_code] = refused.get(exc.status_code, 0) + 1
        self.send(encode_refusal(exc))
        self.begin_end(LINGERING)

    def close(self) -> None:
        """End, as soon as the peer has taken what was written."""
        self.state = CLOSING
        self.settle()

    def begin_end(self, state: State) -> None:
        """Nothing follows what was written: `LINGERING` for a client that may still be sending, else `CLOSING`."""
        self.final = True
        self.state = state
        if self._out is None:
            self.settle()

    def end_transport(self) -> None:
        """Half-close, or close, after what was written. For the latter the peer has the write time-out."""
        transport = self.transport
        if self.state is LINGERING:
            self.deadline = CLOCK.now + LINGER_S
            self.shared.changed()
            if transport.is_closing():
                return
            if transport.can_write_eof():
                transport.write_eof()
                if not transport.is_reading():
                    transport.resume_reading()
                return
            self.state = CLOSING  # TLS knows no half-close
        self.deadline = CLOCK.now + self.shared.limits.write_timeout_s
        if not transport.is_closing():  # a TLS transport that is closed twice forgets what it is
            self._unread = transport.get_write_buffer_size()
            transport.close()

    def abort(self) -> None:
        """Cut the connection, and take up nothing more of what came over it."""
        self.final = True
        self.transport.abort()

    def _expire_writing(self) -> None:
        """Cut a peer that has read nothing, or too little, since it was looked at last; one that reads has another while."""
        limits = self.shared.limits
        before, self._unread = self._unread, self.transport.get_write_buffer_size()
        if before - self._unread < max(1, min(before, limits.min_read_rate * limits.write_timeout_s)):
            self.abort()
            return
        again = CLOCK.now + limits.write_timeout_s
        if self._paused:
            self.write_deadline = again
        if self.state is CLOSING:
            self.deadline = again

    @property
    def is_ended(self) -> bool:
        """Answered for the last time, and the answer is out; only the client's leftovers are being thrown away."""
        return self.state is LINGERING and not self.transport.get_write_buffer_size()
