"""The connection in memory behaves as a socket does."""

from __future__ import annotations

import asyncio

import pytest

from fairlead.testing.transport import HIGH_WATER_BYTES, MemoryTransport, connect


class Recorder(asyncio.Protocol):
    """Writes down what its transport tells it."""

    def __init__(self, *, keeps_half_open: bool = False) -> None:
        self.events: list[object] = []
        self.lost = asyncio.Event()
        self._keeps_half_open = keeps_half_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self._keeps_half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(type(exc) if exc is not None else "lost")
        self.lost.set()

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


class Pair:
    """Two joined recorders."""

    def __init__(self, *, keeps_half_open: bool = False) -> None:
        self.client, self.server = Recorder(), Recorder(keeps_half_open=keeps_half_open)
        self.near, self.far = connect(self.client, self.server)


async def turns(count: int = 5) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_data_goes_both_ways_in_order() -> None:
    """What is written on one end arrives on the other, in a later turn of the loop; writes of one turn may be joined."""
    pair = Pair()
    pair.near.write(b"one")
    pair.near.write(bytearray(b"two"))
    pair.far.write(memoryview(b"three"))
    pair.near.write(b"")
    assert pair.server.events == ["made"]
    await turns()
    assert pair.server.events == ["made", b"onetwo"]
    assert pair.client.events == ["made", b"three"]


async def test_reads_can_be_made_small() -> None:
    """With `read_bytes` 1 everything arrives byte by byte."""
    pair = Pair()
    pair.far.read_bytes = 1
    pair.near.write(b"abc")
    pair.near.close()
    await pair.server.lost.wait()
    assert pair.server.events == ["made", b"a", b"b", b"c", "eof", "lost"]


async def test_close_delivers_what_was_written() -> None:
    """A close ends both sides, after the data; the second close and later writes are nothing."""
    pair = Pair()
    pair.near.write(b"last words")
    pair.near.close()
    pair.near.close()
    pair.near.write(b"too late")
    assert pair.near.is_closing()
    await pair.server.lost.wait()
    await turns()
    assert pair.server.events == ["made", b"last words", "eof", "lost"]
    assert pair.client.events == ["made", "lost"]


async def test_half_close() -> None:
    """After write_eof the other direction stays open, when the other end wants that."""
    pair = Pair(keeps_half_open=True)
    pair.near.write(b"question")
    pair.near.write_eof()
    with pytest.raises(RuntimeError, match="write_eof"):
        pair.near.write(b"more")
    await turns()
    assert pair.server.events == ["made", b"question", "eof"]
    pair.far.write(b"answer")
    pair.far.close()
    await pair.client.lost.wait()
    assert pair.client.events == ["made", b"answer", "eof", "lost"]


async def test_abort_forgets_what_was_written() -> None:
    """An abort is a broken connection for the other end."""
    pair = Pair()
    pair.near.write(b"never seen")
    pair.near.abort()
    await turns()
    assert pair.server.events == ["made", ConnectionResetError]
    assert pair.client.events == ["made", "lost"]


async def test_writing_to_an_end_that_is_gone() -> None:
    """Who writes to a peer that has closed learns of it as a reset, as on a socket."""
    pair = Pair(keeps_half_open=True)
    pair.near.close()
    await turns()
    pair.far.write(b"hello?")
    await turns()
    assert pair.server.events == ["made", "eof", ConnectionResetError]


async def test_back_pressure() -> None:
    """A reader that pauses stops the writer past the high-water mark, and lets it go on when it reads again."""
    pair = Pair()
    pair.far.pause_reading()
    assert not pair.far.is_reading()
    pair.near.write(b"x" * HIGH_WATER_BYTES)
    assert pair.client.events == ["made"]
    pair.near.write(b"y")
    assert pair.client.events == ["made", "pause"]
    pair.near.write_eof()
    await turns()
    assert pair.server.events == ["made"]
    assert pair.near.get_write_buffer_size() == HIGH_WATER_BYTES + 1
    pair.far.resume_reading()
    await turns()
    assert pair.server.events == ["made", b"x" * HIGH_WATER_BYTES + b"y", "eof", "lost"]
    assert pair.client.events[:3] == ["made", "pause", "resume"]


async def test_end_of_stream_waits_for_the_reader() -> None:
    """An end that has paused hears the end of the stream when it reads again; the other one is gone by then."""
    pair = Pair()
    pair.far.pause_reading()
    pair.near.close()
    await turns()
    assert pair.client.events == ["made", "lost"]
    assert pair.server.events == ["made"]
    pair.far.resume_reading()
    await turns()
    assert pair.server.events == ["made", "eof", "lost"]


async def test_what_is_under_way_to_a_closing_end_is_dropped() -> None:
    """An end that has closed hears nothing any more, data that was on its way included."""
    pair = Pair()
    pair.near.write(b"question")
    pair.far.close()
    await turns()
    assert pair.server.events == ["made", "lost"]
    assert pair.client.events == ["made", "eof", "lost"]


async def test_addresses_protocols_and_tls() -> None:
    """The extra information is a socket's; pretended TLS has no half-close."""
    pair = Pair()
    assert pair.far.get_extra_info("peername") == pair.near.get_extra_info("sockname")
    assert pair.far.get_extra_info("sslcontext") is None
    assert pair.near.can_write_eof()
    pair.near.pretend_tls()
    assert pair.far.get_extra_info("sslcontext") is not None
    assert not pair.near.can_write_eof()
    other = Recorder()
    pair.far.set_protocol(other)
    assert isinstance(pair.far, MemoryTransport)
    assert pair.far.get_protocol() is other
