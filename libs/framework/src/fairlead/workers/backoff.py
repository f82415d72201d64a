"""When to try again after a worker has died, and when to give up.

The first replacement comes at once: a single death (out of memory, a bug on one request) costs nothing. Each further
one waits twice as long, because a worker that dies of its start, or of a dependency that is away, would only burn CPU.
Ten seconds of health wipe the slate clean. Five deaths without them are a crash loop: the process says why and exits,
so that whoever started it (Kubernetes, systemd) sees the failure instead of a supervisor that looks alive.
"""

from __future__ import annotations

__all__ = ["CRASH_LOOP_DEATHS", "FIRST_DELAY_S", "HEALTHY_AFTER_S", "LONGEST_DELAY_S", "Backoff"]

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_AFTER_S = 10.0
CRASH_LOOP_DEATHS = 5


class Backoff:
    """The deaths of one slot's workers."""

    __slots__ = ("deaths", "limit")

    def __init__(self, limit: int = CRASH_LOOP_DEATHS) -> None:
        self.limit = limit
        self.deaths = 0
        """Deaths in a row; a death after ten healthy seconds is the first of a new row."""

    def record_death(self, healthy_s: float) -> float:
        """Count a death of a worker that was ready for `healthy_s` and return the seconds to wait before the next."""
        self.deaths = 1 if healthy_s >= HEALTHY_AFTER_S else self.deaths + 1
        if self.deaths == 1:
            return 0.0
        doubled: float = FIRST_DELAY_S * 2 ** (self.deaths - 2)
        return min(doubled, LONGEST_DELAY_S)

    @property
    def is_crash_loop(self) -> bool:
        """True when another attempt would not help."""
        return self.deaths >= self.limit
