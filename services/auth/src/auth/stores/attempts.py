"""The table ``attempts``: what the throttle counts, shared by all workers and replicas.

It is unlogged: a crash of PostgreSQL empties it, which costs a minute of counting, and in return a failure costs no
write to disk. Two attempts with a key in common are reserved one after the other, under advisory locks that end with
the transaction; without them two could both read "nine" and both be the tenth.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auth.domain.throttle import WINDOW_S, Count, Keys, Verdict, judge

if TYPE_CHECKING:
    from fairlead.postgres import Connection, Database

__all__ = ["AttemptStore"]

_COUNT = """
    SELECT key, count(*) AS attempts, extract(epoch FROM min(at) - clock_timestamp())::float8 + $2 AS oldest_leaves_in_s
    FROM attempts WHERE key = ANY($1) AND at > clock_timestamp() - make_interval(secs => $2)
    GROUP BY key
"""


class AttemptStore:
    """Attempts of the last minute in PostgreSQL. Raises `ServiceUnavailable` while it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, keys: Keys, limit: int) -> Verdict:
        """What `reserve` would say, without counting: to refuse cheaply."""
        return judge(await _counts(self._database, keys.all()), keys, limit)

    async def reserve(self, keys: Keys, limit: int) -> tuple[Verdict, uuid.UUID]:
        """Count an attempt if it is allowed; `release` takes it back when it was no failure."""
        reservation = uuid.uuid4()
        async with self._database.transaction() as connection:
            await _lock(connection, keys.all())
            verdict = judge(await _counts(connection, keys.all()), keys, limit)
            if verdict.allowed:
                await _insert(connection, keys.all(), reservation)
        return verdict, reservation

    async def release(self, reservation: uuid.UUID) -> None:
        """Take an attempt back."""
        await self._database.execute("DELETE FROM attempts WHERE reservation = $1", reservation)

    async def take(self, key: bytes, limit: int) -> Count | None:
        """Count one of at most `limit` uses a minute; when there are none left, the count."""
        async with self._database.transaction() as connection:
            await _lock(connection, (key,))
            count = (await _counts(connection, (key,))).get(key, Count())
            if count.attempts >= limit:
                return count
            await _insert(connection, (key,), uuid.uuid4())
        return None

    async def purge(self) -> None:
        """Forget attempts that no longer count."""
        await self._database.execute(
            "DELETE FROM attempts WHERE at < clock_timestamp() - make_interval(secs => $1)", float(WINDOW_S)
        )


async def _lock(connection: Connection, keys: Sequence[bytes]) -> None:
    """One lock for each key, always in the same order: two transactions can't wait for each other."""
    for number in sorted(int.from_bytes(key[:8], signed=True) for key in keys):
        await connection.execute("SELECT pg_advisory_xact_lock($1)", number)


async def _counts(database: Database | Connection, keys: Sequence[bytes]) -> Mapping[bytes, Count]:
    rows: list[Any] = await database.fetch(_COUNT, list(keys), float(WINDOW_S))
    return {row["key"]: Count(row["attempts"], row["oldest_leaves_in_s"]) for row in rows}


async def _insert(connection: Connection, keys: Sequence[bytes], reservation: uuid.UUID) -> None:
    await connection.execute(
        "INSERT INTO attempts (key, reservation, at) SELECT unnest($1::bytea[]), $2, clock_timestamp()",
        list(keys),
        reservation,
    )
