"""Stores on the server: unguessable tokens, hashed at rest, merged changes, bounded."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from redis.asyncio import Redis

from fairlead.sessions import MemoryStore, Record, SessionTooLarge
from fairlead.sessions.redis import RedisStore
from fairlead.sessions.store import new_token

from .conftest import Clock

RECORD = Record(1_800_000_000.25, 1_800_000_001.5, {"user": b'"ada"', "größe": b"1"})


async def test_there_and_back(server_store: Any) -> None:
    """A record comes back as it was; the copy that is given is nobody else's."""
    token = await server_store.create(RECORD, 60)
    loaded = await server_store.load(token)
    assert loaded == RECORD
    loaded.values["user"] = b'"eve"'
    assert await server_store.load(token) == RECORD
    await server_store.delete(token)
    assert await server_store.load(token) is None
    await server_store.delete(token)


async def test_changes_are_merged(server_store: Any) -> None:
    """Two requests at once: each writes what it has changed, the later of two changes to one value wins."""
    token = await server_store.create(Record(1, 1, {"a": b"1", "b": b"1", "c": b"1"}), 60)
    first, second = Record(1, 2, {"a": b"2", "b": b"1"}), Record(1, 3, {"a": b"3", "b": b"3", "c": b"1", "d": b"3"})
    assert token == await server_store.update(token, first, {"a", "c"}, 60)
    assert token == await server_store.update(token, second, {"b", "d", "e"}, 60)
    assert await server_store.load(token) == Record(1, 3, {"a": b"2", "b": b"3", "d": b"3"})


async def test_what_has_ended_stays_ended(server_store: Any) -> None:
    """A request that was still running doesn't bring a session back to life."""
    token = await server_store.create(RECORD, 60)
    await server_store.delete(token)
    assert await server_store.update(token, RECORD, {"user"}, 60) is None
    assert await server_store.load(token) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "ü" * 43, "*", "../../x", "x" * 42 + "\n", "a" * 100_000, "\x00" * 43])
async def test_tokens_that_nobody_made(server_store: Any, token: str) -> None:
    """They are unknown, whatever they hold."""
    await server_store.create(RECORD, 60)
    assert await server_store.load(token) is None
    assert await server_store.update(token, RECORD, {"user"}, 60) is None
    await server_store.delete(token)


def test_tokens() -> None:
    """256 bits each (SEC-T04)."""
    assert len({new_token() for _ in range(1000)}) == 1000
    assert len(new_token()) == 43


async def test_size(server_store: Any) -> None:
    """What one browser can make the server keep is bounded."""
    large = Record(1, 1, {"text": b"x" * 32_768})
    with pytest.raises(SessionTooLarge):
        await server_store.create(large, 60)
    with pytest.raises(SessionTooLarge):
        await server_store.update(new_token(), large, {"text"}, 60)


async def test_redis_holds_no_token(redis_client: Any) -> None:
    """Who reads Redis can't sign in: sessions are kept under the hash of their token, and expire."""
    token = await RedisStore(redis_client).create(RECORD, 60)
    [key] = await redis_client.keys("*")
    assert bytes(key).decode() == "session:" + hashlib.sha256(token.encode()).hexdigest()
    assert 0 < await redis_client.pttl(key) <= 60_000
    assert await RedisStore(redis_client).update(token, RECORD, (), 600)
    assert await redis_client.pttl(key) > 60_000


async def test_a_client_that_decodes(redis_url: str) -> None:
    """A client that is set to give text works as well."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        store = RedisStore(client)
        assert await store.load(await store.create(RECORD, 60)) == RECORD


async def test_parallel_writers(redis_client: Redis) -> None:
    """Fifty requests of one browser, each with a value of its own: all are kept."""
    store = RedisStore(redis_client)
    token = await store.create(Record(1, 1, {}), 60)
    await asyncio.gather(*(store.update(token, Record(1, 1, {str(n): b"1"}), {str(n)}, 60) for n in range(50)))
    loaded = await store.load(token)
    assert loaded is not None
    assert len(loaded.values) == 50


async def test_memory_is_bounded(clock: Clock) -> None:
    """The one that was not used for longest goes first; those that are over go before."""
    store = MemoryStore(max_sessions=3, clock=clock)
    tokens = [await store.create(Record(1, 1, {}), 60) for _ in range(3)]
    await store.update(tokens[0], Record(1, 2, {}), (), 60)
    await store.create(Record(1, 1, {}), 60)
    assert [await store.load(token) is not None for token in tokens] == [True, False, True]
    clock.now += 60
    assert await store.load(tokens[0]) is None
    await store.create(Record(1, 1, {}), 60)
    assert len(store) == 1
