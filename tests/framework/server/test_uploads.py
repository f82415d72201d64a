"""Streamed uploads: read as they come, answered when the handler likes, and the client's failures are the client's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from fairlead import App, Request, raw, text
from fairlead.errors import RequestCancelled, ServerError
from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.server.link import State
from tests.framework.server.scripted import Scripted, until

LENGTH = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
EXPECT = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
CHUNKED = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Rig:
    """An application of upload handlers, and what has happened in them."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.gate = asyncio.Event()
        self.app = app = App("uploads")

        @app.post("/read", stream=True)
        async def read(request: Request) -> Any:
            try:
                await request.receive_body()
            except BaseException as error:
                self.seen.append(error)
                raise
            return raw(request.body)

        @app.post("/wait", stream=True)
        async def wait(request: Request) -> Any:
            await self.gate.wait()
            await request.receive_body()
            return raw(request.body)

        @app.post("/refuse", stream=True)
        async def refuse(request: Request) -> Any:
            return text("no", status=403)

        @app.post("/refuse-later", stream=True)
        async def refuse_later(request: Request) -> Any:
            await self.gate.wait()
            return text("no", status=403)

        @app.post("/mirror", stream=True)
        async def mirror(request: Request) -> None:
            assert request.stream is not None
            response = await request.respond()
            await response.send(b"begin")
            async for piece in request.stream:
                await response.send(piece)

        @app.post("/group", stream=True)
        async def group(request: Request) -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(request.receive_body())

        app.add_route(lambda request: text("next"), "/next", name="next")


async def leave(scripted: Scripted) -> None:
    """The client leaves, and its request ends."""
    await scripted.happen(scripted.transport.leave)
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()


@pytest.fixture
def rig() -> Rig:
    """Upload handlers."""
    return Rig()


@pytest.fixture
def time() -> Iterator[None]:
    """Lets a test move the coarse clock."""
    before = CLOCK.now
    yield
    CLOCK.now = before


# Expect: 100-continue


async def test_continue_is_sent_when_the_body_is_wanted(rig: Rig) -> None:
    """A client that waits is told to go on when the handler begins to read, not before."""
    scripted = Scripted(rig.app)
    await scripted.send(EXPECT % b"/wait")
    assert scripted.taken == b""
    rig.gate.set()
    await scripted.until(lambda: scripted.taken == CONTINUE)
    await scripted.send(b"hello")
    await scripted.until(lambda: scripted.connection.state is State.IDLE)
    assert scripted.taken.endswith(b"hello")
    scripted.close()


@pytest.mark.parametrize("path", [b"/refuse", b"/refuse-later"])
async def test_refusal_instead_of_continue(rig: Rig, path: bytes) -> None:
    """A handler that refuses without reading is the answer: no 100, `Connection: close`, and the body is never asked for."""
    scripted = Scripted(rig.app)
    await scripted.send(EXPECT % path)
    rig.gate.set()
    await scripted.until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 403 ")
    assert b"\r\nconnection: close\r\n" in scripted.taken
    assert scripted.taken.count(b"HTTP/1.1 ") == 1
    scripted.close()


async def test_no_continue_within_an_answer(rig: Rig) -> None:
    """A handler that answers first and reads then gets its body, but a 100 would stand in the middle of its answer."""
    scripted = Scripted(rig.app)
    await scripted.send(EXPECT % b"/mirror")
    await scripted.send(b"hello")
    await scripted.until(lambda: scripted.taken.endswith(b"0\r\n\r\n"))
    assert CONTINUE not in scripted.taken
    assert scripted.taken.endswith(b"5\r\nbegin\r\n5\r\nhello\r\n0\r\n\r\n")
    scripted.close()


async def test_no_continue_for_a_body_that_is_coming(rig: Rig) -> None:
    """A client that did not wait after all is not told to go on."""
    scripted = Scripted(rig.app)
    await scripted.send(EXPECT % b"/read" + b"h")
    await scripted.send(b"ello")
    await scripted.until(lambda: scripted.taken.endswith(b"hello"))
    assert CONTINUE not in scripted.taken
    scripted.close()


# Back-pressure and what follows


async def test_reading_stops_while_the_handler_is_busy(rig: Rig) -> None:
    """A handler that does not read holds up its client; when it reads on, all of the body comes, and then the next request."""
    scripted = Scripted(rig.app)
    body = b"x" * 200_000
    await scripted.send(LENGTH % (b"/wait", len(body)))
    for start in range(0, len(body), 50_000):
        await scripted.send(body[start : start + 50_000])
    assert not scripted.transport.is_reading()
    await scripted.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    rig.gate.set()
    await scripted.until(lambda: scripted.taken.endswith(b"next"))
    assert body in scripted.taken
    assert scripted.transport.is_reading()
    scripted.close()


async def test_answer_before_the_body_is_in(rig: Rig) -> None:
    """An answer to half a body says close, and goes out whole although the client is still sending."""
    scripted = Scripted(rig.app)
    await scripted.send(LENGTH % (b"/refuse-later", 200_000) + b"x" * 100_000)
    assert not scripted.transport.is_reading()
    rig.gate.set()
    await scripted.until(lambda: scripted.transport.ended)
    assert b"\r\nconnection: close\r\n" in scripted.taken
    assert (scripted.connection.state, scripted.transport.is_reading()) == (State.LINGERING, True)
    scripted.close()


# Failures


@pytest.mark.parametrize(
    ("data", "status"),
    [(CHUNKED % b"/read" + b"1\r\naX", 400), (CHUNKED % b"/read" + b"b\r\n0123456789a\r\n", 413)],
)
async def test_body_that_fails(rig: Rig, data: bytes, status: int) -> None:
    """A malformed or too large body is the handler's to answer; what follows is no request, and the answer arrives."""
    scripted = Scripted(rig.app, Limits(max_body_bytes=10))
    await scripted.send(data)
    await scripted.send(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    await scripted.until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close\r\n" in scripted.taken
    assert (scripted.taken.count(b"HTTP/1.1"), scripted.connection.state) == (1, State.LINGERING)
    scripted.close()


async def test_upload_may_take_its_time(rig: Rig, time: None) -> None:
    """A streamed body may take longer than the time-outs as long as something comes; then the handler has its own time."""
    scripted = Scripted(rig.app, Limits(body_timeout_s=5, response_timeout_s=3, min_body_rate=0))
    await scripted.send(LENGTH % (b"/read", 5))
    for byte in b"hell":
        CLOCK.now += 4
        assert scripted.connection.deadline > CLOCK.now
        await scripted.send(bytes([byte]))
    await scripted.send(b"o")
    assert scripted.connection.deadline == CLOCK.now + 3 or scripted.connection.state is State.IDLE
    await scripted.until(lambda: scripted.taken.endswith(b"hello"))
    scripted.close()


async def test_upload_that_drips(rig: Rig, time: None) -> None:
    """A body is to come with REQUEST_MIN_RATE on average, after a grace of five seconds."""
    scripted = Scripted(rig.app, Limits(body_timeout_s=60, min_body_rate=100))
    await scripted.send(LENGTH % (b"/read", 2000) + b"x" * 500)
    begun = CLOCK.now
    assert scripted.connection.deadline == begun + 5 + 5
    CLOCK.now += 9
    await scripted.send(b"x" * 500)
    assert scripted.connection.deadline == begun + 5 + 10
    CLOCK.now = begun + 15
    await scripted.happen(scripted.connection.expire)
    await scripted.until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 408 ")
    scripted.close()


async def test_collected_body_that_drips(time: None) -> None:
    """The same holds for a body that is collected before its handler starts."""
    app = App("drips")
    app.add_route(lambda request: text("ok"), "/", ["POST"], name="index")
    scripted = Scripted(app, Limits(min_body_rate=100))
    await scripted.send(LENGTH % (b"/", 2000) + b"x" * 500)
    assert scripted.connection.deadline == CLOCK.now + 10
    CLOCK.now += 10
    await scripted.happen(scripted.connection.expire)
    assert scripted.taken.startswith(b"HTTP/1.1 408 ")
    scripted.close()


@pytest.mark.parametrize("wire", [LENGTH % (b"/wait", 200_000) + b"x" * 70_000, EXPECT % b"/wait"])
async def test_client_has_all_time_while_its_body_is_not_wanted(rig: Rig, time: None, wire: bytes) -> None:
    """While the handler does not read, or has not asked a client that waits for it to go on, it is the handler's time that runs."""
    scripted = Scripted(rig.app, Limits(body_timeout_s=5, response_timeout_s=50))
    await scripted.send(wire)
    assert scripted.connection.deadline == CLOCK.now + 50
    CLOCK.now += 40
    rig.gate.set()
    await scripted.until(lambda: scripted.connection.deadline < CLOCK.now + 10)
    assert scripted.connection.deadline == CLOCK.now + 5
    await leave(scripted)


async def test_time_outs_of_a_route(rig: Rig, time: None) -> None:
    """`body_timeout_s` and `response_timeout_s` of a route win over the application's; 0 lets a body take any time at any rate."""

    @rig.app.post("/own", stream=True, body_timeout_s=7, response_timeout_s=9)
    async def own(request: Request) -> Any:
        await request.receive_body()
        await rig.gate.wait()

    @rig.app.post("/talk", stream=True, body_timeout_s=0)
    async def talk(request: Request) -> Any:
        await request.receive_body()

    for path, body_timeout_s in ((b"/own", 7), (b"/talk", float("inf"))):
        scripted = Scripted(rig.app, Limits(body_timeout_s=1, response_timeout_s=1, min_body_rate=0 if path == b"/own" else 100))
        await scripted.send(LENGTH % (path, 2) + b"a")
        assert scripted.connection.deadline == CLOCK.now + body_timeout_s
        if path == b"/own":
            await scripted.send(b"b")
            assert scripted.connection.deadline == CLOCK.now + 9
        await leave(scripted)


async def test_limit_of_uploads(rig: Rig) -> None:
    """UPLOAD_MAX_SIZE is the limit of streamed bodies alone, whether they come whole or in parts."""
    rig.app.config.UPLOAD_MAX_SIZE, rig.app.config.REQUEST_MAX_SIZE = 5, 100
    for size, status in ((5, b"200"), (6, b"413")):
        for body_at_once in (True, False):
            scripted = Scripted(rig.app)
            await scripted.send(LENGTH % (b"/read", size) + b"x" * size * body_at_once)
            if not body_at_once and size == 5:
                await scripted.send(b"x" * size)
            while not scripted.taken:
                await scripted.turn()
            assert scripted.taken.split()[1] == status
            scripted.close()


async def test_upload_that_stalls_is_the_clients_failure(rig: Rig, time: None) -> None:
    """A streamed body that stops coming is 408, which the handler sees where it reads."""
    scripted = Scripted(rig.app, Limits(body_timeout_s=5))
    await scripted.send(LENGTH % (b"/read", 5) + b"he")
    CLOCK.now += 5
    await scripted.happen(scripted.connection.expire)
    await scripted.until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 408 ")
    assert [error.status_code for error in rig.seen] == [408]
    scripted.close()


async def test_handler_that_stalls_is_the_servers_failure(rig: Rig, time: None) -> None:
    """A handler that holds its client up by not reading is 503."""
    scripted = Scripted(rig.app, Limits(body_timeout_s=5))
    await scripted.send(LENGTH % (b"/wait", 200_000) + b"x" * 100_000)
    CLOCK.now += 5
    await scripted.happen(scripted.connection.expire)
    await scripted.until(lambda: scripted.transport.ended)
    assert scripted.taken.startswith(b"HTTP/1.1 503 ")
    scripted.close()


async def test_answer_under_way_lifts_the_handlers_deadline(rig: Rig, time: None) -> None:
    """While a streamed answer is under way, only the client's body has a time-out, and when it fails there is none left."""
    scripted = Scripted(rig.app, Limits(body_timeout_s=5, min_body_rate=0))
    await scripted.send(LENGTH % (b"/mirror", 2))
    CLOCK.now += 2
    await scripted.send(b"a")
    assert scripted.connection.deadline == CLOCK.now + 5
    await scripted.send(b"b")
    await scripted.until(lambda: scripted.taken.endswith(b"0\r\n\r\n"))
    scripted.close()


async def test_reader_of_a_body_that_was_left(rig: Rig) -> None:
    """Whoever still reads a body when its request is answered hears that no more will come, and does not wait for ever."""
    readers: list[asyncio.Task[None]] = []

    @rig.app.post("/leave", stream=True)
    async def leave(request: Request) -> Any:
        readers.append(asyncio.ensure_future(request.receive_body()))
        await asyncio.sleep(0)
        return text("left")

    scripted = Scripted(rig.app)
    await scripted.send(LENGTH % (b"/leave", 5) + b"he")
    await scripted.until(lambda: scripted.transport.ended)
    with pytest.raises(ServerError, match="answered before"):
        await readers[0]
    scripted.close()


async def test_client_that_leaves_while_it_is_read(rig: Rig) -> None:
    """The handler hears where it reads that its client is gone, in words of its own (no CancelledError)."""
    scripted = Scripted(rig.app)
    await scripted.send(LENGTH % (b"/read", 5) + b"he")
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    assert [type(error) for error in rig.seen] == [RequestCancelled]
    scripted.close()


async def test_client_that_leaves_while_a_group_reads(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """What a task group makes of it is nothing to log, either, and the request counts as left."""
    statuses: list[int] = []
    rig.app.finalise().observer = lambda request, status, size, *rest: statuses.append(status)
    scripted = Scripted(rig.app)
    await scripted.send(LENGTH % (b"/group", 5) + b"he")
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    assert (statuses, caplog.records) == ([499], [])
    scripted.close()
