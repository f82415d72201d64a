"""A line that repeats itself by the hundred is cut short, and counted.

One broken dependency can make every request log the same sentence; at some thousand lines a second the log costs more than the
requests, and buries what else there is to read. So of each message (a logger's sentence, before its values are filled in) a second
has `limit_per_s` lines; those beyond are counted, and one line tells how many there were. Different messages don't count against
each other, and what is critical always passes.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

__all__ = ["FloodGate"]

MAX_MESSAGES = 1_000
"""Messages that are told apart in one second. Further ones share a count: who formats values into the sentence can flood, too."""

_OTHERS = ("", "")

Tell = Callable[[str, str, int], None]
"""`(logger, message, left_out)`."""


class FloodGate:
    """Says which lines pass. A limit of 0 lets everything through."""

    def __init__(self, limit_per_s: int, tell: Tell, *, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit_per_s
        self._tell = tell
        self._clock = clock
        self._second = 0
        self._counts: dict[tuple[str, str], int] = {}
        self.left_out = 0
        """How many lines did not pass, since the start."""

    def admits(self, logger: str, message: str) -> bool:
        """Whether one more line of this message may pass now."""
        if not self._limit:
            return True
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self.settle()
        key = (logger, message)
        if key not in self._counts and len(self._counts) >= MAX_MESSAGES:
            key = _OTHERS
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if count <= self._limit:
            return True
        self.left_out += 1
        return False

    def settle(self) -> None:
        """Tell what was left out up to now, and begin to count anew."""
        counts, self._counts = self._counts, {}
        for (logger, message), count in counts.items():
            if count > self._limit:
                self._tell(logger, message, count - self._limit)
