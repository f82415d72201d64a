"""What an HTTP/2 peer may cost: floods, blocks without an end, stalls; and malformed messages (issue 3, 6)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from fairlead import App, Request, text
from fairlead.http.clock import CLOCK, CoarseClock
from fairlead.response import HTTPResponse
from fairlead.server.http2.guard import CREDIT, CREDIT_PER_S, Guard
from tests.framework.server.http2.client import Http2Client, Running, eventually, serving

CALM = int(ErrorCodes.ENHANCE_YOUR_CALM)
PROTOCOL_ERROR = int(ErrorCodes.PROTOCOL_ERROR)


def make_app(**config: Any) -> App:
    app = App("h2", config=config)

    @app.get("/")
    async def hello(request: Request) -> HTTPResponse:
        return text("hello")

    @app.post("/wait")
    async def wait(request: Request) -> HTTPResponse:
        await asyncio.Event().wait()
        return text("never")

    return app


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Running, float], None]]:
    """Let time pass for a server, with its sweep."""

    before = CLOCK.now
    now = CLOCK.now
    monkeypatch.setattr(CoarseClock, "refresh", lambda self: setattr(self, "now", now))

    def pass_time(running: Running, seconds: float) -> None:
        nonlocal now
        now += seconds
        running.sweep()

    yield pass_time
    CLOCK.now = before


# Floods


def settings_frame() -> Frame:
    return SettingsFrame(0, settings={SettingCodes.INITIAL_WINDOW_SIZE: 65535})


def window_frame() -> Frame:
    return WindowUpdateFrame(0, window_increment=1)


def priority_frame() -> Frame:
    return PriorityFrame(9, depends_on=0, stream_weight=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PingFrame(0, b"12345678"),
        settings_frame,
        window_frame,
        priority_frame,
        lambda: ExtensionFrame(type=99, stream_id=0, body=b""),
        lambda: DataFrame(1, b""),
    ],
    ids=["ping", "settings", "window", "priority", "unknown", "empty data"],
)
async def test_frames_that_ask_for_nothing(make: Callable[[], Frame]) -> None:
    """Some are well; a flood of them is told to calm down (CVE-2019-9511 and its kin)."""
    async with serving(make_app()) as running:
        client = await running.connect()
        client.open("POST", "/wait", ends=False)
        client.send_frames(*[make() for _ in range(CREDIT // 2)])
        assert (await client.get()).body == b"hello"
        client.send_frames(*[make() for _ in range(CREDIT)])
        assert await client.closed() == CALM


async def test_rapid_reset() -> None:
    """Streams that are opened and reset at once (CVE-2023-44487): the handlers of some run, then the connection ends."""
    calls = 0
    app = App("h2")

    @app.get("/")
    async def handler(request: Request) -> None:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()

    async with serving(app) as running:
        client = await running.connect()
        frames: list[Frame] = []
        for number in range(1000):
            stream_id = 2 * number + 1
            frames.append(HeadersFrame(stream_id, client.h2.encoder.encode(client.fields()), flags=["END_HEADERS", "END_STREAM"]))
            frames.append(RstStreamFrame(stream_id, error_code=8))
        client.send_frames(*frames)
        assert await client.closed() == CALM
        assert calls <= CREDIT // 10 + 1


async def test_a_request_that_is_reset_in_its_own_packet() -> None:
    """The library knows of the reset before the handler answers: the others of the connection don't notice."""
    app = make_app()

    @app.post("/expects")
    async def expects(request: Request) -> HTTPResponse:
        return text("never")

    async with serving(app) as running:
        client = await running.connect()
        for stream_id, path, more in ((1, "/", ()), (3, "/expects", (("expect", "100-continue"),))):
            block = client.h2.encoder.encode(client.fields("GET" if path == "/" else "POST", path, *more))
            flags = ["END_HEADERS", "END_STREAM"] if path == "/" else ["END_HEADERS"]
            client.send_frames(HeadersFrame(stream_id, block, flags=flags), RstStreamFrame(stream_id, error_code=8))
        client.h2.highest_outbound_stream_id = 3
        assert (await client.get()).body == b"hello"
        (connection,) = running.connections
        assert connection.streams == {}


async def test_a_peer_that_allows_a_large_table() -> None:
    """Our encoder keeps its table small, whatever the peer allows: each answer has fields that never come again."""
    async with serving(make_app()) as running:
        client = await running.connect()
        client.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 2**31 - 1, SettingCodes.MAX_FRAME_SIZE: 2**24 - 1})
        client.flush()
        for _ in range(10):
            assert (await client.get()).status == 200
        (connection,) = running.connections
        assert connection.h2.encoder.header_table_size == 4096
        assert len(connection.h2.encoder.header_table.dynamic_entries) <= 3


async def test_resets_within_reason() -> None:
    """A page that is left cancels all of its requests: that is no attack."""
    async with serving(make_app()) as running:
        client = await running.connect()
        for _ in range(90):
            client.h2.reset_stream(client.open("POST", "/wait", ends=False))
        client.flush()
        assert (await client.get()).body == b"hello"


async def test_handlers_that_outlive_their_streams() -> None:
    """A reset makes no room for another handler as long as the first one runs."""
    app = App("h2", config={"HTTP2_MAX_STREAMS": 5})
    may_end = asyncio.Event()

    @app.get("/", on_disconnect="finish")
    async def handler(request: Request) -> HTTPResponse:
        await may_end.wait()
        return text("done")

    async with serving(app) as running:
        client = await running.connect()
        for _ in range(5):
            client.h2.reset_stream(client.open())
        client.flush()
        assert (await client.get()).reset_code == ErrorCodes.REFUSED_STREAM
        may_end.set()
        (connection,) = running.connections
        await eventually(lambda: not connection.handlers)
        assert (await client.get()).body == b"done"


async def test_more_streams_than_agreed() -> None:
    """A client that opens more than MAX_CONCURRENT_STREAMS breaks the protocol."""
    async with serving(make_app(HTTP2_MAX_STREAMS=3)) as running:
        client = await running.connect()
        block = client.h2.encoder.encode(client.fields("POST", "/wait"))
        frames = [HeadersFrame(2 * number + 1, block, flags=["END_HEADERS", "END_STREAM"]) for number in range(4)]
        client.send_frames(*frames[:1])
        block = client.h2.encoder.encode(client.fields("POST", "/wait"))
        client.send_frames(*[HeadersFrame(2 * number + 1, block, flags=["END_HEADERS"]) for number in range(1, 5)])
        assert await client.closed() == PROTOCOL_ERROR


async def test_a_header_block_without_an_end() -> None:
    """CONTINUATION frames are held to the limit of the head (CVE-2024-27316), and to its time."""
    async with serving(make_app(REQUEST_MAX_HEADER_SIZE=4096)) as running:
        client = await running.connect()
        client.send_frames(HeadersFrame(1, b"\x00" * 100), *[ContinuationFrame(1, b"\x00" * 200) for _ in range(50)])
        assert await client.closed() == CALM


async def test_many_empty_continuations() -> None:
    """Even those that carry nothing."""
    async with serving(make_app()) as running:
        client = await running.connect()
        client.send_frames(HeadersFrame(1, b""), *[ContinuationFrame(1, b"") for _ in range(65)])
        assert await client.closed() in (CALM, PROTOCOL_ERROR)


async def test_a_header_block_that_stalls(passing: Callable[[Running, float], None]) -> None:
    """A block that doesn't end holds the whole connection: the header time-out."""
    async with serving(make_app(REQUEST_HEADER_TIMEOUT=5)) as running:
        client = await running.connect()
        assert (await client.get()).status == 200
        client.send_frames(HeadersFrame(3, b"\x82"))
        (connection,) = running.connections
        await eventually(lambda: bool(connection._guard.is_in_block))
        client.write(b"\x00")  # the beginning of nothing: the time goes on
        await asyncio.sleep(0.01)
        passing(running, 4)
        assert not client.is_closed
        passing(running, 2)
        assert await client.closed() == CALM


async def test_heads_that_are_too_large() -> None:
    """431 for what is somewhat too large, for its size and its number; 414 for the target; the end for a bomb."""
    app = make_app(REQUEST_MAX_HEADER_SIZE=4096, REQUEST_MAX_HEADERS=50, REQUEST_MAX_URL_SIZE=2000)
    async with serving(app) as running:
        client = await running.connect()
        assert (await client.get("/", ("x-large", "~" * 3000))).status == 200
        assert (await client.get("/", ("x-large", "\t" * 1 + "x" * 4090))).status == 431
        assert (await client.get("/", *[(f"x-{number}", "") for number in range(51)])).status == 431
        assert (await client.get("/" + "x" * 2000)).status == 414
        repeated = [("x-bomb", "x" * 1000)] * 200  # a byte each, once it is in the table
        block = client.h2.encoder.encode([*client.fields(), *repeated])
        assert len(block) < 2000
        client.send_frames(HeadersFrame(client.h2.get_next_available_stream_id(), block, flags=["END_HEADERS", "END_STREAM"]))
        assert await client.closed() == CALM


def test_guard_counts_in_pieces() -> None:
    """However the bytes are cut, the same frames are counted."""
    data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + (PingFrame(0, b"12345678").serialize() + DataFrame(1, b"xyz").serialize()) * 100
    for size in (1, 8, 9, 10, 17, 24, 33, len(data)):
        guard = Guard(1000)
        guard.credit = 500
        for at in range(0, len(data), size):
            guard.feed(data[at : at + size])
        assert guard.credit == 500 - 100 + 2 * 100  # a ping costs one, data earns two
    guard = Guard(1000)
    guard.credit = CREDIT - 1
    guard.earn(CREDIT_PER_S)
    assert guard.credit == CREDIT


# Stalls


async def test_a_reader_that_stalls(passing: Callable[[Running, float], None]) -> None:
    """A peer that opens no window is reset after the write time-out, and its handler is told; a slow one is served."""
    app = App("h2", config={"WRITE_TIMEOUT": 5})
    heard: list[type[BaseException]] = []

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        try:
            while True:
                await response.send(b"x" * 50_000)
        except BaseException as exc:
            heard.append(type(exc))
            raise

    async with serving(app) as running:
        client = await running.connect()
        client.takes_data = False
        stream_id = client.open()
        await client.until(lambda: len(client.answers[stream_id].body) == 65_535)
        passing(running, 4)
        client.h2.increment_flow_control_window(20_000)
        client.h2.increment_flow_control_window(20_000, stream_id)
        client.flush()
        await client.until(lambda: len(client.answers[stream_id].body) == 85_535)
        passing(running, 2)
        assert client.answers[stream_id].reset_code is None
        passing(running, 6)
        assert (await client.answer(stream_id)).reset_code == ErrorCodes.CANCEL
        assert [kind.__name__ for kind in heard] == ["RequestCancelled"]


async def test_a_peer_that_reads_nothing(passing: Callable[[Running, float], None]) -> None:
    """Answers to pings pile up in the transport: reading stops, and after the write time-out the connection is cut."""
    app = make_app(WRITE_TIMEOUT=5)

    @app.get("/large")
    async def large(request: Request) -> HTTPResponse:
        return HTTPResponse(b"x" * 20_000_000)

    async with serving(app) as running:
        reader, writer = await running.raw()
        client = Http2Client(asyncio.StreamReader(), writer)  # which hears nothing
        client.h2.initiate_connection()
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
        client.h2.increment_flow_control_window(2**30)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.open("GET", "/large")
        await eventually(lambda: bool(running.connections and running.connections[0]._paused))
        (connection,) = running.connections
        assert not connection.transport.is_reading()
        passing(running, 6)
        assert not connection.lost
        passing(running, 6)
        await eventually(lambda: not running.connections)
        await client.close()


async def test_time_outs(passing: Callable[[Running, float], None]) -> None:
    """Body time-out 408, response time-out 503, for their stream only; idle connections end."""
    app = make_app(REQUEST_TIMEOUT=5, RESPONSE_TIMEOUT=10, KEEP_ALIVE_TIMEOUT=20)
    failures: list[str] = []

    @app.post("/streamed", stream=True)
    async def streamed(request: Request) -> HTTPResponse:
        try:
            await request.receive_body()
        except Exception as exc:
            failures.append(type(exc).__name__)
            raise
        return text("never")

    @app.get("/ignores")
    async def ignores(request: Request) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                failures.append("cancelled")
                if len(failures) > 3:
                    raise

    async with serving(app) as running:
        client = await running.connect()
        stalled = client.open("POST", "/wait", ends=False)
        streamed_id = client.open("POST", "/streamed", ends=False)
        waiting = client.open("POST", "/wait")
        ignoring = client.open("GET", "/ignores")
        assert (await client.get()).status == 200
        passing(running, 6)
        assert (await client.answer(stalled)).status == 408
        assert (await client.answer(streamed_id)).status == 408
        passing(running, 5)
        assert (await client.answer(waiting)).status == 503
        passing(running, 11)
        assert (await client.answer(ignoring)).reset_code == ErrorCodes.INTERNAL_ERROR
        assert (await client.get()).status == 200
        assert failures[:2] == ["RequestTimeout", "cancelled"]
        for task in asyncio.all_tasks():  # the handler that ignores its cancellation: again
            if "ignores" in repr(task.get_coro()):
                task.cancel()
        for connection in running.connections:
            for stream in list(connection.streams.values()):
                assert stream._task is not None
                for _ in range(3):
                    stream._task.cancel()
                    await asyncio.sleep(0)
        passing(running, 21)
        assert await client.closed() == ErrorCodes.NO_ERROR


async def test_a_body_that_drips(passing: Callable[[Running, float], None]) -> None:
    """A streamed body that comes, but more slowly than `REQUEST_MIN_RATE` allows: 408."""
    app = App("h2", config={"REQUEST_TIMEOUT": 60})

    @app.post("/", stream=True)
    async def streamed(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text("never")

    async with serving(app) as running:
        client = await running.connect()
        stream_id = client.open("POST", ends=False)
        for _ in range(4):
            client.send(stream_id, b"x")
            await asyncio.sleep(0.005)
            passing(running, 2)
        assert (await client.answer(stream_id)).status == 408


async def test_bodies_that_may_take_their_time(passing: Callable[[Running, float], None]) -> None:
    """A route without a body time-out, and a handler that is behind with its reading, end no upload."""
    app = App("h2", config={"REQUEST_TIMEOUT": 5, "RESPONSE_TIMEOUT": 1000})
    may_read = asyncio.Event()

    @app.post("/talk", stream=True, body_timeout_s=0)
    async def talk(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text(str(len(request.body)))

    @app.post("/behind", stream=True)
    async def behind(request: Request) -> HTTPResponse:
        await may_read.wait()
        await request.receive_body()
        return text(str(len(request.body)))

    async with serving(app) as running:
        client = await running.connect()
        talking, waiting = client.open("POST", "/talk", ends=False), client.open("POST", "/behind", ends=False)
        client.send(talking, b"x")
        for _ in range(3):
            client.send(waiting, b"x" * 16_000)
        await eventually(lambda: running.connections and waiting in running.connections[0].streams)
        inflow = running.connections[0].streams[waiting].inflow
        assert inflow is not None
        await eventually(lambda: not inflow.is_wanted)
        passing(running, 100)
        may_read.set()
        await eventually(lambda: inflow.is_wanted)
        for stream_id, size in ((talking, b"1"), (waiting, b"48000")):
            client.send(stream_id, b"", ends=True)
            assert (await client.answer(stream_id)).body == size


async def test_silence(passing: Callable[[Running, float], None]) -> None:
    """Who says nothing, a part of the preface, or nothing after it, is let go of."""
    async with serving(make_app()) as running:
        silent, partial = await running.raw(), await running.raw()
        partial[1].write(b"PRI * HTTP")
        client = await running.connect()
        server = running.server._server
        assert server is not None
        await eventually(lambda: len(running.connections) == 1 and server.open_connections == 3)
        passing(running, 11)
        assert await client.closed() == ErrorCodes.NO_ERROR
        for reader, writer in (silent, partial):
            assert await reader.read() == b""
            writer.close()


async def test_connection_limit() -> None:
    """A connection too many is told so."""
    async with serving(make_app(MAX_CONNECTIONS=1)) as running:
        first = await running.connect()
        assert (await first.get()).status == 200
        assert await (await running.connect()).closed() == CALM


# Malformed


@pytest.mark.parametrize(
    "fields",
    [
        [(":method", "GET"), (":scheme", "http"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a")],
        [(":method", "GET"), (":authority", "a"), (":path", "/")],
        [(":scheme", "http"), (":authority", "a"), (":path", "/")],
        [(":method", "GET"), (":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), (":unknown", "x")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), ("x", "y"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("host", "b")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("connection", "close")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("transfer-encoding", "chunked")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("keep-alive", "1")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("proxy-connection", "1")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("upgrade", "h2c")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("te", "gzip")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("X-Upper", "x")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("content-length", "5")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x y", "z")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x", "a\r\nb: c")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("x", "a\x00b")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("content-length", "+0")],
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/"),
            ("content-length", "0"),
            ("content-length", "0"),
        ],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a b"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "user@a"), (":path", "/")],
        [(":method", "GET"), (":scheme", "ftp"), (":authority", "a"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "no-slash")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "http://a/")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a#b")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a b")],
        [(":method", "G T"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
        [(":method", "CONNECT"), (":authority", "a:443")],
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "*")],
    ],
)
async def test_malformed_requests(fields: list[tuple[str, str]]) -> None:
    """Refused with 400, or by the end of the connection where the protocol itself is broken; never handled."""
    calls = 0
    app = App("h2")

    @app.on_request
    async def note(request: Request) -> None:
        nonlocal calls
        calls += 1

    async with serving(app) as running:
        client = await running.connect(validates=False)
        client.h2.send_headers(client.h2.get_next_available_stream_id(), fields, end_stream=True)
        client.flush()
        await eventually(lambda: client.answers[1].has_ended or client.is_closed)
        assert client.answers[1].status == 400 or client.goaways[-1].error_code == PROTOCOL_ERROR
    assert calls == 0


async def test_bodies_that_are_not_as_long_as_they_say() -> None:
    """Content-Length and DATA that differ end the connection (RFC 9113 §8.1.1)."""
    async with serving(make_app()) as running:
        for length, sent in (("3", b"12345"), ("10", b"12345")):
            client = await running.connect()
            stream_id = client.open("POST", "/wait", ("content-length", length), ends=False)
            client.send(stream_id, sent, ends=True)
            assert await client.closed() == PROTOCOL_ERROR


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",  # data of the connection itself
        DataFrame(1, b"x").serialize(),
        HeadersFrame(2, b"\x82", flags=["END_HEADERS"]).serialize(),
        ContinuationFrame(1, b"x").serialize(),
        b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",  # a window update by 0
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",  # a frame of 16 MiB
        HeadersFrame(1, b"\xff\xff\xff\xff\xff", flags=["END_HEADERS"]).serialize(),
    ],
)
async def test_frames_against_the_rules(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The connection ends with the error's code, without a traceback."""
    with caplog.at_level(logging.WARNING):
        async with serving(make_app()) as running:
            client = await running.connect()
            client.write(data)
            assert await client.closed() not in (None, 0)
    assert not caplog.records


async def test_other_protocols() -> None:
    """HTTP/1.1 is spoken as ever, on the same port; what begins like the preface and isn't it is malformed HTTP/1.1."""
    async with serving(make_app()) as running:
        for request, status in (
            (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 OK"),
            (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"HTTP/1.1 "),
            (b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n", b"HTTP/1.1 "),
        ):
            reader, writer = await running.raw()
            for at in range(0, len(request), 7):
                writer.write(request[at : at + 7])
                await asyncio.sleep(0.001)
            assert (await reader.readline()).startswith(status)
            writer.close()
        assert running.connections == []
