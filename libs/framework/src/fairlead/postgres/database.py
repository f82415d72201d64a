"""PostgreSQL for an application: a pool that opens by itself, a health check, and outages that become 503.

How this works. `attach` makes a `Database`, opens its pool before the server starts and closes it after everything else
has stopped (listeners of the stop side run in reverse order, so attach the database first). The pool begins
empty: a service starts while PostgreSQL is away, answers 503 with Retry-After for what needs it, is unready, and
recovers with the first statement after PostgreSQL is back; nothing has to be restarted.

States of the pool: closed → open → closing → closed. Between `open` and `close` any number of tasks may use it.

- `fetch`, `fetchrow`, `fetchval`, `execute`: one statement, on a connection that is borrowed for just that.
- `transaction`: a connection inside a transaction; committed at the end of the block, rolled back when it raises.
- `connection`: a connection as a session (LISTEN, advisory locks, SET); it is reset when it comes back.

No session state may be left behind through the first two (``SET LOCAL`` inside a transaction is fine).

Rejected: a fixed minimum of connections (ten replicas of four workers would hold them for nothing), a connection per
request (a request that waits for something else would keep it from the others).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import asyncpg

from fairlead.errors import ConfigurationError, ServiceUnavailable
from fairlead.postgres.connection import (
    DRIVER_ERRORS,
    Connection,
    GuardedConnection,
    is_lost,
    keep_session,
    unavailable,
)
from fairlead.settings import Secret
from fairlead.telemetry.instruments import CounterSeries
from fairlead.telemetry.pool_metrics import watch_pool

if TYPE_CHECKING:
    from fairlead.app import App

__all__ = ["Database", "attach"]

logger = logging.getLogger("fairlead.postgres")

MAX_SIZE: Final = 10
"""Connections per worker. PostgreSQL's default of 100 for everybody is enough for two replicas of four workers."""

COMMAND_TIMEOUT_S: Final = 10.0
"""Longer than any statement of a request should take, shorter than the patience of a load balancer (usually 30–60
s).
"""

ACQUIRE_TIMEOUT_S: Final = 5.0
"""Waiting for a connection, connecting included. A client had better hear 503 early than wait in an endless queue."""

CLOSE_TIMEOUT_S: Final = 5.0

Isolation = Literal["read_committed", "repeatable_read", "serializable"]


class Database:
    """A pool of connections to one PostgreSQL database. Made by `attach`, or by hand: `open`, use, `close`.

    Every method that talks to PostgreSQL raises `ServiceUnavailable` (503, Retry-After) when it is away, refuses
    connections, shuts down, does not answer within `command_timeout_s`, or when no connection becomes free within
    `acquire_timeout_s`. asyncpg's other errors (constraint violations, syntax) pass unchanged. Nothing is ever retried.
    """

    def __init__(
        self,
        dsn: str | Secret,
        *,
        name: str = "postgres",
        max_size: int = MAX_SIZE,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
        acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    ) -> None:
        self._dsn = dsn if isinstance(dsn, Secret) else Secret(dsn)
        if urlsplit(self._dsn.reveal()).scheme not in {"postgres", "postgresql"}:
            raise ConfigurationError(f"{name}: the database URL must begin with postgresql://")
        self.name = name
        self.max_size = max_size
        self.command_timeout_s = command_timeout_s
        self.acquire_timeout_s = acquire_timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._answered_at = 0.0
        self._waiting = 0
        self.timeouts = CounterSeries()
        """Who waited for a connection in vain."""

    def __repr__(self) -> str:
        return f"<Database {self.name}>"

    async def open(self) -> None:
        """Make the pool. Connects to nothing yet, so it succeeds while PostgreSQL is away."""
        if self._pool is None:
            self._heard()
            self._pool = await asyncpg.create_pool(
                self._dsn.reveal(),
                min_size=0,
                max_size=self.max_size,
                timeout=self.acquire_timeout_s,
                command_timeout=self.command_timeout_s,
                connection_class=GuardedConnection,
                reset=keep_session,
                server_settings={"application_name": self.name},
            )

    async def close(self) -> None:
        """Wait for borrowed connections, at most `CLOSE_TIMEOUT_S`, then close them all. The database may be opened
        again.
        """
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            logger.warning("%s: connections were still in use %g s after the end; cut", self.name, CLOSE_TIMEOUT_S)

    async def fetch(self, query: str, *args: Any, timeout_s: float | None = None) -> list[asyncpg.Record]:
        """All rows of one statement."""
        async with self._borrow() as connection:
            return await connection.fetch(query, *args, timeout=timeout_s)

    async def fetchrow(self, query: str, *args: Any, timeout_s: float | None = None) -> asyncpg.Record | None:
        """The first row, or None when there is none."""
        async with self._borrow() as connection:
            return await connection.fetchrow(query, *args, timeout=timeout_s)

    async def fetchval(self, query: str, *args: Any, timeout_s: float | None = None) -> Any:
        """The first column of the first row, or None when there is no row."""
        async with self._borrow() as connection:
            return await connection.fetchval(query, *args, timeout=timeout_s)

    async def execute(self, query: str, *args: Any, timeout_s: float | None = None) -> str:
        """Run a statement (or a script, when there are no arguments); returns its status, as ``"UPDATE 1"``."""
        async with self._borrow() as connection:
            return await connection.execute(query, *args, timeout=timeout_s)

    @asynccontextmanager
    async def transaction(self, *, isolation: Isolation | None = None, readonly: bool = False) -> AsyncIterator[Connection]:
        """A connection inside a transaction: committed when the block ends, rolled back when it raises."""
        async with self._borrow() as connection, connection.transaction(isolation=isolation, readonly=readonly):
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection as a session of one's own: for LISTEN, advisory locks and SET, which are undone afterwards."""
        async with self._borrow() as connection:
            try:
                yield connection
            finally:
                await self._reset(connection)

    async def check(self) -> None:
        """Raise `ServiceUnavailable` when PostgreSQL does not answer. The health check that `attach` registers.

        A pool whose connections are all busy is no reason to be unready as long as statements are being answered:
        otherwise a load peak would take every replica out of the service at the same moment.
        """
        pool = self._opened()
        if pool.get_size() == self.max_size and pool.get_idle_size() == 0:
            silent_for_s = asyncio.get_running_loop().time() - self._answered_at
            if silent_for_s <= self.command_timeout_s:
                return
            raise ServiceUnavailable(f"no connection has been answered for {self.command_timeout_s:g} s")
        await self.fetchval("SELECT 1")

    def idle(self) -> int:
        """Connections that wait to be borrowed; 0 while the database is closed."""
        return self._pool.get_idle_size() if self._pool is not None else 0

    def used(self) -> int:
        """Connections that are borrowed; 0 while the database is closed."""
        return self._pool.get_size() - self._pool.get_idle_size() if self._pool is not None else 0

    def waiting(self) -> int:
        """Who waits for a connection."""
        return self._waiting

    def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        if self._pool is None:
            raise RuntimeError(f"database {self.name!r} is not open")
        return self._pool

    def _borrow(self) -> _Borrowed:
        return _Borrowed(self, self._opened())

    async def _acquire(self, pool: asyncpg.Pool[asyncpg.Record]) -> Connection:
        self._waiting += 1
        try:
            return await pool.acquire(timeout=self.acquire_timeout_s)
        except (asyncpg.PostgresError, *DRIVER_ERRORS, OSError) as error:
            # Whatever prevents a connection, a changed password included, is an outage to the client.
            if isinstance(error, TimeoutError):
                self.timeouts.inc()
            raise unavailable(error) from error
        finally:
            self._waiting -= 1

    async def _reset(self, connection: Connection) -> None:
        if is_lost(connection):
            return
        try:
            await connection.reset(timeout=self.command_timeout_s)
        except Exception as error:
            logger.debug("%s: a session could not be reset and is cut: %s", self.name, error)
            connection.terminate()
        except asyncio.CancelledError:
            connection.terminate()
            raise

    def _heard(self) -> None:
        self._answered_at = asyncio.get_running_loop().time()


class _Borrowed:
    """A connection for the length of a block. A class and not a generator: half the cost, on the path of every
    statement.
    """

    __slots__ = ("_connection", "_database", "_pool")

    def __init__(self, database: Database, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._database = database
        self._pool = pool

    async def __aenter__(self) -> Connection:
        self._connection = await self._database._acquire(self._pool)
        return self._connection

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._database._heard()
        await self._pool.release(self._connection)
        if isinstance(error, asyncpg.InterfaceError) and is_lost(self._connection):
            raise unavailable(error) from error


def attach(
    app: App[Any, Any],
    dsn: str | Secret,
    *,
    name: str = "postgres",
    max_size: int = MAX_SIZE,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
    acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
) -> Database:
    """Give `app` a database: opened before the server starts, closed after it has stopped, watched by a critical check.

    Attach it before whatever uses it, so that it closes last. `name` appears in the health report and, as
    ``application_name``, in ``pg_stat_activity``. Raises `ConfigurationError` when `dsn` is no PostgreSQL URL.
    """
    database = Database(
        dsn,
        name=name,
        max_size=max_size,
        command_timeout_s=command_timeout_s,
        acquire_timeout_s=acquire_timeout_s,
    )

    async def open_pool(_app: App[Any, Any]) -> None:
        await database.open()

    async def close_pool(_app: App[Any, Any]) -> None:
        await database.close()

    database.timeouts = watch_pool(name, idle=database.idle, used=database.used, waiting=database.waiting, maximum=max_size)
    app.before_server_start(open_pool)
    app.after_server_stop(close_pool)
    app.health.add(name, database.check, critical=True)
    return database
