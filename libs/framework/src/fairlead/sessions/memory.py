"""Sessions in this process: for one worker, and for tests. They end with the process.

Bounded: at most `max_sessions`; when it is full, the one that was not used for longest ends.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import replace

from fairlead.locality import note_local
from fairlead.sessions.store import Record, check_size, new_token, stored_key

__all__ = ["MemoryStore"]


class MemoryStore:
    """Sessions in memory, each of at most `max_bytes` of keys and values."""

    def __init__(self, *, max_sessions: int = 10_000, max_bytes: int = 32_768, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions = max_sessions
        self._max_bytes = max_bytes
        self._clock = clock
        self._sessions: OrderedDict[str, tuple[float, Record]] = OrderedDict()
        note_local("sessions", "fairlead.sessions.redis.RedisStore")

    def __len__(self) -> int:
        return len(self._sessions)

    async def load(self, token: str) -> Record | None:
        """A copy of the record."""
        record = self._find(stored_key(token))
        return replace(record, values=dict(record.values)) if record is not None else None

    async def create(self, record: Record, lifetime_s: float) -> str:
        """Keep it under a new token. Raises `SessionTooLarge`."""
        check_size(record, self._max_bytes)
        while self._sessions and (len(self._sessions) >= self._max_sessions or self._oldest_is_over()):
            self._sessions.popitem(last=False)
        token = new_token()
        self._put(stored_key(token), record, lifetime_s)
        return token

    async def update(self, token: str, record: Record, changed: Collection[str], lifetime_s: float) -> str | None:
        """Merge what has changed into what is there by now. Raises `SessionTooLarge`."""
        check_size(record, self._max_bytes)
        key = stored_key(token)
        present = self._find(key)
        if present is None:
            return None
        values = dict(present.values)
        for name in changed:
            if name in record.values:
                values[name] = record.values[name]
            else:
                values.pop(name, None)
        self._put(key, Record(present.created_at, record.seen_at, values), lifetime_s)
        return token

    async def delete(self, token: str) -> None:
        """Forget it."""
        self._sessions.pop(stored_key(token) or "", None)

    def _find(self, key: str | None) -> Record | None:
        expires_at, record = self._sessions.get(key or "", (0.0, None))
        return record if expires_at > self._clock() else None

    def _put(self, key: str | None, record: Record, lifetime_s: float) -> None:
        self._sessions[key or ""] = (self._clock() + lifetime_s, replace(record, values=dict(record.values)))
        self._sessions.move_to_end(key or "")

    def _oldest_is_over(self) -> bool:
        return next(iter(self._sessions.values()))[0] <= self._clock()
