"""What a store of sessions does. `Sessions` decides when; a store only keeps records.

A *token* is what the browser's cookie holds. For stores on the server it is 256 random bits, and they keep the record under its
SHA-256: who reads the store has no cookie that works (OWASP ASVS 5.0 V7). For `CookieStore` it is the record itself, signed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from fairlead.errors import ServerError

__all__ = ["Record", "SessionTooLarge", "Store", "check_size", "new_token", "stored_key"]

TOKEN_CHARACTERS = 43
"""32 random bytes in base64url."""


@dataclass(slots=True)
class Record:
    """A session at rest: its values as JSON, by key, and two moments in seconds since the epoch."""

    created_at: float
    seen_at: float
    values: dict[str, bytes] = field(default_factory=dict)


class SessionTooLarge(ServerError):
    """500: a handler has put more into a session than its store takes."""


class Store(Protocol):
    """Where sessions are kept. Methods raise what their server raises while it is away."""

    async def load(self, token: str) -> Record | None:
        """The record of a token; None for one that is unknown, expired or forged. Never raises for what a client may send."""

    async def create(self, record: Record, lifetime_s: float) -> str:
        """Keep a new record for so long; its token. Raises `SessionTooLarge`."""
        ...

    async def update(self, token: str, record: Record, changed: Collection[str], lifetime_s: float) -> str | None:
        """Write `seen_at` and the values of the keys that have changed (those that `record` has no more are removed).

        The token from now on; None when the session has ended meanwhile, and then nothing is written. Raises `SessionTooLarge`.
        """

    async def delete(self, token: str) -> None:
        """Forget a session, if there is one."""


def new_token() -> str:
    """256 bits from the operating system."""
    return secrets.token_urlsafe(32)


def stored_key(token: str) -> str | None:
    """What a server's store keeps a session under; None for what can't be a token."""
    if len(token) != TOKEN_CHARACTERS or not token.isascii():
        return None
    return hashlib.sha256(token.encode()).hexdigest()


def check_size(record: Record, max_bytes: int) -> None:
    """Raises `SessionTooLarge` for a record with more than `max_bytes` of keys and values."""
    size = sum(len(key.encode()) + len(value) for key, value in record.values.items())
    if size > max_bytes:
        raise SessionTooLarge(extra={"bytes": size, "max_bytes": max_bytes})
