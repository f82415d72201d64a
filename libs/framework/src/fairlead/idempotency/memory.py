"""Answers in this process: for one worker, and for tests.

Bounded: at most `max_keys`; when it is full, the oldest answer goes. Keys whose request is being handled stay; when all are, the
next is refused with 503.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fairlead.errors import ServiceUnavailable
from fairlead.idempotency.store import InFlight, StoredAnswer
from fairlead.locality import note_local

__all__ = ["MemoryStore"]


class MemoryStore:
    """Answers in memory, each for `lifetime_s`."""

    def __init__(self, *, lifetime_s: float = 86_400, max_keys: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime_s = lifetime_s
        self._max_keys = max_keys
        self._clock = clock
        self._answers: OrderedDict[str, tuple[float, StoredAnswer]] = OrderedDict()
        self._in_flight: set[str] = set()
        note_local("the answers of idempotency keys", "fairlead.idempotency.redis.RedisStore or .postgres.PostgresStore")

    def __len__(self) -> int:
        return len(self._answers) + len(self._in_flight)

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[MemoryClaim]:
        """Hold a key. Raises `InFlight` (409)."""
        if key in self._in_flight:
            raise InFlight
        self._forget_old()
        claim = MemoryClaim(self._answers[key][1] if key in self._answers else None)
        if claim.stored is not None:
            yield claim
            return
        if len(self) >= self._max_keys:
            if not self._answers:
                raise ServiceUnavailable("Too many requests with an Idempotency-Key are being handled", retry_after=1)
            self._answers.popitem(last=False)
        self._in_flight.add(key)
        try:
            yield claim
            if claim.kept is not None:
                self._answers[key] = (self._clock() + self._lifetime_s, claim.kept)
        finally:
            self._in_flight.discard(key)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._answers and next(iter(self._answers.values()))[0] <= now:
            self._answers.popitem(last=False)


class MemoryClaim:
    """A key in memory."""

    def __init__(self, stored: StoredAnswer | None) -> None:
        self.stored = stored
        self.kept: StoredAnswer | None = None

    async def keep(self, answer: StoredAnswer) -> None:
        """Keep the answer when the claim ends."""
        self.kept = answer
