"""Reading one body: the same bytes however they are cut, never more than the limit, and what follows stays untouched."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import BadRequest, PayloadTooLarge, RequestCancelled
from fairlead.http.head import Head
from fairlead.server.body import BodyReader
from fairlead.streaming import RequestStream


def head_of(length: int | None) -> Head:
    """A head that announces a length, or chunks."""
    head = Head(length=length or 0)
    head.chunked = length is None
    return head


def encode(body: bytes, size: int) -> bytes:
    """A body in chunks of a size."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@given(st.binary(min_size=1, max_size=60), st.binary(max_size=5), st.lists(st.integers(0, 200)), st.booleans(), st.integers(1, 9))
def test_any_split(body: bytes, after: bytes, cuts: list[int], chunked: bool, size: int) -> None:
    """By length or in chunks, cut anywhere: the body is whole, and the bytes behind it come back."""
    data = (encode(body, size) if chunked else body) + after
    reader = BodyReader(head_of(None if chunked else len(body)), limit=60)
    rest = b""
    for start, end in pairwise(sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})):
        if reader.ended:
            rest += data[start:end]
        else:
            wants_more, left = reader.feed(data[start:end])
            assert wants_more
            rest += left
    assert reader.ended
    assert (reader.collected(), rest) == (body, after)


@pytest.mark.parametrize("chunked", [False, True])
def test_limit(chunked: bool) -> None:
    """As many bytes as allowed pass, one more does not, and is not kept."""
    for size in (5, 6):
        body = b"x" * size
        reader = BodyReader(head_of(None if chunked else size), limit=5)
        if size == 5:
            reader.feed(encode(body, 2) if chunked else body)
            assert reader.collected() == body
        else:
            with pytest.raises(PayloadTooLarge):
                reader.feed(encode(body, 2) if chunked else body)


def test_tiny_pieces_are_joined() -> None:
    """A body that drips in costs its bytes, not an object for each of them."""
    reader = BodyReader(head_of(5000), limit=5000)
    for _ in range(5000):
        reader.feed(b"x")
    assert reader.ended
    assert len(reader._pieces) < 1100
    assert reader.collected() == b"x" * 5000


async def test_into_a_stream() -> None:
    """With a stream the pieces go there at once; a full one asks for a pause, except behind the last piece."""
    reader = BodyReader(head_of(6), limit=6)
    reader.stream = stream = RequestStream(limit=6, high_water=2)
    assert reader.feed(b"ab") == (False, b"")
    assert await stream.read() == b"ab"
    assert reader.feed(b"cdefnext") == (True, b"next")
    assert [await stream.read(), await stream.read()] == [b"cdef", None]


async def test_failures_of_a_stream() -> None:
    """What a stream can't take raises; that no more will come is told to its reader."""
    reader = BodyReader(head_of(None), limit=6)
    reader.stream = RequestStream(limit=6)
    with pytest.raises(BadRequest):
        reader.feed(b"x\r\n")
    reader.fail(RequestCancelled("gone"))
    with pytest.raises(RequestCancelled):
        await reader.stream.read()
    BodyReader(head_of(1), limit=1).fail(RequestCancelled("nobody reads"))
