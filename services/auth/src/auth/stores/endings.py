"""What the other services hear of sessions that were ended: by a logout, a change of password, a stolen refresh token, a lock.

An access token can't be called back, and what was opened with it stays open. So the end of sessions is an event of the stream
``auth:sessions``: ``event`` is ``sessions.ended``, ``account`` the account's id, ``sessions`` the ids that access tokens name in
their claim ``sid``. It shares the fate of the change (`fairlead.outbox`). A session that runs out by itself is no event: its
tokens have run out before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from fairlead import outbox

if TYPE_CHECKING:
    from fairlead.postgres import Connection

__all__ = ["Endings"]

STREAM: Final = "auth:sessions"
EVENT: Final = "sessions.ended"
SESSIONS_AT_ONCE: Final = 1_000
"""Sessions in one event: 40 kB."""


class Endings:
    """Ends sessions, and tells it where somebody listens: without Redis nobody does, and nothing is written down."""

    def __init__(self, *, are_told: bool) -> None:
        self._are_told = are_told

    async def end(self, connection: Connection, condition: str, value: object) -> None:
        """End the sessions for which `condition` on ``$1`` holds, inside the caller's transaction."""
        rows = await connection.fetch(
            f"UPDATE sessions SET revoked_at = now() WHERE {condition} AND revoked_at IS NULL RETURNING id, account_id", value
        )
        if self._are_told and rows:
            await self._tell(connection, rows[0]["account_id"], [row["id"] for row in rows])

    async def _tell(self, connection: Connection, account: UUID, sessions: Sequence[UUID]) -> None:
        for begin in range(0, len(sessions), SESSIONS_AT_ONCE):
            payload = {"account": account, "sessions": sessions[begin : begin + SESSIONS_AT_ONCE]}
            await outbox.write(connection, STREAM, EVENT, payload)
