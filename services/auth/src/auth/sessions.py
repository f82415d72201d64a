"""Sessions: begun by a sign-in, kept alive by refreshing, ended by a logout, by time, or by a refresh token used
twice.
"""

from __future__ import annotations

import logging
from uuid import UUID

from msgspec import Struct

from auth.accounts import WrongCredentials
from auth.domain.account import StoredAccount
from auth.domain.refresh_token import hash_of, new_refresh_token
from auth.stores.sessions import Refused, SessionStore
from fairlead.auth import TokenIssuer
from fairlead.errors import Unauthorized

__all__ = ["InvalidRefreshToken", "Sessions", "TokenPair"]

logger = logging.getLogger("auth.sessions")


class InvalidRefreshToken(Unauthorized):
    """401: unknown, expired, used before, or of a session that has ended; the answer does not say which."""

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid", scheme="Bearer", context={"error": "invalid_grant"})


class TokenPair(Struct, frozen=True):
    """An answer of the token endpoint (RFC 6749 §5.1)."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token lives."""

    token_type: str = "Bearer"


class Sessions:
    """The use of sessions. Every method raises `ServiceUnavailable` while PostgreSQL is away."""

    def __init__(self, store: SessionStore, issuer: TokenIssuer, *, token_lifetime_s: int, lifetime_s: int) -> None:
        self._store = store
        self._issuer = issuer
        self._token_lifetime_s = token_lifetime_s
        self._lifetime_s = lifetime_s

    async def begin(self, account: StoredAccount) -> TokenPair:
        """A new session for who has just signed in. Raises `WrongCredentials` when the account changed meanwhile."""
        token = new_refresh_token()
        session_id = await self._store.begin(account, hash_of(token), token_s=self._token_lifetime_s, session_s=self._lifetime_s)
        if session_id is None:
            raise WrongCredentials
        return self._pair(account.id, session_id, account.scopes, token)

    async def refresh(self, token: str) -> TokenPair:
        """The next pair of a session; `token` is used up. Raises `InvalidRefreshToken`.

        A client that loses the answer has lost the session: asking again with the same token looks like theft, and
        ends it.
        """
        next_token = new_refresh_token()
        outcome = await self._store.rotate(hash_of(token), hash_of(next_token), token_s=self._token_lifetime_s)
        if isinstance(outcome, Refused):
            if outcome is Refused.REUSED:
                logger.warning("a refresh token was used for a second time; its session has ended")
            raise InvalidRefreshToken
        return self._pair(outcome.account_id, outcome.session_id, outcome.scopes, next_token)

    async def end(self, token: str) -> None:
        """Log out: no token of the session is good any more. Nothing happens for an unknown token (RFC 7009 §2.2)."""
        await self._store.revoke(hash_of(token))

    async def end_all(self, account_id: UUID) -> None:
        """Log out everywhere."""
        await self._store.revoke_all(account_id)

    def _pair(self, account_id: UUID, session_id: UUID, scopes: list[str], refresh_token: str) -> TokenPair:
        access_token = self._issuer.issue(str(account_id), scopes, session=str(session_id))
        return TokenPair(access_token, refresh_token, self._issuer.lifetime_s)
