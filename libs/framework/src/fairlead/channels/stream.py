"""What a stream is to the rest of the room: an append-only list of entries with growing ids, which may be cut off at
its old end.

The ids are those of Redis streams, ``<milliseconds>-<sequence>``; the memory backend makes its own in the same form,
so that clients that resume can't tell the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?").fullmatch
_MAX_PART = 2**64 - 1


class StreamUnavailable(Exception):
    """The backend can't be reached or doesn't answer; trying again later is all that one can do."""


class StreamPosition(NamedTuple):
    """An entry's id as numbers, so that positions compare in the order of the stream ("10-0" is after "9-0")."""

    ms: int
    sequence: int

    @classmethod
    def parse(cls, text: str) -> StreamPosition:
        """Read "1732101010101-0" or, as Redis allows, "1732101010101". Raises ValueError for anything else."""
        match = _ID(text)
        if match is None:
            raise ValueError("a stream id looks like 1732101010101-0")
        ms, sequence = int(match[1]), int(match[2] or 0)
        if max(ms, sequence) > _MAX_PART:
            raise ValueError("a stream id has two numbers of 64 bits")
        return cls(ms, sequence)

    def __str__(self) -> str:
        return f"{self.ms}-{self.sequence}"


BEGINNING = StreamPosition(0, 0)
"""Before every entry: no entry has this id."""


class Entry(NamedTuple):
    """One entry: its position and its fields."""

    position: StreamPosition
    fields: Mapping[str, str]


class Extent(NamedTuple):
    """Which part of a stream is there to be read."""

    first: StreamPosition | None
    """The oldest entry that is still there; None for an empty or missing stream."""
    last: StreamPosition
    """The newest id that was ever given; BEGINNING when there was none."""
    is_cut: bool
    """Whether entries were removed from the old end."""

    def holds_all_after(self, position: StreamPosition) -> bool:
        """Whether reading on from `position` misses nothing.

        False when the entry at `position` is gone: it was trimmed, or the server lost its data, and then its
        successors may be gone with it. A position that was trimmed last of all is reported as lost although nothing
        is; that costs a reload.
        """
        if position == BEGINNING:
            return not self.is_cut
        return self.first is not None and self.first <= position <= self.last


class Stream(Protocol):
    """A stream of a backend. Every method raises `StreamUnavailable` when the backend is away."""

    name: str

    async def append(self, fields: Mapping[str, str], *, max_entries: int | None = None) -> StreamPosition:
        """Add an entry; with `max_entries`, old ones are removed beyond about that number."""

    async def extent(self) -> Extent:
        """What is there to be read."""

    async def newest(self, count: int) -> Sequence[Entry]:
        """The newest `count` entries, oldest first."""

    async def since(self, after: StreamPosition, count: int) -> Sequence[Entry]:
        """The first `count` entries after a position that are there now, oldest first."""

    async def read(self, after: StreamPosition) -> Sequence[Entry]:
        """The next entries after a position; waits a while when there are none, and may then give none."""
