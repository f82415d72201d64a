"""The drain: what is under way is answered, what is idle is closed, what remains at the deadline is cut (K2)."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from fairlead import App, Request, raw, text
from fairlead.http.clock import CLOCK
from tests.framework.server.scripted import Scripted, until

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


def make_app(release: asyncio.Event) -> App:
    """`GET /` at once, `GET /wait` when released."""
    app = App("drain")

    @app.get("/")
    async def index(request: Request) -> object:
        return text("ok")

    @app.get("/wait")
    async def wait(request: Request) -> object:
        await release.wait()
        return text("waited")

    return app


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


@pytest.mark.event_loop("uvloop", "asyncio")
async def test_request_in_flight_is_answered_whole(serve) -> None:
    """A request that ends before the deadline is answered with `Connection: close`; the drain ends right after it."""
    release = asyncio.Event()
    running = await serve(make_app(release))
    peer = await running.connect()
    await peer.send(GET % b"/wait")
    await until(lambda: running.server.in_flight)
    drain = asyncio.ensure_future(running.server.drain(now() + 20))
    await asyncio.sleep(0)
    assert not drain.done()
    release.set()
    status, headers, body = await peer.response()
    assert (status, headers["connection"], body) == (200, "close", b"waited")
    assert await peer.rest() == b""
    assert await drain == 0


@pytest.mark.event_loop("uvloop", "asyncio")
@pytest.mark.parametrize("turns", range(6))
async def test_a_drain_while_connections_arrive(serve, turns: int) -> None:
    """However far the loop has come with connections that it is accepting when the drain begins, each is answered."""
    running = await serve(make_app(asyncio.Event()))
    peers = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(5)]
    for peer in peers:
        peer.sendall(GET % b"/")
    for _ in range(turns):
        await asyncio.sleep(0)
    assert await running.server.drain(now() + 20) == 0
    for peer in peers:
        with peer:
            peer.settimeout(20)
            assert (await asyncio.to_thread(peer.recv, 4096)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.event_loop("uvloop", "asyncio")
async def test_connections_in_the_accept_queue_are_served(serve) -> None:
    """A connection that waits to be accepted when the drain begins is accepted and answered."""
    running = await serve(make_app(asyncio.Event()))
    clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(5)]  # the loop has no turn to accept them
    for client in clients:
        client.sendall(GET % b"/")
    drain = asyncio.ensure_future(running.server.drain(now() + 20))
    for client in clients:
        reader, writer = await asyncio.open_connection(sock=client)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in head
    assert await drain == 0


async def test_idle_connection_that_was_just_used_gets_one_more_answer(serve) -> None:
    """A keep-alive connection whose next request crosses the drain's beginning still gets an answer."""
    running = await serve(make_app(asyncio.Event()))
    peer = await running.connect()
    await peer.send(GET % b"/")
    assert (await peer.response())[1].get("connection") is None
    drain = asyncio.ensure_future(running.server.drain(now() + 20))
    await asyncio.sleep(0)
    await peer.send(GET % b"/")
    assert (await peer.response())[1]["connection"] == "close"
    assert await drain == 0


async def test_work_that_outlasts_the_deadline_is_cut(serve, caplog: pytest.LogCaptureFixture) -> None:
    """At the deadline what still runs is cancelled, answered 503 and logged with its route, under its id."""
    logged: list[tuple[str, str]] = []

    def note(record: logging.LogRecord) -> bool:
        if "cut" in record.getMessage():
            logged.append((Request.get_current().id, record.route))  # type: ignore[attr-defined]
        return True

    caplog.handler.addFilter(note)
    running = await serve(make_app(asyncio.Event()))
    peer = await running.connect()
    await peer.send(b"GET /wait HTTP/1.1\r\nHost: a\r\nX-Request-ID: r-1\r\n\r\n")
    await until(lambda: running.server.in_flight)
    assert await running.server.drain(now() + 0.05) == 1
    assert (await peer.response())[0] == 503
    caplog.handler.removeFilter(note)
    assert logged == [("r-1", "/wait")]


async def test_new_connections_are_refused_after_the_drain(serve) -> None:
    """The server's own socket is closed, the given one stays the caller's: connections wait there for somebody else."""
    running = await serve(make_app(asyncio.Event()))
    await running.server.drain(now())
    peer = await running.connect()
    await peer.send(GET % b"/")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await peer.head()


async def test_pipelined_requests_are_answered_and_the_last_says_close() -> None:
    """What came with a request that waits when the drain begins, bodies included, is answered; only the last one says close."""
    release = asyncio.Event()
    app = make_app(release)

    @app.post("/echo")
    async def echo(request: Request) -> object:
        return raw(request.body)

    scripted = Scripted(app)
    chunked = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    await scripted.send(GET % b"/wait" + GET % b"/" + chunked)
    scripted.shared.draining = True
    await scripted.happen(scripted.connection.drain)
    release.set()
    await scripted.until(lambda: scripted.transport.ended)
    assert [answer.partition(b"\r\n\r\n")[2] for answer in scripted.taken.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"waited",
        b"ok",
        b"body",
    ]
    assert scripted.taken.count(b"connection: close") == 1
    scripted.close()


async def test_upload_that_begins_during_the_drain_is_the_last_request() -> None:
    """A streamed upload that comes while the server drains is answered with `Connection: close`."""
    app = App("upload")

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        await request.receive_body()
        return raw(request.body)

    scripted = Scripted(app)
    scripted.shared.draining = True
    await scripted.happen(scripted.connection.drain)
    await scripted.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo")
    await scripted.send(b"dy")
    await scripted.until(lambda: scripted.transport.ended)
    assert b"connection: close" in scripted.taken
    assert scripted.taken.endswith(b"body")
    scripted.close()


async def test_connection_that_was_idle_for_long_ends_at_once() -> None:
    """A connection that nobody has used for a while is closed when the drain begins, one that was used just now is not."""
    before = CLOCK.now
    scripted = Scripted(make_app(asyncio.Event()))
    await scripted.send(GET % b"/")
    try:
        CLOCK.now += 1
        await scripted.happen(scripted.connection.drain)
        assert not scripted.transport.is_closing()
        CLOCK.now += 1
        await scripted.happen(scripted.connection.drain)
        assert scripted.transport.is_closing()
    finally:
        CLOCK.now = before
    scripted.close()


async def test_empty_line_keeps_no_connection_open(serve) -> None:
    """An empty line after an answer is no request under way: the drain does not wait for what might follow."""
    running = await serve(make_app(asyncio.Event()))
    peer = await running.connect()
    await peer.send(GET % b"/" + b"\r\n")
    await peer.response()
    assert await running.server.drain(now() + 20) == 0
    assert await peer.rest() == b""
