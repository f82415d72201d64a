"""A group as one worker has it: its members here, its last messages, and its place in the stream.

How this works. The stream is the truth; the line (see `fairlead.channels.line`) only saves waiting for it. A message of the line
is given to the members when the one before it was; what has been given before is dropped; and when one is missing, the stream
is read on from the last position, while the line's messages wait. So is it each time that the line has (re)joined the group:

    unknown ──(newest entries loaded)──▶ live ──(line down)──▶ stale ──(joined again, read on)──▶ live

What the stream doesn't hold any more (trimmed, or lost with its server) is a gap: members are told to load anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from fairlead.channels.fanout import Fanout, Recipient, Subscription
from fairlead.channels.line import DATA, Said
from fairlead.channels.presence import Presence, Tally
from fairlead.channels.publication import Publication
from fairlead.channels.stream import BEGINNING, Entry, Extent, Stream, StreamPosition
from fairlead.websocket import Websocket

logger = logging.getLogger("fairlead.channels")

BATCH: Final = 100
"""Entries in one read: fewer than a client's queue takes."""

MAX_PENDING: Final = 1000
"""Messages of the line that wait while the stream is read; beyond that they are found in the stream as well."""

ATTEMPTS: Final = 3
"""How often a missing message is looked for in the stream, before it is given up as lost."""

UNKNOWN: Final = StreamPosition(2**64 - 1, 0)
"""What a position that can't be read stands for: one that no stream has, so that its owner loads anew."""


class LocalGroup:
    """Made by `Channels`, one for each group that has members in this worker."""

    def __init__(
        self, name: str, stream: Stream, tally: Tally, due: asyncio.Event, *, history_size: int, max_entries: int, announces: bool
    ) -> None:
        self.name = name
        self._quoted_name = msgspec.json.encode(name).decode()
        self.fanout = Fanout(gap_notice=self._notice("gap"), history_size=history_size)
        self.presence = Presence(tally, on_change=self.announce_count, due=due)
        self.holders = 0
        """How many want it to be here."""
        self.idle_since = 0.0
        self.live = asyncio.Event()
        """Set while what is said is heard at once."""
        self.must_read_on = False
        self._stream = stream
        self._history_size = history_size
        self._max_entries = max_entries
        self._announces = announces
        self._position: StreamPosition | None = None
        self._pending: list[Said] = []
        self._is_reading = False
        self._lock = asyncio.Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether its place in the stream is known, so that members can be taken in."""
        return self._position is not None

    # --- what is said ---

    def hear(self, said: Said) -> bool:
        """Take a message of the line; False when the one before it is missing: then `read_on`."""
        if self._is_reading or self._position is None:
            if len(self._pending) >= MAX_PENDING:
                self._pending.clear()
            self._pending.append(said)
            return True
        if said.entry.position <= self._position:
            return True
        if said.previous > self._position:
            self._pending.append(said)
            return False
        self._publish(said.entry)
        return True

    async def go_live(self) -> None:
        """The line has joined the group: read on, and from then on trust it. Raises `StreamUnavailable`."""
        await self.read_on()
        if not self.live.is_set():
            self.live.set()
            self.fanout.announce("state", self._notice("live"))

    async def read_on(self) -> None:
        """Read the stream to its end, then take what the line has brought meanwhile. Raises `StreamUnavailable`."""
        async with self._lock:
            for _ in range(ATTEMPTS):
                await self._read()
                pending, self._pending = self._pending, []
                if all(self.hear(said) for said in pending):  # those behind a hole are found in the stream
                    break
            else:  # said by a server that has lost it since
                self._pending.clear()
                self._interrupt(self._last)

    def lose_line(self) -> None:
        """From now on messages may be missed."""
        self.must_read_on = False  # the next line begins anew
        if self.live.is_set():
            self.live.clear()
            self.fanout.announce("state", self._notice("stale"))

    async def _read(self) -> None:
        self._is_reading = True
        try:
            extent = await self._stream.extent()
            if self._position is None:
                await self._load(extent)
            elif not extent.holds_all_after(self._position):
                self._interrupt(extent.last)
            while entries := await self._stream.since(self._position or BEGINNING, BATCH):
                for entry in entries:
                    self._publish(entry)
        finally:
            self._is_reading = False

    async def _load(self, extent: Extent) -> None:
        entries = await self._stream.newest(self._history_size)
        is_complete = not extent.is_cut and len(entries) < self._history_size
        floor = BEGINNING if is_complete else entries[0].position if entries else extent.last
        self.fanout.history.restart(floor)
        for entry in entries:
            if entry.position > floor and (publication := self._publication(entry)) is not None:
                self.fanout.history.add(entry.position, publication)
        self._position = entries[-1].position if entries else extent.last

    def _interrupt(self, floor: StreamPosition) -> None:
        logger.warning("group %s: messages after %s are lost, clients load anew", self.name, self._position)
        self._position = floor
        self.fanout.interrupt(floor)

    def _publish(self, entry: Entry) -> None:
        self._position = entry.position
        text = self._text(entry)
        if text is not None:
            self.fanout.publish(entry.position, text)

    def _publication(self, entry: Entry) -> Publication | None:
        text = self._text(entry)
        return None if text is None else Publication(text, entry.position)

    def _text(self, entry: Entry) -> str | None:
        """What members are sent: made without decoding the data. None for an entry that none of us has written."""
        data = entry.fields.get(DATA)
        return None if data is None else self._notice("message", f',"id":"{entry.position}","data":{data}')

    def _notice(self, kind: str, rest: str = "") -> str:
        return f'{{"type":"{kind}","group":{self._quoted_name}{rest}}}'

    # --- members ---

    async def admit(self, client: Websocket | Recipient, after: str | StreamPosition | None, history: int) -> Subscription:
        """Subscribe a client from `after` on. Raises `StreamUnavailable` when the stream is needed for that and away."""
        older: Sequence[Publication] = ()
        position = _position_of(after)
        if position is not None:
            if position > self._last:  # another worker was faster; this one must not send it what it has
                await self.read_on()
            if self.fanout.history.after(position) is None:
                older = await self._older_than_history(position)
        # From here on nothing waits: no message can come between what was missed and what comes next.
        if older:
            older = [publication for publication in older if (publication.position or BEGINNING) <= self._last]
            position = older[-1].position if older else position
        subscription = self.fanout.subscribe(client, position, older=older, newest=history)
        if self._announces:
            subscription.notify("presence", Publication(self._count_notice(self.presence.count)))
        if not self.live.is_set():
            subscription.notify("state", Publication(self._notice("stale")))
        return subscription

    @property
    def _last(self) -> StreamPosition:
        return self._position or BEGINNING

    async def _older_than_history(self, position: StreamPosition) -> Sequence[Publication]:
        """What was said after a position that this worker does not remember; nothing where the stream doesn't either."""
        extent = await self._stream.extent()
        if not extent.holds_all_after(position):
            return ()
        entries = await self._stream.since(position, self._max_entries * 2)
        return [publication for entry in entries if (publication := self._publication(entry)) is not None]

    def announce_count(self, count: int) -> None:
        """Tell the members here how many they are everywhere."""
        if self._announces:
            self.fanout.announce("presence", self._count_notice(count))

    def _count_notice(self, count: int) -> str:
        return self._notice("presence", f',"count":{count}')


def _position_of(after: str | StreamPosition | None) -> StreamPosition | None:
    if not isinstance(after, str):
        return after
    try:
        return StreamPosition.parse(after)
    except ValueError:
        return UNKNOWN
