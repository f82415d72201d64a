"""What a store of answers does, and what it keeps."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from fairlead.errors import Conflict, UnprocessableContent

__all__ = ["Claim", "InFlight", "KeyReused", "Store", "StoredAnswer"]


class InFlight(Conflict):
    """409: the first request with this key is being handled."""

    def __init__(self) -> None:
        super().__init__("A request with this Idempotency-Key is being handled", headers={"Retry-After": "1"})


class KeyReused(UnprocessableContent):
    """422: this key belongs to another request."""

    message = "This Idempotency-Key was used for another request"


class StoredAnswer(msgspec.Struct, frozen=True, array_like=True):
    """An answer at rest. `fingerprint` is of the request; `body` None means: it was done, and its answer could not be kept."""

    fingerprint: bytes
    status: int
    headers: list[tuple[str, str]]
    content_type: str | None
    body: bytes | None

    def encode(self) -> bytes:
        """As bytes."""
        return _encode(self)

    @staticmethod
    def decode(stored: bytes) -> StoredAnswer:
        """From bytes."""
        return _decode(stored)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredAnswer).decode


class Claim(Protocol):
    """A key, held by one request."""

    @property
    def stored(self) -> StoredAnswer | None:
        """The answer of an earlier request; None for the first, which does the work."""

    async def keep(self, answer: StoredAnswer) -> None:
        """Keep the answer, once, before the claim ends."""


class Store(Protocol):
    """Where answers are kept."""

    def claim(self, key: str) -> AbstractAsyncContextManager[Claim]:
        """Hold a key until the block ends; a block that ends without `keep`, or raises, gives it back.

        Raises `InFlight` (409) while another request holds it.
        """
        ...
