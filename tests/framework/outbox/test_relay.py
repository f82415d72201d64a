"""The relay: nothing committed is lost, nothing else is published, whoever goes away and when."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from typing import Any

import pytest
from redis.asyncio import Redis

from fairlead import App, outbox, postgres, redis
from fairlead.outbox import Relay, schema
from fairlead.postgres import Database
from fairlead.telemetry.metrics import registry
from fairlead.testing import AsyncTestClient
from fairlead.testing.wire import Wire

from .conftest import POLL_S, Outbox, Start, Stream, until


def metric(name: str, *labels: str) -> Any:
    series = registry.snapshot()[name]["series"]
    return next((value for given, value in series if tuple(given) == labels), 0)


class TestPublishing:
    async def test_an_entry_shows_the_event_as_it_was_written(
        self, box: Outbox, stream: Stream, client: Redis, start: Start
    ) -> None:
        """The entry has the event's name and id, and the payload's members as the very text that was written."""
        event_id = await box.write(thing={"name": "ünï", "b": 1, "a": [None, 2.50]}, note="x")
        await start(Relay(box.database, client))
        [entry] = await stream.until(1)
        assert entry == {
            "event": "thing.changed",
            "id": event_id,
            "traceparent": "",
            "thing": '{"name":"ünï","b":1,"a":[null,2.5]}',
            "note": '"x"',
        }

    async def test_a_row_is_deleted_once_it_is_published(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """What Redis has taken leaves the table."""
        await start(Relay(box.database, client))
        await box.write(n=1)
        await stream.until(1)
        await box.is_empty()

    async def test_a_rollback_publishes_nothing(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """An event shares the fate of its transaction."""
        await start(Relay(box.database, client))

        async def fail() -> None:
            async with box.database.transaction() as connection:
                await outbox.write(connection, box.stream, "thing.changed", {"n": 0})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        event_id = await box.write(n=1)
        assert [entry["id"] for entry in await stream.until(1)] == [event_id]

    async def test_rows_that_nobody_notified_of_are_found(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """The poll finds a row whose NOTIFY never came."""
        relay = Relay(box.database, client, poll_interval_s=0.02)
        await start(relay)
        await until(lambda: relay.is_leading)
        await box.database.execute(
            "INSERT INTO outbox (id, stream, event, payload) VALUES (gen_random_uuid(), $1, 'by.hand', '{}')", box.stream
        )
        assert [entry["event"] for entry in await stream.until(1)] == ["by.hand"]

    async def test_a_backlog_larger_than_a_batch(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """Batches follow each other until nothing is left, in the order of writing."""
        written = [await box.write(n=n) for n in range(25)]
        await start(Relay(box.database, client, batch_size=4, poll_interval_s=3600))
        await stream.until(25)
        assert await stream.ids() == written

    async def test_the_stream_is_trimmed(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """A stream keeps about as many entries as it was allowed (Redis trims by nodes of 100)."""
        await start(Relay(box.database, client, max_stream_length=10, batch_size=50))
        async with box.database.transaction() as connection:
            for n in range(500):
                await outbox.write(connection, box.stream, "thing.changed", {"n": n})
        await box.is_empty()
        entries = await stream.entries()
        assert json.loads(entries[-1]["n"]) == 499
        assert len(entries) < 150

    async def test_what_was_published_is_counted(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """`outbox_published_total` counts by stream."""
        before = metric("outbox_published_total", box.stream)
        await start(Relay(box.database, client))
        await box.write(n=1)
        await box.write(n=2)
        await until(lambda: metric("outbox_published_total", box.stream) == before + 2)


class TestOrder:
    async def test_no_late_commit_is_skipped(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """A row with a smaller number that is committed after a larger one was published goes out too."""
        await start(Relay(box.database, client))
        async with box.database.transaction() as slow:
            late = await outbox.write(slow, box.stream, "thing.changed", {"n": "late"})
            early = await box.write(n="early")
            assert [entry["id"] for entry in await stream.until(1)] == [early]
        await stream.until(2)
        assert await stream.ids() == [early, str(late)]

    async def test_concurrent_writers_with_shuffled_commits_lose_nothing(
        self, box: Outbox, stream: Stream, client: Redis, start: Start
    ) -> None:
        """Forty events of twenty transactions at a time, committed in any order: each one arrives, once."""
        chance = random.Random(11)
        ready = asyncio.Barrier(10)
        written: list[str] = []

        async def write_twice() -> None:
            async with box.database.transaction() as connection:
                ids = [await outbox.write(connection, box.stream, "thing.changed", {"n": n}) for n in range(2)]
                await ready.wait()
                await asyncio.sleep(chance.uniform(0, 0.02))
            written.extend(map(str, ids))

        await start(Relay(box.database, client, batch_size=3))
        for _ in range(4):
            await asyncio.gather(*(write_twice() for _ in range(10)))
        await stream.until(80)
        assert sorted(await stream.ids()) == sorted(written)
        await box.is_empty()

    async def test_events_of_one_row_arrive_in_the_order_of_its_changes(
        self, box: Outbox, stream: Stream, client: Redis, start: Start
    ) -> None:
        """Changes that wait for each other's lock are published in the order in which they were made."""
        await box.database.execute("CREATE TABLE thing (version int); INSERT INTO thing VALUES (0)")
        await start(Relay(box.database, client, batch_size=2))

        async def change() -> None:
            async with box.database.transaction() as connection:
                version = await connection.fetchval("UPDATE thing SET version = version + 1 RETURNING version")
                await outbox.write(connection, box.stream, "thing.changed", {"version": version})

        await asyncio.gather(*(change() for _ in range(40)))
        entries = await stream.until(40)
        assert [int(entry["version"]) for entry in entries] == list(range(1, 41))


class TestDeath:
    async def test_between_xadd_and_delete_the_event_is_repeated_with_its_id(
        self, box: Outbox, stream: Stream, client: Redis, start: Start
    ) -> None:
        """Whoever dies there leaves the row; the next relay publishes it again under the same event id."""
        event_id = await box.write(n=1)
        async with box.database.transaction() as blocker:
            await blocker.execute("SELECT FROM outbox FOR UPDATE")  # DELETE waits here, XADD doesn't
            await start(Relay(box.database, client))
            await stream.until(1)
            victim = await _session_waiting_for_a_lock(box.database)
            await box.database.execute("SELECT pg_terminate_backend($1)", victim)
            await stream.until(2)
        assert set(await stream.ids()) == {event_id}
        await box.is_empty()

    async def test_a_stop_finishes_the_batch_that_has_begun(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """A relay that is stopped between XADD and DELETE still deletes: an orderly stop repeats nothing."""
        await box.write(n=1)
        async with box.database.transaction() as blocker:
            await blocker.execute("SELECT FROM outbox FOR UPDATE")
            task = await start(Relay(box.database, client))
            await stream.until(1)
            await _session_waiting_for_a_lock(box.database)
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=0.2)
            assert not done
        await asyncio.wait({task})
        assert task.cancelled()
        assert await box.rows() == []

    async def test_a_stop_while_postgresql_goes_away(
        self, database: Database, client: Redis, start: Start, postgres_url: str
    ) -> None:
        """A relay that can't even say that it leaves ends all the same."""
        async with Wire(postgres_url) as wire:
            silenced = Database(wire.url, max_size=1)
            await silenced.open()
            relay = Relay(silenced, client)
            task = await start(relay)
            await until(lambda: relay.is_leading)
            wire.silence()
            task.cancel()
            done, _ = await asyncio.wait({task}, timeout=0.05)
            assert not done
            await wire.cut()
            await asyncio.wait({task})
            assert task.cancelled()
            await silenced.close()

    async def test_a_stop_while_the_relay_backs_off(self, box: Outbox, redis_url: str, start: Start) -> None:
        """A relay that waits for its next attempt ends as soon as it is cancelled."""
        async with Wire(redis_url) as wire, Redis.from_url(wire.url) as client:
            await wire.cut()
            await box.write(n=1)
            task = await start(Relay(box.database, client))
            await until(lambda: metric("outbox_pending_rows") == 1)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()


async def _session_waiting_for_a_lock(database: Database) -> int:
    """The pid of the relay's session, as soon as its DELETE waits."""
    while True:
        pid = await database.fetchval(
            """
            SELECT pid FROM pg_stat_activity JOIN pg_locks USING (pid)
            WHERE NOT granted AND query LIKE 'DELETE FROM outbox%'
                AND pg_blocking_pids(pid) && (SELECT array_agg(pid) FROM pg_locks WHERE relation = 'outbox'::regclass)
            """
        )
        if pid is not None:
            return int(pid)
        await asyncio.sleep(POLL_S)


async def _standing_by(database: Database) -> None:
    """Wait until a session has asked for the lock in vain and sleeps."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE 'SELECT pg_try_advisory_lock%'"
    while not await database.fetchval(asked):  # noqa: ASYNC110 - the event is in PostgreSQL
        await asyncio.sleep(POLL_S)


class TestOneLeader:
    async def test_of_two_relays_one_works(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """Only one relay leads; each event is published once."""
        relays = [Relay(box.database, client) for _ in range(2)]
        for relay in relays:
            await start(relay)
        written = [await box.write(n=n) for n in range(10)]
        await stream.until(10)
        assert await stream.ids() == written
        assert sum(relay.is_leading for relay in relays) == 1

    async def test_a_leader_that_stops_hands_over(self, box: Outbox, stream: Stream, client: Redis, start: Start) -> None:
        """When the leader is stopped, the one that stands by goes on."""
        first, second = Relay(box.database, client), Relay(box.database, client)
        task = await start(first)
        await until(lambda: first.is_leading)
        await start(second)
        await _standing_by(box.database)
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: second.is_leading)
        event_id = await box.write(n=1)
        assert [entry["id"] for entry in await stream.until(1)] == [event_id]
        assert not first.is_leading

    async def test_a_leader_that_is_killed_is_replaced(
        self, box: Outbox, stream: Stream, client: Redis, start: Start, postgres_url: str
    ) -> None:
        """When the leader's connection is gone without a word, somebody else takes over."""
        async with Wire(postgres_url) as wire:
            cut_off = Database(wire.url, max_size=1)
            await cut_off.open()
            first, second = Relay(cut_off, client), Relay(box.database, client)
            task = await start(first)
            await until(lambda: first.is_leading)
            await start(second)
            await wire.cut()
            await until(lambda: second.is_leading)
            event_id = await box.write(n=1)
            assert [entry["id"] for entry in await stream.until(1)] == [event_id]
            task.cancel()
            await asyncio.wait({task})
            await cut_off.close()


class TestOutages:
    async def test_redis_away_and_back(
        self, box: Outbox, stream: Stream, redis_url: str, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        """While Redis is away rows stay and are counted; when it is back they go out. One line each, not one a try."""
        caplog.set_level(logging.INFO, "fairlead.outbox")
        async with Wire(redis_url) as wire, Redis.from_url(wire.url, retry=None) as client:
            await wire.cut()
            relay = Relay(box.database, client)
            await start(relay)
            written = [await box.write(n=n) for n in range(3)]
            await until(lambda: metric("outbox_pending_rows") == 3 and relay.outage.attempts >= 3)
            assert await stream.entries() == []
            await wire.mend()
            await stream.until(3)
            assert await stream.ids() == written
            await box.is_empty()
            await until(lambda: len(caplog.records) == 2)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert caplog.messages[0].startswith("outbox relay interrupted: ConnectionError: ")
        assert caplog.messages[1].startswith("outbox relay resumed after ")

    async def test_redis_silent(self, box: Outbox, stream: Stream, redis_url: str, start: Start) -> None:
        """A Redis that takes commands and never answers loses nothing; its late work shows as a repeat of the same id."""
        async with Wire(redis_url) as wire, Redis.from_url(wire.url, socket_timeout=0.2, retry=None) as client:
            relay = Relay(box.database, client)
            await start(relay)
            await until(lambda: relay.is_leading)
            wire.silence()
            event_id = await box.write(n=1)
            await until(lambda: metric("outbox_pending_rows") == 1)
            wire.speak()
            await stream.until(1)
            await box.is_empty()
            assert set(await stream.ids()) == {event_id}

    async def test_postgresql_away_and_back(
        self, box: Outbox, stream: Stream, client: Redis, start: Start, caplog: pytest.LogCaptureFixture, postgres_url: str
    ) -> None:
        """A relay that loses PostgreSQL connects again; what was written meanwhile goes out. One line each."""
        caplog.set_level(logging.INFO, "fairlead.outbox")
        async with Wire(postgres_url) as wire:
            cut_off = Database(wire.url, max_size=1)
            await cut_off.open()
            relay = Relay(cut_off, client)
            task = await start(relay)
            await until(lambda: relay.is_leading)
            await wire.cut()
            await until(lambda: not relay.is_leading)
            event_id = await box.write(n=1)
            await until(lambda: relay.outage.attempts >= 3)
            assert await stream.entries() == []
            await wire.mend()
            assert [entry["id"] for entry in await stream.until(1)] == [event_id]
            await until(lambda: len(caplog.records) == 2)
            task.cancel()
            await asyncio.wait({task})
            await cut_off.close()
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    async def test_a_table_that_is_not_there_yet(
        self, postgres_url: str, stream: Stream, client: Redis, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A relay that starts before the migration begins to work after it."""
        database = Database(postgres_url, max_size=3)
        await database.open()
        task = await start(Relay(database, client))
        await until(lambda: caplog.records)
        assert 'relation "outbox" does not exist' in caplog.messages[0]
        await database.execute(schema.CREATE)
        async with database.transaction() as connection:
            await outbox.write(connection, stream.name, "thing.changed", {})
        await stream.until(1)
        task.cancel()
        await asyncio.wait({task})
        await database.close()

    async def test_a_key_that_is_no_stream_holds_up_only_its_own_events(
        self, box: Outbox, stream: Stream, client: Redis, start: Start
    ) -> None:
        """Events for a key of another type wait, those for other streams go on; with the key gone they go out."""
        wrong = f"{stream.name}:wrong"
        await client.set(wrong, "not a stream")
        async with box.database.transaction() as connection:
            waiting = await outbox.write(connection, wrong, "thing.changed", {})
            await outbox.write(connection, stream.name, "thing.changed", {})
        await start(Relay(box.database, client))
        await stream.until(1)
        await until(lambda: metric("outbox_pending_rows") == 1)
        assert await box.rows() == [str(waiting)]
        await client.delete(wrong)
        await box.is_empty()
        assert await client.xlen(wrong) == 1
        assert len(await stream.entries()) == 1
        await client.delete(wrong)


class TestAttaching:
    async def test_a_relay_runs_in_each_worker_of_an_app(
        self, postgres_url: str, redis_url: str, box: Outbox, stream: Stream
    ) -> None:
        """From the app's start what is committed goes out; its shutdown ends the relay before what it uses is closed."""
        app: App[Any, Any] = App("publishing")
        database, redis_client = postgres.attach(app, postgres_url), redis.attach(app, redis_url)
        relay = outbox.attach(app, database, redis_client)
        async with AsyncTestClient(app):
            await box.write(n=1)
            await stream.until(1)
            assert relay.is_leading
        assert not relay.is_leading
