"""How much one may say: in messages and in bytes, on one connection and, over all connections and workers, as one user.

A connection that says too much is closed: its own script is broken or means harm, and nothing it says is looked at any more. A
user who says too much is told when to go on: he may have many windows, and has done nothing wrong in this one. Bytes count as they
are when they arrive, whatever they turn out to be.
"""

from __future__ import annotations

from typing import Any, Final

from fairlead.errors import TooManyRequests
from fairlead.limits import Backend, TokenBucket
from fairlead.limits.rate_limit import Unreachable

__all__ = ["ConnectionAllowance", "UserAllowance"]

CONNECTION_MESSAGES: Final = TokenBucket(limit=30, window_s=10.0)
CONNECTION_BYTES: Final = TokenBucket(limit=32_768, window_s=10.0)
USER_MESSAGES: Final = TokenBucket(limit=60, window_s=60.0, burst=20)
USER_BYTES: Final = TokenBucket(limit=60_000, window_s=60.0, burst=20_000)


class ConnectionAllowance:
    """What one connection may send."""

    def __init__(self) -> None:
        self._messages: dict[str, float] = {}
        self._bytes: dict[str, float] = {}

    def take(self, size: int, now: float) -> bool:
        """Count a message of `size` bytes; False when it is one too many. `now` in seconds of any clock that never goes back."""
        return CONNECTION_MESSAGES.take(self._messages, now, 1).allowed and CONNECTION_BYTES.take(self._bytes, now, size).allowed


class UserAllowance:
    """What one user may say in all rooms, through any worker."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def take(self, user: str, size: int) -> None:
        """Count a message of `size` bytes. Raises `TooManyRequests` (429). While the counters can't be reached, the connection's
        own allowance is all that holds."""
        rules: tuple[tuple[str, Any, int], ...] = (("messages", USER_MESSAGES, 1), ("bytes", USER_BYTES, size))
        for what, rule, cost in rules:
            try:
                decision = await self._backend.take(f"feed:{what}:{user}", rule, cost)
            except Unreachable:
                return
            if not decision.allowed:
                raise TooManyRequests("You say too much at once", retry_after=max(1, round(decision.retry_after_s + 0.5)))
