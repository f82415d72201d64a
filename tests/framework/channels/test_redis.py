"""What only a real server can show: killed members, outages, lost scripts and lost data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

from fairlead.channels import Backoff, Entry, Fanout, Presence, ReaderState, StreamReader, StreamUnavailable
from fairlead.channels.redis import RedisBackend
from fairlead.channels.redis_line import RedisLine
from fairlead.channels.stream import BEGINNING
from tests.redis_server import RedisServer

from .mailbox import Mailbox


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that only the server knows; the test's own deadline ends a wait in vain."""
    while not await condition():  # noqa: ASYNC110 - there is no event to wait for on another machine
        await asyncio.sleep(0.01)


async def test_a_member_that_was_killed_expires(valkey: RedisServer) -> None:
    """A report that is not repeated is left out of the sum after its time (kill -9 of a worker)."""
    client = Redis.from_url(valkey.url)
    backend = RedisBackend(client)
    killed, alive = backend.tally("viewers", ttl_s=0.05), backend.tally("viewers")
    await killed.report(4)

    async def is_alone() -> bool:
        return await alive.report(1) == 1

    await eventually(is_alone)
    await client.aclose()


async def test_the_expiry_of_a_member_is_published(valkey: RedisServer) -> None:
    """Whoever notices it first tells all the others: no worker shows the dead one's viewers for longer than the rest."""
    client = Redis.from_url(valkey.url)
    backend = RedisBackend(client)
    killed, alive, other = backend.tally("v", ttl_s=0.05), backend.tally("v"), backend.tally("v")
    await killed.report(4)
    changes = other.changes()
    await anext(changes)
    heard = asyncio.ensure_future(anext(changes))

    async def is_alone() -> bool:
        return await alive.report(0) == 0

    await eventually(is_alone)
    await heard
    await changes.aclose()  # type: ignore[attr-defined]
    await client.aclose()


async def test_the_keys_of_a_tally_vanish_with_its_members(valkey: RedisServer) -> None:
    """Nothing stays behind in Redis when every worker is gone."""
    client = Redis.from_url(valkey.url)
    await RedisBackend(client).tally("viewers", ttl_s=0.02).report(1)

    async def is_empty() -> bool:
        return not await client.keys("*")

    await eventually(is_empty)
    await client.aclose()


async def test_presence_recovers_from_a_restart_without_data(valkey: RedisServer) -> None:
    """Reports, script and subscription are gone with the server; the next heartbeats bring them back."""
    valkey.keeps_data = False
    valkey.kill()
    valkey.start()
    client = Redis.from_url(valkey.url)
    backend = RedisBackend(client)
    shown: asyncio.Queue[int] = asyncio.Queue()
    one = Presence(backend.tally("viewers"), on_change=shown.put_nowait, heartbeat_s=0.05, backoff=quick)
    two = Presence(backend.tally("viewers"), heartbeat_s=0.05, backoff=quick)
    tasks = [asyncio.create_task(one.run()), asyncio.create_task(two.run())]
    with one.join(), two.join():
        while await shown.get() != 2:
            pass
        valkey.kill()
        with two.join():
            valkey.start()
            while await shown.get() != 3:
                pass

            async def are_listening() -> bool:
                try:
                    return await client.pubsub_numsub("presence:{viewers}") == [(b"presence:{viewers}", 2)]
                except ConnectionError:  # of before the restart, out of the pool
                    return False

            await eventually(are_listening)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()


def quick() -> Backoff:
    return Backoff(0.01, 0.02)


async def test_a_reader_catches_up_after_a_restart(valkey: RedisServer) -> None:
    """Entries that were appended while this worker had no connection arrive when it is back, none twice."""
    client, other = Redis.from_url(valkey.url), Redis.from_url(valkey.url)
    fanout = Fanout(gap_notice="gap")
    states: asyncio.Queue[ReaderState] = asyncio.Queue()
    caught_up = asyncio.Event()

    def render(entry: Entry) -> str:
        if entry.fields["text"] == "b":
            asyncio.get_running_loop().call_soon(caught_up.set)
        return entry.fields["text"]

    reader = StreamReader(
        RedisBackend(client).stream("s"),
        fanout,
        render=render,
        on_state=states.put_nowait,
        backoff=Backoff(0.3, 0.3),
    )
    task = asyncio.create_task(reader.run())
    assert await states.get() is ReaderState.LIVE
    stream = RedisBackend(other).stream("s")
    mailbox = Mailbox()
    with fanout.subscribe(mailbox):
        await stream.append({"id": "1", "text": "a"})
        valkey.kill()
        assert await states.get() is ReaderState.STALE
        valkey.start()
        await other.aclose()
        await stream.append({"id": "2", "text": "b"})
        assert await states.get() is ReaderState.LIVE
        await caught_up.wait()
        assert [str(message) for message in fanout.history.after(BEGINNING) or ()] == ["a", "b"]
        assert mailbox.texts == ["a", "b"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.aclose()
    await other.aclose()


async def test_an_absent_server_is_unavailable_in_every_call(valkey: RedisServer) -> None:
    """The callers see one exception, whatever redis-py raised."""
    client = Redis.from_url(valkey.url)
    backend = RedisBackend(client)
    stream, tally = backend.stream("s"), backend.tally("t")
    valkey.kill()
    for call in (
        stream.extent,
        lambda: stream.newest(1),
        lambda: stream.read(BEGINNING),
        lambda: stream.append({"a": "b"}),
    ):
        with pytest.raises(StreamUnavailable):
            await call()
    with pytest.raises(StreamUnavailable):
        await tally.report(1)
    with pytest.raises(StreamUnavailable):
        await anext(tally.changes())
    await client.aclose()


async def test_a_key_of_another_kind_is_unavailable_and_not_a_crash(valkey: RedisServer) -> None:
    """A mistake in the database's use is an outage with its reason, not the end of the reader."""
    client = Redis.from_url(valkey.url)
    await client.set("s", "text")
    with pytest.raises(StreamUnavailable, match="WRONGTYPE"):
        await RedisBackend(client).stream("s").extent()
    await client.aclose()


async def test_a_cancellation_is_never_lost(valkey: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is cancelled in the very turn in which redis-py has sent its command ends with that read."""
    monkeypatch.setattr("fairlead.channels.redis.BLOCK_S", 0.01)
    client = Redis.from_url(valkey.url)
    stream = RedisBackend(client).stream("s")
    position = await stream.append({"id": "1"})
    for turns in range(12):
        reading = asyncio.create_task(stream.read(position))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await client.aclose()


async def test_a_line_over_which_nothing_comes(valkey: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet server is asked whether it is there; one that does not answer is as good as gone."""
    monkeypatch.setattr("fairlead.channels.redis_line.QUIET_S", 0.05)
    async with Redis.from_url(valkey.url) as client:
        line = RedisLine(client)
        await line.open()
        assert await line.hear() is None  # the lobby
        valkey.pause()
        assert await line.hear() is None  # the question
        with pytest.raises(StreamUnavailable, match="nothing heard"):
            await line.hear()
        valkey.resume()
        await line.close()


async def test_a_line_that_is_cut(valkey: RedisServer) -> None:
    """It is down, though the server is there: what was missed has to be looked for. Its connection
    goes back to the pool as it came."""
    async with Redis.from_url(valkey.url, max_connections=1, retry=Retry(NoBackoff(), 2)) as client:
        async with Redis.from_url(valkey.url) as other:
            line = RedisLine(client)
            await line.open()
            assert await line.hear() is None  # the lobby
            hearing = asyncio.create_task(line.hear())
            await asyncio.sleep(0)
            await other.client_kill_filter(_type="pubsub")
            with pytest.raises(StreamUnavailable):
                await hearing
            assert await other.pubsub_channels() == []
            await line.close()
        assert await client.ping()
        (connection,) = client.connection_pool._available_connections
        assert connection.retry.get_retries() == 2


async def test_a_line_on_which_somebody_else_talks(valkey: RedisServer) -> None:
    """What is no message of ours is passed over."""
    async with Redis.from_url(valkey.url) as client:
        line = RedisLine(client)
        await line.open()
        assert await line.hear() is None
        for said in (b"hello", b"m 1-0 2-0 id", b"x 1-0 2-0 id data"):
            await client.publish("fairlead:lobby", said)
            assert await line.hear() is None
        await line.close()
