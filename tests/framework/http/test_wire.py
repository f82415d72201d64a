"""The head of a response: framing that is the server's own, and fields that stay within their lines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.http.clock import CLOCK
from fairlead.http.headers import Headers
from fairlead.http.status import has_no_body
from fairlead.http.wire import OK_HEADS, _OkHeads, encode_head


def lines_of(*arguments: Any, **options: Any) -> list[str]:
    """The lines of a head without its date, which must be there once."""
    head = encode_head(*arguments, **options)
    assert head.endswith(b"\r\n\r\n")
    assert head.count(CLOCK.date_line) == 1
    return head.replace(CLOCK.date_line, b"").decode("latin-1").split("\r\n")[:-2]


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        ((200, "text/plain", None, 3), {}, ["HTTP/1.1 200 OK", "content-type: text/plain", "content-length: 3"]),
        ((200, None, None, None), {}, ["HTTP/1.1 200 OK", "transfer-encoding: chunked"]),
        ((200, None, None, None), {"http_1_0": True}, ["HTTP/1.1 200 OK", "connection: keep-alive"]),
        ((200, None, None, None), {"http_1_0": True, "keep_alive": False}, ["HTTP/1.1 200 OK", "connection: close"]),
        ((204, "text/plain", None, 0), {}, ["HTTP/1.1 204 No Content", "content-type: text/plain"]),
        ((304, None, None, None), {}, ["HTTP/1.1 304 Not Modified"]),
        ((799, None, None, 0), {"extra": b"x-request-id: 1\r\n"}, ["HTTP/1.1 799 ", "content-length: 0", "x-request-id: 1"]),
        (
            (200, "text/plain", Headers([("Content-Type", "a/b"), ("X", "1"), ("x", "2")]), 0),
            {},
            ["HTTP/1.1 200 OK", "content-length: 0", "content-type: a/b", "x: 1", "x: 2"],
        ),
    ],
)
def test_heads(arguments: tuple[Any, ...], options: dict[str, Any], expected: list[str]) -> None:
    """Status, type, one framing, the fields, and what becomes of the connection."""
    assert lines_of(*arguments, **{"keep_alive": True, **options}) == expected


@given(st.sampled_from(["Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding", "Date"]), st.booleans())
def test_framing_fields_of_the_application_are_left_out(name: str, chunked: bool) -> None:
    """Framing and connection belong to the server: two words on where a message ends are request smuggling's other half."""
    lines = lines_of(200, None, Headers({name: "5", "x": "1"}), None if chunked else 3, keep_alive=True)
    assert lines == ["HTTP/1.1 200 OK", "transfer-encoding: chunked" if chunked else "content-length: 3", "x: 1"]


@pytest.mark.parametrize("status", [0, 99, 100, 101, 103, 199, 1000, -200])
def test_statuses_that_end_no_exchange(status: int) -> None:
    """An informational status is no answer, and what is no number of three digits no status line (RFC 9110 §15)."""
    with pytest.raises(ValueError, match="status"):
        encode_head(status, None, None, 0, keep_alive=True)


@given(st.text(max_size=8), st.text(max_size=8))
def test_no_field_breaks_out_of_its_line(name: str, value: str) -> None:
    """Whatever an application sets, a head has as many lines as fields, or is refused (CWE-113)."""
    try:
        lines = lines_of(200, value, Headers({name: value}), 0, keep_alive=True)
    except ValueError:
        return
    assert 3 <= len(lines) <= 4


def test_ready_made_heads_are_bounded() -> None:
    """An application that invents content types can't grow the memory of ready-made heads for ever."""
    heads = _OkHeads()
    for number in range(300):
        assert heads[f"text/x-{number}"].endswith(f"text/x-{number}\r\ncontent-length: ".encode())
    assert len(heads) == 256
    assert OK_HEADS[None] == b"HTTP/1.1 200 OK\r\ncontent-length: "
    with pytest.raises(ValueError, match="content-type"):
        heads["a\r\nb"]


def test_statuses_without_a_body() -> None:
    """1xx, 204 and 304 end with their head (RFC 9112 §6.3)."""
    assert [status for status in (100, 199, 200, 204, 205, 304, 404) if has_no_body(status)] == [100, 199, 204, 304]
