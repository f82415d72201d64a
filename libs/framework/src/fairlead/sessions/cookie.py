"""Sessions in the browser: the cookie holds the values, and a signature that only the server can make.

Nothing is kept on the server, so nothing has to be shared or cleaned up. The price, to be known before choosing this:

- The user can read it. Put no secrets in.
- It is valid until it expires: a copy of a cookie works after signing out, too. Sessions that must end at once need a store.
- It has to fit: `MAX_COOKIE_BYTES` with its name.

A cookie is `payload.signature`; nothing of the payload is decoded before the signature is known to be good.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from fairlead.sessions.signer import Signer
from fairlead.sessions.store import Record, SessionTooLarge
from fairlead.settings import Secret

__all__ = ["CookieStore"]

MAX_COOKIE_BYTES: Final = 4096
"""What browsers keep of a cookie, name included (RFC 6265 §6.1)."""

RESERVED_BYTES: Final = 64
"""For the cookie's name."""


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    created_at: float
    seen_at: float
    expires_at: float
    values: dict[str, msgspec.Raw]


class CookieStore:
    """Signed sessions in the cookie itself. `secrets`: the first signs, all verify (see `Signer`).

    Raises `ConfigurationError` unless each has at least 32 random bytes.
    """

    def __init__(self, secrets: Secret | str | Sequence[Secret | str], *, clock: Callable[[], float] = time.time) -> None:
        self._signer = Signer(secrets, "session cookie")
        self._clock = clock

    async def load(self, token: str) -> Record | None:
        """The record of a cookie that we have signed and that has not expired."""
        payload, _, signature = token.rpartition(".")
        if len(token) > MAX_COOKIE_BYTES or not token.isascii() or not self._signer.verifies(payload.encode(), signature):
            return None
        try:
            envelope = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Envelope)
        except (ValueError, msgspec.DecodeError):
            return None  # ours, and of another release
        if envelope.expires_at <= self._clock():
            return None
        values = {key: bytes(value) for key, value in envelope.values.items()}
        return Record(envelope.created_at, envelope.seen_at, values)

    async def create(self, record: Record, lifetime_s: float) -> str:
        """The record, signed. Raises `SessionTooLarge`."""
        values = {key: msgspec.Raw(value) for key, value in record.values.items()}
        envelope = _Envelope(record.created_at, record.seen_at, self._clock() + lifetime_s, values)
        payload = base64.urlsafe_b64encode(msgspec.json.encode(envelope)).decode().rstrip("=")
        token = f"{payload}.{self._signer.sign(payload.encode())}"
        if len(token) > MAX_COOKIE_BYTES - RESERVED_BYTES:
            raise SessionTooLarge(extra={"bytes": len(token), "max_bytes": MAX_COOKIE_BYTES - RESERVED_BYTES})
        return token

    async def update(self, token: str, record: Record, changed: Collection[str], lifetime_s: float) -> str | None:
        """The whole record anew. Raises `SessionTooLarge`."""
        return await self.create(record, lifetime_s)

    async def delete(self, token: str) -> None:
        """Nothing is kept, so nothing is forgotten: the cookie is taken from this browser only."""
