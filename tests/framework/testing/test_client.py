"""The clients: the real server in memory and over a socket, in async and in sync tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

import fairlead.testing
from fairlead import App, HTTPResponse, Request, json, text
from fairlead.errors import Forbidden, WebsocketClosed
from fairlead.testing import AsyncTestClient, HandshakeRefused, SanicStyleClient, TestClient
from fairlead.websocket import Websocket

LIVE = pytest.mark.parametrize("live", [False, True], ids=["memory", "live"])


@pytest.fixture
def app() -> App[Any, Any]:
    """An application with a bit of everything; `app.ctx.events` tells its life."""
    app: App[Any, Any] = App("sample")
    app.ctx.events = []
    app.ctx.uploaded = asyncio.Queue()
    app.ctx.downloaded = asyncio.Event()

    @app.get("/")
    async def hello(request: Request[Any, Any]) -> HTTPResponse:
        return text("Hello", headers={"x-scheme": request.scheme, "x-ip": request.ip})

    @app.post("/echo")
    async def echo(request: Request[Any, Any]) -> HTTPResponse:
        return json(request.json)

    @app.post("/upload", stream=True)
    async def upload(request: Request[Any, Any]) -> None:
        response = await request.respond(content_type="application/octet-stream")
        assert request.stream is not None
        async for chunk in request.stream:
            app.ctx.uploaded.put_nowait(chunk)
            await response.send(chunk.upper())

    @app.get("/download")
    async def download(request: Request[Any, Any]) -> None:
        response = await request.respond(content_type="application/octet-stream")
        await response.send(b"first")
        await app.ctx.downloaded.wait()
        await response.send(b"second")

    @app.get("/login")
    async def login(request: Request[Any, Any]) -> HTTPResponse:
        response = text("in")
        response.headers["set-cookie"] = "session=s1; Path=/"
        return response

    @app.get("/slow")
    async def slow(request: Request[Any, Any]) -> HTTPResponse:
        await asyncio.sleep(30)
        return text("never")

    @app.websocket("/feed", subprotocols=["v1", "v2"], compression="deflate")
    async def feed(request: Request[Any, Any], ws: Websocket) -> None:
        await ws.send({"cookie": request.headers.get("cookie", ""), "authorization": request.headers.get("authorization", "")})
        async for message in ws:
            if message == "close":
                await ws.close(4000, "as you wish")
            await ws.send(message)

    @app.websocket("/closed")
    async def closed(request: Request[Any, Any], ws: Websocket) -> None:
        raise AssertionError("the guard lets nobody in")

    @app.on_request
    async def guard(request: Request[Any, Any]) -> None:
        if request.path == "/closed":
            raise Forbidden("members only")

    for event in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        app.listener(event)(_noting(event))

    return app


def _noting(event: str) -> Any:
    async def note(app: App[Any, Any]) -> None:
        app.ctx.events.append(event)

    return note


@LIVE
async def test_requests_and_the_apps_life(app: App[Any, Any], live: bool) -> None:
    """T7: entering the client starts the app with its listeners, leaving it stops it; between them httpx works as ever."""
    async with AsyncTestClient(app, live=live) as client:
        assert app.ctx.events == ["before_server_start", "after_server_start"]
        response = await client.get("/")
        assert (response.status_code, response.text, response.headers["x-ip"]) == (200, "Hello", "127.0.0.1")
        assert (await client.post("/echo", json={"a": 1})).json() == {"a": 1}
        assert (await client.get("/nowhere")).status_code == 404
        assert client.server.last_request is not None
        assert client.server.last_request.path == "/nowhere"
    assert app.ctx.events[2:] == ["before_server_stop", "after_server_stop"]


async def test_connections_are_kept(app: App[Any, Any]) -> None:
    """Requests of a client share a connection, as those of a browser do; parallel ones have their own."""
    async with AsyncTestClient(app) as client:
        await client.get("/")
        first = client.server.last_request
        await client.get("/")
        second = client.server.last_request
        assert first is not None
        assert second is not None
        assert first is not second
        assert first.conn_info is second.conn_info
        responses = await asyncio.gather(*(client.get("/") for _ in range(20)))
        assert [response.status_code for response in responses] == [200] * 20


@LIVE
async def test_bodies_stream_both_ways(app: App[Any, Any], live: bool) -> None:
    """The handler has the first part of a request before the second one is sent, and so has the client of a response."""
    async with AsyncTestClient(app, live=live) as client:

        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            assert await app.ctx.uploaded.get() == b"first"
            yield b"second"

        assert (await client.post("/upload", content=parts())).content == b"FIRSTSECOND"
        async with client.stream("GET", "/download") as response:
            received = response.aiter_raw()
            assert await anext(received) == b"first"
            app.ctx.downloaded.set()
            assert [part async for part in received] == [b"second"]


async def test_https_in_memory(app: App[Any, Any]) -> None:
    """With an https base URL the app believes in TLS, so that secure cookies and redirects can be tested."""
    async with AsyncTestClient(app, base_url="https://shop.example") as client:
        assert (await client.get("/")).headers["x-scheme"] == "https"
        async with client.websocket("/feed", origin="https://shop.example") as ws:
            assert ws.response is not None
            assert ws.response.status_code == 101


async def test_no_tls_over_a_socket(app: App[Any, Any]) -> None:
    """A live server of a test speaks plain HTTP and says so."""
    async with AsyncTestClient(app, live=True) as client:
        with pytest.raises(httpx.ConnectError, match="no TLS"):
            await client.get("https://testserver/")


@LIVE
async def test_connections_that_break(app: App[Any, Any], live: bool) -> None:
    """A server that cuts the connection in the middle of either body raises one of httpx's errors of transport."""

    @app.get("/cut")
    async def cut(request: Request[Any, Any]) -> None:
        response = await request.respond()
        await response.send(b"part")
        raise RuntimeError("on purpose")

    is_cut = asyncio.Event()

    @app.post("/cut-upload", stream=True)
    async def cut_upload(request: Request[Any, Any]) -> None:
        assert request.stream is not None
        await request.stream.read()
        request.exchange.abort()
        is_cut.set()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await is_cut.wait()
        for _ in range(1000):
            yield b"x" * 1000
            await asyncio.sleep(0)

    async with AsyncTestClient(app, live=live) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/cut")
        with pytest.raises(httpx.TransportError):
            await client.post("/cut-upload", content=parts())


@LIVE
async def test_uploads_that_nobody_reads(app: App[Any, Any], live: bool) -> None:
    """A handler that takes nothing of a long body raises httpx's WriteTimeout."""

    @app.post("/unread", stream=True)
    async def unread(request: Request[Any, Any]) -> None:
        await asyncio.Event().wait()

    app.config.REQUEST_MAX_SIZE = 1 << 30

    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000

    async with AsyncTestClient(app, live=live) as client:
        with pytest.raises(httpx.WriteTimeout):
            await client.post("/unread", content=parts(), timeout=httpx.Timeout(None, write=0.05))


@LIVE
async def test_streams_of_events(app: App[Any, Any], live: bool) -> None:
    """Events are read one by one, a stream is resumed by the id that was seen last; what is no stream of events is refused."""

    @app.get("/events")
    async def events(request: Request[Any, Any]) -> None:
        async with request.sse() as stream:
            first = int(stream.last_event_id or 0) + 1
            for number in (first, first + 1):
                await stream.send({"number": number}, id=str(number))

    async with AsyncTestClient(app, live=live) as client:
        async with client.sse("/events") as reader:
            assert await reader.next_json() == {"number": 1}
            assert reader.last_event_id == "1"
            assert [event.id async for event in reader] == ["2"]
            with pytest.raises(EOFError):
                await reader.next()
        async with client.sse("/events", last_event_id="2") as reader:
            assert (await reader.next()).id == "3"
        with pytest.raises(AssertionError, match="no stream of events: text/plain"):
            async with client.sse("/"):
                raise RuntimeError("unreachable")
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            async with client.sse("/nowhere"):
                raise RuntimeError("unreachable")


async def test_server_that_runs_already(app: App[Any, Any]) -> None:
    """An application is started once at a time; the second start is refused, and the first one serves on."""
    async with AsyncTestClient(app) as client:
        with pytest.raises(RuntimeError, match="runs already"):
            await client.server.__aenter__()
        assert (await client.get("/")).status_code == 200
    assert app.ctx.events.count("before_server_start") == 1


async def test_observer_of_the_application(app: App[Any, Any]) -> None:
    """Who observes the application's responses does so in a test as well, and after it."""
    seen: list[tuple[str, int]] = []

    def observe(request: Request[Any, Any], status: int, *rest: Any) -> None:
        seen.append((request.path, status))

    app.finalise().observer = observe
    async with AsyncTestClient(app) as client:
        await client.get("/")
    assert seen == [("/", 200)]
    assert app.dispatcher.observer is observe


def test_names_of_the_package() -> None:
    """Every public name is there when asked for; another one is an AttributeError that names it."""
    assert [name for name in fairlead.testing.__all__ if not hasattr(fairlead.testing, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = fairlead.testing.Nothing


@LIVE
async def test_time_outs_are_httpx_time_outs(app: App[Any, Any], live: bool) -> None:
    """A handler that takes too long raises httpx's ReadTimeout, and does not hold up the end of the client."""
    async with AsyncTestClient(app, live=live) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/slow", timeout=0.05)


async def test_client_outside_of_its_block(app: App[Any, Any]) -> None:
    """Before and after the `with` block there is no app to ask; the error says so."""
    client = AsyncTestClient(app)
    with pytest.raises(RuntimeError, match="`with` block"):
        await client.get("/")
    with pytest.raises(RuntimeError, match="no address"):
        _ = client.server.address
    await client.aclose()


async def test_failing_start(app: App[Any, Any]) -> None:
    """A listener that raises at the start fails the test; what was started before it is stopped."""

    @app.after_server_start
    async def broken(app: App[Any, Any]) -> None:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        async with AsyncTestClient(app):
            raise AssertionError("unreachable")
    assert app.ctx.events[-1] == "after_server_stop"


@LIVE
async def test_websocket(app: App[Any, Any], live: bool) -> None:
    """W2, W3, W6: a websocket of the client talks to the handler; cookies and headers of the client go along."""
    async with AsyncTestClient(app, live=live, headers={"authorization": "Bearer t"}) as client:
        await client.get("/login")
        async with client.websocket("/feed", subprotocols=["v2", "v1"]) as ws:
            assert await ws.recv_json() == {"cookie": "session=s1", "authorization": "Bearer t"}
            assert ws.subprotocol == "v2"
            assert ws.compression is None
            await ws.send("text")
            await ws.send(b"\x00" * 70000)
            await ws.send({"a": 1})
            assert [await ws.recv() for _ in range(3)] == ["text", b"\x00" * 70000, '{"a":1}']
            await ws.ping(b"?")
            assert ws.close_code is None
        assert (ws.close_code, ws.close_reason) == (1000, "")
        with pytest.raises(WebsocketClosed):
            await ws.send("late")


async def test_websocket_with_compression(app: App[Any, Any]) -> None:
    """W13: permessage-deflate is negotiated when the client offers it."""
    async with AsyncTestClient(app) as client, client.websocket("/feed", compression="deflate") as ws:
        assert ws.compression is not None
        await ws.recv()
        await ws.send("long " * 1000)
        assert await ws.recv() == "long " * 1000


async def test_websocket_closed_by_the_handler(app: App[Any, Any]) -> None:
    """W4: the client sees code and reason, in recv and at the end of an iteration."""
    async with AsyncTestClient(app) as client:
        async with client.websocket("/feed") as ws:
            await ws.recv()
            await ws.send("close")
            with pytest.raises(WebsocketClosed) as caught:
                await ws.recv()
            assert (caught.value.code, caught.value.reason) == (4000, "as you wish")
        async with client.websocket("/feed") as ws:
            await ws.recv()
            await ws.send("more")
            messages = []
            async for message in ws:
                messages.append(message)
                await ws.close()
            assert messages == ["more"]


async def test_refused_handshakes(app: App[Any, Any]) -> None:
    """W7: a guard and the origin check refuse before 101; the client raises with the whole response."""
    async with AsyncTestClient(app) as client:
        for url, options, status in [
            ("/closed", {}, 403),
            ("/nowhere", {}, 404),
            ("/feed", {"origin": "https://evil.example"}, 403),
        ]:
            with pytest.raises(HandshakeRefused) as caught:
                async with client.websocket(url, **options):
                    raise AssertionError("unreachable")
            assert caught.value.response.status_code == status
            assert caught.value.response.json()["status"] == status


async def test_websocket_timeout_abort_and_garbage(app: App[Any, Any]) -> None:
    """What can go wrong on a client's side: no message in time, a broken connection, bytes that are no frame."""
    async with AsyncTestClient(app) as client:
        async with client.websocket("/feed") as ws:
            await ws.recv()
            with pytest.raises(TimeoutError):
                await ws.recv(timeout=0.01)
            await ws.write(b"\xff\xff")
            with pytest.raises(WebsocketClosed) as caught:
                await ws.recv()
            assert caught.value.code == 1002
        async with client.websocket("/feed") as ws:
            ws.abort()
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1006, "")


async def test_open_websockets_end_with_the_app(app: App[Any, Any]) -> None:
    """W12: what is still open when the client is left gets 1012."""
    async with AsyncTestClient(app) as client:
        opening = client.websocket("/feed")
        ws = await opening.__aenter__()
        await ws.recv()
    assert ws.close_code == 1012


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@LIVE
def test_sync_client(app: App[Any, Any], live: bool, loop: str) -> None:
    """T7: a plain `def` test needs no loop of its own: requests, streams and websockets, on both loops."""
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    with TestClient(app, live=live, loop=loop) as client:
        assert client.get("/").text == "Hello"
        assert client.post("/echo", json=[1]).json() == [1]
        assert client.post("/upload", content=_parts()).content == b"FIRSTSECOND"
        app.ctx.downloaded.set()
        with client.stream("GET", "/download") as response:
            assert b"".join(response.iter_bytes()) == b"firstsecond"
        client.get("/login")
        with client.websocket("/feed", headers={"authorization": "Bearer t"}, subprotocols=["v1"]) as ws:
            assert ws.recv_json() == {"cookie": "session=s1", "authorization": "Bearer t"}
            assert ws.subprotocol == "v1"
            ws.send("text")
            ws.ping()
            assert ws.recv(timeout=5) == "text"
            ws.send("close")
            with pytest.raises(WebsocketClosed):
                ws.recv()
        with client.websocket("/feed") as ws:
            ws.recv()
            for number in range(3):
                ws.send(str(number))
            received = []
            for message in ws:
                received.append(message)
                if len(received) == 3:
                    ws.close()
            assert received == ["0", "1", "2"]
        with pytest.raises(HandshakeRefused), client.websocket("/closed"):
            raise AssertionError("unreachable")
        with pytest.raises(ZeroDivisionError), client.websocket("/feed"):
            _ = 1 / 0
    assert app.ctx.events[-1] == "after_server_stop"


def _parts() -> Iterator[bytes]:
    yield b"first"
    yield b"second"


def test_sync_client_outside_of_its_block(app: App[Any, Any]) -> None:
    """The same for the sync client; a start that fails leaves no loop behind."""
    client = TestClient(app)
    with pytest.raises(RuntimeError, match="`with` block"):
        client.get("/")
    client.close()

    @app.before_server_start
    async def broken(app: App[Any, Any]) -> None:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"), TestClient(app):
        raise AssertionError("unreachable")


async def test_sync_client_in_async_code(app: App[Any, Any]) -> None:
    """A sync client cannot turn its loop inside another one; the error names the client to use."""
    client = TestClient(app)
    with pytest.raises(RuntimeError, match="AsyncTestClient"), client:
        raise AssertionError("unreachable")


def test_sanic_style(app: App[Any, Any]) -> None:
    """Sanic's habit: a pair of the request as the handler saw it and the response, the app started for each call."""
    request, response = app.test_client.get("/?page=2")
    assert request is not None
    assert request.args.get("page") == "2"
    assert (response.status, response.status_code, response.reason) == (200, 200, "OK")
    assert (response.body, response.text, response.content_type) == (b"Hello", "Hello", "text/plain; charset=utf-8")
    _, response = app.test_client.post("/echo", json={"a": 1})
    assert response.json == {"a": 1}
    assert repr(response) == "<SanicResponse [200]>"
    assert app.ctx.events.count("before_server_start") == 2


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_sanic_style_methods(method: str) -> None:
    """Every method has its name."""
    app: App[Any, Any] = App("methods")

    @app.route("/", methods=[method.upper()])
    async def answer(request: Request[Any, Any]) -> HTTPResponse:
        return text("", headers={"x-method": request.method})

    request, response = getattr(SanicStyleClient(app), method)("/")
    assert response.headers["x-method"] == method.upper()
    assert request is not None


def test_sanic_style_websocket() -> None:
    """What was said is noted on both sides; a close by the server ends the talk; without a talk it is merely opened."""
    app: App[Any, Any] = App("talk")

    @app.websocket("/echo")
    async def echo(request: Any, ws: Any) -> None:
        await ws.send(await ws.recv())

    async def mimic(ws: Any) -> None:
        assert ws.subprotocol is None
        await ws.send("one")
        assert await ws.recv() == "one"
        await ws.recv()
        raise AssertionError("the server has closed")

    request, record = app.test_client.websocket("/echo", mimic=mimic)
    assert (record.client_sent, record.server_sent, record.opened) == (["one"], ["one"], True)
    assert record.server_received == record.client_sent
    assert request is None or request.path == "/echo"
    _, record = app.test_client.websocket("/echo")
    assert record.client_received == []
