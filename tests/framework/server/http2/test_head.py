"""From fields to a head: what the library leaves to be checked."""

from __future__ import annotations

import pytest

from fairlead.errors import FairleadException
from fairlead.http.limits import Limits
from fairlead.server.http2.head import read_head

LINE = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/a?b")]


def test_a_head() -> None:
    """Method and target, the authority as Host, cookies as one field, the body's length."""
    fields = [
        *LINE,
        (b":authority", b"a:1"),
        (b"host", b"a:1"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"content-length", b"5"),
    ]
    method, target, head = read_head(fields, Limits(), has_body=True)
    assert (method, target, head.length, head.version) == (b"GET", b"/a?b", 5, "2")
    assert head.fields() == [(b"host", b"a:1"), (b"content-length", b"5"), (b"cookie", b"a=1; b=2")]


def test_host_without_authority() -> None:
    """A Host field does as well (RFC 9113 §8.3.1)."""
    assert read_head([*LINE, (b"host", b"a")], Limits(), has_body=False)[2].fields() == [(b"host", b"a")]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (LINE, 400),
        ([*LINE, (b"host", b"a"), (b"host", b"a")], 400),
        ([*LINE, (b"host", b"a/b")], 400),
        ([*LINE, (b"host", b"a"), (b"x", b"a\nb")], 400),
        ([*LINE, (b"host", b"a"), (b"x y", b"z")], 400),
        ([*LINE, (b"host", b"a"), (b"content-length", b"5")], 400),
        ([*LINE, (b"host", b"a"), (b"content-length", b"0"), (b"content-length", b"0")], 400),
        ([*LINE, (b"host", b"a"), (b"content-length", b"-1")], 400),
        ([*LINE, (b"host", b"a"), (b"expect", b"100-continue"), (b"expect", b"100-continue")], 417),
        ([*LINE[:2], (b":path", b"/" * 9000), (b"host", b"a")], 414),
        ([*LINE, (b"host", b"a"), (b"x", b"y" * 20_000)], 431),
        ([*LINE, *[(b"host", b"a")] * 101], 431),
    ],
)
def test_heads_that_are_refused(fields: list[tuple[bytes, bytes]], status: int) -> None:
    """With the status that HTTP/1.1 would give."""
    with pytest.raises(FairleadException) as refused:
        read_head(fields, Limits(), has_body=False)
    assert refused.value.status_code == status
