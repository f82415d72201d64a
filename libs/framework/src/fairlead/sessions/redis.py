"""Sessions in Redis (or Valkey): shared by all workers and pods, ended at once by signing out.

A session is a hash: a field for each value, so that two requests at the same time that change different values both keep theirs.
Writing is one Lua script: a session that has ended meanwhile is not brought back to life by a request that was still running.
While Redis is away, requests that carry a session's cookie are answered with 503 (see `fairlead.redis`); the others don't notice.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from fairlead.sessions.store import Record, check_size, new_token, stored_key

if TYPE_CHECKING:
    from fairlead.redis_library import Redis

__all__ = ["RedisStore"]

_CREATED, _SEEN, _VALUE = b"created", b"seen", b"="

_UPDATE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'seen', ARGV[2])
for i = 3, #ARGV, 3 do
  if ARGV[i] == '1' then
    redis.call('HSET', KEYS[1], ARGV[i + 1], ARGV[i + 2])
  else
    redis.call('HDEL', KEYS[1], ARGV[i + 1])
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""


class RedisStore:
    """Sessions under `prefix` in the Redis of `client`, each of at most `max_bytes` of keys and values."""

    def __init__(self, client: Redis, *, prefix: str = "session:", max_bytes: int = 32_768) -> None:
        self._client = client
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._update = client.register_script(_UPDATE)

    async def load(self, token: str) -> Record | None:
        """One round trip."""
        key = stored_key(token)
        if key is None:
            return None
        fields: dict[Any, Any] = await self._client.hgetall(self._prefix + key)
        stored = {_bytes(name): _bytes(value) for name, value in fields.items()}
        if not stored:
            return None
        values = {name[1:].decode(): value for name, value in stored.items() if name.startswith(_VALUE)}
        return Record(float(stored[_CREATED]), float(stored[_SEEN]), values)

    async def create(self, record: Record, lifetime_s: float) -> str:
        """Keep it under a new token, in one round trip. Raises `SessionTooLarge`."""
        check_size(record, self._max_bytes)
        token = new_token()
        key = f"{self._prefix}{stored_key(token)}"
        fields: dict[Any, Any] = {_CREATED: repr(record.created_at), _SEEN: repr(record.seen_at)}
        fields |= {_VALUE + name.encode(): value for name, value in record.values.items()}
        async with self._client.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, mapping=fields)
            pipeline.pexpire(key, int(lifetime_s * 1000))
            await pipeline.execute()
        return token

    async def update(self, token: str, record: Record, changed: Collection[str], lifetime_s: float) -> str | None:
        """Write what has changed, in one round trip. Raises `SessionTooLarge`."""
        check_size(record, self._max_bytes)
        arguments: list[bytes | str | int] = [int(lifetime_s * 1000), repr(record.seen_at)]
        for name in changed:
            value = record.values.get(name)
            arguments += ["0" if value is None else "1", _VALUE + name.encode(), value or b""]
        written = await self._update(keys=[f"{self._prefix}{stored_key(token)}"], args=arguments)
        return token if written else None

    async def delete(self, token: str) -> None:
        """Forget it."""
        await self._client.delete(f"{self._prefix}{stored_key(token)}")


def _bytes(value: bytes | str) -> bytes:
    """A client may be set to decode its answers."""
    return value.encode() if isinstance(value, str) else value
