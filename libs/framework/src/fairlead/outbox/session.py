"""The relay's own PostgreSQL session: the right to lead, the wake-up call, and the rows.

How this works. The right to lead is a session advisory lock: PostgreSQL gives it to one session, and takes it back
the moment that the session ends, however it ends. It is named after the table's OID, so outboxes of different schemas
are independent.

A session that waits asks for the lock again every `TAKEOVER_INTERVAL_S`, and at once when a leader says that it
leaves. The keep-alive settings bound how long a lock outlives a machine that vanished without closing its connection.

Rejected: waiting inside ``pg_advisory_lock`` (the waiting statement holds a snapshot, so VACUUM can't clean up behind
it for as long as it waits, which is for ever), a lease row with an expiry (needs clocks that agree, and a writer that
is never late), ``SELECT … FOR UPDATE SKIP LOCKED`` on the rows (several relays at once, so no order). Needs a direct
connection or a pooler in session mode: LISTEN and session locks don't pass a pooler in transaction mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from asyncpg import InterfaceError

from fairlead.outbox.entry import CHANNEL, Entry

if TYPE_CHECKING:
    from fairlead.postgres import Connection, Database

__all__ = ["Session", "open_session"]

TAKEOVER_INTERVAL_S: Final = 1.0
"""How often a relay that does not lead asks whether the leader is gone: the longest gap after a leader was killed."""

RELEASED: Final = f"{CHANNEL}_released"
"""The NOTIFY channel on which a leader that stops in an orderly way says so."""

LOCK: Final = "(x'464c4f42'::bigint << 32) | 'outbox'::regclass::oid::bigint"
"""The lock's number: "FLOB" in the upper half, the table in the lower."""

KEEPALIVE: Final = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
"""PostgreSQL ends a session whose peer is silent for 25 s; the usual default is two hours."""


@asynccontextmanager
async def open_session(database: Database) -> AsyncIterator[Session]:
    """A session of the relay; at the end of the block its lock is free. `ServiceUnavailable` when PostgreSQL is lost."""
    async with database.connection() as connection:
        session = Session(connection)
        await connection.execute(KEEPALIVE)
        connection.add_termination_listener(session._wake_up)
        try:
            yield session
        finally:
            with suppress(InterfaceError):  # a lost connection has left the pool, and its listeners with it
                connection.remove_termination_listener(session._wake_up)


class Session:
    """Made by `open_session`; call `try_acquire` first, the rest only while leading."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wake = asyncio.Event()

    async def try_acquire(self) -> bool:
        """Ask for the right to lead; True from then on until the session ends."""
        return bool(await self._connection.fetchval(f"SELECT pg_try_advisory_lock({LOCK})"))

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[None]:
        """Let notifications on `channel` end a `wait`, inside the block."""
        await self._connection.add_listener(channel, self._wake_up)
        try:
            yield
        finally:
            with suppress(InterfaceError):
                await self._connection.remove_listener(channel, self._wake_up)

    async def release(self) -> None:
        """Give the right to lead away, and tell those who wait for it."""
        await self._connection.execute(f"SELECT pg_advisory_unlock({LOCK}), pg_notify('{RELEASED}', '')")

    async def oldest(self, limit: int) -> list[Entry]:
        """The first `limit` committed rows. No position is kept, so a row that becomes visible late is still seen."""
        rows = await self._connection.fetch(
            """
            SELECT sequence, id, stream, event, payload::text AS payload, traceparent
            FROM outbox ORDER BY sequence LIMIT $1
            """,
            limit,
        )
        return [Entry(**row) for row in rows]

    async def delete(self, entries: Iterable[Entry]) -> None:
        """Remove rows that Redis has taken."""
        sequences = [entry.sequence for entry in entries]
        await self._connection.execute("DELETE FROM outbox WHERE sequence = ANY($1::bigint[])", sequences)

    async def count(self) -> int:
        """How many committed rows wait."""
        return int(await self._connection.fetchval("SELECT count(*) FROM outbox"))

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a notification or for the end of the connection; False when `timeout_s` passed without either.

        What arrived since the last call counts, so nothing is missed between reading and waiting.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def _wake_up(self, *_: Any) -> None:
        self._wake.set()
