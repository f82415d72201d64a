"""The backend for many workers and pods: streams are Redis streams, a tally is a hash of reports with a deadline for
each.

Works with Redis 7 and Valkey; the client comes from `fairlead.redis.attach` (or is any `redis.asyncio.Redis` with a
time-out above `BLOCK_S`). Errors of the server and of the connection are `StreamUnavailable` to the callers, who try
again.

The tally's script runs inside the server, so that a report, the removal of dead members and the sum are one step, by
one clock: the server's. A sum that has changed is published on a channel of the tally's name; the message has no
content, whoever hears it reports and so reads the sum (see `fairlead.channels.presence`). The keys of one tally share
a hash tag, as clusters need it, and expire with the last member.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from fairlead.channels.line import Posting
from fairlead.channels.redis_errors import guarded, text
from fairlead.channels.redis_line import PUBLISH, RedisLine, posting_arguments
from fairlead.channels.stream import BEGINNING, Entry, Extent, StreamPosition
from fairlead.redis_library import Redis, ResponseError

BLOCK_S: Final = 2.0
"""How long one blocking read waits. Only to notice a dead connection: an entry ends the wait at once."""

BATCH: Final = 100
"""Entries in one read. Well below the queue of a subscription: what is read at once is queued at once, and catching up
after an outage must not look as if every client were slow."""

TTL_S: Final = 3.0
"""How long a report is valid: three heartbeats, so that two may be late."""

_REPORT: Final = """
local reports, deadlines, published = KEYS[1], KEYS[2], KEYS[3]
local member, count, ttl_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if count > 0 then
  redis.call('HSET', reports, member, count)
  redis.call('ZADD', deadlines, now_ms + ttl_ms, member)
else
  redis.call('HDEL', reports, member)
  redis.call('ZREM', deadlines, member)
end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', now_ms)) do
  redis.call('HDEL', reports, dead)
  redis.call('ZREM', deadlines, dead)
end
local sum = 0
for _, value in ipairs(redis.call('HVALS', reports)) do
  sum = sum + tonumber(value)
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ttl_ms * 2)
end
if tonumber(redis.call('GET', published) or 0) ~= sum then
  redis.call('SET', published, sum, 'PX', ttl_ms * 2)
  redis.call('PUBLISH', ARGV[4], 'p')
end
return sum
"""


class RedisBackend:
    """Streams and tallies by name, shared by everyone who uses the same Redis database."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._publish = client.register_script(PUBLISH)

    def stream(self, name: str) -> RedisStream:
        """The stream at the key `name`."""
        return RedisStream(self._client, name)

    def tally(self, name: str, *, group: str | None = None, ttl_s: float = TTL_S) -> RedisTally:
        """A new member of the tally `name`, whose changes are told on a channel of its own, or in `group`."""
        return RedisTally(self._client, name, channel=group, ttl_s=ttl_s)

    def line(self) -> RedisLine:
        """A new line: a pub/sub connection."""
        return RedisLine(self._client)

    async def publish(self, name: str, posting: Posting) -> StreamPosition:
        """XADD and PUBLISH in one script."""
        with guarded():
            added = await self._publish(keys=[name], args=posting_arguments(posting))
        return _position(added)


class RedisStream:
    """A Redis stream (see `fairlead.channels.Stream`)."""

    def __init__(self, client: Redis, name: str) -> None:
        self.name = name
        self._client = client

    async def append(self, fields: Mapping[str, str], *, max_entries: int | None = None) -> StreamPosition:
        """XADD; with `max_entries`, approximate trimming."""
        with guarded():
            added: Any = await self._client.xadd(self.name, dict(fields.items()), maxlen=max_entries)
        return _position(added)

    async def extent(self) -> Extent:
        """XINFO STREAM; a missing key is an empty stream."""
        with guarded():
            try:
                info = await self._client.xinfo_stream(self.name)
            except ResponseError as error:
                if "no such key" in str(error):
                    return Extent(None, BEGINNING, False)
                raise
        first = info["first-entry"]
        return Extent(
            first=_position(first[0]) if first else None,
            last=_position(info["last-generated-id"]),
            is_cut=info["entries-added"] > info["length"],
        )

    async def newest(self, count: int) -> Sequence[Entry]:
        """XREVRANGE, oldest first."""
        with guarded():
            entries: Any = await self._client.xrevrange(self.name, count=count)
        return [_entry(item) for item in reversed(entries)]

    async def since(self, after: StreamPosition, count: int) -> Sequence[Entry]:
        """XRANGE."""
        with guarded():
            entries: Any = await self._client.xrange(self.name, min=f"({after}", count=count)
        return [_entry(item) for item in entries]

    async def read(self, after: StreamPosition) -> Sequence[Entry]:
        """XREAD BLOCK; nothing when no entry came for `BLOCK_S`."""
        with guarded():
            answer = await self._client.xread({self.name: str(after)}, count=BATCH, block=int(BLOCK_S * 1000))
        batches: Any = answer.values() if isinstance(answer, dict) else [batch for _, batch in answer]
        return [_entry(item) for batch in batches for item in batch]


class RedisTally:
    """One member of a tally in Redis (see `fairlead.channels.Tally`); its name is drawn, a restarted worker is
    another member."""

    def __init__(self, client: Redis, name: str, *, channel: str | None = None, ttl_s: float = TTL_S) -> None:
        self.name = name
        self._client = client
        self._member = secrets.token_hex(8)
        self._ttl_ms = int(ttl_s * 1000)
        self._keys = [f"presence:{{{name}}}:{part}" for part in ("reports", "deadlines", "published")]
        self._channel = channel if channel is not None else f"presence:{{{name}}}"
        self._script = client.register_script(_REPORT)

    async def report(self, count: int) -> int:
        """Report this member's number, get the sum over all whose reports are valid."""
        with guarded():
            total = await self._script(keys=self._keys, args=[self._member, count, self._ttl_ms, self._channel])
        return int(total)

    async def leave(self) -> None:
        """Take this member's report back."""
        await self.report(0)

    async def changes(self) -> AsyncIterator[None]:
        """Yields once when subscribed, and then whenever the sum has changed."""
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            with guarded():
                await pubsub.subscribe(self._channel)
            yield
            while True:
                with guarded():
                    message = await pubsub.get_message(timeout=BLOCK_S)
                if message is not None:
                    yield
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]


def _position(raw: bytes | str) -> StreamPosition:
    return StreamPosition.parse(text(raw))


def _entry(item: Any) -> Entry:
    raw_id, raw_fields = item
    return Entry(_position(raw_id), {text(name): text(value) for name, value in raw_fields.items()})
