"""Answers in Redis (or Valkey), for all workers and pods.

A key is claimed by one atomic command, and carries a mark of its own until the answer takes its place: whoever has lost a claim
(because its handler ran longer than `claim_s`) can't overwrite or free another's. A worker that dies leaves its claim behind for
`claim_s`: choose it longer than any handler may run, and no longer than a client can wait.

While Redis is away, requests with a key are answered with 503 (see `fairlead.redis`): without a claim they might be done twice.
What Redis forgets (eviction, a failover that loses the last second), the next request does again: where that must not happen, use
`PostgresStore`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from fairlead.idempotency.store import InFlight, StoredAnswer

if TYPE_CHECKING:
    from fairlead.redis_library import Redis

__all__ = ["RedisStore"]

_CLAIMED: Final = b"claimed "
_CLAIM: Final = """
local present = redis.call('GET', KEYS[1])
if not present then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return present
"""
_KEEP: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
_FREE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisStore:
    """Answers under `prefix` in the Redis of `client` (one that doesn't decode its answers), each for `lifetime_s`."""

    def __init__(self, client: Redis, *, prefix: str = "idempotency:", lifetime_s: float = 86_400, claim_s: float = 120) -> None:
        self._prefix = prefix
        self._lifetime_ms = int(lifetime_s * 1000)
        self._claim_ms = int(claim_s * 1000)
        self._claim = client.register_script(_CLAIM)
        self._keep = client.register_script(_KEEP)
        self._free = client.register_script(_FREE)

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[RedisClaim]:
        """Hold a key. Raises `InFlight` (409), and what the client raises while Redis is away."""
        name, mark = self._prefix + key, _CLAIMED + secrets.token_bytes(16)
        present: bytes | None = await self._claim(keys=[name], args=[mark, self._claim_ms])
        if present is not None and present.startswith(_CLAIMED):
            raise InFlight
        claim = RedisClaim(self, name, mark, StoredAnswer.decode(present) if present is not None else None)
        try:
            yield claim
        finally:
            if claim.stored is None and not claim.is_kept:
                await self._free(keys=[name], args=[mark])

    async def keep(self, name: str, mark: bytes, answer: StoredAnswer) -> None:
        """Put an answer in the place of a claim that is still held."""
        await self._keep(keys=[name], args=[mark, answer.encode(), self._lifetime_ms])


class RedisClaim:
    """A key in Redis."""

    def __init__(self, store: RedisStore, name: str, mark: bytes, stored: StoredAnswer | None) -> None:
        self.stored = stored
        self.is_kept = False
        self._keep: Any = (store, name, mark)

    async def keep(self, answer: StoredAnswer) -> None:
        """Keep the answer now."""
        store, name, mark = self._keep
        self.is_kept = True  # also when the answer to this gets lost: a claim that nobody holds ends by itself
        await store.keep(name, mark, answer)
