"""Requests and responses over one connection: order, streams, disconnects, identity of tasks and context."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from fairlead import App, HTTPResponse, Request, raw, text
from fairlead.errors import ServiceUnavailable
from tests.framework.server.scripted import until

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_waiting_request_is_answered_before_the_next(serve) -> None:
    """A pipelined request starts when the one before it is answered, and both answers come in order."""
    app = App("order")
    release = asyncio.Event()
    started: list[str] = []

    @app.get("/slow")
    async def slow(request: Request) -> object:
        started.append("slow")
        await release.wait()
        return text("slow")

    @app.get("/fast")
    async def fast(request: Request) -> object:
        started.append("fast")
        return text("fast")

    running = await serve(app)
    peer = await running.connect()
    await peer.send(GET % b"/slow" + GET % b"/fast" + GET % b"/slow")
    await until(lambda: started)
    assert started == ["slow"]
    release.set()
    assert [(await peer.response())[2] for _ in range(3)] == [b"slow", b"fast", b"slow"]


async def test_two_waiting_requests_overlap(serve) -> None:
    """Two requests that wait do so at the same time (T3)."""
    app = App("overlap")
    both = asyncio.Barrier(2)

    @app.get("/")
    async def meet(request: Request) -> object:
        await both.wait()
        return text("met")

    running = await serve(app)
    peers = [await running.connect() for _ in range(2)]
    for peer in peers:
        await peer.send(GET % b"/")
    assert [(await peer.response())[2] for peer in peers] == [b"met", b"met"]


async def test_task_identity_and_timeouts(serve) -> None:
    """A handler has one current task from its first line to its last, and `asyncio.timeout` works in it."""
    app = App("identity")

    @app.get("/")
    async def index(request: Request) -> object:
        before = asyncio.current_task()
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return text(str(before is asyncio.current_task() and before is not None))
        return text("no time-out")

    running = await serve(app)
    peer = await running.connect()
    for _ in range(3):
        await peer.send(GET % b"/")
        assert (await peer.response())[2] == b"True"


async def test_cancellation_before_the_first_step_of_the_task(serve) -> None:
    """A handler that cancels itself and then waits is cancelled there, as in any asyncio task."""
    app = App("cancel")
    seen: list[str] = []

    @app.get("/")
    async def index(request: Request) -> object:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            task.uncancel()
        return text("survived")

    running = await serve(app)
    peer = await running.connect()
    await peer.send(GET % b"/" + GET % b"/")
    assert [(await peer.response())[2] for _ in range(2)] == [b"survived", b"survived"]
    assert seen == ["cancelled", "cancelled"]


async def test_cancelling_a_finished_request_hits_no_other(serve) -> None:
    """Whoever keeps the task of a request that never waited, and cancels it, harms no later request."""
    app = App("late")
    kept: list[asyncio.Task[Any]] = []

    @app.get("/keep")
    async def keep(request: Request) -> object:
        task = asyncio.current_task()
        assert task is not None
        kept.append(task)
        return text("kept")

    @app.get("/wait")
    async def wait(request: Request) -> object:
        await asyncio.sleep(0.001)
        return text("waited")

    running = await serve(app)
    peer = await running.connect()
    await peer.send(GET % b"/keep")
    assert (await peer.response())[2] == b"kept"
    kept[0].cancel()
    await asyncio.sleep(0)
    for _ in range(3):
        await peer.send(GET % b"/wait")
        assert (await peer.response())[::2] == (200, b"waited")


async def test_context_does_not_leak(serve) -> None:
    """A context variable set in one request is unset in the next, on the same connection, waiting or not (aiohttp's leak)."""
    app = App("context")
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @app.get("/<mode>")
    async def index(request: Request, mode: str) -> object:
        before = variable.get()
        variable.set(mode)
        if mode == "wait":
            await asyncio.sleep(0)
        return text(before + variable.get() + str(Request.get_current() is request))

    running = await serve(app)
    peer = await running.connect()
    for mode in (b"plain", b"wait", b"plain", b"wait"):
        await peer.send(GET % (b"/" + mode))
        assert (await peer.response())[2] == b"unset" + mode + b"True"


async def test_streamed_response(serve) -> None:
    """`request.respond()` streams in chunks to HTTP/1.1 and until close to HTTP/1.0; the server ends what the handler doesn't."""
    app = App("stream")

    @app.get("/")
    async def index(request: Request) -> None:
        stream = await request.respond(content_type="text/plain", headers={"x-kind": "stream"})
        for number in range(3):
            await stream.send(f"{number},")
            await asyncio.sleep(0)

    running = await serve(app)
    peer = await running.connect()
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    received = await peer.rest()
    assert b"transfer-encoding: chunked" in received
    assert received.endswith(b"\r\n\r\n2\r\n0,\r\n2\r\n1,\r\n2\r\n2,\r\n0\r\n\r\n")
    peer = await running.connect()
    await peer.send(b"GET / HTTP/1.0\r\n\r\n")
    old = await peer.rest()
    assert b"transfer-encoding" not in old
    assert old.endswith(b"\r\n\r\n0,1,2,")


async def test_length_of_what_head_does_not_show(serve) -> None:
    """A handler of HEAD may say how long the answer to GET would be, without making it."""
    app = App("head")
    app.head("/", name="head")(lambda request: HTTPResponse(headers={"content-length": "1234"}))
    running = await serve(app)
    received = await running.exchange(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert received.count(b"\r\ncontent-length: 1234\r\n") == 2
    assert received.endswith(b"\r\n\r\n")


async def test_broken_stream_is_cut(serve) -> None:
    """A handler that fails in the middle of its body cuts the connection: the client must not take a part for the whole."""
    app = App("broken")

    @app.get("/")
    async def index(request: Request) -> None:
        stream = await request.respond()
        await stream.send(b"part")
        raise ValueError("broken on purpose")

    running = await serve(app)
    received = await running.exchange(GET % b"/")
    assert b"part" in received
    assert not received.endswith(b"0\r\n\r\n")


async def test_streamed_request(serve) -> None:
    """A streaming route gets its body in pieces, as they come, and what follows the body is the next request."""
    app = App("upload")
    got_first = asyncio.Event()

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        assert request.stream is not None
        pieces = []
        async for piece in request.stream:
            pieces.append(piece)
            got_first.set()
        return raw(b"|".join(pieces))

    running = await serve(app)
    peer = await running.connect()
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\none")
    await got_first.wait()
    await peer.send(b"two" + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour")
    assert (await peer.response())[2] == b"one|two"
    assert (await peer.response())[2] == b"four"


async def test_unread_stream_ends_the_connection(serve) -> None:
    """A handler that answers without reading its body is answered for, and the rest of the body is no request."""
    app = App("unread")

    @app.post("/", stream=True)
    async def refuse(request: Request) -> object:
        return text("no", status=403)

    running = await serve(app)
    received = await running.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n" + GET % b"/x")
    assert received.count(b"HTTP/1.1 ") == 1
    assert b" 403 " in received


async def test_disconnect_cancels_the_handler(serve) -> None:
    """When the client leaves, what its handler waits for is cancelled, and `finally` runs."""
    app = App("leave")
    entered, left = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def index(request: Request) -> object:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    running = await serve(app)
    peer = await running.connect()
    await peer.send(GET % b"/")
    await entered.wait()
    peer.writer.transport.abort()
    await left.wait()


@pytest.mark.parametrize("waits", [False, True])
async def test_errors_become_problem_details(serve, waits: bool) -> None:
    """An exception of the framework is answered with its status and headers, before and after the handler has waited."""
    app = App("errors")

    @app.get("/")
    async def index(request: Request) -> object:
        if waits:
            await asyncio.sleep(0)
        raise ServiceUnavailable("Back soon", retry_after=7)

    running = await serve(app)
    peer = await running.connect()
    await peer.send(GET % b"/")
    status, headers, body = await peer.response()
    assert (status, headers["retry-after"], headers["content-type"]) == (503, "7", "application/problem+json")
    assert b'"detail":"Back soon"' in body


async def test_header_that_would_split_the_response(serve, caplog: pytest.LogCaptureFixture) -> None:
    """CR LF in a header is an error of the application, and never reaches the wire (CWE-113)."""
    app = App("split")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        return text("ok", headers={"x-name": "a\r\nset-cookie: evil=1"})

    running = await serve(app)
    received = await running.exchange(GET % b"/")
    assert received.startswith(b"HTTP/1.1 500 ")
    assert b"evil" not in received


async def test_request_id_is_echoed(serve) -> None:
    """A short, plain X-Request-ID of the client is kept; anything else is replaced by an id of our own (T9)."""
    app = App("ids")

    @app.get("/")
    async def index(request: Request) -> object:
        return text(request.id)

    running = await serve(app)
    peer = await running.connect()
    seen = set()
    for sent, kept in ((b"abc-1", True), (b"x" * 129, False), (b"a b", False), (b'"<>', False), (b"", False)):
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: " + sent + b"\r\n\r\n")
        _, headers, body = await peer.response()
        assert headers["x-request-id"] == body.decode()
        assert (body == sent) is kept
        seen.add(body)
    assert len(seen) == 5


async def test_http_1_0_keep_alive(serve) -> None:
    """HTTP/1.0 closes unless the client asks for keep-alive, and then is told so."""
    app = App("old")

    @app.get("/")
    async def index(request: Request) -> object:
        return text("ok")

    running = await serve(app)
    peer = await running.connect()
    await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (await peer.response())[1]["connection"] == "keep-alive"
    await peer.send(b"GET / HTTP/1.0\r\n\r\n")
    assert (await peer.response())[1]["connection"] == "close"
    assert await peer.rest() == b""


async def test_without_request_ids(serve) -> None:
    """REQUEST_ID_HEADER=False: no response carries an id, whichever way it is put together."""
    app = App("ids", {"REQUEST_ID_HEADER": False})
    app.add_route(lambda request: text("ok"), "/", name="plain")
    app.add_route(lambda request: text("ok", headers={"x-a": "1"}), "/fields", name="fields")
    running = await serve(app)
    for target in (b"/", b"/fields", b"/missing"):
        assert b"x-request-id" not in (await running.exchange(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)).lower()
