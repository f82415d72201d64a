"""The end of a connection, in every state: no answer is lost, nothing is read as a request behind the last one, nobody waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from fairlead import App, HTTPResponse, Request, text
from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.server.link import State
from tests.framework.server.scripted import Scripted, until

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSE = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Fatal(BaseException):
    """What no handler of exceptions takes."""


@pytest.fixture
def time() -> Iterator[None]:
    """Lets a test move the coarse clock."""
    before = CLOCK.now
    yield
    CLOCK.now = before


def make_app(seen: list[str] | None = None) -> App:
    """`/`, `/wait` for ever, `/fatal`, `/fatal-later`, `/stubborn` that ignores cancellation, `POST /` that is read."""
    app = App("endings")
    noted = seen if seen is not None else []

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        noted.append("index")
        return text("ok")

    @app.post("/", name="post")
    async def post(request: Request) -> HTTPResponse:
        noted.append("post")
        return text(str(len(request.body)))

    @app.get("/wait")
    async def wait(request: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            noted.append("ended")

    @app.get("/fatal")
    async def fatal(request: Request) -> None:
        raise Fatal

    @app.get("/fatal-later")
    async def fatal_later(request: Request) -> None:
        await asyncio.sleep(0)
        raise Fatal

    @app.get("/cancelled-twice")
    async def cancelled_twice(request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.Event().wait()

    @app.exception(Exception)
    async def cancel_again(request: Request, exc: Exception) -> None:
        if request.path == "/cancelled-twice":
            await cancelled_twice(request)

    @app.get("/stubborn")
    async def stubborn(request: Request) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as reason:
                noted.append(str(reason))
                if request.conn_info.lost:
                    raise

    return app


# Behind the last answer


@pytest.mark.parametrize("together", [True, False])
async def test_nothing_is_read_behind_the_last_request(together: bool) -> None:
    """After `Connection: close` nothing is a request any more, in the same packet or in the next of the same turn."""
    seen: list[str] = []
    scripted = Scripted(make_app(seen))
    if together:
        await scripted.send(CLOSE % b"/" + GET % b"/")
    else:
        scripted.loop.call_soon(scripted.arrive, CLOSE % b"/")
        scripted.loop.call_soon(scripted.connection.data_received, b"junk" + GET % b"/")
        await scripted.turn()
    assert (seen, scripted.taken.count(b"HTTP/1.1 ")) == (["index"], 1)
    assert (scripted.transport.is_closing(), scripted.connection.state) == (True, State.CLOSING)
    scripted.close()


async def test_rest_of_a_refused_upload_is_thrown_away(time: None) -> None:
    """A client that is still sending hears its refusal out: what it sends is read and forgotten, for a while."""
    scripted = Scripted(make_app(), Limits(max_body_bytes=10))
    await scripted.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    assert scripted.taken.startswith(b"HTTP/1.1 413 ")
    assert (scripted.transport.ended, scripted.transport.is_closing()) == (True, False)
    for _ in range(3):
        await scripted.send(b"x" * 1000 + GET % b"/")
    assert scripted.taken.count(b"HTTP/1.1 ") == 1
    assert len(scripted.connection._buffer) == 0
    CLOCK.now += 2
    await scripted.happen(scripted.connection.expire)
    await until(lambda: scripted.connection.lost)
    scripted.close()


@pytest.mark.parametrize("path", [b"/missing", b"/missing-later"])
async def test_upload_to_nowhere(path: bytes) -> None:
    """A body that nobody wants is not read: 404 with `Connection: close`, then the rest is thrown away; also behind middleware."""
    app = make_app()
    if path == b"/missing-later":

        @app.on_request
        async def pause(request: Request) -> None:
            await asyncio.sleep(0)

    scripted = Scripted(app)
    await scripted.send(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n" + b"x" * 100)
    await scripted.send(b"x" * 100)
    await until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nconnection: close\r\n" in scripted.taken
    assert scripted.connection.state is State.LINGERING
    scripted.close()


async def test_lingering_ends_with_the_client() -> None:
    """A client that has heard its answer and ends its side ends the connection."""
    scripted = Scripted(make_app())
    await scripted.send(b"junk\r\n\r\n")
    assert scripted.connection.state is State.LINGERING
    await scripted.send(b"")
    await until(lambda: scripted.connection.lost)
    assert not scripted.shared.connections
    scripted.close()


async def test_is_ended_when_the_answer_is_out() -> None:
    """A connection that lingers has ended for the drain, but not before its answer was read."""
    scripted = Scripted(make_app())
    scripted.transport.peer_reads = False
    await scripted.send(b"junk\r\n\r\n")
    assert not scripted.connection.is_ended
    await scripted.happen(scripted.transport.read_all)
    assert scripted.connection.is_ended
    scripted.close()


async def test_refusal_of_a_connection_that_has_closed_meanwhile() -> None:
    """A deadline may pass while the transport is closing already: nothing is written behind the end."""
    scripted = Scripted(make_app())
    await scripted.send(b"GET / HT")
    scripted.loop.call_soon(scripted.transport.close)
    scripted.loop.call_soon(scripted.connection.expire)
    await until(lambda: scripted.connection.lost)
    assert scripted.taken == b""
    scripted.close()


# Failures that are no answers


async def test_fatal_failure_at_once() -> None:
    """What escapes from a handler at once cuts the connection and goes on up: nobody knows what has been answered."""
    seen: list[str] = []
    scripted = Scripted(make_app(seen))
    with pytest.raises(Fatal):
        await scripted.send(GET % b"/" + GET % b"/fatal" + GET % b"/")
    assert (seen, scripted.transport.cut) == (["index"], True)
    scripted.close()


@pytest.mark.parametrize("path", [b"/fatal-later", b"/cancelled-twice"])
async def test_request_that_ends_without_its_answer(path: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A request whose task ends without an answer cuts the connection: the next answer would be taken for its own."""
    seen: list[str] = []
    scripted = Scripted(make_app(seen))
    await scripted.send(GET % path + GET % b"/")
    await until(lambda: scripted.transport.is_lost)
    assert (seen, scripted.taken, scripted.transport.cut) == ([], b"", True)
    [record] = [record for record in caplog.records if "without its answer" in record.message]
    assert record.levelno == logging.ERROR
    scripted.close()


async def test_broken_stream_ends_the_turn() -> None:
    """When an answer breaks off, the requests behind it in the same packet are not taken up."""
    app, seen = App("broken"), []

    @app.get("/")
    async def index(request: Request) -> None:
        seen.append("index")
        stream = await request.respond()
        await stream.send(b"part")
        raise ValueError("on purpose")

    scripted = Scripted(app)
    await scripted.send(GET % b"/" * 3)
    assert (seen, scripted.transport.cut) == (["index"], True)
    scripted.close()


# The client leaves


@pytest.mark.parametrize("how", ["leaves", "ends its side"])
async def test_client_that_leaves(how: str) -> None:
    """The handler of a client that is gone is cancelled where it waits, and so it is when the client has ended its side."""
    seen: list[str] = []
    scripted = Scripted(make_app(seen))
    await scripted.send(GET % b"/wait" + GET % b"/")
    await (scripted.send(b"") if how == "ends its side" else scripted.happen(scripted.transport.leave))
    await until(lambda: not scripted.shared.runner.in_flight)
    assert seen == ["ended"]
    assert scripted.connection.info.lost
    assert (scripted.taken, scripted.shared.connections) == (b"", set())
    scripted.close()


async def test_answer_to_a_client_that_is_gone() -> None:
    """A handler that swallows its cancellation and answers nevertheless answers nobody, and breaks nothing."""
    app = App("gone")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return text("too late")

    scripted = Scripted(app)
    await scripted.send(GET % b"/")
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    assert scripted.taken == b""
    scripted.close()


async def test_client_that_leaves_in_the_middle_of_a_body() -> None:
    """A request that was never whole is never handled."""
    seen: list[str] = []
    scripted = Scripted(make_app(seen))
    await scripted.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    await scripted.send(b"")
    await until(lambda: scripted.connection.lost)
    assert (seen, scripted.taken) == ([], b"")
    scripted.close()


# Time


async def test_handler_that_ignores_its_time_is_cut(time: None) -> None:
    """A handler that swallows the cancellation of its time-out has as much time again; then the connection is cut."""
    seen: list[str] = []
    scripted = Scripted(make_app(seen), Limits(response_timeout_s=5))
    await scripted.send(GET % b"/stubborn")
    for _ in range(2):
        CLOCK.now += 5
        await scripted.happen(scripted.connection.expire)
    assert scripted.transport.cut
    await until(lambda: not scripted.shared.runner.in_flight)
    assert seen == ["the response took too long", "the client is gone"]
    scripted.close()


async def test_empty_line_is_no_request_that_could_be_late(time: None) -> None:
    """A client that sent an empty line and nothing else is closed without an answer."""
    scripted = Scripted(make_app(), Limits(header_timeout_s=5))
    await scripted.send(b"\r\n")
    CLOCK.now += 5
    await scripted.happen(scripted.connection.expire)
    assert (scripted.taken, scripted.transport.ended) == (b"", True)
    scripted.close()


async def test_idle_connection_keeps_no_request_alive() -> None:
    """What was uploaded is let go of when it is answered, not when the connection ends."""
    scripted = Scripted(make_app())
    await scripted.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    await scripted.send(b"hello")
    assert scripted.taken.endswith(b"5")
    assert scripted.connection.request is None
    scripted.close()


async def test_keep_alive_that_is_switched_off() -> None:
    """Without keep-alive every answer says close: a client must not lose the next request that it would send."""
    app = make_app()
    app.config.KEEP_ALIVE = False
    scripted = Scripted(app)
    await scripted.send(GET % b"/")
    assert b"\r\nconnection: close\r\n" in scripted.taken
    assert scripted.transport.is_closing()
    scripted.close()


async def test_addresses_and_the_connections_ctx() -> None:
    """All requests of a connection share its addresses and its ctx."""
    app, seen = App("info"), []

    @app.get("/")
    async def index(request: Request) -> Any:
        request.conn_info.ctx.count = getattr(request.conn_info.ctx, "count", 0) + 1
        seen.append((request.ip, request.port, request.conn_info.server, request.conn_info.ssl, request.conn_info.ctx.count))

    scripted = Scripted(app)
    await scripted.send(GET % b"/" * 2)
    assert seen == [("192.0.2.1", 4711, "192.0.2.2:80", False, 1), ("192.0.2.1", 4711, "192.0.2.2:80", False, 2)]
    scripted.close()
