"""Who is on a connection, and until when: a token is presented on the open connection, and renewed there before it expires.

Anybody may listen. To speak, a client presents an access token at any time after the connection is open (a browser can't send a
header with the handshake, and a token in an address ends up in logs: SEC-T05, SEC-W03). When it expires without a successor, the
connection is closed with 4401 (SEC-W02). A successor must be of the same account: a connection doesn't change hands. When the
session of its token is ended, by whomever, the connection is closed at once (SEC-T03).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from fairlead.auth import Guard, InvalidToken, Principal
from fairlead.errors import FairleadException
from feed.domain.ended_sessions import EndedSessions

__all__ = ["SIGN_IN_AGAIN", "Speaker", "TokenRefused"]

SIGN_IN_AGAIN: Final = 4401
"""The close code for a token that has expired or is no good; 4000 to 4999 are an application's own (RFC 6455 §7.4.2)."""


class TokenRefused(FairleadException):
    """The connection has to end, with `SIGN_IN_AGAIN` and this message."""

    status_code = 401
    quiet = True


class Speaker:
    """The account on one connection, if any. `expire` is called once when its token has run out, `end` when its session was ended;
    call `leave` at the end."""

    def __init__(self, guard: Guard, ended: EndedSessions, *, expire: Callable[[], None], end: Callable[[], None]) -> None:
        self.principal: Principal | None = None
        self._guard = guard
        self._ended = ended
        self._expire = expire
        self._end = end
        self._watched = ExitStack()

    async def present(self, token: str) -> Principal:
        """Take a token, the first or the next one. Raises `TokenRefused`, and `ServiceUnavailable` (503) while the issuer's keys
        can't be had: then the token before goes on as long as it may."""
        try:
            principal = await self._guard.verify(token)
            self.take(principal)
        except InvalidToken:
            raise TokenRefused("token refused") from None
        return principal

    def take(self, principal: Principal) -> None:
        """Take an account whose token was verified. Raises `TokenRefused` when another one is here, `InvalidToken` when the
        token's session was ended."""
        if self.principal is not None and principal.subject != self.principal.subject:
            raise TokenRefused("token of another account")
        self._ended.check(principal)
        self.leave()
        self.principal = principal
        self._watched.enter_context(self._ended.watch(principal, self._end))
        timer = asyncio.get_running_loop().call_later(max(0.0, principal.expires_at - time.time()), self._expire)
        self._watched.callback(timer.cancel)

    def leave(self) -> None:
        """Wait for neither expiry nor ending any more."""
        self._watched.close()
