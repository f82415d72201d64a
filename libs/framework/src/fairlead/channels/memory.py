"""The backend for one process: streams and tallies in memory, with the same interface and the same ids as the Redis
ones.

For development without Redis, for a service with one worker, and for tests, where several members of one
`MemoryBackend` stand for several workers. What it holds is gone with the process.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

from fairlead.channels.line import DATA, MESSAGE_ID, Counted, Heard, Joined, Posting, Said
from fairlead.channels.stream import BEGINNING, Entry, Extent, StreamPosition
from fairlead.locality import note_local


class MemoryBackend:
    """Streams and tallies by name: the same name gives the same stream, and another member of the same tally."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._streams: dict[str, MemoryStream] = {}
        self._boards: dict[str, _Board] = {}
        self._lines: set[MemoryLine] = set()
        note_local("channels", "fairlead.channels.redis.RedisBackend")

    def stream(self, name: str) -> MemoryStream:
        """The stream of this name."""
        if name not in self._streams:
            self._streams[name] = MemoryStream(name, clock=self._clock)
        return self._streams[name]

    def tally(self, name: str, *, group: str | None = None) -> MemoryTally:
        """A new member of the tally of this name, whose changes are told in `group` as well."""
        board = self._boards.setdefault(name, _Board())
        if group is not None:
            board.tell = lambda: self._say(Counted(group))
        return MemoryTally(name, board)

    def line(self) -> MemoryLine:
        """A new line."""
        return MemoryLine(self._lines)

    async def publish(self, name: str, posting: Posting) -> StreamPosition:
        """Append to the stream, and say it; `keep_s` means nothing here, where everything ends with the process."""
        stream = self.stream(name)
        if posting.is_repeat:
            for entry in await stream.newest(posting.max_entries):
                if entry.fields[MESSAGE_ID] == posting.message_id:
                    return entry.position
        previous = (await stream.extent()).last
        fields = {MESSAGE_ID: posting.message_id, DATA: posting.data}
        position = await stream.append(fields, max_entries=posting.max_entries)
        self._say(Said(name, previous, Entry(position, fields)))
        return position

    def _say(self, heard: Said | Counted) -> None:
        for line in self._lines:
            line.take(heard)


class MemoryStream:
    """A stream in memory (see `fairlead.channels.Stream`)."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self._clock = clock
        self._entries: deque[Entry] = deque()
        self._last = BEGINNING
        self._is_cut = False
        self._grown = asyncio.Condition()

    async def append(self, fields: Mapping[str, str], *, max_entries: int | None = None) -> StreamPosition:
        """Add an entry, and remove the oldest beyond `max_entries`."""
        now = StreamPosition(int(self._clock() * 1000), 0)
        self._last = max(now, self._last._replace(sequence=self._last.sequence + 1))
        self._entries.append(Entry(self._last, dict(fields)))
        while max_entries is not None and len(self._entries) > max_entries:
            self._entries.popleft()
            self._is_cut = True
        async with self._grown:
            self._grown.notify_all()
        return self._last

    async def extent(self) -> Extent:
        """What is there to be read."""
        first = self._entries[0].position if self._entries else None
        return Extent(first, self._last, self._is_cut)

    async def newest(self, count: int) -> Sequence[Entry]:
        """The newest entries, oldest first."""
        return list(self._entries)[-count:]

    async def since(self, after: StreamPosition, count: int) -> Sequence[Entry]:
        """The entries after a position."""
        return [entry for entry in self._entries if entry.position > after][:count]

    async def read(self, after: StreamPosition) -> Sequence[Entry]:
        """The entries after a position, as soon as there are any."""
        async with self._grown:
            await self._grown.wait_for(lambda: self._last > after)
        return [entry for entry in self._entries if entry.position > after]


class _Board:
    """The reports of a tally, and who wants to hear of changes."""

    def __init__(self) -> None:
        self.reports: dict[MemoryTally, int] = {}
        self.listeners: set[asyncio.Event] = set()
        self.tell: Callable[[], None] = lambda: None
        self._published = 0

    def sum_up(self) -> int:
        total = sum(self.reports.values())
        if total != self._published:
            self._published = total
            self.tell()
            for listener in self.listeners:
                listener.set()
        return total


class MemoryTally:
    """One member of a tally in memory (see `fairlead.channels.Tally`). Its reports don't expire: members die with the
    process."""

    def __init__(self, name: str, board: _Board) -> None:
        self.name = name
        self._board = board

    async def report(self, count: int) -> int:
        """Report this member's number, get the sum."""
        self._board.reports[self] = count
        if count == 0:
            del self._board.reports[self]
        return self._board.sum_up()

    async def leave(self) -> None:
        """Take this member's report back."""
        self._board.reports.pop(self, None)
        self._board.sum_up()

    async def changes(self) -> AsyncIterator[None]:
        """Yields once when listening, and then whenever the sum has changed."""
        changed = asyncio.Event()
        self._board.listeners.add(changed)
        try:
            yield
            while True:
                await changed.wait()
                changed.clear()
                yield
        finally:
            self._board.listeners.discard(changed)


class MemoryLine:
    """A line in memory (see `fairlead.channels.line.Line`)."""

    def __init__(self, lines: set[MemoryLine]) -> None:
        self._lines = lines
        self._names: set[str] = set()
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()

    async def open(self) -> None:
        """Take part."""
        self._lines.add(self)

    async def join(self, names: Collection[str]) -> None:
        """Follow these groups."""
        self._names.update(names)
        for name in names:
            self._heard.put_nowait(Joined(name))

    async def leave(self, names: Collection[str]) -> None:
        """Follow these no more."""
        self._names.difference_update(names)

    def take(self, heard: Said | Counted) -> None:
        """Something was said."""
        if heard.name in self._names:
            self._heard.put_nowait(heard)

    async def hear(self) -> Heard:
        """What comes next."""
        return await self._heard.get()

    async def close(self) -> None:
        """Take part no more."""
        self._lines.discard(self)
