"""Counters in this process: for one worker, and for tests.

Each worker counts for itself, so N workers let N times the limit through; use `fairlead.limits.redis` when that matters.

Bounded: at most `max_keys` counters. Those that have nothing left to remember go first, then those that were not asked for
longest: whoever makes 100,000 keys to be forgotten has to keep that up, and gets nothing but a fresh quota.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fairlead.limits.rule import Decision, Rule
from fairlead.locality import note_local

__all__ = ["MemoryBackend"]


class MemoryBackend:
    """Counters in memory. `clock` gives seconds and never goes back."""

    def __init__(self, *, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        if max_keys < 1:
            raise ValueError("max_keys is at least 1")
        self._max_keys = max_keys
        self._clock = clock
        self._counters: OrderedDict[str, tuple[float, dict[Any, Any]]] = OrderedDict()
        note_local("the counters of rate limits", "fairlead.limits.redis.RedisBackend")

    def __len__(self) -> int:
        return len(self._counters)

    async def take(self, key: str, rule: Rule, cost: int) -> Decision:
        """Count a request under `key`."""
        now = self._clock()
        _, state = self._counters.pop(key, (0.0, {}))
        self._make_room(now)
        decision = rule.take(state, now, cost)
        self._counters[key] = (now + rule.idle_after_s, state)
        return decision

    def _make_room(self, now: float) -> None:
        """Forget what is idle at the old end, and one more if it is still full."""
        while self._counters and (len(self._counters) >= self._max_keys or next(iter(self._counters.values()))[0] <= now):
            self._counters.popitem(last=False)
