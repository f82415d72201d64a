"""Dispatch: whatever a handler does, its client gets one whole answer or a cut connection, and the failure is in the log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from fairlead import App, Blueprint, HTTPResponse, Request, text
from fairlead.errors import Forbidden, NotFound, RequestCancelled, WebsocketClosed
from fairlead.http.head import Head
from fairlead.request import DONE
from fairlead.testing import AsyncTestClient

Observed = list[tuple[str, int, int, str]]


def observe(app: App) -> Observed:
    """What the observer of an application is told: path, status, bytes, and why the answer broke off."""
    seen: Observed = []
    app.finalise().observer = lambda request, status, size, started_s, ended_s, aborted="": seen.append(
        (request.path, status, size, aborted)
    )
    return seen


async def test_answer_after_a_stream_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A response that is returned after `request.respond()` would be a second one on the wire: it is logged, not sent."""
    app = App("twice")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse:
        stream = await request.respond(content_type="text/plain")
        await stream.send("streamed")
        return text("returned")

    @app.get("/itself")
    async def itself(request: Request) -> Any:
        stream = await request.respond(content_type="text/plain")
        await stream.send("streamed")
        return stream

    async with AsyncTestClient(app) as client:
        assert [(await client.get("/")).text for _ in range(2)] == ["streamed", "streamed"]
        assert len([record for record in caplog.records if "not sent" in record.message]) == 2
        caplog.clear()
        assert (await client.get("/itself")).text == "streamed"
    assert caplog.records == []


async def test_failure_after_the_end_of_a_stream(caplog: pytest.LogCaptureFixture) -> None:
    """A handler that fails after `eof()` is logged; its client has the whole answer, and keeps its connection."""
    app = App("late")

    @app.get("/")
    async def index(request: Request) -> None:
        stream = await request.respond()
        await stream.send("whole", end_stream=True)
        raise RuntimeError("on purpose")

    async with AsyncTestClient(app) as client:
        assert [(await client.get("/")).text for _ in range(2)] == ["whole", "whole"]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["on purpose"] * 2


async def test_failure_within_a_stream_cuts_it() -> None:
    """A handler that fails in the middle of its body cuts the connection: a part must not pass for the whole."""
    app = App("broken")

    @app.get("/<kind>")
    async def index(request: Request, kind: str) -> None:
        stream = await request.respond(headers={"content-length": "9"} if kind == "short" else None)
        await stream.send("part")
        if kind != "short":
            raise RuntimeError("on purpose")

    async with AsyncTestClient(app) as client:
        for kind in ("raises", "short"):
            with pytest.raises(httpx.TransportError):
                await client.get(f"/{kind}")


async def test_stream_head_that_cannot_be_sent() -> None:
    """A head that would break out of its lines is an error of the application while nothing is written: 500."""
    app = App("head")

    @app.get("/<kind>")
    async def index(request: Request, kind: str) -> None:
        stream = await request.respond(headers={"x-a": "a\r\nb"} if kind == "split" else {"content-length": "many"})
        await stream.send("never")

    async with AsyncTestClient(app) as client:
        for kind in ("split", "length"):
            assert (await client.get(f"/{kind}")).status_code == 500


async def test_responses_that_cannot_be_sent(caplog: pytest.LogCaptureFixture) -> None:
    """A response of the handler, of an error handler, or a context that can't be encoded: 500, and the next request is served."""
    app = App("unsendable")

    @app.exception(KeyError)
    async def on_key(request: Request, exc: KeyError) -> HTTPResponse:
        return text("", headers={"x-a": "a\nb"})

    @app.get("/<kind>")
    async def index(request: Request, kind: str) -> Any:
        if kind == "handled":
            raise KeyError("k")
        if kind == "context":
            raise Forbidden("no", context={"what": "\ud800"})
        return HTTPResponse(5, 200) if kind == "body" else text("", headers={"x-a": "a\nb"})  # type: ignore[arg-type]

    async with AsyncTestClient(app) as client:
        for kind in ("handled", "context", "body", "header"):
            assert (await client.get(f"/{kind}")).status_code == 500, kind
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 4


async def test_observer_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Metrics and access log are told of a response after it; when they fail the answer is out, and the next one comes."""
    app = App("observed")

    @app.get("/")
    async def index(request: Request) -> object:
        return text("ok")

    def fail(request: Request, status: int, size: int, started_s: float, ended_s: float) -> None:
        raise OSError("the disk is full")

    app.finalise().observer = fail
    async with AsyncTestClient(app) as client:
        assert [(await client.get("/")).text for _ in range(2)] == ["ok", "ok"]
    assert "the observer of responses failed" in caplog.text


async def test_what_the_observer_is_told() -> None:
    """Status and bytes of the body: of a response, a stream, an error, a missing route; 499 when nobody waits any more."""
    app = App("observed")
    entered, gone = asyncio.Event(), asyncio.Event()

    @app.get("/stream")
    async def stream(request: Request) -> None:
        stream = await request.respond(status=201)
        await stream.send("12345")

    @app.get("/wait")
    async def wait(request: Request) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()

    app.get("/")(lambda request: "abc")
    seen = observe(app)
    async with AsyncTestClient(app) as client:
        for path in ("/", "/stream", "/none"):
            await client.get(path)
        waiting = asyncio.ensure_future(client.get("/wait"))
        await entered.wait()
        waiting.cancel()
        await gone.wait()
        await asyncio.wait([waiting])
    assert [told[:2] for told in seen] == [("/", 200), ("/stream", 201), ("/none", 404), ("/wait", 499)]
    assert [told[2] for told in seen][:2] == [3, 5]


async def test_answers_that_break_off_are_observed() -> None:
    """What was sent and why no more came: the handler raised, or its client left; nothing was begun, no answer: 499."""
    app = App("broken")
    sent, gone = asyncio.Event(), asyncio.Event()

    @app.get("/raises")
    async def raises(request: Request) -> None:
        await (await request.respond()).send("12345")
        raise RuntimeError("on purpose")

    @app.get("/<pieces:int>")
    async def wait(request: Request, pieces: int) -> None:
        stream = await request.respond()
        try:
            for _ in range(pieces):
                await stream.send("123")
            sent.set()
            await asyncio.Event().wait()
        finally:
            gone.set()

    seen = observe(app)
    async with AsyncTestClient(app) as client:
        with pytest.raises(httpx.ReadError):
            await client.get("/raises")
        for path in ("/2", "/0"):
            sent.clear()
            gone.clear()
            waiting = asyncio.ensure_future(client.get(path))
            await sent.wait()
            waiting.cancel()
            await gone.wait()
            await asyncio.wait([waiting])
    assert seen == [("/raises", 200, 5, "error"), ("/2", 200, 6, "client"), ("/0", 499, 0, "")]


async def test_a_stream_counts_what_is_sent() -> None:
    """Nothing of a body is sent in answer to HEAD."""
    app = App("observed")

    @app.route("/", methods=["GET", "HEAD"])
    async def stream(request: Request) -> None:
        await (await request.respond()).send("12345")

    seen = observe(app)
    async with AsyncTestClient(app) as client:
        await client.get("/")
        await client.head("/")
    assert seen == [("/", 200, 5, ""), ("/", 200, 0, "")]


async def test_upgraded_requests_are_observed_as_101() -> None:
    """A request that became a websocket counts as 101, and a failure in what surrounds it cuts the connection."""
    app = App("upgraded")

    @app.websocket("/")
    async def echo(request: Request, ws: Any) -> None:
        await ws.send("hello")

    seen = observe(app)
    async with AsyncTestClient(app) as client, client.websocket("/") as ws:
        assert await ws.recv() == "hello"
        await ws.wait_closed()
    assert seen == [("/", 101, 0, "")]


async def test_parameter_type_that_fails() -> None:
    """A parameter type of the application's own that raises anything but ValueError is a 500, with a body on its way or not."""
    app = App("types")
    app.router.register_pattern("odd", lambda text: {}[text], "[a-z]+")
    app.add_route(lambda request, x: text(x), "/<x:odd>", ["GET", "POST"], name="odd")
    async with AsyncTestClient(app) as client:
        assert (await client.get("/abc")).status_code == 500

        async def body() -> Any:
            yield b"chunk"

        assert (await client.post("/abc", content=body())).status_code == 500


async def test_error_handlers_may_decline() -> None:
    """An error handler that gives None leaves the answer to the default; one for a base class counts where none is nearer."""
    app = App("decline")
    blueprint = Blueprint("part", url_prefix="/part")

    @app.exception(Exception)
    def decline(request: Request, exc: Exception) -> None:
        return None

    @blueprint.exception(NotFound)
    def own(request: Request, exc: NotFound) -> HTTPResponse:
        return text("own", status=404)

    async def missing(request: Request) -> None:
        raise NotFound("gone")

    app.get("/")(missing)
    blueprint.get("/")(missing)
    app.blueprint(blueprint)
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json()["detail"] == "gone"
        assert (await client.get("/part/")).text == "own"
        assert (await client.get("/part/nowhere")).text == "own"  # below its prefix
        assert (await client.get("/nowhere")).json()["status"] == 404


async def test_error_handler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """When the error handler fails too, both failures are logged, and the second is answered."""
    app = App("handler")

    @app.exception(KeyError)
    async def on_key(request: Request, exc: KeyError) -> HTTPResponse:
        raise Forbidden("the second", quiet=False)

    @app.get("/")
    def index(request: Request) -> Any:
        return missing()

    async def missing() -> None:
        raise KeyError("the first")

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).status_code == 403
    assert [type(record.exc_info[1]) for record in caplog.records if record.exc_info] == [KeyError, Forbidden]


async def test_cancelled_by_the_application() -> None:
    """A handler that is cancelled while its client waits is answered 503, and the connection closes."""
    app = App("cancelled")

    @app.get("/")
    async def index(request: Request) -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.Event().wait()

    async with AsyncTestClient(app) as client:
        response = await client.get("/")
    assert (response.status_code, response.headers["connection"]) == (503, "close")


class Recorder:
    """An exchange that keeps what it is given."""

    def __init__(self) -> None:
        self.responses: list[HTTPResponse] = []

    def respond(self, request: Request, response: HTTPResponse) -> None:
        """Keep it."""
        self.responses.append(response)

    def cancelled(self, request: Request) -> None:
        """Nobody waits for an answer any more."""


async def test_driver_serves_one_request_after_another() -> None:
    """A driver is sent requests and yields DONE after each; with nobody observing it looks for nobody."""
    app = App("driver")
    app.get("/")(lambda request: text("ok"))
    exchange, driver = Recorder(), app.finalise().driver()
    driver.send(None)  # type: ignore[arg-type]
    for method in (b"GET", b"DELETE", b"GET"):
        request: Request[Any, Any] = Request(app, exchange, method, b"/", Head(b"\r\nHost: a"), b"")  # type: ignore[arg-type]
        assert driver.send(request) is DONE
    assert [response.status for response in exchange.responses] == [200, 405, 200]


async def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Errors of the server are logged with their private detail, errors of the client and closed websockets are not."""
    app = App("logged")

    @app.get("/<kind>")
    async def index(request: Request, kind: str) -> None:
        raise {
            "quiet": Forbidden("no"),
            "loud": Forbidden("no", quiet=False, extra={"why": "secret"}),
            "closed": WebsocketClosed(),
        }[kind]

    async with AsyncTestClient(app) as client:
        for kind in ("quiet", "closed", "loud"):
            await client.get(f"/{kind}")
    [record] = caplog.records
    assert (record.detail, record.path) == ("{'why': 'secret'}", "/loud")  # type: ignore[attr-defined]


async def test_task_group_of_a_client_that_has_left(caplog: pytest.LogCaptureFixture) -> None:
    """A group of nothing but cancellations is a client that has left: 499 and no error. With anything else in it, it passes."""
    app = App("groups")

    @app.get("/<kind>")
    def index(request: Request, kind: str) -> None:
        others = [SystemExit(3)] if kind == "defect" else []
        raise BaseExceptionGroup("unhandled", [RequestCancelled("gone"), *others])

    seen = observe(app)
    exchange, driver = Recorder(), app.finalise().driver()
    driver.send(None)  # type: ignore[arg-type]

    def ask(target: bytes) -> Any:
        return driver.send(Request(app, exchange, b"GET", target, Head(b"\r\nHost: a"), b""))  # type: ignore[arg-type]

    assert ask(b"/left") is DONE
    assert (exchange.responses, seen, caplog.records) == ([], [("/left", 499, 0, "")], [])
    with pytest.raises(BaseExceptionGroup, match="unhandled"):
        ask(b"/defect")


class Notes:
    """A tracer that begins no spans of its own for all, and keeps what it is told."""

    def __init__(self, share: float) -> None:
        self._gap = 0 if share else -1
        self.begun: list[str] = []
        self.recorded: list[BaseException] = []

    def gap(self) -> int:
        """All of them, or none."""
        return self._gap

    def begin(self, request: Request) -> None:
        """Keep the path, and be the request's span."""
        self.begun.append(request.path)
        request.span = self  # type: ignore[assignment]

    def record(self, exc: BaseException) -> None:
        """Keep it."""
        self.recorded.append(exc)


@pytest.mark.parametrize(("share", "begun"), [(0.0, ["/traced"]), (1.0, ["/plain", "/traced"])])
async def test_which_requests_are_traced(share: float, begun: list[str]) -> None:
    """The tracer hears of its share of the requests, of all whose caller traces them, and of their failures (T9)."""
    app = App("traced")
    notes, failure = Notes(share), RuntimeError("on purpose")

    @app.get("/<kind>")
    def index(request: Request, kind: str) -> HTTPResponse:
        if kind == "plain":
            return text(kind)
        raise failure

    observe(app)
    app.dispatcher.tracer = notes
    async with AsyncTestClient(app) as client:
        await client.get("/plain")
        await client.get("/traced", headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert notes.begun == begun
    assert notes.recorded == [failure]
