"""When to replace a worker that has died, and when to give up.

The first replacement comes at once: a single death (out of memory, a bug on one request) costs nothing. Each further
one waits twice as long, because a worker that dies of its start, or of a dependency that is away, would only burn CPU.
Ten seconds of health wipe the slate clean. Five deaths without them are a crash loop: the process says why and exits,
so that whoever started it (Kubernetes, systemd) sees the failure instead of a supervisor that looks alive.
"""

from __future__ import annotations

from fairlead.backoff import Backoff, unscattered

__all__ = ["CRASH_LOOP_DEATHS", "FIRST_DELAY_S", "HEALTHY_AFTER_S", "LONGEST_DELAY_S", "Deaths"]

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_AFTER_S = 10.0
CRASH_LOOP_DEATHS = 5


class Deaths:
    """The deaths of one slot's workers."""

    __slots__ = ("_backoff", "in_a_row", "limit")

    def __init__(self, limit: int = CRASH_LOOP_DEATHS) -> None:
        self.limit = limit
        self.in_a_row = 0
        """A death after ten healthy seconds is the first of a new row."""
        self._backoff = Backoff(FIRST_DELAY_S, LONGEST_DELAY_S, uniform=unscattered)

    def record(self, healthy_s: float) -> float:
        """Count a death of a worker that was ready for `healthy_s` and return the seconds to wait before the next."""
        if self.in_a_row == 0 or healthy_s >= HEALTHY_AFTER_S:
            self.in_a_row = 1
            self._backoff.reset()
            return 0.0
        self.in_a_row += 1
        return self._backoff.next_s()

    @property
    def are_a_crash_loop(self) -> bool:
        """True when another attempt would not help."""
        return self.in_a_row >= self.limit
