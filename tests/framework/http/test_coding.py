"""Accept-Encoding (RFC 9110 §12.5.3): qualities, stars, and what makes no sense."""

from __future__ import annotations

import pytest

from fairlead.http.coding import choose_coding, parse_accept_encoding


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "br"),
        ("gzip;q=0.5, br;q=0.6", "br"),
        ("gzip;q=0.501, br;q=0.5", "gzip"),
        ("*", "zstd"),
        ("*;q=0.5, zstd;q=0", "br"),
        ("*;q=0", "identity"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.0, br;q=0.000", "identity"),
        ("identity", "identity"),
        ("identity;q=1, gzip;q=0.5", "identity"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0", "identity"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("compress, deflate", "identity"),
        (" gzip ; q=0.9 ", "gzip"),
        ("gzip;Q=0.9", "gzip"),
        ("gzip;level=9;q=0.3", "gzip"),
        ("gzip;q=0, gzip;q=1", "identity"),
        ("gzip;q=2", "identity"),
        ("gzip;q=-1", "identity"),
        ("gzip;q=nan", "identity"),
        ("gzip;q=1e-1", "identity"),
        ("gzip;q=0.1234", "identity"),
        ("gzip;q=0.¹", "identity"),
        ("gzip;q=", "identity"),
        ("gzip;q", "identity"),
        (";q=1,,;", "identity"),
        ("gzip\x00", "identity"),
        ("a," * 10_000 + "gzip", "identity"),
    ],
)
def test_choice(value: str | None, chosen: str) -> None:
    """What the client likes best; of equals what the server prefers."""
    assert choose_coding(value, ("zstd", "br", "gzip")) == chosen


def test_nothing_to_choose_from() -> None:
    """A server without codings sends the body as it is."""
    assert choose_coding("gzip, *", ()) == "identity"


def test_qualities() -> None:
    """Elements that make no sense are passed over, the first of equals counts."""
    assert parse_accept_encoding("br;q=0.5, gzip, x-gzip;q=0, ;q=1, zstd;q=x") == {"br": 0.5, "gzip": 1.0}
