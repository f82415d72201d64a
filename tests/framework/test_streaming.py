"""Bodies in pieces: bounded in memory, and each end hears of the other's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead import HTTPResponse
from fairlead.errors import PayloadTooLarge, RequestCancelled, ServerError
from fairlead.streaming import RequestStream, ResponseStream


async def turn() -> None:
    """Let the loop turn."""
    await asyncio.sleep(0)


# A request's body


async def collect(stream: RequestStream) -> list[bytes]:
    """All pieces."""
    return [piece async for piece in stream]


@given(st.lists(st.binary(min_size=1, max_size=5)), st.integers(0, 10))
def test_pieces_arrive_in_order(pieces: list[bytes], before: int) -> None:
    """Whatever was fed before or while it is read comes out, once and in order; then the end, again and again."""

    async def run() -> None:
        stream = RequestStream(limit=1000)
        for piece in pieces[:before]:
            stream.feed(piece)
        reading = asyncio.ensure_future(collect(stream))
        await turn()
        for piece in pieces[before:]:
            stream.feed(piece)
            await turn()
        stream.end()
        assert stream.ended
        assert await reading == pieces
        assert await stream.read() is None
        assert await stream.read() is None

    asyncio.run(run())


async def test_complete_body() -> None:
    """A body that is whole already has ended from the beginning; an empty one has no piece."""
    assert await collect(RequestStream(limit=10, complete=b"whole")) == [b"whole"]
    assert await collect(RequestStream(limit=10, complete=b"")) == []
    assert RequestStream(limit=10, complete=b"").ended


async def test_back_pressure() -> None:
    """Past the high-water mark `feed` says stop; a reader that has nothing left asks for more."""
    asked: list[int] = []
    stream = RequestStream(limit=1000, high_water=10, resume=lambda: asked.append(1))
    assert [stream.feed(b"12345"), stream.feed(b"6789"), stream.feed(b"0")] == [True, True, False]
    assert await stream.read() == b"12345"
    assert stream.feed(b"x")
    assert asked == []
    for _ in range(3):
        await stream.read()
    reading = asyncio.ensure_future(stream.read())
    await turn()
    assert asked == [1]
    stream.end()
    assert await reading is None


async def test_limit() -> None:
    """The byte past the limit is 413, for the connection and for the reader, after what came before it."""
    stream = RequestStream(limit=5)
    stream.feed(b"12345")
    with pytest.raises(PayloadTooLarge):
        stream.feed(b"6")
    assert await stream.read() == b"12345"
    for _ in range(2):
        with pytest.raises(PayloadTooLarge):
            await stream.read()


async def test_failure_after_the_end_is_none() -> None:
    """A body that is whole stays so, whatever becomes of the connection."""
    stream = RequestStream(limit=5)
    stream.feed(b"1")
    stream.end()
    stream.fail(RequestCancelled())
    assert await collect(stream) == [b"1"]


async def test_client_that_leaves() -> None:
    """A reader that waits hears that its client is gone, also when its task is cancelled in the same moment."""
    stream = RequestStream(limit=5)
    reading = asyncio.ensure_future(stream.read())
    await turn()
    stream.fail(RequestCancelled("gone"))
    reading.cancel()
    with pytest.raises(RequestCancelled, match="gone"):
        await reading


async def test_cancelled_reader() -> None:
    """A reader that is cancelled for another reason is cancelled, and the next one goes on."""
    stream = RequestStream(limit=5)
    reading = asyncio.ensure_future(stream.read())
    await turn()
    reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled()
    stream.feed(b"1")
    assert await stream.read() == b"1"


async def test_one_reader_at_a_time() -> None:
    """A second reader is an error: one of the two would never have been woken."""
    stream = RequestStream(limit=5)
    reading = asyncio.ensure_future(stream.read())
    await turn()
    with pytest.raises(RuntimeError, match="already"):
        await stream.read()
    stream.feed(b"1")
    stream.feed(b"2")  # the waiter is woken once
    assert await reading == b"1"


# A response's body


class Sink:
    """The connection's side: what was sent, and in which order."""

    def __init__(self, *, fails: str = "") -> None:
        self.sent: list[Any] = []
        self._fails = fails
        self.bytes_sent = 0

    def _note(self, what: str, data: Any) -> None:
        if what == self._fails:
            raise ValueError(what)
        self.sent.append(data)

    def write_head(self, response: HTTPResponse) -> None:
        """The head."""
        self._note("head", response.status)

    def write_chunk(self, data: bytes) -> None:
        """A piece."""
        self._note("chunk", data)
        self.bytes_sent += len(data)

    def end_body(self) -> None:
        """The end."""
        self._note("end", "end")

    async def drain(self) -> None:
        """The wait for the reader."""
        self.sent.append("drain")


async def test_stream() -> None:
    """The head goes with the first piece, each piece waits for its reader, the end comes once; bytes are counted."""
    sink = Sink()
    stream = ResponseStream(sink, HTTPResponse(status=201, headers={"a": "1"}, content_type="a/b"))
    assert (stream.status, stream.headers["a"], stream.content_type) == (201, "1", "a/b")
    assert (stream.head_sent, sink.sent) == (False, [])
    await stream.send("ü")
    await stream.send(b"x")
    await stream.send(bytearray(b"y"))  # type: ignore[arg-type]
    await stream.eof()
    await stream.eof()
    assert sink.sent == [201, "ü".encode(), "drain", b"x", "drain", b"y", "drain", "end", "drain"]
    assert (stream.bytes_sent, stream.ended, stream.head_sent) == (4, True, True)


async def test_cookies_of_a_stream() -> None:
    """S: set as on any response until the head is sent; afterwards refused, rather than lost."""
    stream = ResponseStream(Sink(), HTTPResponse())
    stream.add_cookie("a", "1", httponly=True)
    stream.delete_cookie("b")
    assert [line.partition(";")[0] for line in stream.headers.getall("set-cookie")] == ["a=1", "b="]
    assert stream.cookies.has_cookie("a")
    await stream.send("x")
    for late in (lambda: stream.add_cookie("c", "1"), lambda: stream.delete_cookie("a")):
        with pytest.raises(RuntimeError, match="before the first piece"):
            late()


async def test_pieces_that_are_empty() -> None:
    """An empty piece sends the head, and never the empty chunk that would end the body."""
    sink = Sink()
    stream = ResponseStream(sink, HTTPResponse())
    await stream.send()
    await stream.send("")
    await stream.send(b"last", end_stream=True)
    assert sink.sent == [200, "drain", "drain", b"last", "end", "drain"]


async def test_nothing_after_the_end() -> None:
    """Sending after the end is an error of the application."""
    stream = ResponseStream(Sink(), HTTPResponse())
    await stream.eof()
    with pytest.raises(ServerError):
        await stream.send("more")


async def test_head_or_end_that_fails() -> None:
    """A head that can't be sent was not sent, an end that fails did not happen: so the failure can be answered, or cut."""
    stream = ResponseStream(Sink(fails="head"), HTTPResponse())
    with pytest.raises(ValueError, match="head"):
        await stream.send("x")
    assert not stream.head_sent
    stream = ResponseStream(Sink(fails="end"), HTTPResponse())
    with pytest.raises(ValueError, match="end"):
        await stream.eof()
    assert (stream.head_sent, stream.ended) == (True, False)
