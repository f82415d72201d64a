"""The line over Redis: one pub/sub connection for each worker, and the script by which a message is stored and said at once.

What pub/sub loses (a restart of Redis, a connection that was cut, a worker that could not follow and whose output buffer the
server has thrown away) is found in the stream, since each message names the one before it. Rejected: a blocking XREAD over
all the streams of a worker, which sends every name anew for every message, and has to be interrupted for each join.

redis-py would take up a lost connection again by itself, and do so twice when it is lost under a reader and a writer. Here a
connection that is lost is a line that is down: what was missed has to be looked for.

Works on one primary (with replicas, with Sentinel); sharded pub/sub of a cluster is not used.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from fairlead.channels.line import DATA, MESSAGE_ID, Counted, Heard, Joined, Posting, Said
from fairlead.channels.redis_errors import guarded, text
from fairlead.channels.stream import Entry, StreamPosition, StreamUnavailable
from fairlead.redis_library import NoBackoff, Redis, Retry

LOBBY: Final = "fairlead:lobby"
"""A channel in which nothing is ever said: a connection that follows no group is still one that listens."""

QUIET_S: Final = 2.0
"""After so long without a message the server is asked whether it is still there; after as long again the line is down."""

COUNTED: Final = b"p"

NO_RETRY: Final = Retry(NoBackoff(), 0, supported_errors=())
"""Nothing is an error after which redis-py connects anew."""

# A message is "m <previous id> <id> <message id> <data>". The fields of an entry stay in the order of XADD.
PUBLISH: Final = """
local stream, message_id = KEYS[1], ARGV[1]
if ARGV[5] == '1' then
  for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-')) do
    if entry[2][2] == message_id then return entry[1] end
  end
end
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local id = redis.call('XADD', stream, 'MAXLEN', '~', ARGV[3], '*', 'id', message_id, 'data', ARGV[2])
redis.call('PEXPIRE', stream, ARGV[4])
redis.call('PUBLISH', stream, 'm ' .. (newest and newest[1] or '0-0') .. ' ' .. id .. ' ' .. message_id .. ' ' .. ARGV[2])
return id
"""


class RedisLine:
    """A line (see `fairlead.channels.line.Line`); a group's channel has the name of its stream."""

    def __init__(self, client: Redis) -> None:
        self._pubsub = client.pubsub()
        self._connection: Any = None
        self._retry: Retry | None = None  # the connection's own, which it gets back
        self._is_asked = False

    async def open(self) -> None:
        """Connect and listen in the lobby."""
        with guarded():
            await self._pubsub.subscribe(LOBBY)
        self._connection = self._pubsub.connection
        self._retry, self._connection.retry = self._connection.retry, NO_RETRY

    async def join(self, names: Collection[str]) -> None:
        """SUBSCRIBE."""
        with guarded():
            await self._pubsub.subscribe(*names)

    async def leave(self, names: Collection[str]) -> None:
        """UNSUBSCRIBE."""
        with guarded():
            await self._pubsub.unsubscribe(*names)

    async def hear(self) -> Heard | None:
        """The next message. A server that doesn't answer a ping is as good as gone."""
        with guarded():
            message: Any = await self._pubsub.get_message(timeout=QUIET_S)
            if message is None:
                if self._is_asked:
                    raise StreamUnavailable(f"nothing heard for {2 * QUIET_S:g} s")
                self._is_asked = True
                await self._pubsub.ping()
                return None
        self._is_asked = False
        name = text(message["channel"] or b"")
        if message["type"] == "subscribe":
            return None if name == LOBBY else Joined(name)
        return _read(name, message["data"]) if message["type"] == "message" else None

    async def close(self) -> None:
        """Give the connection back, closed."""
        if self._connection is not None:
            self._connection.retry = self._retry
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]


def _read(name: str, raw: bytes | str) -> Heard | None:
    data = raw.encode() if isinstance(raw, str) else raw
    if data == COUNTED:
        return Counted(name)
    kind, *rest = data.split(b" ", 4)
    if kind != b"m" or len(rest) != 4:
        return None
    previous, position, message_id, said = (text(part) for part in rest)
    entry = Entry(StreamPosition.parse(position), {MESSAGE_ID: message_id, DATA: said})
    return Said(name, StreamPosition.parse(previous), entry)


def posting_arguments(posting: Posting) -> list[str | int]:
    """What `PUBLISH` is called with."""
    keep_ms = int(posting.keep_s * 1000)
    return [posting.message_id, posting.data, posting.max_entries, keep_ms, int(posting.is_repeat)]
