"""Every limit of a connection, at and past it. Time is a clock that the test sets; the sweep is called by hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fairlead import App, Request, text
from fairlead.errors import WebsocketClosed
from fairlead.http.clock import CLOCK, CoarseClock
from fairlead.http.limits import Limits
from fairlead.server.admission import Admission
from fairlead.websocket import Websocket
from tests.framework.server.scripted import until


class Clock:
    """Stands in for the coarse clock's refresh."""

    def __init__(self) -> None:
        self.now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The coarse clock, stopped at 1000 s until the test moves it."""
    stopped = Clock()
    before = CLOCK.now
    monkeypatch.setattr(CoarseClock, "refresh", lambda self: setattr(self, "now", stopped.now))
    yield stopped
    CLOCK.now = before


def make_app(**config: Any) -> App:
    """`GET /`, `GET /wait` that waits for ever, `POST /` that counts its body."""
    app = App("limits", config)

    @app.get("/")
    async def index(request: Request) -> object:
        return text("ok")

    @app.get("/wait")
    async def wait(request: Request) -> object:
        await asyncio.Event().wait()

    @app.post("/")
    async def count(request: Request) -> object:
        return text(str(len(request.body)))

    @app.get("/large")
    async def large(request: Request) -> None:
        stream = await request.respond()
        while True:
            await stream.send(b"x" * 65536)

    return app


async def test_head_at_and_past_the_limit(serve) -> None:
    """A head of REQUEST_MAX_HEADER_SIZE bytes passes, one byte more is 431."""
    running = await serve(make_app(REQUEST_MAX_HEADER_SIZE=200))
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    fits = start + b"y" * (200 - len(start)) + b"\r\n\r\n"
    assert b"200 OK" in await running.exchange(fits)
    assert b" 431 " in await running.exchange(fits.replace(b"X: ", b"X: y"))


@pytest.mark.parametrize(("start", "status"), [(b"GET /", b"414"), (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"431")])
async def test_head_that_never_ends(serve, start: bytes, status: bytes) -> None:
    """A head without an end is refused as soon as it passes the limit, not when memory or time is up."""
    running = await serve(make_app(REQUEST_MAX_HEADER_SIZE=200))
    peer = await running.connect()
    await peer.send(start)
    for _ in range(20):
        await peer.send(b"y" * 20)
    assert (await peer.rest()).startswith(b"HTTP/1.1 " + status)


async def test_url_at_and_past_the_limit(serve) -> None:
    """A target of REQUEST_MAX_URL_SIZE bytes passes, one byte more is 414, also when it never ends and whatever its form."""
    running = await serve(make_app(REQUEST_MAX_URL_SIZE=20))
    for target in (b"/?" + b"x" * 18, b"http://a/?" + b"x" * 10):
        assert b"200 OK" in await running.exchange(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
        assert b" 414 " in await running.exchange(b"GET %bx HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert b" 414 " in await running.exchange(b"GET /" + b"x" * 100)


async def test_number_of_fields_at_and_past_the_limit(serve) -> None:
    """REQUEST_MAX_HEADERS fields pass, one more is 431, by both readers of heads."""
    running = await serve(make_app(REQUEST_MAX_HEADERS=3))
    assert b"200 OK" in await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n")
    assert b" 431 " in await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n")
    assert b" 431 " in await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nConnection: close\r\n\r\n")


async def test_body_at_and_past_the_limit(serve) -> None:
    """REQUEST_MAX_SIZE bytes pass, one more is 413, however the body is framed and cut."""
    running = await serve(make_app(REQUEST_MAX_SIZE=10))
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    assert b"200 OK" in await running.exchange(head + b"Content-Length: 10\r\n\r\n" + b"x" * 10)
    assert b" 413 " in await running.exchange(head + b"Content-Length: 11\r\n\r\n" + b"x" * 11)
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert b"200 OK" in await running.exchange(chunked + b"5\r\nxxxxx\r\n5\r\nxxxxx\r\n0\r\n\r\n")
    assert b" 413 " in await running.exchange(chunked + b"5\r\nxxxxx\r\n6\r\nxxxxxx\r\n0\r\n\r\n")


async def test_body_limit_of_a_route(serve) -> None:
    """`max_body_bytes` of a route wins over the application's limit, in both directions."""
    app = App("limits", {"REQUEST_MAX_SIZE": 10})

    @app.post("/small", max_body_bytes=5)
    async def small(request: Request) -> object:
        return text(str(len(request.body)))

    @app.post("/large", max_body_bytes=100)
    async def large(request: Request) -> object:
        return text(str(len(request.body)))

    running = await serve(app)
    assert b" 413 " in await running.exchange(b"POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nxxxxxx")
    assert b"\r\n\r\n50" in await running.exchange(b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n" + b"x" * 50)
    assert b" 413 " in await running.exchange(b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n" + b"x" * 101)


async def test_announced_body_of_a_route_that_takes_none(serve) -> None:
    """A body that a route with a limit of 0 does not take is refused when it is announced, and not read first."""
    app = App("limits")
    app.add_route(lambda request: text("ok"), "/", ["POST"], name="bare", max_body_bytes=0)
    running = await serve(app)
    peer = await running.connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    assert (await peer.response())[0] == 413


async def test_silence_after_connecting(serve, clock: Clock) -> None:
    """A peer that says nothing is closed without an answer after FIRST_BYTE_TIMEOUT."""
    running = await serve(make_app(FIRST_BYTE_TIMEOUT=5))
    peer = await running.connect()
    await until(lambda: running.server.open_connections)
    clock.now += 4
    running.server.sweep()
    assert running.server.open_connections == 1
    clock.now += 1
    running.server.sweep()
    assert await peer.rest() == b""


async def test_slow_head(serve, clock: Clock) -> None:
    """A head that drips in is 408 after REQUEST_HEADER_TIMEOUT from its first byte (slowloris)."""
    running = await serve(make_app(REQUEST_HEADER_TIMEOUT=5))
    peer = await running.connect()
    for piece in (b"GET / HT", b"TP/1.1\r\n"):
        await peer.send(piece)
        await until(lambda: running.connections()[0].state.name == "HEAD")
        clock.now += 2
        running.server.sweep()
    clock.now += 2
    running.server.sweep()
    assert b" 408 " in await peer.rest()


async def test_slow_body(serve, clock: Clock) -> None:
    """A body that stalls is 408 after REQUEST_TIMEOUT."""
    running = await serve(make_app(REQUEST_TIMEOUT=5))
    peer = await running.connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    await until(lambda: running.connections() and running.connections()[0].state.name == "BODY")
    clock.now += 5
    running.server.sweep()
    assert b" 408 " in await peer.rest()


async def test_idle_connection(serve, clock: Clock) -> None:
    """A connection that is idle is closed after KEEP_ALIVE_TIMEOUT, and not before."""
    running = await serve(make_app(KEEP_ALIVE_TIMEOUT=5))
    peer = await running.connect()
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await peer.response())[0] == 200
    clock.now += 4
    running.server.sweep()
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await peer.response())[0] == 200
    clock.now += 5
    running.server.sweep()
    assert await peer.rest() == b""


async def test_slow_handler(serve, clock: Clock) -> None:
    """A handler that takes longer than RESPONSE_TIMEOUT is cancelled, and the client gets 503 with problem details."""
    running = await serve(make_app(RESPONSE_TIMEOUT=5))
    peer = await running.connect()
    await peer.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: running.server.in_flight)
    clock.now += 5
    running.server.sweep()
    status, headers, body = await peer.response()
    assert (status, headers["content-type"], headers["connection"]) == (503, "application/problem+json", "close")
    assert b"took too long" in body
    await until(lambda: running.server.in_flight == 0)


async def test_reader_that_never_reads(serve, clock: Clock) -> None:
    """A peer that reads nothing holds bounded memory, and is cut after WRITE_TIMEOUT."""
    running = await serve(make_app(WRITE_TIMEOUT=5))
    peer = await running.connect()
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await peer.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: running.connections() and running.connections()[0].write_deadline < float("inf"))
    assert running.connections()[0].transport.get_write_buffer_size() < 1_000_000
    clock.now += 5
    running.server.sweep()
    await until(lambda: running.server.open_connections == 0)
    await until(lambda: running.server.in_flight == 0)


async def test_websocket_of_a_peer_that_never_reads(serve, clock: Clock) -> None:
    """WRITE_TIMEOUT holds for websockets too: the peer is cut, and the handler's next call sees 1006."""
    app, ends = App("limits", {"WRITE_TIMEOUT": 5, "WEBSOCKET_PING_INTERVAL": 0}), asyncio.Queue()

    @app.websocket("/ws")
    async def flood(request: Request, ws: Websocket) -> None:
        try:
            while True:
                await ws.send(b"x" * 65536)
        except WebsocketClosed as closed:
            ends.put_nowait(closed.code)
            raise

    running = await serve(app)
    peer = await running.connect()
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await peer.send(
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await until(lambda: running.connections() and running.connections()[0].write_deadline < float("inf"))
    clock.now += 5
    running.server.sweep()
    assert await ends.get() == 1006


async def test_too_many_connections(serve) -> None:
    """Past MAX_CONNECTIONS a connection is answered 503 and closed; the others go on."""
    running = await serve(make_app(MAX_CONNECTIONS=1))
    first = await running.connect()
    await first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await first.response())[0] == 200
    second = await running.connect()
    assert b" 503 " in await second.rest()
    await first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await first.response())[0] == 200


async def test_too_many_connections_of_one_peer(serve) -> None:
    """Past MAX_CONNECTIONS_PER_PEER a connection is answered 429 and closed; one that ends makes room."""
    running = await serve(make_app(MAX_CONNECTIONS_PER_PEER=1))
    first = await running.connect()
    await first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await first.response())[0] == 200
    second = await running.connect()
    received = await second.rest()
    assert b" 429 " in received
    assert b"retry-after: 1" in received.lower()
    second.close()
    first.close()
    await until(lambda: running.server.open_connections == 0)
    third = await running.connect()
    await third.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await third.response())[0] == 200


def test_connections_that_the_descriptors_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MAX_CONNECTIONS there may be as many as the process may have open files, less what it needs itself."""
    resource = pytest.importorskip("resource", reason="there are no such limits on Windows")
    for soft, number, refused in ((120, 20, False), (120, 21, True), (10, 2, True), (resource.RLIM_INFINITY, 10**6, False)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, soft=soft: (soft, soft))
        admission = Admission(Limits(), range(number))
        assert (admission.enter(None) is not None) is refused  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "resource", None)
    assert Admission(Limits(), range(10**6)).enter(None) is None  # type: ignore[arg-type]


async def test_pipelining_is_bounded(serve) -> None:
    """While a request is handled, only PIPELINE_MAX_SIZE bytes (and one read) are taken from the client."""
    running = await serve(make_app(PIPELINE_MAX_SIZE=1000))
    peer = await running.connect()
    await peer.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    await until(lambda: running.server.in_flight)
    peer.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100_000)
    await until(lambda: not running.connections()[0].transport.is_reading())
    assert len(running.connections()[0]._buffer) < 500_000
