"""The last messages of a stream, kept in each worker, so that a client that was away reads on where it stopped.

A resume is answered from memory: a thousand tabs that come back after a deploy cost the backend nothing. Who was away
for longer than the history reaches is told so and loads its data anew. Rejected: reading the gap from the backend for
each connection, which turns every deploy into a burst of reads at the worst moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from fairlead.channels.publication import Publication
from fairlead.channels.stream import BEGINNING, StreamPosition


class History:
    """At most `size` messages and the position after which they are complete."""

    def __init__(self, size: int = 1000) -> None:
        self._messages: deque[tuple[StreamPosition, Publication]] = deque()
        self._size = size
        self._floor: StreamPosition | None = None
        self._last = BEGINNING

    @property
    def last(self) -> StreamPosition:
        """The position up to which the stream was read."""
        return self._last

    @property
    def is_started(self) -> bool:
        """Whether it is known yet where the history begins."""
        return self._floor is not None

    def restart(self, floor: StreamPosition) -> None:
        """Forget everything: from now on messages are complete after `floor`, and only after it."""
        self._messages.clear()
        self._floor = self._last = floor

    def add(self, position: StreamPosition, message: Publication) -> None:
        """Keep the next message of the stream; positions only grow."""
        self._messages.append((position, message))
        self._last = position
        if len(self._messages) > self._size:
            self._floor = self._messages.popleft()[0]

    def after(self, position: StreamPosition) -> Collection[Publication] | None:
        """The messages after a position, oldest first; None when some of them are unknown here."""
        if self._floor is None or not self._floor <= position <= self._last:
            return None
        missed: deque[Publication] = deque()
        for at, message in reversed(self._messages):  # PERF: most were away for a few messages, not for a thousand
            if at <= position:
                break
            missed.appendleft(message)
        return missed

    def newest(self, count: int) -> list[Publication]:
        """The last `count` messages that are here, oldest first."""
        return [message for _, message in list(self._messages)[-count:]] if count > 0 else []

    def __len__(self) -> int:
        return len(self._messages)
