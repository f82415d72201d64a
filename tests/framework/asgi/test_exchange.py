"""The HTTP exchange, message by message: what the four servers can't be made to do at will."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from fairlead import App, Request, text
from fairlead.asgi.exchange import HttpExchange, ResponseCut, Shared
from fairlead.errors import RequestCancelled
from fairlead.http.limits import Limits
from fairlead.request import current_request
from fairlead.response import HTTPResponse
from tests.framework.asgi.harness import DISCONNECT, Call, body, http_scope

POST = {"method": "POST", "headers": [(b"host", b"a"), (b"content-length", b"10")]}


def quiet_app(**config: Any) -> App:
    return App("exchange", config={"REQUEST_ID_HEADER": False, **config})


async def test_a_request_that_never_waits_makes_no_task() -> None:
    """A handler that doesn't wait costs one call: no listener, nothing received, and its driver serves the next one."""
    app = quiet_app()
    app.add_route(lambda request: text("hello"), "/", name="hello")
    for _ in range(2):
        call = Call(app, http_scope())
        before = asyncio.all_tasks()
        assert await call.ended() == [
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"5")],
            },
            {"type": "http.response.body", "body": b"hello", "more_body": False},
        ]
        assert asyncio.all_tasks() <= before
    assert current_request.get() is None


async def test_context_of_the_caller() -> None:
    """The caller's current request is there again afterwards: this application may live inside of another."""
    app = quiet_app()
    app.add_route(lambda request: text(""), "/", name="hello")
    outer: Any = object()
    call = Call(app, http_scope())

    async def nested() -> Any:
        token = current_request.set(outer)
        try:
            await app(http_scope(), call._receive, call._send)
            return current_request.get()
        finally:
            current_request.reset(token)

    assert await nested() is outer
    await call.ended()


async def test_a_client_that_leaves_before_its_body_is_whole() -> None:
    """There is nobody to answer, and no handler runs."""
    app = quiet_app()

    @app.post("/")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("unreachable")

    call = Call(app, http_scope(**POST))
    call.give(body(b"12345", more=True), DISCONNECT)
    assert await call.ended() == []


async def test_pieces_of_a_stream_wait_for_their_reader() -> None:
    """The next piece is asked for when the reader has caught up: what waits is bounded."""
    app = quiet_app()
    may_read = asyncio.Event()
    pieces: list[int] = []

    @app.post("/", stream=True)
    async def handler(request: Request) -> HTTPResponse:
        await may_read.wait()
        async for chunk in request.stream:
            pieces.append(len(chunk))
        return text("done")

    call = Call(app, http_scope(method="POST", headers=[(b"transfer-encoding", b"chunked")]))
    call.give(*[body(b"x" * 50_000, more=True) for _ in range(5)], body(b""))
    for _ in range(50):
        await asyncio.sleep(0)
    assert call._incoming.qsize() == 4  # two pieces are past the high-water mark
    may_read.set()
    assert (await call.ended())[1]["body"] == b"done"
    assert pieces == [50_000] * 5


async def test_the_server_that_ends_a_request() -> None:
    """A server that cancels gets its answer, 503, and its cancellation."""
    app = quiet_app()

    @app.get("/")
    async def handler(request: Request) -> None:
        await asyncio.Event().wait()

    for is_gone in (False, True):
        call = Call(app, http_scope())
        await asyncio.sleep(0.01)
        if is_gone:
            call.send_error = OSError("gone")
        call.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.task
        assert [message.get("status") for message in call.sent] == ([] if is_gone else [503, None])


async def test_a_server_whose_receive_fails() -> None:
    """It counts as the client's leaving."""
    app = quiet_app()

    @app.get("/")
    async def handler(request: Request) -> None:
        await asyncio.Event().wait()

    call = Call(app, http_scope())
    call.give(RuntimeError("broken"))
    assert await call.ended() == []
    assert call.task.cancelling() == 0


async def test_a_server_that_says_that_the_client_is_gone() -> None:
    """`send` raises OSError (specification 2.4): the sender hears `RequestCancelled`, a whole response is forgotten."""
    app = quiet_app()
    heard: list[BaseException] = []

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond()
        try:
            await response.send("x")
        except BaseException as exc:
            heard.append(exc)
            raise

    @app.get("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text("x")

    for path in ("/stream", "/whole"):
        call = Call(app, http_scope(path))
        call.send_error = OSError("gone")
        assert await call.ended() == []
    assert [type(exc) for exc in heard] == [RequestCancelled]


async def test_bodies_that_pass_their_limit() -> None:
    """413 as soon as that is known: by the length, by the pieces, by a stream's pieces."""
    app = quiet_app(REQUEST_MAX_SIZE=8)

    @app.post("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text(request.body.decode())

    @app.post("/stream", stream=True)
    async def stream(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text("never")

    @app.post("/short")
    async def short(request: Request) -> HTTPResponse:
        return text(request.body.decode())

    unsized = {"method": "POST", "headers": [(b"transfer-encoding", b"chunked")]}
    assert (await Call(app, http_scope("/whole", **POST)).ended())[0]["status"] == 413
    for path in ("/whole", "/stream"):
        call = Call(app, http_scope(path, **unsized))
        call.give(body(b"12345", more=True), body(b"6789"))
        assert (await call.ended())[0]["status"] == 413
    call = Call(app, http_scope("/short", **unsized))
    call.give(body(b"123", more=True), body(b"45"))
    assert (await call.ended())[1]["body"] == b"12345"
    call = Call(app, http_scope("/nowhere", **POST))  # nobody wants its body
    assert (await call.ended())[0]["status"] == 404


async def test_bodies_that_stall() -> None:
    """408, for a handler that wants the whole body and for one that reads a stream."""
    app = quiet_app(REQUEST_TIMEOUT=0.02)

    @app.post("/whole")
    async def whole(request: Request) -> None:
        raise AssertionError("unreachable")

    @app.post("/stream", stream=True)
    async def stream(request: Request) -> None:
        await request.receive_body()

    for path in ("/whole", "/stream"):
        call = Call(app, http_scope(path, **POST))
        call.give(body(b"12345", more=True))
        assert (await call.ended())[0]["status"] == 408


async def test_a_client_that_leaves_in_its_upload() -> None:
    """The reader hears `RequestCancelled`, and there is no answer."""
    app = quiet_app()
    heard: list[type[BaseException]] = []

    @app.post("/", stream=True)
    async def handler(request: Request) -> None:
        try:
            await request.receive_body()
        except BaseException as exc:
            heard.append(type(exc))
            raise

    call = Call(app, http_scope(**POST))
    call.give(body(b"12345", more=True), DISCONNECT)
    assert await call.ended() == []
    assert heard == [RequestCancelled]


async def test_a_time_out_is_lifted_by_a_stream() -> None:
    """A streamed response may take as long as it likes; nor is a plain GET a handshake."""
    app = quiet_app(RESPONSE_TIMEOUT=0.02)

    @app.get("/")
    async def handler(request: Request) -> None:
        await asyncio.sleep(0)
        response = await request.respond()
        await asyncio.sleep(0.05)
        await response.send("late")

    @app.websocket("/ws")
    async def ws(request: Request, ws: Any) -> None:
        raise AssertionError("unreachable")

    @app.get("/slow")
    async def slow(request: Request) -> None:
        await asyncio.Event().wait()

    assert (await Call(app, http_scope()).ended())[1]["body"] == b"late"
    assert (await Call(app, http_scope("/ws")).ended())[0]["status"] == 426
    assert (await Call(app, http_scope("/slow")).ended())[0]["status"] == 503


async def test_a_message_after_the_client_has_left() -> None:
    """Nothing is sent to a client that is known to be gone."""
    app = quiet_app()
    heard: list[type[BaseException]] = []

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await response.send("too late")
            except RequestCancelled as exc:
                heard.append(type(exc))
            raise

    call = Call(app, http_scope())
    call.give({"type": "http.request"}, DISCONNECT)
    assert await call.ended() == []
    assert heard == [RequestCancelled]


async def test_a_disconnect_after_the_response() -> None:
    """Servers say so when the response is complete: a handler that still cleans up is left alone."""
    app = quiet_app()
    cleaned = asyncio.Event()

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        await response.eof()
        await asyncio.sleep(0.01)
        cleaned.set()

    call = Call(app, http_scope())
    await call.next()
    call.give(DISCONNECT)
    await call.ended()
    assert cleaned.is_set()


async def test_streamed_lengths(caplog: pytest.LogCaptureFixture) -> None:
    """A Content-Length is held to: one that is none is 500, a body that differs is cut."""
    app = quiet_app()

    @app.get("/<length>/<sent:int>")
    async def handler(request: Request, length: str, sent: int) -> None:
        response = await request.respond(headers={"content-length": length})
        for _ in range(sent):
            await response.send("x")
        await response.eof()

    assert (await Call(app, http_scope("/2/2")).ended())[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert (await Call(app, http_scope("/two/1")).ended())[0]["status"] == 500
    for path in ("/2/1", "/2/3"):
        with pytest.raises(ResponseCut):
            await Call(app, http_scope(path)).ended()
    call = Call(app, http_scope("/2/3", method="HEAD"))
    assert [message.get("body") for message in await call.ended()] == [None, b""]


async def test_a_fast_reader_leaves_others_their_turn() -> None:
    """A handler that never has to wait for its reader still gives the loop a turn now and then."""
    app = quiet_app()
    turns = 0

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        for _ in range(200):
            await response.send("x")

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await Call(app, http_scope()).ended()
    task.cancel()
    assert turns > 2


async def test_an_unread_upload_fails_its_later_reader() -> None:
    """A task that goes on reading the body of a request that was answered hears so."""
    app = quiet_app()
    failures: list[str] = []

    @app.post("/", stream=True)
    async def handler(request: Request) -> HTTPResponse:
        async def read() -> None:
            try:
                await request.stream.read()
            except Exception as exc:
                failures.append(str(exc))

        request.app.ctx.task = asyncio.create_task(read())
        await asyncio.sleep(0)
        return text("enough")

    await Call(app, http_scope(**POST)).ended()
    await app.ctx.task
    assert failures == ["The request was answered before its body was read"]


async def test_time_out_of_a_handler_that_was_fed() -> None:
    """After the body's end the response's time runs."""
    app = quiet_app(RESPONSE_TIMEOUT=0.02)

    @app.post("/", stream=True)
    async def handler(request: Request) -> None:
        await request.receive_body()
        await asyncio.Event().wait()

    call = Call(app, http_scope(**POST))
    call.give(body(b"0123456789"))
    assert (await call.ended())[0]["status"] == 503


@pytest.mark.parametrize("scope_type", ["rsgi", "http.reverse"])
async def test_unknown_scopes(scope_type: str) -> None:
    """A protocol that isn't known is refused, as the specification asks."""
    with pytest.raises(ValueError, match="not known"):
        await Call(quiet_app(), {"type": scope_type}).ended()


async def test_a_server_without_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    """It is served; listeners that never ran are worth a warning, once."""
    app = quiet_app()
    app.before_server_start(lambda app: None)
    app.add_route(lambda request: text("hello"), "/", name="hello")
    for _ in range(2):
        assert (await Call(app, http_scope()).ended())[0]["status"] == 200
    assert [record.message for record in caplog.records] == [
        "the ASGI server has no lifespan, or has switched it off: listeners and tasks don't run"
    ]


async def test_refusals_are_problem_details() -> None:
    """What never becomes a request is answered all the same."""
    sent = await Call(quiet_app(), http_scope(raw_path=b"/a b")).ended()
    assert sent[0]["status"] == 400
    assert msgspec.json.decode(sent[1]["body"])["detail"] == "The request target is malformed"


async def test_a_driver_that_dies_is_not_used_again(caplog: pytest.LogCaptureFixture) -> None:
    """What ends the process passes through, and the next request gets a fresh driver."""
    app = quiet_app()

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        if request.query_string:
            raise KeyboardInterrupt
        return text("fine")

    async def interrupted() -> bool:
        call = Call(App("unused"), {"type": "none"})
        with pytest.raises(ValueError, match="none"):
            await call.task
        try:
            await app(http_scope(query_string=b"stop"), call._receive, call._send)
        except KeyboardInterrupt:
            return True
        return False

    assert await interrupted()
    assert (await Call(app, http_scope()).ended())[0]["status"] == 200


async def test_drivers_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than so many wait for their next request."""
    monkeypatch.setattr("fairlead.asgi.application.MAX_IDLE_DRIVERS", 0)
    app = quiet_app()
    app.add_route(lambda request: text("hello"), "/", name="hello")
    for _ in range(2):
        assert (await Call(app, http_scope()).ended())[0]["status"] == 200
    application: Any = app._asgi
    assert application._idle_drivers == []


async def test_a_time_out_that_comes_too_late() -> None:
    """A handler that is done is not cancelled."""
    call = Call(App("unused"), {"type": "none"})
    with pytest.raises(ValueError, match="none"):
        await call.task
    exchange = HttpExchange(Shared(Limits()), http_scope(), call._receive, call._send)
    exchange._expire()
    assert exchange.task is None
