"""The chunked decoder: the same body however the bytes are cut; refusals are in `server/wire_cases.py`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import BadRequest
from fairlead.http.chunked import ChunkedDecoder


def encode(chunks: list[bytes]) -> bytes:
    """The wire form of chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX-T: 1\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=20)), st.lists(st.integers(0, 200)), st.binary(max_size=10))
def test_any_split(chunks: list[bytes], cuts: list[int], after: bytes) -> None:
    """Cut anywhere, the pieces join to the body, and what follows the message comes back untouched."""
    data = encode(chunks) + after
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    decoder, body, rest = ChunkedDecoder(), b"", b""
    for start, end in zip(edges, edges[1:], strict=False):
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
