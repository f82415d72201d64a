"""The Authorization header (S)."""

from __future__ import annotations

import pytest

from fairlead.http.credentials import Credentials, parse_credentials


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer abc", ("bearer", "abc")),
        (" Token  abc ", ("token", "abc")),
        ('Digest username="a", realm="b"', ("digest", 'username="a", realm="b"')),
        ("abc", None),
        ("Bearer ", None),
        ("", None),
    ],
)
def test_parsing(header: str, expected: tuple[str, str] | None) -> None:
    """Scheme and the rest; None where one of them is missing."""
    assert parse_credentials(header) == expected


def test_basic() -> None:
    """User and password, the password with its colons (RFC 7617 §2)."""
    credentials = parse_credentials("Basic YWRhOnNlY3JldDpjb2xvbg==")
    assert credentials is not None
    assert (credentials.username, credentials.password) == ("ada", "secret:colon")


@pytest.mark.parametrize(
    "credentials",
    [Credentials("bearer", "abc"), Credentials("basic", "?"), Credentials("basic", "YWRh"), Credentials("basic", "/w==")],
)
def test_no_user(credentials: Credentials) -> None:
    """Other schemes, no base64, no colon, no UTF-8: there is no such attribute."""
    assert not hasattr(credentials, "username")
    assert not hasattr(credentials, "password")
