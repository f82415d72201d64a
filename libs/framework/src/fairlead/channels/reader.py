"""The one reader of a stream in a worker: follows it through outages and gives each entry to the fanout exactly once.

How this works. There are three states, and from each failure a way back:

    STARTING ──(history loaded)──▶ LIVE ──(backend away)──▶ STALE ──(reached again)──▶ LIVE

- STARTING: the newest entries are loaded into the history, so that clients that resume right after a deploy are
  served.
- LIVE: entries are read as they come, from the last position that was seen; nothing is polled.
- STALE: attempts with back-off. When the backend is back, reading goes on from the last position: what was added
  during the outage arrives late, in order. When that position is no longer in the stream (trimmed, or the server lost
  its data), the fanout is interrupted, so that clients load anew instead of trusting a feed with a hole.

The publisher delivers at least once: it repeats an entry when it died between publishing and noting it. The repeat
has an id of its own but carries the same event id in the field `id`; the last `MEMORY` event ids are remembered and
repeats left out.

Rejected: consumer groups (each worker must see every entry, and a group delivers each to one), pub/sub for the
messages (it forgets whoever is not connected right now), one reader for each websocket (the backend would see every
tab).
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from fairlead.backoff import Backoff
from fairlead.channels.fanout import Fanout
from fairlead.channels.publication import Publication
from fairlead.channels.stream import BEGINNING, Entry, Extent, Stream, StreamPosition, StreamUnavailable
from fairlead.telemetry.tracing import message_span, unobserved

logger = logging.getLogger("fairlead.channels")

EVENT_ID_FIELD: Final = "id"
"""The field that names the event, however often it was published."""

TRACE_FIELD: Final = "traceparent"
"""The field that names the trace in which the event came about."""

MEMORY: Final = 4096
"""Event ids remembered: a publisher repeats its last batch, which is far smaller."""


class ReaderState(enum.Enum):
    """Whether the fanout shows the present."""

    STARTING = "starting"
    LIVE = "live"
    STALE = "stale"


class StreamReader:
    """Follows `stream` into `fanout`; `run` it as one task of the worker.

    `render` turns an entry into the message for the clients; None leaves the entry out, and so does an error, which
    is logged: one malformed entry must not end the feed. `on_state` is told every change of state.
    """

    def __init__(
        self,
        stream: Stream,
        fanout: Fanout,
        *,
        render: Callable[[Entry], str | None],
        on_state: Callable[[ReaderState], None] = lambda state: None,
        backoff: Backoff | None = None,
        preload: int = 1000,
    ) -> None:
        self.state = ReaderState.STARTING
        self.live = asyncio.Event()
        """Set while the state is LIVE, for those who want to wait for it."""
        self._stream = stream
        self._fanout = fanout
        self._render = render
        self._on_state = on_state
        self._backoff = backoff or Backoff()
        self._preload = preload
        self._position: StreamPosition | None = None
        self._seen: dict[str, None] = {}

    async def run(self) -> None:
        """Read until cancelled; nothing else ends it. An error that nobody expected is logged with its traceback."""
        while True:
            try:
                with unobserved():
                    await self._connect()
                    while True:
                        self._take(await self._stream.read(self._position or BEGINNING))
            except Exception as error:
                if not isinstance(error, StreamUnavailable):
                    logger.exception("stream %s: unexpected error", self._stream.name)
                self._change(ReaderState.STALE, f": {error}")
                await asyncio.sleep(self._backoff.next_s())

    async def check(self) -> None:
        """A readiness check: raises while the fanout doesn't show the present."""
        if self.state is not ReaderState.LIVE:
            raise StreamUnavailable(f"the stream {self._stream.name} is {self.state.value}")

    async def _connect(self) -> None:
        """Find the place to read on from, then be live."""
        extent = await self._stream.extent()
        if self._position is None:
            await self._load(extent)
        elif not extent.holds_all_after(self._position):
            self._resync(extent, self._position)
        self._backoff.reset()
        self._change(ReaderState.LIVE)

    async def _load(self, extent: Extent) -> None:
        """Begin: fill the history. Who connected before that may have missed something, and loads anew."""
        entries = await self._stream.newest(self._preload)
        is_complete = not extent.is_cut and len(entries) < self._preload
        self._position = entries[-1].position if entries else extent.last
        floor = BEGINNING if is_complete else entries[0].position if entries else self._position
        self._fanout.interrupt(floor)
        for position, message in self._rendered(entries):
            if position > floor:
                self._fanout.history.add(position, Publication(message, position))

    def _resync(self, extent: Extent, position: StreamPosition) -> None:
        """Go on behind a hole. What clients load anew is at least as new as the stream's end, so reading goes on
        there."""
        logger.warning("stream %s: entries after %s are lost, clients load anew", self._stream.name, position)
        self._position = extent.last
        self._fanout.interrupt(extent.last)

    def _take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            with message_span("process", self._stream.name, entry.fields.get(TRACE_FIELD, "")):
                for position, message in self._rendered([entry]):
                    with message_span("send", "websockets", messages=len(self._fanout)):
                        self._fanout.publish(position, message)
        if entries:
            self._position = entries[-1].position

    def _rendered(self, entries: Iterable[Entry]) -> Iterator[tuple[StreamPosition, str]]:
        """The messages of entries that are no repeats and can be shown."""
        for entry in entries:
            event_id = entry.fields.get(EVENT_ID_FIELD)
            if event_id is not None and self._is_repeat(event_id):
                continue
            try:
                message = self._render(entry)
            except Exception:
                logger.exception("stream %s: entry %s can't be shown", self._stream.name, entry.position)
                continue
            if message is not None:
                yield entry.position, message

    def _is_repeat(self, event_id: str) -> bool:
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > MEMORY:
            del self._seen[next(iter(self._seen))]
        return False

    def _change(self, state: ReaderState, cause: str = "") -> None:
        if state is not self.state:
            level = logging.WARNING if state is ReaderState.STALE else logging.INFO
            logger.log(level, "stream %s: %s → %s%s", self._stream.name, self.state.value, state.value, cause)
            self.state = state
            if state is ReaderState.LIVE:
                self.live.set()
            else:
                self.live.clear()
            self._on_state(state)
