"""Signatures with HMAC-SHA-256 and keys that can be rotated.

The first secret signs, all of them verify: put the new one in front, and take the old one away when what it has signed is over.
Each purpose has a key of its own, derived from the secret, so that what was signed as one thing can't be used as another.

The standard library's `hmac` rather than itsdangerous: what is needed is one MAC and one constant-time comparison; its time
stamps, serialisers and key derivation by SHA-1 would all be switched off.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from typing import Final

from fairlead.errors import ConfigurationError
from fairlead.settings import Secret

__all__ = ["Signer"]

MIN_SECRET_BYTES: Final = 32
MIN_DISTINCT_CHARACTERS: Final = 8
"""What was typed with a finger on one key is no secret, however long."""


class Signer:
    """Signs bytes for one purpose. Raises `ConfigurationError` for missing, short or monotonous secrets (SEC-J11)."""

    def __init__(self, secrets: Secret | str | Sequence[Secret | str], purpose: str) -> None:
        given = [secrets] if isinstance(secrets, (str, Secret)) else list(secrets)
        texts = [secret.reveal() if isinstance(secret, Secret) else secret for secret in given]
        if not texts:
            raise ConfigurationError(f"the {purpose} has no secret to sign with")
        for text in texts:
            if len(text.encode()) < MIN_SECRET_BYTES or len(set(text)) < MIN_DISTINCT_CHARACTERS:
                raise ConfigurationError(
                    f"the {purpose} needs secrets of at least {MIN_SECRET_BYTES} random bytes, as from `openssl rand -base64 33`"
                )
        self._keys = [hmac.digest(text.encode(), b"fairlead:" + purpose.encode(), "sha256") for text in texts]

    def sign(self, message: bytes) -> str:
        """The signature, 43 characters of base64url."""
        return _mac(self._keys[0], message)

    def verifies(self, message: bytes, signature: str) -> bool:
        """Whether one of the keys has signed this. Takes the same time wherever two signatures differ."""
        given = signature.encode("utf-8", "replace")
        return any(hmac.compare_digest(_mac(key, message).encode(), given) for key in self._keys)


def _mac(key: bytes, message: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, message, "sha256")).decode().rstrip("=")
