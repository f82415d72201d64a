"""Server-sent events (WHATWG HTML §9.2): a response that goes on, for browsers whose network lets no websocket through (W14).

    @app.get("/ticks")
    async def ticks(request):
        async with request.sse() as stream:
            async for tick in clock(after=stream.last_event_id):
                await stream.send(tick, id=tick.id)

How it works. One task for each stream is the only one that writes: what `send` and `put` bring is collected, and what has
come within a turn of the loop leaves in one piece. While the peer does not read, `send` waits; `put`, the way of a fan-out,
never does: past `max_waiting` the connection is cut, and an `EventSource` comes back with the last id that it has seen. When
nothing is to be said, a comment every `heartbeat_s` keeps proxies from taking the stream for dead, and finds peers that are.

The block ends before its time when the server drains: the peer is told to come back after a while that differs from stream to
stream, and the block is left as `asyncio.timeout` leaves one, so that `finally` runs and nothing waits for the deadline. A client
that leaves cancels the handler, as with every streamed response.

Rejected: a separate response class with a generator inside (a generator can't be told of the drain while it waits) and writing
from `put` itself (nothing would hold back a peer that doesn't read).
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import AsyncIterable, Callable, Hashable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

import msgspec

if TYPE_CHECKING:
    from fairlead.request import Request
    from fairlead.streaming import ResponseStream

__all__ = ["Event", "EventStream", "encode_event", "sse"]

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
"""Not kept by any cache, not collected by nginx before it passes it on."""

HEARTBEAT: Final = b":\n\n"
FAREWELL: Final = b": the server restarts\nretry: %d\n\n"
RETURN_MS: Final = (500, 3000)
"""Between these the peers of a draining server come back, so that they don't all do so in one moment."""

_LINE_END = re.compile(r"\r\n|\r|\n")  # what ends a line of a stream; str.splitlines knows more ends than that


class Event(NamedTuple):
    """One event; see `encode_event`."""

    data: Any
    event: str | None = None
    id: str | None = None
    retry_s: float | None = None


def encode_event(data: Any, *, event: str | None = None, id: str | None = None, retry_s: float | None = None) -> bytes:
    """An event as it is sent. `data` is text, of any number of lines, or what msgspec encodes as JSON.

    Raises ValueError for an `id` or `event` that would break out of its line, and for an id with NUL, which browsers drop.
    """
    text = data if isinstance(data, str) else data.decode() if isinstance(data, bytes) else msgspec.json.encode(data).decode()
    lines = []
    if event is not None:
        lines.append(f"event: {_one_line('event', event)}")
    if id is not None:
        if "\0" in id:
            raise ValueError("the id of an event holds no NUL")
        lines.append(f"id: {_one_line('id', id)}")
    if retry_s is not None:
        lines.append(f"retry: {int(retry_s * 1000)}")
    lines += [f"data: {line}" for line in _LINE_END.split(text)]
    return "\n".join((*lines, "", "")).encode()


def _one_line(name: str, value: str) -> str:
    if _LINE_END.search(value):
        raise ValueError(f"the {name} of an event is one line")
    return value


class HasEvent(Protocol):
    """A message that knows how it looks as an event: encoded once, for however many streams."""

    @property
    def event(self) -> bytes:
        """The encoded event."""


class EventStream:
    """What `request.sse()` gives: an async context manager, whose block is the life of the stream.

    `heartbeat_s`: a comment after so long without an event. `retry_s`: how long the peer shall wait before it comes back.
    `max_waiting`: how many events of `put` may wait for a peer that doesn't read.
    """

    def __init__(
        self, request: Request[Any, Any], *, heartbeat_s: float = 15.0, retry_s: float | None = None, max_waiting: int = 256
    ) -> None:
        self.request = request
        self.last_event_id: str | None = request.headers.get("last-event-id") or None
        """The id of the last event that the client has seen, if it has been here before."""
        self.is_over = False
        """Nothing more is taken: the server drains, the client was too slow, or the block has ended."""
        self._heartbeat_s = heartbeat_s
        self._retry_s = retry_s
        self._max_waiting = max_waiting
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._response: ResponseStream | None = None
        self._writer: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancellations = 0
        self._has_cancelled = False
        self._take_back: Callable[[], None]

    # --- for the handler ---

    async def send(self, data: Any, *, event: str | None = None, id: str | None = None, retry_s: float | None = None) -> None:
        """Send an event (see `encode_event`) as soon as the peer has taken the ones before. After the end it does nothing."""
        encoded = encode_event(data, event=event, id=id, retry_s=retry_s)
        while len(self._waiting) >= self._max_waiting and not self.is_over:
            self._room.clear()
            await self._room.wait()
        self._append(encoded)

    async def wait_closed(self) -> None:
        """Wait for the end, which ends the block: for handlers that leave the sending to a fan-out."""
        await asyncio.get_running_loop().create_future()

    # --- for a fan-out ---

    def put(self, message: HasEvent, key: Hashable | None = None) -> bool:
        """Send without waiting. False after the end, also one that this call brings: the peer was too slow. `key` is there for
        the likes of `SendQueue`; here nothing is coalesced."""
        if self.is_over:
            return False
        if len(self._waiting) >= self._max_waiting:
            self.is_over = True
            self._waiting.clear()
            self.request.exchange.abort()
            return False
        self._append(message.event)
        return True

    def put_backlog(self, messages: Iterable[HasEvent]) -> None:
        """Send what a peer that resumes has missed, as one piece."""
        self._append(b"".join(message.event for message in messages))

    def _append(self, encoded: bytes) -> None:
        if encoded and not self.is_over:
            self._waiting.append(encoded)
            self._wake.set()

    # --- the life of the stream ---

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancellations = self._task.cancelling()
        self._response = await self.request.respond(headers=HEADERS, content_type=MEDIA_TYPE)
        opening = HEARTBEAT if self._retry_s is None else b"retry: %d\n\n" % int(self._retry_s * 1000)
        await self._response.send(opening)
        self._writer = asyncio.create_task(self._write(self._response))
        self._take_back = self.request.exchange.when_draining(self._drain)
        if self.request.method == "HEAD":
            self._end(b"")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._task is not None
        assert self._writer is not None
        self._take_back()
        self.is_over = True
        self._wake.set()
        is_ended = False
        if self._has_cancelled:
            is_ended = self._task.uncancel() <= self._cancellations and kind is asyncio.CancelledError
        if kind is not None and not is_ended:
            self._writer.cancel()
        try:
            await asyncio.wait((self._writer,))
        finally:
            self._writer.cancel()
        if not self._writer.cancelled():
            self._writer.exception()  # the client is gone: the server says so itself
        return is_ended

    async def _write(self, response: ResponseStream) -> None:
        while True:
            if not self._waiting:
                if self.is_over:
                    return
                self._wake.clear()
                try:
                    async with asyncio.timeout(self._heartbeat_s):
                        await self._wake.wait()
                except TimeoutError:
                    self._waiting.append(HEARTBEAT)
                continue
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._room.set()
            await response.send(data)

    def _drain(self) -> None:
        self._end(FAREWELL % random.randint(*RETURN_MS))

    def _end(self, farewell: bytes) -> None:
        """Say a last thing, and leave the block."""
        if not self.is_over:
            self._append(farewell)
            self.is_over = True
            self._has_cancelled = True
            self._wake.set()
            self._room.set()
            assert self._task is not None
            self._task.cancel("the stream has ended")


async def sse(request: Request[Any, Any], events: AsyncIterable[Any], **options: Any) -> None:
    """Send what `events` yields, each an `Event` or the data of one, until it ends: ``return await sse(request, ticks())``.

    Options are those of `EventStream`. An async generator is closed at the end, however that comes.
    """
    try:
        async with EventStream(request, **options) as stream:
            async for item in events:
                event = item if isinstance(item, Event) else Event(item)
                await stream.send(event.data, event=event.event, id=event.id, retry_s=event.retry_s)
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
