"""fairlead.telemetry.masking: secrets stay out of logs."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.telemetry.masking import is_secret_name, is_suspicious, mask_tokens

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "old_password",
        "X-Api-Key",
        "apiKey",
        "refresh_token",
        "Set-Cookie",
        "client-secret",
        "Authorization",
    ],
)
def test_names_of_secrets(name: str) -> None:
    """Whatever its spelling, a field of such a name is a secret."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["path", "sku", "author", "passenger", "keyset", "status"])
def test_other_names(name: str) -> None:
    """Ordinary fields are shown."""
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"refused {JWT} for alice", "refused *** for alice"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("sent bearer 0123456789", "sent bearer ***"),
        ("BEARER\t0123456789", "BEARER\t***"),
        ("{'authorization': 'Basic dXNlcjpwYXNz', 'host': 'a'}", "{'authorization': '***', 'host': 'a'}"),
        ("(b'cookie', b'session=abc; theme=dark')", "(b'cookie', b'***')"),
        ("postgresql://app:s3cr3t@db:5432/x", "postgresql://app:***@db:5432/x"),
        ("redis://:s3cr3t@cache/0", "redis://:***@cache/0"),
        ("/reset?token=abc&next=/home", "/reset?token=***&next=/home"),
        ("dsn: host=db password=hunter2 user=app", "dsn: host=db password=*** user=app"),
        ("access_token=abc", "access_token=***"),
    ],
)
def test_what_looks_like_a_credential(text: str, expected: str) -> None:
    """Tokens are masked wherever they stand, and the words around them stay."""
    assert mask_tokens(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "invalid token: expired",
        "see https://example.com/a:b@c",
        "a = b",
        "the bearer of this",
        "eyJ is no token",
        "cookies are stale",
        "http://example.com:8080/path",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Words about credentials are no credentials."""
    assert mask_tokens(text) == text


@settings(deadline=None)
@given(st.text(alphabet="=:/@eyJ.Bbearer cookieToken0\"'\\ ", max_size=60))
def test_the_quick_look_misses_nothing(text: str) -> None:
    """A text that is not suspicious has nothing to mask."""
    if mask_tokens(text) != text:
        assert is_suspicious(text)


@pytest.mark.parametrize(
    "text",
    [
        "=" + "password" * 2_500,
        "eyJ" * 6_000 + "=",
        "://a:" * 4_000,
        "authorization:" + "a" * 16_000,
        "bearer " * 3_000,
        "=" + "a" * 16_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    """Masking is linear: an attacker who chooses what is logged can't stop the loop (ReDoS). CPU time, with a wide margin."""
    before = time.thread_time()
    mask_tokens(text)
    assert time.thread_time() - before < 1.0
