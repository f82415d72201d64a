"""One application, four servers: what a client sees is the same under Fairlead's own, uvicorn, hypercorn and granian (P4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fairlead import App, Request, json, text
from fairlead.errors import Forbidden, RequestCancelled, Unauthorized
from fairlead.response import HTTPResponse
from fairlead.websocket import PreparedMessage, SendQueue
from tests.framework.asgi.servers import Serve, StartFailed

WAIT_S = 5.0


def make_app(**config: Any) -> App:
    return App("behaviour", config=config)


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=WAIT_S)


def ws_url(url: str, path: str) -> str:
    return url.replace("http:", "ws:") + path


async def raw_connection(url: str, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which `data` has been sent."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    await writer.drain()
    return reader, writer


# Routing and the request


async def test_routing(serve: Serve) -> None:
    """Parameters, query, HEAD by GET's handler, 404 and 405 with Allow."""
    app = make_app()

    @app.get("/items/<number:int>")
    async def item(request: Request, number: int) -> HTTPResponse:
        return json({"number": number, "tag": request.args.getlist("tag"), "path": request.path, "query": request.query_string})

    async with serve(app) as url, client_of(url) as client:
        response = await client.get("/items/7?tag=a&tag=%C3%BC")
        assert response.json() == {"number": 7, "tag": ["a", "ü"], "path": "/items/7", "query": "tag=a&tag=%C3%BC"}
        head = await client.head("/items/7")
        assert (head.status_code, head.content, head.headers["content-type"]) == (200, b"", "application/json")
        missing = await client.get("/nothing")
        assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
        wrong = await client.post("/items/7")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")


async def test_what_a_request_knows(serve: Serve) -> None:
    """Addresses, URL and headers; the path keeps its percent-encoding."""
    app = make_app()

    @app.get("/<path:path>")
    async def show(request: Request, path: str) -> HTTPResponse:
        return json(
            {
                "path": path,
                "raw": request.path,
                "url": request.url,
                "ip": request.ip,
                "has_port": request.port > 0,
                "scheme": request.scheme,
                "version": request.version,
                "host": request.host,
                "several": request.headers.getall("x-several"),
                "id": request.id,
                "is_current": Request.get_current() is request,
            }
        )

    async with serve(app) as url, client_of(url) as client:
        response = await client.get(
            "/gr%C3%BC%C3%9Fe/a%2Fb", headers=[("x-several", "1"), ("x-several", "2"), ("x-request-id", "mine-1")]
        )
    assert response.json() == {
        "path": "grüße/a/b",
        "raw": "/gr%C3%BC%C3%9Fe/a%2Fb",
        "url": f"{url}/gr%C3%BC%C3%9Fe/a%2Fb",
        "ip": "127.0.0.1",
        "has_port": True,
        "scheme": "http",
        "version": "1.1",
        "host": url.removeprefix("http://"),
        "several": ["1", "2"],
        "id": "mine-1",
        "is_current": True,
    }
    assert response.headers["x-request-id"] == "mine-1"


async def test_middleware_and_cookies(serve: Serve) -> None:
    """Request middleware runs before, response middleware after; several cookies are several fields."""
    app = make_app()

    @app.on_request
    async def mark(request: Request) -> None:
        request.ctx.seen = request.cookies.get("session")

    @app.on_response
    async def stamp(request: Request, response: HTTPResponse) -> None:
        response.headers["x-stamp"] = "yes"

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        response = text(request.ctx.seen)
        response.add_cookie("a", "1")
        response.add_cookie("b", "2")
        return response

    async with serve(app) as url, client_of(url) as client:
        response = await client.get("/", headers={"cookie": "session=abc"})
    assert (response.text, response.headers["x-stamp"]) == ("abc", "yes")
    assert [cookie.partition(";")[0] for cookie in response.headers.get_list("set-cookie")] == ["a=1", "b=2"]


# Bodies


async def test_bodies(serve: Serve) -> None:
    """JSON, a form, a large body, and one in chunks without a length."""
    app = make_app()

    @app.post("/json")
    async def take_json(request: Request) -> HTTPResponse:
        return json({"got": request.json})

    @app.post("/form")
    async def take_form(request: Request) -> HTTPResponse:
        return text(request.form.get("name") or "")

    @app.post("/echo")
    async def echo(request: Request) -> HTTPResponse:
        return HTTPResponse(request.body, content_type="application/octet-stream")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"piece"

    large = bytes(range(256)) * 8192  # 2 MiB
    async with serve(app) as url, client_of(url) as client:
        assert (await client.post("/json", json={"a": [1, 2]})).json() == {"got": {"a": [1, 2]}}
        assert (await client.post("/json", content=b"{")).status_code == 400
        assert (await client.post("/form", data={"name": "Zoë"})).text == "Zoë"
        assert (await client.post("/echo", content=large)).content == large
        assert (await client.post("/echo", content=pieces())).content == b"piece" * 10
        assert (await client.post("/echo", content=b"")).content == b""


async def test_body_limits(serve: Serve) -> None:
    """413 past the application's limit and past the route's own, with a length and without one."""
    app = make_app(REQUEST_MAX_SIZE=1000)

    @app.post("/usual")
    async def usual(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    @app.post("/small", max_body_bytes=10)
    async def small(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    @app.post("/streamed", stream=True)
    async def streamed(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text(str(len(request.body)))

    async def unsized(size: int) -> AsyncIterator[bytes]:
        yield b"x" * (size - 1)
        yield b"x"

    async with serve(app) as url, client_of(url) as client:
        for path, limit in (("/usual", 1000), ("/small", 10), ("/streamed", 1000)):
            assert (await client.post(path, content=b"x" * limit)).text == str(limit)
            assert (await client.post(path, content=unsized(limit))).text == str(limit)
            for too_long in (b"x" * (limit + 1), unsized(limit + 1)):
                response = await client.post(path, content=too_long, headers={"connection": "close"})
                assert (response.status_code, response.json()["detail"]) == (413, f"The body passes {limit} bytes")


async def test_a_body_that_stalls(serve: Serve) -> None:
    """408 past the body time-out, also for the reader of a streamed body."""
    app = make_app(REQUEST_TIMEOUT=0.1)

    @app.post("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text("never")

    @app.post("/streamed", stream=True)
    async def streamed(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text("never")

    async with serve(app) as url:
        for path in (b"/whole", b"/streamed"):
            reader, writer = await raw_connection(url, b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            async with asyncio.timeout(WAIT_S):
                assert b" 408 " in await reader.readline()
            writer.close()


# Streaming


async def test_streamed_response(serve: Serve) -> None:
    """Pieces arrive as they are sent, with and without a length; HEAD sends none."""
    app = make_app()
    seen = asyncio.Event()

    @app.get("/pieces")
    async def pieces(request: Request) -> None:
        response = await request.respond(content_type="text/plain", headers={"x-kind": "stream"})
        await response.send("first,")
        if request.method == "GET":
            await seen.wait()
        await response.send("second")
        await response.eof()

    @app.get("/sized")
    async def sized(request: Request) -> None:
        response = await request.respond(headers={"content-length": "4"}, content_type="text/plain")
        await response.send("ab")
        await response.send("cd", end_stream=True)

    async with serve(app) as url, client_of(url) as client:
        async with client.stream("GET", "/pieces") as response:
            assert response.headers["x-kind"] == "stream"
            parts = response.aiter_raw()
            assert await anext(parts) == b"first,"
            seen.set()
            assert b"".join([part async for part in parts]) == b"second"
        sized_response = await client.get("/sized")
        assert (sized_response.text, sized_response.headers["content-length"]) == ("abcd", "4")
        head = await client.head("/pieces")
        assert (head.status_code, head.content) == (200, b"")


async def test_streamed_request(serve: Serve) -> None:
    """A handler reads the body as it comes, and answers in the middle of it."""
    app = make_app()
    first_was_read = asyncio.Event()

    @app.post("/upload", stream=True)
    async def upload(request: Request) -> HTTPResponse:
        total = 0
        async for chunk in request.stream:
            total += len(chunk)
            first_was_read.set()
        return text(str(total))

    async def body() -> AsyncIterator[bytes]:
        yield b"a" * 1000
        await first_was_read.wait()
        for _ in range(20):
            yield b"b" * 50_000

    async with serve(app) as url, client_of(url) as client:
        assert (await client.post("/upload", content=body())).text == "1001000"


async def test_upload_that_nobody_reads(serve: Serve) -> None:
    """An answer before the body's end is an answer."""
    app = make_app()

    @app.post("/upload", stream=True)
    async def upload(request: Request) -> HTTPResponse:
        raise Forbidden("not you")

    async with serve(app) as url, client_of(url) as client:
        assert (await client.post("/upload", content=b"x" * 1000)).status_code == 403


# Errors


async def test_errors(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """An exception is 500 without its text; handlers of the application answer in its place."""
    app = make_app()

    class Broken(Exception):
        pass

    @app.exception(Broken)
    async def on_broken(request: Request, exc: Broken) -> HTTPResponse:
        return text("mended", status=418)

    @app.get("/crash")
    async def crash(request: Request) -> None:
        raise ZeroDivisionError("secret")

    @app.get("/broken")
    async def broken(request: Request) -> None:
        await asyncio.sleep(0)
        raise Broken

    @app.get("/header")
    async def header(request: Request) -> HTTPResponse:
        return text("", headers={"x-evil": "a\r\nset-cookie: b"})

    with caplog.at_level(logging.CRITICAL):
        async with serve(app) as url, client_of(url) as client:
            crashed = await client.get("/crash")
            assert (crashed.status_code, "secret" in crashed.text) == (500, False)
            assert (await client.get("/broken")).status_code == 418
            split = await client.get("/header")
            assert (split.status_code, "set-cookie" in split.headers) == (500, False)


async def test_a_response_that_breaks_off(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in the middle of a streamed response: the client can tell that it isn't whole."""
    app = make_app()

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send("half")
        raise ZeroDivisionError

    with caplog.at_level(logging.CRITICAL):
        async with serve(app) as url, client_of(url) as client:
            with pytest.raises(httpx.HTTPError):
                await client.get("/")


async def test_response_time_out(serve: Serve) -> None:
    """503 for a handler that takes too long; it is cancelled."""
    app = make_app()
    ended = asyncio.Event()

    @app.get("/", response_timeout_s=0.05)
    async def slow(request: Request) -> HTTPResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return text("never")

    async with serve(app) as url, client_of(url) as client:
        response = await client.get("/")
        assert (response.status_code, response.json()["detail"]) == (503, "The response took too long")
        assert ended.is_set()


# The client's leaving


async def test_a_client_that_leaves(serve: Serve) -> None:
    """Whatever the handler waits for: it is cancelled, its `finally` runs, nothing is an error."""
    app = make_app()
    started, ended = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        started.set()
        try:
            await asyncio.Event().wait()
        except RequestCancelled:
            ended.set()
            raise
        return text("never")

    async with serve(app) as url:
        _, writer = await raw_connection(url, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await started.wait()
        writer.close()
        async with asyncio.timeout(WAIT_S):
            await ended.wait()


async def test_a_handler_that_finishes_for_nobody(serve: Serve) -> None:
    """A route may say that its work is to be done whoever waits for it."""
    app = make_app()
    started, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.post("/", on_disconnect="finish")
    async def handler(request: Request) -> HTTPResponse:
        started.set()
        await may_end.wait()
        ended.set()
        return text("done")

    async with serve(app) as url:
        _, writer = await raw_connection(url, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await started.wait()
        writer.close()
        await asyncio.sleep(0.05)  # for the news to arrive, if they do
        may_end.set()
        async with asyncio.timeout(WAIT_S):
            await ended.wait()


@pytest.mark.parametrize("kind", ["reading", "sending"])
async def test_a_client_that_leaves_in_the_middle(serve: Serve, kind: str) -> None:
    """Who reads from it or sends to it learns that by `RequestCancelled`."""
    app = make_app()
    started = asyncio.Event()
    ended: asyncio.Future[type[BaseException]] = asyncio.get_running_loop().create_future()

    @app.post("/", stream=True)
    async def handler(request: Request) -> HTTPResponse:
        try:
            if kind == "reading":
                async for _ in request.stream:
                    started.set()
            else:
                response = await request.respond(content_type="text/plain")
                while True:
                    await response.send("x" * 1000)
                    started.set()
        except BaseException as exc:
            ended.set_result(type(exc))
            raise
        return text("never")

    async with serve(app) as url:
        _, writer = await raw_connection(url, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        await started.wait()
        writer.transport.abort()
        async with asyncio.timeout(WAIT_S):
            assert await ended is RequestCancelled


# Websockets


async def test_websocket(serve: Serve, server_name: str) -> None:
    """Text, binary and JSON; path parameters; the client's close ends the iteration, the handler's close has its code."""
    app = make_app()
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @app.websocket("/echo/<room>")
    async def echo(request: Request, ws: Any, room: str) -> None:
        await ws.send({"room": room, "scheme": request.scheme})
        try:
            async for message in ws:
                await ws.send(message)
        finally:
            ended.set_result(ws.close_code)

    @app.websocket("/bye")
    async def bye(request: Request, ws: Any) -> None:
        await ws.recv()
        waiter = await ws.ping()
        await waiter
        await ws.close(4001, "enough")

    async with serve(app) as url:
        async with websockets.connect(ws_url(url, "/echo/blue")) as ws:
            assert msgspec.json.decode(await ws.recv()) == {"room": "blue", "scheme": "ws"}
            for message in ("grüß", b"\x00\xff", "", "x" * 100_000):
                await ws.send(message)
                assert await ws.recv() == message
            await ws.close(1001)
        async with asyncio.timeout(WAIT_S):
            assert await ended == (1006 if server_name == "hypercorn" else 1001)  # hypercorn calls every end broken
        async with websockets.connect(ws_url(url, "/bye")) as ws:
            await ws.send("")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (4001, "enough")


async def test_websocket_negotiation(serve: Serve) -> None:
    """The first offer that the route supports is chosen; a foreign origin, a guard and a plain GET are refused in time."""
    app = make_app()

    @app.websocket("/", subprotocols=["v2", "v1"])
    async def handler(request: Request, ws: Any) -> None:
        await ws.send(str(ws.subprotocol))

    @app.websocket("/guarded")
    async def guarded(request: Request, ws: Any) -> None:
        raise AssertionError("unreachable")

    @app.on_request
    async def guard(request: Request) -> None:
        await asyncio.sleep(0)
        if request.path == "/guarded":
            raise Unauthorized("sign in", scheme="Bearer")

    async with serve(app) as url, client_of(url) as client:
        async with websockets.connect(ws_url(url, "/"), subprotocols=["v0", "v1", "v2"]) as ws:  # type: ignore[list-item]
            assert (ws.subprotocol, await ws.recv()) == ("v1", "v1")
        async with websockets.connect(ws_url(url, "/")) as ws:
            assert (ws.subprotocol, await ws.recv()) == (None, "None")
        for path, origin, status in (("/", "https://evil.example", 403), ("/guarded", None, 401), ("/none", None, 404)):
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(ws_url(url, path), origin=origin)  # type: ignore[arg-type]
            assert refused.value.response.status_code == status
        assert (await client.get("/")).status_code == 426


async def test_websocket_failures(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """1011 for an exception, 1008 for an answer below 500, 1009 for a message that is too long, 1000 at the handler's end."""
    app = make_app(WEBSOCKET_MAX_SIZE=1000)

    @app.websocket("/<kind>")
    async def handler(request: Request, ws: Any, kind: str) -> None:
        message = await ws.recv()
        if kind == "crash":
            raise ZeroDivisionError
        if kind == "refuse":
            raise Forbidden("no more")
        await ws.send(message)

    async with serve(app) as url:
        for path, message, code in (("/crash", "", 1011), ("/refuse", "", 1008), ("/long", "x" * 1001, 1009), ("/end", "", 1000)):
            async with websockets.connect(ws_url(url, path)) as ws:
                await ws.send(message)
                async with asyncio.timeout(WAIT_S):
                    await ws.wait_closed()
                assert ws.close_code == code


async def test_websocket_that_vanishes(serve: Serve) -> None:
    """A connection that breaks is 1006, and the handler that waits is told."""
    app = make_app()
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        await ws.send("here")
        try:
            await ws.recv()
        finally:
            ended.set_result(ws.close_code)

    async with serve(app) as url:
        ws = await websockets.connect(ws_url(url, "/"))
        await ws.recv()
        ws.transport.abort()
        async with asyncio.timeout(WAIT_S):
            assert await ended in (1005, 1006)  # hypercorn and granian can't tell the two apart


async def test_websocket_back_pressure(serve: Serve) -> None:
    """A peer that doesn't read holds up the sender, and a handler that doesn't take messages holds up the peer."""
    app = make_app(WEBSOCKET_MAX_SIZE=2**20)
    sent = 0

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        nonlocal sent
        await ws.recv()
        while True:
            await ws.send(b"x" * 2**18)
            sent += 1

    async with serve(app) as url, websockets.connect(ws_url(url, "/"), max_queue=1, compression=None) as ws:
        await ws.send("go")
        await ws.recv()
        before = -1
        async with asyncio.timeout(WAIT_S):
            while before != sent:
                before = sent
                await asyncio.sleep(0.3)
        assert sent < 400  # buffers of both kernels; without a brake it would be thousands
        ws.transport.abort()


async def test_broadcasts_and_queues(serve: Serve) -> None:
    """One message for many: a prepared one reaches all, by `send`, and by a queue that never waits."""
    app = make_app()
    news = PreparedMessage({"price": 5})
    room: list[Any] = []
    full = asyncio.Event()

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        await ws.send(news)
        room.append(ws)
        if len(room) == 3:
            for member in room:
                assert SendQueue.of(member).put(PreparedMessage("to all"))
            full.set()
        await full.wait()
        async for _ in ws:
            pass

    async with serve(app) as url:
        clients = [await websockets.connect(ws_url(url, "/")) for _ in range(3)]
        for client in clients:
            assert [await client.recv(), await client.recv()] == ['{"price":5}', "to all"]
        for client in clients:
            await client.close()


async def test_server_sent_events(serve: Serve) -> None:
    """A stream of events, resumed where the client has left off."""
    app = make_app()

    @app.get("/")
    async def handler(request: Request) -> None:
        async with request.sse() as stream:
            await stream.send({"n": 1}, id=f"{stream.last_event_id}+1")

    async with serve(app) as url, client_of(url) as client:
        response = await client.get("/", headers={"last-event-id": "7"})
        assert response.headers["content-type"].startswith("text/event-stream")
        assert 'id: 7+1\ndata: {"n":1}\n' in response.text


# The application's life


async def test_listeners_and_tasks(serve: Serve) -> None:
    """Sanic's order; tasks that were added before the start run, those of handlers outlive their request, all end in order."""
    app = make_app()
    events: list[str] = []
    done = asyncio.Event()

    for event in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):

        def note(app: App, event: str = event) -> None:
            events.append(event)

        app.listener(event)(note)

    async def forever(app: App) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("task cancelled")

    app.add_task(forever)

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        async def later() -> None:
            await asyncio.sleep(0)
            done.set()

        request.app.add_task(later())
        return text("started")

    async with serve(app) as url, client_of(url) as client:
        assert (await client.get("/")).text == "started"
        async with asyncio.timeout(WAIT_S):
            await done.wait()
    assert events == ["before_server_start", "after_server_start", "before_server_stop", "task cancelled", "after_server_stop"]


async def test_an_application_that_can_not_start(serve: Serve, server_name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises: the server doesn't serve, and what was opened is closed."""
    app = make_app()
    events: list[str] = []

    @app.before_server_start
    async def fail(app: App) -> None:
        raise ConnectionError("no database")

    @app.after_server_stop
    async def close(app: App) -> None:
        events.append("closed")

    with pytest.raises(StartFailed):
        await asyncio.wait_for(serve(app).__aenter__(), WAIT_S)
    assert events == ["closed"]
    if server_name != "native":  # there the worker says it
        assert "no database" in caplog.text
