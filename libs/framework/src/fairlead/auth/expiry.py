"""A connection ends when the token that opened it does (SEC-W02): a websocket outlives the request by hours, a token doesn't."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fairlead.auth.tokens import Principal
    from fairlead.websocket import Websocket

__all__ = ["TOKEN_EXPIRED", "until_expiry"]

TOKEN_EXPIRED: Final = 4401
"""The close code; 4000 to 4999 are an application's own (RFC 6455 §7.4.2)."""


@contextmanager
def until_expiry(ws: Websocket, principal: Principal, *, code: int = TOKEN_EXPIRED) -> Iterator[None]:
    """Close `ws` with `code` when the principal's token expires, unless the block has ended by then.

    What waits in the block for a message then ends as with any close; a client with a new token connects again.
    """
    left_s = max(0.0, principal.expires_at - time.time())
    timer = asyncio.get_running_loop().call_later(left_s, ws.close_soon, code, "token expired")
    try:
        yield
    finally:
        timer.cancel()
