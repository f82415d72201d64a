"""The table ``accounts``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auth.domain.account import Account, StoredAccount

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth.stores.endings import Endings
    from fairlead.postgres import Database

__all__ = ["AccountStore"]


class AccountStore:
    """Accounts in PostgreSQL. Every method raises `ServiceUnavailable` while it is away."""

    def __init__(self, database: Database, endings: Endings) -> None:
        self._database = database
        self._endings = endings

    async def claim(self, email: str, password_hash: str, scopes: Sequence[str]) -> Account:
        """Add an account. For an address that is taken, an account that looks as if it had been added, and is not stored.

        Both outcomes write a row, so that they take as long as each other (SEC-P04).
        """
        row = await self._database.fetchrow(
            """
            INSERT INTO accounts (email, password_hash, scopes) VALUES ($1, $2, $3)
            ON CONFLICT (email) DO UPDATE SET claimed_at = now()
            RETURNING
                CASE WHEN claimed_at IS NULL THEN id ELSE gen_random_uuid() END AS id,
                coalesce(claimed_at, created_at) AS created_at
            """,
            email,
            password_hash,
            list(scopes),
        )
        assert row is not None
        return Account(row["id"], email, list(scopes), row["created_at"])

    async def by_email(self, email: str) -> StoredAccount | None:
        """The account of a normalised address."""
        return await self._find("email = $1", email)

    async def by_id(self, account_id: UUID) -> StoredAccount | None:
        """The account with an id."""
        return await self._find("id = $1", account_id)

    async def _find(self, condition: str, value: str | UUID) -> StoredAccount | None:
        row = await self._database.fetchrow(
            f"""
            SELECT id, email, scopes, password_hash, version, deactivated_at IS NULL AS is_active
            FROM accounts WHERE {condition}
            """,
            value,
        )
        return None if row is None else StoredAccount(**row)

    async def renew_hash(self, account: StoredAccount, password_hash: str) -> None:
        """Store the same password under new parameters, unless it was changed meanwhile."""
        await self._database.execute(
            "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND version = $2",
            account.id,
            account.version,
            password_hash,
        )

    async def change_password(self, account: StoredAccount, password_hash: str) -> bool:
        """Store a new password and end every session of the account; False when it was changed meanwhile."""
        async with self._database.transaction() as connection:
            changed = await connection.fetchval(
                """
                UPDATE accounts SET password_hash = $3, version = version + 1
                WHERE id = $1 AND version = $2 AND deactivated_at IS NULL
                RETURNING true
                """,
                account.id,
                account.version,
                password_hash,
            )
            if changed:
                await self._endings.end(connection, "account_id = $1", account.id)
        return bool(changed)

    async def lock(self, email: str) -> bool:
        """Deactivate the account of a normalised address and end its sessions; False when there is none that is active."""
        async with self._database.transaction() as connection:
            account_id = await connection.fetchval(
                "UPDATE accounts SET deactivated_at = now() WHERE email = $1 AND deactivated_at IS NULL RETURNING id", email
            )
            if account_id is not None:
                await self._endings.end(connection, "account_id = $1", account_id)
        return account_id is not None

    async def unlock(self, email: str) -> bool:
        """Let the account of a normalised address sign in again; False when there is none that is deactivated."""
        unlocked = await self._database.fetchval(
            "UPDATE accounts SET deactivated_at = NULL WHERE email = $1 AND deactivated_at IS NOT NULL RETURNING true", email
        )
        return bool(unlocked)
