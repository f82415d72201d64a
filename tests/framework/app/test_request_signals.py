"""The built-in events of requests: when they are sent, and with what (S)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, HTTPResponse, Request, text
from fairlead.errors import Forbidden
from fairlead.signals import Event
from fairlead.testing import AsyncTestClient

ALL = [event for event in Event if event.startswith(("http.lifecycle", "http.routing")) or "handler" in event]
CONNECTION = {Event.HTTP_LIFECYCLE_BEGIN, Event.HTTP_LIFECYCLE_COMPLETE, Event.HTTP_LIFECYCLE_SEND}

Seen = list[tuple[str, dict[str, Any]]]


def make_app(events: list[Event]) -> tuple[App, Seen]:
    """An application that notes the events, with one handler of each kind."""
    app, seen = App("a"), []
    for event in events:
        app.signal(event)(lambda event=event, **context: seen.append((str(event), context)))

    @app.get("/plain/<n:int>")
    def plain(request: Request, n: int) -> HTTPResponse:
        return text(str(n))

    @app.post("/echo")
    async def echo(request: Request) -> HTTPResponse:
        return text(request.body.decode())

    @app.post("/stream", stream=True)
    async def stream(request: Request) -> None:
        response = await request.respond()
        async for chunk in request.stream or ():
            await response.send(chunk)
        assert request.stream is not None
        assert request.stream.ended

    @app.get("/forbidden")
    def forbidden(request: Request) -> None:
        raise Forbidden("no")

    @app.get("/half")
    async def half(request: Request) -> None:
        response = await request.respond()
        await response.send("half")
        raise RuntimeError("on purpose")

    @app.websocket("/ws")
    async def ws(request: Request, ws: Any) -> None:
        if await ws.recv() == "fail":
            raise RuntimeError("on purpose")

    @app.websocket("/plain-ws")
    def plain_ws(request: Request, ws: Any) -> None:
        """Nothing to wait for."""

    return app, seen


async def test_order_and_arguments() -> None:
    """A plain request, from its head to its response; GET without a body reads none."""
    app, seen = make_app(ALL)
    async with AsyncTestClient(app) as client:
        response = await client.get("/plain/7", headers={"x-note": "1"})
    assert response.text == "7"
    names = [name for name, _ in seen if name not in CONNECTION]
    assert names == [
        "http.lifecycle.read_head",
        "http.lifecycle.request",
        "http.lifecycle.handle",
        "http.routing.before",
        "http.routing.after",
        "http.handler.before",
        "http.handler.after",
        "http.lifecycle.response",
    ]
    context = dict(seen)
    assert context["http.lifecycle.read_head"]["head"].startswith(b"GET /plain/7 HTTP/1.1\r\n")
    assert b"x-note: 1" in context["http.lifecycle.read_head"]["head"].lower()
    assert context["http.routing.after"]["kwargs"] == {"n": 7}
    assert context["http.routing.after"]["route"].path == "/plain/<n:int>"
    assert context["http.routing.after"]["handler"].__name__ == "plain"
    assert context["http.lifecycle.response"]["response"].status == 200
    assert isinstance(context["http.handler.before"]["request"], Request)


async def test_bodies() -> None:
    """A body that came whole is told of once, a streamed one piece by piece as it is read."""
    app, seen = make_app([Event.HTTP_LIFECYCLE_READ_BODY, Event.HTTP_LIFECYCLE_RESPONSE])

    async def pieces() -> Any:
        yield b"first"
        await asyncio.sleep(0)
        yield b"second"

    async with AsyncTestClient(app) as client:
        assert (await client.post("/echo", content=b"whole")).text == "whole"
        assert seen[0] == ("http.lifecycle.read_body", {"body": b"whole"})
        seen.clear()
        assert (await client.post("/stream", content=pieces())).text == "firstsecond"
        await client.get("/plain/1")
    bodies = [context["body"] for name, context in seen if name.endswith("read_body")]
    assert b"".join(bodies) == b"firstsecond"
    assert [context["response"].status for name, context in seen if name.endswith("response")] == [200, 200]


async def test_connections() -> None:
    """Begin and end of a connection, and each piece that is written to it."""
    app, seen = make_app(sorted(CONNECTION))
    async with AsyncTestClient(app) as client:
        await client.get("/plain/1")
    assert [name for name, _ in seen] == ["http.lifecycle.begin", "http.lifecycle.send", "http.lifecycle.complete"]
    assert seen[1][1]["data"].startswith(b"HTTP/1.1 200 OK\r\n")
    assert seen[0][1]["conn_info"] is seen[2][1]["conn_info"]


@pytest.mark.parametrize("event", sorted(CONNECTION))
async def test_one_tap_alone(event: Event) -> None:
    """Each may be listened to without the others."""
    app, seen = make_app([event])
    async with AsyncTestClient(app) as client:
        assert (await client.get("/plain/1")).status_code == 200
    assert {name for name, _ in seen} == {event}


async def test_middleware() -> None:
    """Around each middleware, with the condition that says which kind; its answer is in the event after it."""
    app, seen = App("a"), []
    for event in (Event.HTTP_MIDDLEWARE_BEFORE, Event.HTTP_MIDDLEWARE_AFTER):
        for kind in ("request", "response"):
            app.signal(event, condition={"attach_to": kind})(
                lambda response, event=event, kind=kind, **_: seen.append((event.rpartition(".")[2], kind, response))
            )

    @app.on_request
    def first(request: Request) -> None:
        """Goes on."""

    @app.on_response
    async def replace(request: Request, response: HTTPResponse) -> HTTPResponse:
        return text("replaced")

    app.get("/")(lambda request: text("original"))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "replaced"
    assert [(name, kind) for name, kind, _ in seen] == [
        ("before", "request"),
        ("after", "request"),
        ("before", "response"),
        ("after", "response"),
    ]
    assert [response and response.body for *_, response in seen] == [None, None, b"original", b"replaced"]


async def test_exceptions(caplog: pytest.LogCaptureFixture) -> None:
    """Every exception is told of before it becomes a response, a 404 too, and also when the response was begun."""
    app, seen = make_app([Event.HTTP_LIFECYCLE_EXCEPTION, Event.HTTP_LIFECYCLE_RESPONSE, Event.HTTP_ROUTING_AFTER])
    reported: list[Exception] = []
    app.signal(Event.SERVER_EXCEPTION_REPORT)(lambda exception: reported.append(exception))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/forbidden")).status_code == 403
        assert (await client.get("/nowhere")).status_code == 404
        with pytest.raises(Exception, match="aborted"):
            await client.get("/half")
    told = [type(context["exception"]).__name__ for name, context in seen if name.endswith("exception")]
    assert told == ["Forbidden", "NotFound", "RuntimeError"]
    assert [type(exc).__name__ for exc in reported] == told
    assert [context["response"].status for name, context in seen if name.endswith("response")] == [403, 404]
    assert [context["route"].path for name, context in seen if name.endswith("after")] == ["/forbidden", "/half"]


async def test_a_handler_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Before the response: a 500. In the event of an exception: logged, the answer stays."""
    app = App("a")
    app.signal(Event.HTTP_ROUTING_BEFORE)(lambda request: 1 // (request.path != "/broken"))

    @app.signal(Event.HTTP_LIFECYCLE_EXCEPTION)
    async def fails(exception: Exception) -> None:
        raise RuntimeError("on purpose")

    async with AsyncTestClient(app) as client:
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/nowhere")).status_code == 404
    assert [record.message for record in caplog.records].count("signal handler failed") == 2


async def test_websockets(caplog: pytest.LogCaptureFixture) -> None:
    """Around the handler, once the websocket is open."""
    app, seen = make_app([event for event in Event if event.startswith("websocket.")])
    async with AsyncTestClient(app) as client:
        for path, message in (("/ws", "go"), ("/ws", "fail"), ("/plain-ws", "")):
            async with client.websocket(path) as ws:
                if message:
                    await ws.send(message)
                await ws.wait_closed()
    assert [name.rpartition(".")[2] for name, _ in seen] == ["before", "after", "before", "exception", "before", "after"]
    assert isinstance(seen[3][1]["exception"], RuntimeError)
    assert {"request", "websocket"} <= set(seen[0][1])


async def test_handler_event_alone() -> None:
    """One of a pair may be listened to; a route without it in between costs nothing else."""
    app, seen = make_app([Event.HTTP_HANDLER_AFTER])
    async with AsyncTestClient(app) as client:
        await client.get("/plain/1")
        await client.post("/echo", content=b"1")
        async with client.websocket("/ws") as ws:
            await ws.send("go")
            await ws.wait_closed()
    assert [name for name, _ in seen] == ["http.handler.after"] * 3


async def test_upgrades_have_no_response() -> None:
    """A request that becomes a websocket is told of at its beginning, and of no response."""
    app, seen = make_app([Event.HTTP_LIFECYCLE_REQUEST, Event.HTTP_LIFECYCLE_RESPONSE])
    async with AsyncTestClient(app) as client, client.websocket("/plain-ws") as ws:
        await ws.wait_closed()
        assert ws.close_code == 1000
    assert [name for name, _ in seen] == ["http.lifecycle.request"]


async def test_report_alone() -> None:
    """Who listens to `server.exception.report` hears of every exception, also where nobody listens to the request's own event."""
    app, _ = make_app([])
    reported: asyncio.Queue[Exception] = asyncio.Queue()
    app.signal(Event.SERVER_EXCEPTION_REPORT)(lambda exception: reported.put_nowait(exception))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/forbidden")).status_code == 403
        assert isinstance(await reported.get(), Forbidden)
