"""`Database`: statements, transactions, sessions, and every way in which PostgreSQL can be away."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest

from fairlead.errors import ConfigurationError, ServiceUnavailable
from fairlead.postgres import Database
from fairlead.settings import Secret
from fairlead.testing.wire import Wire

TABLE = "CREATE TABLE item (id int PRIMARY KEY, name text)"


async def test_statements(database: Database) -> None:
    """The four methods give a status, all rows, the first row and the first value."""
    await database.execute(TABLE)
    assert "INSERT 0 1" == await database.execute("INSERT INTO item VALUES ($1, $2)", 1, "rope")
    await database.execute("INSERT INTO item VALUES (2, 'sail')")
    assert [(1, "rope"), (2, "sail")] == [tuple(row) for row in await database.fetch("SELECT * FROM item ORDER BY id")]
    row = await database.fetchrow("SELECT name FROM item WHERE id = $1", 2)
    assert row is not None
    assert "sail" == row["name"]
    assert await database.fetchrow("SELECT name FROM item WHERE id = 3") is None
    assert 2 == await database.fetchval("SELECT count(*) FROM item")


async def test_transaction_commits_or_rolls_back(database: Database) -> None:
    """The end of the block commits; an exception rolls back and passes through unchanged."""
    await database.execute(TABLE)
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO item VALUES (1, 'rope')")

    async def fail() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO item VALUES (2, 'sail')")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert 1 == await database.fetchval("SELECT count(*) FROM item")


async def test_transaction_options(database: Database) -> None:
    """Isolation and read-only reach PostgreSQL."""
    async with database.transaction(isolation="serializable", readonly=True) as connection:
        assert "serializable" == await connection.fetchval("SHOW transaction_isolation")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute(TABLE)


async def test_mistakes_of_the_program_are_no_outage(database: Database) -> None:
    """Constraint violations, wrong SQL and wrong argument types pass as asyncpg raises them."""
    await database.execute(TABLE)
    await database.execute("INSERT INTO item VALUES (1, 'rope')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute("INSERT INTO item VALUES (1, 'rope')")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await database.fetch("SELEKT")
    with pytest.raises(asyncpg.DataError):
        await database.fetchval("SELECT $1::int", "text")


async def test_foreign_errors_inside_a_transaction_are_not_mapped(database: Database) -> None:
    """A ConnectionError that the block got from elsewhere is not taken for one of PostgreSQL."""
    with pytest.raises(ConnectionResetError):
        async with database.transaction():
            raise ConnectionResetError


async def test_session_state_is_undone(postgres_url: str) -> None:
    """What a session leaves behind (SET, advisory lock) is gone when the same connection is used again."""
    database = Database(postgres_url, max_size=1)
    await database.open()
    try:
        async with database.connection() as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await connection.execute("SET work_mem = '77MB'")
            await connection.execute("SELECT pg_advisory_lock(1)")
        assert pid == await database.fetchval("SELECT pg_backend_pid()")
        assert "77MB" != await database.fetchval("SHOW work_mem")
        assert 0 == await database.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1", pid)
    finally:
        await database.close()


async def test_session_that_died_is_replaced(database: Database) -> None:
    """A session whose connection was cut ends with the 503 of the cut and leaves no broken connection in the pool."""
    with pytest.raises(ServiceUnavailable):
        async with database.connection() as connection:
            await connection.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
    assert 1 == await database.fetchval("SELECT 1")


async def test_cancelled_session_is_not_reused(postgres_url: str) -> None:
    """A task that is cancelled inside a session gives back a clean connection or none."""
    database = Database(postgres_url, max_size=1)
    await database.open()
    locked = asyncio.Event()

    async def hold() -> None:
        async with database.connection() as connection:
            await connection.execute("SELECT pg_advisory_lock(1)")
            locked.set()
            await asyncio.Event().wait()

    try:
        task = asyncio.create_task(hold())
        await locked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 0 == await database.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    finally:
        await database.close()


@pytest.mark.parametrize("cancelled", [False, True], ids=["time-out", "cancelled"])
async def test_session_that_cannot_be_reset_is_cut(wire: Wire, cancelled: bool) -> None:
    """A session whose state can't be undone is not given to anybody else; the block's own end is not disturbed."""
    database = Database(wire.url, max_size=1)
    await database.open()
    database.command_timeout_s = 30 if cancelled else 0.05  # for the reset only: the pool was opened with the default
    quiet = asyncio.Event()

    async def leave() -> int:
        async with database.connection() as connection:
            pid: int = await connection.fetchval("SELECT pg_backend_pid()")
            wire.silence()
            quiet.set()
            return pid

    try:
        task = asyncio.create_task(leave())
        await quiet.wait()
        if cancelled:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        pid = None if cancelled else await task
        wire.speak()
        assert pid != await database.fetchval("SELECT pg_backend_pid()")
    finally:
        await database.close()


async def test_starts_while_postgres_is_away_and_recovers(wire: Wire) -> None:
    """A pool opens without PostgreSQL, answers 503 with Retry-After, and works with the first statement after its
    return.
    """
    await wire.cut()
    database = Database(wire.url)
    await database.open()
    try:
        with pytest.raises(ServiceUnavailable) as caught:
            await database.fetchval("SELECT 1")
        assert {"Retry-After": "2"} == caught.value.headers
        assert "ConnectionRefusedError" in caught.value.extra["cause"]
        assert caught.value.context == {}
        await wire.mend()
        assert 1 == await database.fetchval("SELECT 1")
        await wire.cut()
        with pytest.raises(ServiceUnavailable):
            await database.fetchval("SELECT 1")
        await wire.mend()
        assert 1 == await database.fetchval("SELECT 1")
    finally:
        await database.close()


async def test_connection_lost_in_a_transaction(wire: Wire) -> None:
    """A wire that is cut between two statements makes the next one a 503; the transaction's end does not mask it."""
    database = Database(wire.url)
    await database.open()

    async def lose() -> None:
        async with database.transaction() as connection:
            await connection.fetchval("SELECT 1")
            await wire.cut()
            await connection.fetchval("SELECT 1")

    try:
        with pytest.raises(ServiceUnavailable):
            await lose()
        with pytest.raises(ServiceUnavailable):
            async with database.transaction():
                pass
    finally:
        await database.close()


async def test_use_after_the_connection_was_lost(wire: Wire) -> None:
    """A block that goes on with a connection whose loss was noticed before ends with a 503 as well."""
    database = Database(wire.url)
    await database.open()
    lost = asyncio.Event()

    async def go_on() -> None:
        async with database.transaction() as connection:
            connection.add_termination_listener(lambda _: lost.set())
            await wire.cut()
            await lost.wait()
            await connection.fetchval("SELECT 1")

    try:
        with pytest.raises(ServiceUnavailable):
            await go_on()
    finally:
        await database.close()


async def test_admin_shutdown_of_a_running_statement(database: Database) -> None:
    """57P01, what every client gets at a failover, is a 503."""
    with pytest.raises(ServiceUnavailable) as caught:
        await database.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
    assert isinstance(caught.value.__cause__, asyncpg.AdminShutdownError | asyncpg.ConnectionDoesNotExistError)


async def test_statement_without_an_answer(database: Database) -> None:
    """A statement that takes longer than its time-out is a 503, and its connection can be used again."""
    with pytest.raises(ServiceUnavailable) as caught:
        await database.fetchval("SELECT pg_sleep(60)", timeout_s=0.05)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert 1 == await database.fetchval("SELECT 1")


async def test_exhausted_pool(postgres_url: str) -> None:
    """When every connection stays busy for longer than `acquire_timeout_s`, the next task gets a 503."""
    database = Database(postgres_url, max_size=1)
    await database.open()
    try:
        async with database.transaction():
            database.acquire_timeout_s = 0.05  # not before: connecting may take longer on a busy machine
            with pytest.raises(ServiceUnavailable):
                await database.fetchval("SELECT 1")
        assert 1 == await database.fetchval("SELECT 1")
    finally:
        await database.close()


async def test_too_many_connections(database: Database, postgres_url: str) -> None:
    """53300 from PostgreSQL itself is a 503."""
    name = await database.fetchval("SELECT current_database()")
    role = f"role_{name}"
    await database.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'anchor' CONNECTION LIMIT 0")
    address = urlsplit(postgres_url)
    limited = Database(address._replace(netloc=f"{role}:anchor@{address.hostname}:{address.port}").geturl())
    await limited.open()
    try:
        with pytest.raises(ServiceUnavailable) as caught:
            await limited.fetchval("SELECT 1")
        assert isinstance(caught.value.__cause__, asyncpg.TooManyConnectionsError)
    finally:
        await limited.close()
        await database.execute(f'DROP ROLE "{role}"')


async def test_check_follows_postgres(wire: Wire) -> None:
    """The readiness check passes with PostgreSQL and raises without it."""
    database = Database(wire.url)
    await database.open()
    try:
        await database.check()
        await wire.cut()
        with pytest.raises(ServiceUnavailable):
            await database.check()
        await wire.mend()
        await database.check()
    finally:
        await database.close()


async def test_busy_pool_is_healthy_while_it_is_answered(wire: Wire) -> None:
    """A load peak is no outage: all connections busy passes, unless nothing has been answered for the command
    time-out.
    """
    database = Database(wire.url, max_size=1, command_timeout_s=30)
    await database.open()
    try:
        await database.fetchval("SELECT 1")
        async with database.transaction():
            await database.check()
            database.command_timeout_s = -1  # the loop's clock may stand still for the length of a test
            with pytest.raises(ServiceUnavailable, match="no connection has been answered"):
                await database.check()
    finally:
        await database.close()


async def test_silent_server_is_an_outage(wire: Wire) -> None:
    """A PostgreSQL that accepts and never answers costs `acquire_timeout_s`, not for ever."""
    wire.silence()
    database = Database(wire.url)
    await database.open()
    database.acquire_timeout_s = 0.05
    try:
        with pytest.raises(ServiceUnavailable):
            await database.check()
        database.acquire_timeout_s = 30
        wire.speak()
        await database.check()
    finally:
        await database.close()


async def test_close_cuts_what_is_still_borrowed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of a service is bounded: a connection that is never given back is cut, and said so."""
    monkeypatch.setattr("fairlead.postgres.database.CLOSE_TIMEOUT_S", 0.05)
    database = Database(postgres_url)
    await database.open()

    async def keep() -> None:
        async with database.transaction() as connection:
            await database.close()
            await connection.fetchval("SELECT 1")

    with pytest.raises(ServiceUnavailable):
        await keep()
    assert ["postgres: connections were still in use 0.05 s after the end; cut"] == caplog.messages


async def test_database_must_be_open(postgres_url: str) -> None:
    """Using a database before `open` or after `close` is the program's mistake; opening again works."""
    database = Database(postgres_url)
    with pytest.raises(RuntimeError, match="not open"):
        await database.fetchval("SELECT 1")
    await database.open()
    await database.open()
    await database.close()
    await database.close()
    with pytest.raises(RuntimeError, match="not open"):
        await database.fetchval("SELECT 1")
    await database.open()
    assert 1 == await database.fetchval("SELECT 1")
    await database.close()


def test_dsn_must_be_a_postgresql_url() -> None:
    """K7: a DSN of something else is refused at once, and never printed."""
    with pytest.raises(ConfigurationError) as caught:
        Database(Secret("mysql://user:hunter2@db"), name="main")
    assert ("main: the database URL must begin with postgresql://",) == caught.value.problems
    assert "hunter2" not in repr(Database("postgresql://user:hunter2@db"))
