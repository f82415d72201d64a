"""What a mount promises to any ASGI application, and what it does with one that breaks the rules."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import msgspec
import pytest

from fairlead import App, text
from fairlead.errors import Unauthorized
from fairlead.mount import http as mount_http
from fairlead.mount import mount as mount_module
from fairlead.mount.lifespan import Lifespan
from fairlead.testing import AsyncTestClient, HandshakeRefused
from tests.framework.asgi.harness import CONNECT, Call, http_scope, websocket_scope

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def whole(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data}


def outer_app(inner: Any, prefix: str = "/in", **options: Any) -> App:
    """An app with `inner`, which has no lifespan and says so in the usual way."""

    async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await inner(scope, receive, send)

    app = App("outer", config=options.pop("config", None))
    app.mount(prefix, without_lifespan, **options)
    return app


async def show_scope(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with its scope."""
    shown = {name: value.decode() if isinstance(value, bytes) else value for name, value in scope.items() if name != "headers"}
    shown["headers"] = [name.decode() for name, _ in scope["headers"]]
    await send(START)
    await send(whole(msgspec.json.encode(shown)))


# Where it is


async def test_scope() -> None:
    """`path` is the client's, `root_path` the prefix; the query is as it was sent; addresses are those that proxies tell."""
    app = outer_app(show_scope, "/in/there", config={"PROXIES_COUNT": 1})
    async with AsyncTestClient(app) as client:
        headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https", "host": "shop.example:8443"}
        scope = (await client.get("/in/there/gr%C3%BC%2Fn?q=%C3%BC", headers=headers)).json()
        assert {
            name: scope[name] for name in ("type", "method", "path", "raw_path", "root_path", "query_string", "http_version")
        } == {
            "type": "http",
            "method": "GET",
            "path": "/in/there/grü/n",
            "raw_path": "/in/there/gr%C3%BC%2Fn",
            "root_path": "/in/there",
            "query_string": "q=%C3%BC",
            "http_version": "1.1",
        }
        assert (scope["scheme"], scope["client"][0], scope["server"]) == ("https", "192.0.2.7", ["shop.example", 8443])
        assert "host" in scope["headers"]
        assert "state" not in scope
        for path in ("/in/there", "/in/there/"):
            assert (await client.get(path)).json()["path"] == path
        assert (await client.get("/in/thereabouts")).status_code == 404


async def test_methods_and_other_routes() -> None:
    """Every method arrives; the outer application's own routes come first, whatever was registered first."""
    app = outer_app(show_scope, "/")
    app.add_route(lambda request: text("own"), "/own", name="own")
    async with AsyncTestClient(app) as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert (await client.request(method, "/any/where")).json()["method"] == method
        head = await client.head("/any")
        assert (head.status_code, head.content) == (200, b"")
        assert (await client.get("/own")).text == "own"
        assert (await client.get("/")).json()["root_path"] == ""


async def test_an_app_in_an_app_in_an_app() -> None:
    """Roots add up, and the innermost application routes by what is left."""
    inner = App("inner")

    @inner.get("/show/<name>")
    async def show(request: Any, name: str) -> Any:
        return text(f"{name} {request.path} {request.server_path} {request.url}")

    events: list[str] = []
    inner.before_server_start(lambda app: events.append("start"))
    inner.after_server_stop(lambda app: events.append("stop"))
    middle = App("middle")
    middle.mount("/b", inner)
    outer = App("outer")
    outer.mount("/a", middle)
    async with AsyncTestClient(outer) as client:
        response = await client.get("/a/b/show/x%20y")
        assert response.text == "x y /show/x%20y /a/b/show/x%20y http://testserver/a/b/show/x%20y"
        assert events == ["start"]
    assert events == ["start", "stop"]


@pytest.mark.parametrize("prefix", ["in", "", "/in/<name>"])
def test_prefixes_that_are_none(prefix: str) -> None:
    """A prefix is a plain path."""
    with pytest.raises(ValueError, match="no path to mount at"):
        App("outer").mount(prefix, show_scope)


def test_two_mounts_need_two_names() -> None:
    """Names come from the prefix; one that is taken can be replaced."""
    app = App("outer")
    app.mount("/a", show_scope)
    app.mount("/b", show_scope, name="second", host="other.example")
    app.finalise()
    assert {"outer.a", "outer.a_root", "outer.second", "outer.second_root"} <= app.router.routes_by_name.keys()


async def test_middleware_and_limits() -> None:
    """Middleware of the outer application guards a mount and sees its responses; body limits are answered for it."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send(START)
        await send(whole(str(size).encode()))

    app = outer_app(echo, max_body_bytes=1000)

    @app.on_request
    async def guard(request: Any) -> None:
        if "authorization" not in request.headers:
            raise Unauthorized("sign in")

    @app.on_response
    async def stamp(request: Any, response: Any) -> None:
        response.headers["x-stamp"] = "yes"

    async def pieces(size: int) -> Any:
        for _ in range(size // 100):
            yield b"x" * 100

    async with AsyncTestClient(app) as client:
        assert (await client.post("/in/", content=b"x")).status_code == 401
        signed_in = {"authorization": "Basic x"}
        response = await client.post("/in/", content=b"x" * 1000, headers=signed_in)
        assert (response.text, response.headers["x-stamp"], response.headers["content-length"]) == ("1000", "yes", "4")
        assert (await client.post("/in/", content=pieces(1000), headers=signed_in)).text == "1000"
        for too_long in (b"x" * 1001, pieces(1100)):
            assert (await client.post("/in/", content=too_long, headers=signed_in)).status_code == 413


# How it answers


async def test_streams_have_back_pressure() -> None:
    """An application that sends more than the client reads waits in `send`; its client's leaving is `http.disconnect`."""
    sent = 0
    heard = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent

        async def hear() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            heard.set()

        hearing = asyncio.create_task(hear())
        await send(START)
        while not heard.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 1
        await hearing

    async with AsyncTestClient(outer_app(endless)) as client:
        async with client.stream("GET", "/in/") as response:
            await anext(response.aiter_raw())
            for _ in range(50):
                await asyncio.sleep(0)
            assert sent < 20
        await heard.wait()


async def test_it_goes_on_after_its_response(caplog: pytest.LogCaptureFixture) -> None:
    """Work after the response holds up neither the client nor the connection; a failure in it is logged; the stop waits for it."""
    may_end = asyncio.Event()
    events: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(whole(b"done"))
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await may_end.wait()
        events.append("background")
        if scope["path"] == "/in/crash":
            raise ZeroDivisionError

    async with AsyncTestClient(outer_app(inner)) as client:
        assert (await client.get("/in/crash")).text == "done"
        assert (await client.get("/in/")).text == "done"
        assert events == []
        may_end.set()
    assert events == ["background", "background"]
    assert "failed after its response" in caplog.text


async def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that goes on for ever is cancelled by the stop, and so is an application that ignores its client's leaving."""
    monkeypatch.setattr(mount_module, "STOP_S", 0.02)
    monkeypatch.setattr(mount_http, "LEAVE_S", 0.02)
    ended: list[str] = []
    started = asyncio.Event()

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            if scope["path"] == "/in/after":
                await send(START)
                await send(whole(b"done"))
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.append(scope["path"])

    async with AsyncTestClient(outer_app(inner)) as client:
        assert (await client.get("/in/after")).text == "done"
        started.clear()
        request = asyncio.create_task(client.get("/in/ignores"))
        await started.wait()
        request.cancel()
        await asyncio.wait([request])
    assert sorted(ended) == ["/in/after", "/in/ignores"]


async def test_a_client_that_leaves_while_it_is_sent_to() -> None:
    """Sending goes nowhere from then on; whoever reads the body hears of it as well."""
    ended: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/in/reads":
            while (await receive())["type"] == "http.request":
                started.set()
        else:
            await send(START)
            for _ in range(1000):
                started.set()
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        ended.append(scope["path"])

    async def endless() -> Any:
        while True:
            yield b"x"
            await asyncio.sleep(0)

    async with AsyncTestClient(outer_app(inner)) as client:
        for path in ("/in/reads", "/in/sends"):
            started = asyncio.Event()

            async def call(path: str = path) -> None:
                async with client.stream("GET", path, content=endless() if path == "/in/reads" else None):
                    await asyncio.Event().wait()

            request = asyncio.create_task(call())
            await started.wait()
            await asyncio.sleep(0)
            request.cancel()
            await asyncio.wait([request])
    assert sorted(ended) == ["/in/reads", "/in/sends"]


async def test_it_takes_too_long() -> None:
    """The response time-out holds, and cancels."""
    cancelled = asyncio.Event()

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    app = outer_app(inner, config={"RESPONSE_TIMEOUT": 0.05})
    async with AsyncTestClient(app) as client:
        assert (await client.get("/in/")).status_code == 503
    assert cancelled.is_set()


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [START],
        [whole(b"no start")],
        [START, START],
        [{"type": "http.response.trailers"}],
        [{**START, "headers": [(b"x-evil", b"a\r\nb: c")]}, whole(b"")],
        [{**START, "status": 99}, whole(b"")],
    ],
)
async def test_applications_that_break_the_rules(messages: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    """Before anything is on its way it is a 500 like any other."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    with caplog.at_level(logging.CRITICAL):
        async with AsyncTestClient(outer_app(inner)) as client:
            assert (await client.get("/in/")).status_code == 500


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.body", "body": b"x", "more_body": True}],
        [{"type": "http.response.body", "body": b"x", "more_body": True}, ZeroDivisionError()],
    ],
)
async def test_responses_that_break_off(messages: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    """The connection is cut: the client can tell that the response isn't whole."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for message in messages:
            if isinstance(message, Exception):
                raise message
            await send(message)

    with caplog.at_level(logging.CRITICAL):
        async with AsyncTestClient(outer_app(inner)) as client:
            with pytest.raises(httpx.HTTPError):
                await client.get("/in/")


async def test_lengths() -> None:
    """A whole response has its length; what has no body has none; a second body after the end is a mistake of its own."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        status = int(scope["path"].rpartition("/")[2])
        await send({**START, "status": status})
        await send({"type": "http.response.body"})
        with pytest.raises(RuntimeError, match="out of turn"):
            await send(whole(b"again"))

    async with AsyncTestClient(outer_app(inner)) as client:
        assert (await client.get("/in/200")).headers["content-length"] == "0"
        assert "content-length" not in (await client.get("/in/204")).headers


# Its websockets


async def sockets(scope: Any, receive: Any, send: Any) -> None:
    """Does what its path says."""
    assert (await receive())["type"] == "websocket.connect"
    kind = scope["path"].rpartition("/")[2]
    if kind == "closes":
        await send({"type": "websocket.close"})
    elif kind == "denies":
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"later"})
    elif kind == "silent":
        return
    elif kind == "crashes":
        raise ZeroDivisionError
    elif kind == "chatters":
        await send({"type": "websocket.send", "text": "too early"})
    elif kind == "hears":  # of its own refusal
        await send({"type": "websocket.close"})
        assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        await send({"type": "websocket.send", "text": "too late"})
    else:
        await send({"type": "websocket.accept", "subprotocol": "chat" if "chat" in scope["subprotocols"] else None})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                break
            if message.get("text") == "close":
                await send({"type": "websocket.close"})
            elif message.get("text") == "crash":
                raise ZeroDivisionError
            elif message.get("text") == "accept again":
                with pytest.raises(RuntimeError, match="out of turn"):
                    await send({"type": "websocket.accept"})
            else:
                await send({"type": "websocket.send", **{name: message[name] for name in ("text", "bytes") if name in message}})
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "too late"})


async def test_websocket() -> None:
    """Both directions, a subprotocol, the ends: the client's, the application's, a crash."""
    async with AsyncTestClient(outer_app(sockets)) as client:
        async with client.websocket("/in/echo", subprotocols=["chat"]) as ws:
            assert ws.subprotocol == "chat"
            for message in ("hi", b"\x00"):
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send("accept again")
        for message, code in (("close", 1000), ("crash", 1011)):
            async with client.websocket("/in/echo") as ws:
                await ws.send(message)
                await ws.wait_closed()
                assert ws.close_code == code


@pytest.mark.parametrize(
    ("path", "status"), [("closes", 403), ("hears", 403), ("denies", 429), ("silent", 500), ("crashes", 500), ("chatters", 500)]
)
async def test_websocket_refusals(path: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """All are answers before the upgrade."""
    async with AsyncTestClient(outer_app(sockets)) as client:
        with pytest.raises(HandshakeRefused) as refused:
            async with client.websocket(f"/in/{path}"):
                raise AssertionError("unreachable")
        assert refused.value.response.status_code == status


async def test_websocket_origins() -> None:
    """A page of another origin is refused, also when the application would accept it; a mount may know more origins."""
    for origins, is_accepted in ((None, False), (["https://shop.example"], True)):
        async with AsyncTestClient(outer_app(sockets, origins=origins)) as client:
            if is_accepted:
                async with client.websocket("/in/echo", origin="https://shop.example") as ws:
                    await ws.send("hi")
                    assert await ws.recv() == "hi"
            else:
                with pytest.raises(HandshakeRefused) as refused:
                    async with client.websocket("/in/echo", origin="https://shop.example"):
                        raise AssertionError("unreachable")
                assert refused.value.response.status_code == 403


async def test_websocket_whose_client_leaves_early() -> None:
    """A handshake that is never answered: the application is ended with it."""
    ended = asyncio.Event()
    started = asyncio.Event()

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with AsyncTestClient(outer_app(inner)) as client:

        async def connect() -> None:
            async with client.websocket("/in/"):
                raise AssertionError("unreachable")

        connecting = asyncio.create_task(connect())
        await started.wait()
        connecting.cancel()
        await asyncio.wait([connecting])
        await ended.wait()


# Its life


async def test_lifespan_failures(caplog: pytest.LogCaptureFixture) -> None:
    """A start that fails is the outer application's failure, with its cause; a stop that fails is logged."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(RuntimeError, match="could not start: no database"):
        await Lifespan(fails).start()

    async def fails_and_raises(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})
        raise ConnectionError("no database")

    with pytest.raises(RuntimeError, match=r"ConnectionError\('no database'\)"):
        await Lifespan(fails_and_raises).start()

    def stopping(last: Any) -> Any:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if isinstance(last, Exception):
                raise last
            await send(last)

        return application

    for last in ({"type": "lifespan.shutdown.failed", "message": "stuck"}, ZeroDivisionError("lost")):
        lifespan = Lifespan(stopping(last))
        await lifespan.start()
        assert lifespan.state == {}
        await lifespan.stop()
        await lifespan.stop()
    assert "stuck" in caplog.text
    assert "lost" in caplog.text
    fine = Lifespan(stopping({"type": "lifespan.shutdown.complete"}))
    caplog.clear()
    await fine.start()
    await fine.stop()
    assert not caplog.records


async def test_a_start_that_is_given_up() -> None:
    """A start that is cancelled takes the application's with it."""
    ended = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    starting = asyncio.create_task(Lifespan(slow).start())
    await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait([starting])
    await asyncio.sleep(0)
    assert ended.is_set()


async def test_order_of_lives() -> None:
    """Applications start in the order of their mounting, among the listeners, and stop in reverse."""
    events: list[str] = []

    def named(name: str) -> Any:
        async def application(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            events.append(f"{name} starts")
            await send({"type": "lifespan.startup.complete"})
            await receive()
            events.append(f"{name} stops")
            await send({"type": "lifespan.shutdown.complete"})

        return application

    app = App("outer")
    app.before_server_start(lambda app: events.append("pool opens"))
    app.after_server_stop(lambda app: events.append("pool closes"))
    app.mount("/a", named("a"))
    app.mount("/b", named("b"))
    async with AsyncTestClient(app):
        assert events == ["pool opens", "a starts", "b starts"]
    assert events[3:] == ["b stops", "a stops", "pool closes"]


def test_no_mount_no_import() -> None:
    """An application that mounts nothing doesn't load this room."""
    import subprocess
    import sys

    code = (
        "import sys; from fairlead import App; app = App('bare'); app.finalise(); "
        "print([name for name in sys.modules if name.startswith(('fairlead.mount', 'fairlead.asgi'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# Below an ASGI server that says by OSError that the client is gone


async def test_a_client_that_is_found_gone(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is being sent: the application hears of it in its protocol's words, and nothing is an error."""
    ended: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        try:
            if scope["type"] == "http":
                await send(START)
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                assert (await receive())["type"] == "http.request"
                assert (await receive())["type"] == "http.disconnect"
                raise ConnectionError("what a framework makes of it")
            await receive()
            if scope["path"] == "/in/accept":
                await send({"type": "websocket.accept", "headers": [(b"Connection", b"close"), (b"x-kept", b"1")]})
            await send({"type": "websocket.http.response.start", "status": 429})
            await send({"type": "websocket.http.response.body"})
        finally:
            ended.append(scope["path"])

    app = outer_app(inner)
    for scope in (http_scope("/in/http"), websocket_scope("/in/accept"), websocket_scope("/in/deny")):
        call = Call(app, scope)
        call.send_error = OSError("gone")
        call.give(CONNECT)
        assert await call.ended() == []
    await asyncio.sleep(0)
    assert ended == ["/in/http", "/in/accept", "/in/deny"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_fields_of_an_accept() -> None:
    """What belongs to the handshake is the server's; the rest is passed on."""

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "headers": [(b"Connection", b"close"), (b"X-Kept", b"1")]})

    async with AsyncTestClient(outer_app(inner)) as client, client.websocket("/in/") as ws:
        assert ws.response is not None
        assert (ws.response.headers["connection"], ws.response.headers["x-kept"]) == ("Upgrade", "1")
