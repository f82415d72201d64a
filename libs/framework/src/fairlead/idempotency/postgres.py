"""Answers in PostgreSQL, in the same transaction as the work: both are there, or neither.

    async with store.transaction(request) as connection:
        order = await orders.insert(connection, new)

How this works. The claim opens a transaction and takes an advisory lock on the key, which PostgreSQL gives back with the
transaction's end, however that comes: a worker that dies holds nothing. The handler does its work on that same connection
(`transaction` gives a savepoint of it), and the answer is written last. So a crash at any point leaves either the work with its
answer, or nothing of both. A request without a key gets a transaction of its own from `transaction`.

The lock is tried, not waited for: a second request hears 409 at once. What the first has kept is looked up in a statement of its
own, after the lock: one that began before it would not see what was committed in between.

Rows that are over are removed a few at a time when new ones come, so the table needs no job. Its SQL is in
`fairlead.idempotency.schema`, for a migration.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from fairlead.idempotency.store import InFlight, StoredAnswer
from fairlead.request import Request

if TYPE_CHECKING:
    from fairlead.postgres import Connection, Database

__all__ = ["PostgresStore"]

PURGE_AT_ONCE: Final = 10
"""More than one, so that there are ever fewer; few, so that no request waits for it."""

_LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))"
_FIND: Final = "SELECT answer FROM idempotency_keys WHERE key = $1 AND expires_at > now()"
_KEEP: Final = """
    INSERT INTO idempotency_keys (key, answer, expires_at)
    VALUES ($1, $2, now() + make_interval(secs => $3))
    ON CONFLICT (key) DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at
"""
_PURGE: Final = f"""
    DELETE FROM idempotency_keys WHERE key IN (
        SELECT key FROM idempotency_keys WHERE expires_at <= now() ORDER BY expires_at LIMIT {PURGE_AT_ONCE}
        FOR UPDATE SKIP LOCKED
    )
"""


class _GivenUp(Exception):
    """Ends a transaction whose answer was not kept."""


class PostgresStore:
    """Answers in the table ``idempotency_keys`` of `database`, each for `lifetime_s`."""

    def __init__(self, database: Database, *, lifetime_s: float = 86_400) -> None:
        self._database = database
        self._lifetime_s = lifetime_s

    @asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[PostgresClaim]:
        """Hold a key and a transaction. Raises `InFlight` (409), `ServiceUnavailable` (503)."""
        try:
            async with self._database.transaction() as connection:
                if not await connection.fetchval(_LOCK, key):
                    raise InFlight
                answer = await connection.fetchval(_FIND, key)
                claim = PostgresClaim(connection, key, self._lifetime_s, StoredAnswer.decode(answer) if answer else None)
                yield claim
                claim.end()
        except _GivenUp:
            return

    @asynccontextmanager
    async def transaction(self, request: Request[Any, Any]) -> AsyncIterator[Connection]:
        """The transaction for a request's work: the one that its answer is kept in, or one of its own without a key."""
        claim = getattr(request.ctx, "idempotency", None)
        if isinstance(claim, PostgresClaim):
            async with claim.connection.transaction():
                yield claim.connection
        else:
            async with self._database.transaction() as connection:
                yield connection


class PostgresClaim:
    """A key in PostgreSQL, and the transaction that it is held in."""

    def __init__(self, connection: Connection, key: str, lifetime_s: float, stored: StoredAnswer | None) -> None:
        self.connection = connection
        self.stored = stored
        self.is_kept = False
        self._key = key
        self._lifetime_s = lifetime_s

    async def keep(self, answer: StoredAnswer) -> None:
        """Write the answer; it is there when the claim ends."""
        await self.connection.execute(_KEEP, self._key, answer.encode(), float(self._lifetime_s))
        await self.connection.execute(_PURGE)
        self.is_kept = True

    def end(self) -> None:
        """Let what was done be undone unless its answer was kept."""
        if self.stored is None and not self.is_kept:
            raise _GivenUp
