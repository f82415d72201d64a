"""The chunked decoder: the same body however the bytes are cut; refusals are in `server/wire_cases.py`."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import BadRequest
from fairlead.http.chunked import MAX_SIZE_LINE, MAX_TRAILERS, ChunkedDecoder


def encode(chunks: list[bytes]) -> bytes:
    """The wire form of chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX-T: 1\r\n\r\n"


def feed_all(decoder: ChunkedDecoder, pieces: list[bytes]) -> None:
    """Feed one piece after another."""
    for piece in pieces:
        decoder.feed(piece)


@given(st.lists(st.binary(min_size=1, max_size=20)), st.lists(st.integers(0, 200)), st.binary(max_size=10))
def test_any_split(chunks: list[bytes], cuts: list[int], after: bytes) -> None:
    """Cut anywhere, the pieces join to the body, and what follows the message comes back untouched."""
    data = encode(chunks) + after
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    decoder, body, rest = ChunkedDecoder(), b"", b""
    for start, end in pairwise(edges):
        if decoder.ended:
            rest += data[start:end]
            continue
        pieces, left = decoder.feed(data[start:end])
        body += b"".join(pieces)
        rest += left
    assert decoder.ended
    assert (body, rest) == (b"".join(chunks), after)


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    """Junk is refused or waited for, never accepted by accident as a crash."""
    decoder = ChunkedDecoder()
    try:
        decoder.feed(data)
    except BadRequest:
        return
    assert not decoder.ended or b"0" in data


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"1\r\nab",
        b"1\r\na\n",
        b"1\n",
        b"0\r\nX: 1\n",
        b"0\r\nX 1\r\n",
        b"0\r\nHost: a\r\n",
        b"1;" + b"a" * MAX_SIZE_LINE,
        b"1;" + b"a" * MAX_SIZE_LINE + b"\r\n",
        b"0\r\n" + b"X: 1\r\n" * (MAX_TRAILERS // 6 + 1),
        b"0\r\nX: " + b"1" * MAX_TRAILERS,
    ],
)
def test_refusals(data: bytes) -> None:
    """What two readers could understand differently is refused as soon as it can be known, whole or byte by byte."""
    for pieces in ([data], [data[position : position + 1] for position in range(len(data))]):
        decoder = ChunkedDecoder()
        with pytest.raises(BadRequest):
            feed_all(decoder, pieces)


def test_limits_are_reached() -> None:
    """A size line of the longest kind and as many trailers as allowed pass."""
    decoder = ChunkedDecoder()
    trailers = b"X: 1\r\n" * (MAX_TRAILERS // 6)
    pieces, rest = decoder.feed(b"1;" + b"a" * (MAX_SIZE_LINE - 2) + b"\r\nz\r\n0\r\n" + trailers + b"\r\nnext")
    assert (pieces, rest, decoder.ended) == ([b"z"], b"next", True)
