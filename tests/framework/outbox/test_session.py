"""The relay's session: one holder of the lock, freed by whatever ends the session, and a wait that misses nothing."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from fairlead.errors import ServiceUnavailable
from fairlead.outbox import schema
from fairlead.outbox.entry import CHANNEL
from fairlead.outbox.session import RELEASED, open_session
from fairlead.postgres import Database

from .conftest import Outbox


async def test_only_one_session_leads(database: Database) -> None:
    """While a session has the lock no other gets it; when it ends another one does."""
    async with open_session(database) as second:
        async with open_session(database) as first:
            assert await first.try_acquire()
            assert not await second.try_acquire()
        assert await second.try_acquire()


async def test_outboxes_of_different_schemas_are_independent(database: Database, postgres_url: str) -> None:
    """The lock belongs to the table: two services that share a database have a leader each."""
    await database.execute("CREATE SCHEMA other")
    other = Database(urlsplit(postgres_url)._replace(query="search_path=other").geturl())
    await other.open()
    await other.execute(schema.CREATE)
    async with open_session(database) as first, open_session(other) as second:
        assert await first.try_acquire()
        assert await second.try_acquire()
    await other.close()


async def test_a_release_wakes_those_who_wait(database: Database) -> None:
    """A leader that leaves says so, and the next one has the lock at once."""
    async with open_session(database) as first, open_session(database) as second:
        assert await first.try_acquire()
        async with second.listening(RELEASED):
            assert not await second.try_acquire()
            await first.release()
            assert await second.wait(3600)
            assert await second.try_acquire()


async def test_a_notification_before_the_wait_is_not_missed(box: Outbox) -> None:
    """What arrives between reading and waiting ends the wait; the one after it waits again."""
    async with open_session(box.database) as session, session.listening(CHANNEL):
        await box.write(n=1)
        assert await session.oldest(1)  # a round trip: the notification is here by now
        assert await session.wait(3600)
        assert not await session.wait(0)


async def test_a_lost_connection_ends_the_wait(database: Database) -> None:
    """A session whose connection PostgreSQL has ended says so at once; using it then is an outage."""

    async def lose_it() -> None:
        async with open_session(database) as session:
            pid = await session._connection.fetchval("SELECT pg_backend_pid()")
            waiting = asyncio.create_task(session.wait(3600))
            await database.execute("SELECT pg_terminate_backend($1)", pid)
            assert await waiting
            await session.count()

    with pytest.raises(ServiceUnavailable):
        await lose_it()


async def test_rows_are_read_in_order_and_deleted_by_entry(box: Outbox) -> None:
    """The oldest rows come first; deleting some leaves the others."""
    written = [await box.write(n=n) for n in range(3)]
    async with open_session(box.database) as session:
        entries = await session.oldest(2)
        assert [str(entry.id) for entry in entries] == written[:2]
        assert [entry.fields()["n"] for entry in entries] == [b"0", b"1"]
        await session.delete(entries[:1])
        assert await session.count() == 2
    assert await box.rows() == written[1:]


async def test_the_schema_can_be_taken_back(database: Database) -> None:
    """`DROP` leaves nothing behind."""
    await database.execute(schema.DROP)
    assert await database.fetchval("SELECT to_regclass('outbox')") is None
    await database.execute(schema.CREATE)
