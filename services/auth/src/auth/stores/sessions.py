"""The tables ``sessions`` and ``refresh_tokens``. A session is what RFC 9700 calls a family of refresh tokens.

Each refresh token is good once. Using it locks its row and the session's, so of twenty parallel uses one is the first
(SEC-T02); every other use, at once or a week later, means that two parties hold the token, and ends the session with
all its tokens, the new one included (SEC-T01). Used tokens are kept for as long as their session, to be recognised.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from auth.domain.account import StoredAccount

if TYPE_CHECKING:
    from auth.stores.endings import Endings
    from fairlead.postgres import Database

__all__ = ["Refused", "Rotated", "SessionStore"]


@dataclass(frozen=True, slots=True)
class Rotated:
    """The account that the session belongs to; the new token is stored."""

    account_id: UUID
    session_id: UUID
    scopes: list[str]


class Refused(enum.Enum):
    """Why a refresh token was not taken."""

    UNKNOWN = "unknown"
    ENDED = "the session has ended"
    REUSED = "used for a second time"


class SessionStore:
    """Sessions in PostgreSQL; tokens are given as their hashes. Raises `ServiceUnavailable` while it is away."""

    def __init__(self, database: Database, endings: Endings) -> None:
        self._database = database
        self._endings = endings

    async def begin(self, account: StoredAccount, token_hash: bytes, *, token_s: int, session_s: int) -> UUID | None:
        """Begin a session with its first token; its id, None when the account was deactivated or its password changed since
        `account` was read."""
        session_id: UUID | None = await self._database.fetchval(
            """
            WITH account AS (
                SELECT id FROM accounts WHERE id = $1 AND version = $2 AND deactivated_at IS NULL FOR SHARE
            ), session AS (
                INSERT INTO sessions (account_id, expires_at)
                SELECT id, now() + make_interval(secs => $5) FROM account
                RETURNING id, expires_at
            )
            INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
            SELECT $3, id, least(expires_at, now() + make_interval(secs => $4)) FROM session
            RETURNING session_id
            """,
            account.id,
            account.version,
            token_hash,
            float(token_s),
            float(session_s),
        )
        return session_id

    async def rotate(self, token_hash: bytes, next_hash: bytes, *, token_s: int) -> Rotated | Refused:
        """Use up a token and store the next one. A token that was used before ends its session."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                """
                SELECT t.session_id, t.used_at IS NOT NULL AS is_used, s.account_id, a.scopes,
                       s.revoked_at IS NULL AND s.expires_at > now() AND t.expires_at > now()
                       AND a.deactivated_at IS NULL AS is_alive
                FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN accounts a ON a.id = s.account_id
                WHERE t.token_hash = $1
                FOR UPDATE OF t, s
                """,
                token_hash,
            )
            if row is None:
                return Refused.UNKNOWN
            if row["is_used"]:
                await self._endings.end(connection, "id = $1", row["session_id"])
                return Refused.REUSED
            if not row["is_alive"]:
                return Refused.ENDED
            await connection.execute("UPDATE refresh_tokens SET used_at = now() WHERE token_hash = $1", token_hash)
            await connection.execute(
                """
                INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
                SELECT $1, id, least(expires_at, now() + make_interval(secs => $3)) FROM sessions WHERE id = $2
                """,
                next_hash,
                row["session_id"],
                float(token_s),
            )
        return Rotated(row["account_id"], row["session_id"], row["scopes"])

    async def revoke(self, token_hash: bytes) -> None:
        """End the session that a token belongs to, whether the token was used or not; nothing happens for an unknown
        one."""
        async with self._database.transaction() as connection:
            await self._endings.end(connection, "id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)", token_hash)

    async def revoke_all(self, account_id: UUID) -> None:
        """End every session of an account."""
        async with self._database.transaction() as connection:
            await self._endings.end(connection, "account_id = $1", account_id)

    async def purge(self) -> None:
        """Forget sessions that have expired, with their tokens."""
        await self._database.execute("DELETE FROM sessions WHERE expires_at < now()")
