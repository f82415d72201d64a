"""What a worker hears of its groups: the ends of a backend's line, one for each worker, however many groups it follows.

A line is fast and forgetful: what is said while it is down is not said again. So it is never trusted alone: each message
names the one before it, and whoever finds that one missing reads it in the stream (see `fairlead.channels.local_group`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple, Protocol

from fairlead.channels.presence import Tally
from fairlead.channels.stream import Entry, Stream, StreamPosition

DATA: Final = "data"
"""The field of an entry that holds a group's message, as JSON."""
MESSAGE_ID: Final = "id"
"""The field that names a message, however often its sender repeats it."""


class Joined(NamedTuple):
    """From here on everything that is said in the group is heard."""

    name: str


class Said(NamedTuple):
    """A message of a group, and the position of the one before it in the stream."""

    name: str
    previous: StreamPosition
    entry: Entry


class Counted(NamedTuple):
    """How many are in the group has changed."""

    name: str


Heard = Joined | Said | Counted


class Line(Protocol):
    """One connection. `open`, then `hear` again and again in one task, while another calls `join` and `leave`; then `close`.

    All but `close` raise `StreamUnavailable`; the line is of no use then.
    """

    async def open(self) -> None:
        """Connect."""

    async def join(self, names: Collection[str]) -> None:
        """Ask to hear of these groups; `Joined` tells for each when that holds."""

    async def leave(self, names: Collection[str]) -> None:
        """Hear of these no more."""

    async def hear(self) -> Heard | None:
        """What comes next; None when nothing has come for a while."""

    async def close(self) -> None:
        """Disconnect."""


class Posting(NamedTuple):
    """What is to be said in a group, and for how long it is kept."""

    data: str
    message_id: str
    max_entries: int
    keep_s: float
    is_repeat: bool
    """Whether it may be there already: then it is looked for, and stored only if it isn't."""


class Backend(Protocol):
    """`MemoryBackend` and `RedisBackend`."""

    def stream(self, name: str) -> Stream:
        """The stream of this name."""

    def tally(self, name: str, *, group: str | None = None) -> Tally:
        """A new member of a tally; `Counted` tells the lines that follow `group` of its changes."""

    def line(self) -> Line:
        """A new line, not yet open."""

    async def publish(self, name: str, posting: Posting) -> StreamPosition:
        """Store a message in the stream `name` and say it to the lines that follow that group, as one step.

        Raises `StreamUnavailable`: then it may be stored or not.
        """
