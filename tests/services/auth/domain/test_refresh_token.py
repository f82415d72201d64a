"""Refresh tokens: random, and known by their hash."""

import hashlib

from auth.domain.refresh_token import hash_of, new_refresh_token


def test_tokens_are_random_and_url_safe() -> None:
    """SEC-T04: 256 random bits, which is 43 characters of base64url; no two alike."""
    tokens = {new_refresh_token() for _ in range(1000)}
    assert 1000 == len(tokens)
    assert {43} == {len(token) for token in tokens}
    assert all(token.replace("-", "a").replace("_", "a").isalnum() for token in tokens)


def test_hash_is_sha256() -> None:
    """SEC-T04: what is stored is the SHA-256 of the token."""
    assert hashlib.sha256(b"token").digest() == hash_of("token")
