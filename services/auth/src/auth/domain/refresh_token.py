"""Refresh tokens: random, opaque, known to the service by their hash only.

They are no JWTs. A refresh token is looked up at every use anyway, so a signature would add nothing, and what is not a
JWT can't be taken for an access token (SEC-J10). 256 random bits need no salt and no slow hash (SEC-T04).
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

__all__ = ["MAX_REFRESH_TOKEN_CHARACTERS", "hash_of", "new_refresh_token"]

RANDOM_BYTES: Final = 32
MAX_REFRESH_TOKEN_CHARACTERS: Final = 128


def new_refresh_token() -> str:
    """43 characters of base64url."""
    return secrets.token_urlsafe(RANDOM_BYTES)


def hash_of(token: str) -> bytes:
    """What is stored, and looked up: a database that leaks gives no token away."""
    return hashlib.sha256(token.encode()).digest()
