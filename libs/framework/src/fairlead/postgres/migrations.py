"""Bring a package's schema up to date: Alembic over asyncpg, under a lock that ten replicas can wait for.

How this works. `upgrade` connects, takes one advisory lock for the database, looks at the package's revision and lets
Alembic run what is missing, each revision in its own transaction. Whoever gets the lock later finds nothing to do. The
lock belongs to the session: a process that dies gives it back. Alembic speaks through SQLAlchemy's asyncpg dialect on
that same connection, so there is no second driver and the DSN is understood as the application understands it.

A revision is plain SQL, one statement per call (asyncpg prepares each of them)::

    revision = "0002"
    down_revision = "0001"

    def upgrade() -> None:
        op.execute("ALTER TABLE account ADD COLUMN name text")

What can go wrong is one `MigrationError` with one line: PostgreSQL does not come up, another migration keeps the lock,
a table stays locked by someone else, a statement fails. A revision that fails is rolled back; those before it stay.

Rejected: ``pg_advisory_lock`` (while it waits it holds a snapshot, and a CREATE INDEX CONCURRENTLY of the process that
has the lock would wait for that snapshot: deadlock), so the lock is tried again and again; migrating when a worker
starts (every crash loop would be a migration); a transaction around all revisions (no CREATE INDEX CONCURRENTLY, and
locks kept for longer).

Needs a direct connection: a session lock does not survive a pooler in transaction mode.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import asyncpg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from fairlead.postgres.revisions import (
    History,
    current_revision,
    expected_revision,
    read_history,
    require_revision,
    version_table,
)
from fairlead.settings import Secret

__all__ = ["MigrationError", "current_revision", "expected_revision", "require_revision", "upgrade"]

logger = logging.getLogger("fairlead.postgres.migrations")

WAIT_S: Final = 60.0
"""For PostgreSQL to come up and for another migration to end; Kubernetes repeats a Job that fails."""

LOCK_TIMEOUT_S: Final = 10.0
"""For a table that a revision changes. While an ALTER TABLE waits, every later query on the table queues behind it."""

ADVISORY_LOCK: Final = 0x466169726C656164
"""The bytes of "Fairlead". One for the whole database: two packages' CREATE EXTENSION at once would collide as well."""

_POLL_S: Final = 0.1
_CONNECT_TIMEOUT_S: Final = 10.0
_HOLDER: Final = """
    SELECT application_name || ' (pid ' || pid || ')' FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = $1
"""
_STARTING: Final = (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError)


class MigrationError(Exception):
    """The schema could not be brought up to date. One line; exit status 1."""

    exit_status: ClassVar[int] = 1


async def upgrade(
    package: str, dsn: str | Secret, *, wait_s: float = WAIT_S, lock_timeout_s: float = LOCK_TIMEOUT_S
) -> tuple[str, ...]:
    """Bring the schema of `package` to its newest revision; returns the revisions that were applied, oldest first.

    Safe to call from any number of processes at once, and when there is nothing to do. A database that is newer than
    this build is left alone. Raises `MigrationError`, or `ConfigurationError` when the package has no revisions.
    """
    history = read_history(package)
    url = dsn.reveal() if isinstance(dsn, Secret) else dsn
    deadline = _now() + wait_s
    connection = await _connect(package, url, deadline, lock_timeout_s)
    try:
        await _take_lock(package, connection, deadline)
        before = await current_revision(connection, package)
        if not history.is_behind(before):
            logger.info("%s: the database has revision %s, nothing to do", package, before)
            return ()
        return await _apply(history, before, connection)
    finally:
        await connection.close()


async def _connect(package: str, url: str, deadline: float, lock_timeout_s: float) -> asyncpg.Connection[asyncpg.Record]:
    """A connection, as soon as PostgreSQL takes one; it may be starting beside us."""
    settings = {"application_name": f"migrate {package}", "lock_timeout": str(int(lock_timeout_s * 1000))}
    while True:
        try:
            return await asyncpg.connect(url, server_settings=settings, timeout=_CONNECT_TIMEOUT_S)
        except _STARTING as error:
            if _now() >= deadline:
                raise MigrationError(f"{package}: PostgreSQL does not answer: {_cause(error)}") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise MigrationError(f"{package}: {_cause(error)}") from error
        await asyncio.sleep(_POLL_S)


async def _take_lock(package: str, connection: asyncpg.Connection[asyncpg.Record], deadline: float) -> None:
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
        if _now() >= deadline:
            holder = await connection.fetchval(_HOLDER, ADVISORY_LOCK)
            raise MigrationError(f"{package}: another migration is still running: {holder}")
        await asyncio.sleep(_POLL_S)


async def _apply(history: History, before: str | None, connection: asyncpg.Connection[asyncpg.Record]) -> tuple[str, ...]:
    """Let Alembic run the missing revisions on `connection`."""
    applied: list[str] = []

    async def creator() -> asyncpg.Connection[asyncpg.Record]:
        return connection

    def record(step: Any, **_: Any) -> None:
        applied.append(step.up_revision_id)
        logger.info("%s: applied %s", history.package, step.up_revision_id)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=creator, poolclass=NullPool)
    try:
        async with engine.connect() as session:
            await session.run_sync(_run_alembic, history, record)
    except Exception as error:  # a revision is the service's own code: it may raise anything
        failed = next(iter(history.after(applied[-1] if applied else before)), history.head)
        reason = f"migration {failed} failed and was rolled back: {_cause(error)}"
        raise MigrationError(f"{history.package}: {reason}") from error
    finally:
        await engine.dispose()
    return tuple(applied)


def _run_alembic(connection: sqlalchemy.Connection, history: History, record: Callable[..., None]) -> None:
    config = Config()
    config.set_main_option("script_location", _escaped(Path(__file__).with_name("alembic")))
    config.set_main_option("version_locations", _escaped(history.folder))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = version_table(history.package)
    config.attributes["on_version_apply"] = record
    command.upgrade(config, "head")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _escaped(path: Path) -> str:
    """Alembic's configuration interpolates per cent signs."""
    return str(path).replace("%", "%%")


def _cause(error: BaseException) -> str:
    """The reason on one line: in PostgreSQL's own words where it gave one, without SQLAlchemy's statement and link."""
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    words = " ".join(str(error).split())
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | CommandError):
        return words
    return f"{type(error).__name__}: {words}"
