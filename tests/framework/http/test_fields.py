"""The fields of a response as pairs, and the length that a streamed body is held to."""

from __future__ import annotations

import pytest

from fairlead.errors import ServerError
from fairlead.http.fields import BodyLength, response_fields, whole_length
from fairlead.http.headers import Headers


def test_fields() -> None:
    """Type and length first, several values as several fields, surrounding spaces gone, the request's id last."""
    headers = Headers([("X-One", " 1 "), ("set-cookie", "a=1"), ("set-cookie", "b=2")])
    assert response_fields(200, "text/plain", headers, 5, "id-1") == [
        (b"content-type", b"text/plain"),
        (b"content-length", b"5"),
        (b"x-one", b"1"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-request-id", b"id-1"),
    ]


def test_what_the_protocol_says_itself() -> None:
    """Framing, date and fields of a connection are left out, and a type that is among the headers wins."""
    own = (
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
    headers = Headers([*((name, "x") for name in own), ("content-type", "text/html")])
    assert response_fields(200, "text/plain", headers, None) == [(b"content-type", b"text/html")]
    assert response_fields(204, None, None, 0) == []
    assert response_fields(304, None, None, 10) == []


@pytest.mark.parametrize(
    ("status", "content_type", "headers"),
    [
        (101, None, {}),
        (1000, None, {}),
        (200, "text/plain\r\nx: y", {}),
        (200, None, {"x": "a\r\nb: c"}),
        (200, None, {"x y": "z"}),
        (200, None, {"x": "\u20ac"}),
    ],
)
def test_fields_that_can_not_be_sent(status: int, content_type: str | None, headers: dict[str, str]) -> None:
    """ValueError, before anything is written (CWE-113)."""
    with pytest.raises(ValueError, match=r"status|header|control character"):
        response_fields(status, content_type, Headers(headers), None)


def test_body_length() -> None:
    """Neither longer nor shorter than declared; undeclared is any length."""
    free = BodyLength(None)
    free.take(10**9)
    free.end()
    assert free.declared is None
    held = BodyLength(Headers({"content-length": "3"}))
    held.take(2)
    with pytest.raises(ServerError):
        held.end()
    held.take(1)
    held.end()
    with pytest.raises(ServerError):
        held.take(1)
    for text in ("three", "-1", "+1", "²"):
        with pytest.raises(ServerError):
            BodyLength(Headers({"content-length": text}))


def test_whole_length() -> None:
    """A body's own, but for HEAD, which may declare what GET would send."""
    declared = Headers({"content-length": "9"})
    assert whole_length(None, b"abc", head_only=True) == 3
    assert whole_length(declared, b"abc", head_only=False) == 3
    assert whole_length(declared, b"", head_only=True) == 9
    assert whole_length(Headers({"content-length": "x"}), b"", head_only=True) == 0
