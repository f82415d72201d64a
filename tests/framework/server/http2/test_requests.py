"""Requests and responses over HTTP/2: the same dispatch, an exchange per stream (issue 3, 6)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from fairlead import App, Request, json, text
from fairlead.errors import RequestCancelled
from fairlead.response import HTTPResponse
from tests.framework.server.http2.client import eventually, serving


def make_app(**config: Any) -> App:
    return App("h2", config=config)


async def test_a_request() -> None:
    """Head, path, query, authority, cookies and the request's own id arrive; the answer has its usual fields."""
    app = make_app()

    @app.get("/show/<name>")
    async def show(request: Request, name: str) -> HTTPResponse:
        response = json(
            {
                "name": name,
                "args": request.args.get("q"),
                "host": request.host,
                "version": request.version,
                "cookies": [request.cookies.get("a"), request.cookies.get("b")],
                "ip": request.ip,
                "url": request.url,
                "id": request.id,
            },
            headers={"X-Upper": " spaced ", "connection": "close", "upgrade": "h2c"},
        )
        response.add_cookie("one", "1")
        response.add_cookie("two", "2")
        return response

    async with serving(app) as running:
        client = await running.connect()
        more = [("cookie", "a=1"), ("cookie", "b=2"), ("x-request-id", "mine-1")]
        answer = await client.get("/show/gr%C3%BCn?q=%C3%BC", *more)
        assert msgspec.json.decode(answer.body) == {
            "name": "grün",
            "args": "ü",
            "host": "shop.example",
            "version": "2",
            "cookies": ["1", "2"],
            "ip": "127.0.0.1",
            "url": "http://shop.example/show/gr%C3%BCn?q=%C3%BC",
            "id": "mine-1",
        }
        assert answer.status == 200
        assert answer.headers.keys() >= {"content-type", "content-length", "date", "x-upper", "x-request-id", "set-cookie"}
        assert not answer.headers.keys() & {"connection", "upgrade", "transfer-encoding"}
        assert answer.headers["x-upper"] == "spaced"


async def test_statuses_and_errors(caplog: pytest.LogCaptureFixture) -> None:
    """404, 405, 500, 204, HEAD and a handshake: each as over HTTP/1.1."""
    app = make_app()

    @app.get("/text")
    async def hello(request: Request) -> HTTPResponse:
        return text("hello")

    @app.get("/empty")
    async def empty(request: Request) -> None:
        return None

    @app.get("/crash")
    async def crash(request: Request) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    @app.get("/header")
    async def header(request: Request) -> HTTPResponse:
        return text("", headers={"x-evil": "a\r\nb: c"})

    @app.websocket("/ws")
    async def ws(request: Request, ws: Any) -> None:
        raise AssertionError("unreachable")

    with caplog.at_level(logging.CRITICAL):
        async with serving(app) as running:
            client = await running.connect()
            assert (await client.get("/none")).status == 404
            wrong = await client.get("/text", method="DELETE")
            assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD")
            head = await client.get("/text", method="HEAD")
            assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")
            nothing = await client.get("/empty")
            assert (nothing.status, "content-length" in nothing.headers) == (204, False)
            assert (await client.get("/crash")).status == 500
            split = await client.get("/header")
            assert (split.status, "b" in split.headers) == (500, False)
            assert (await client.get("/ws")).status == 426


async def test_streams_side_by_side() -> None:
    """Requests of one connection overlap, and their answers come as they are ready."""
    app = make_app()
    events = {str(number): asyncio.Event() for number in range(5)}

    @app.get("/<name>")
    async def wait(request: Request, name: str) -> HTTPResponse:
        await events[name].wait()
        return text(name)

    async with serving(app) as running:
        client = await running.connect()
        streams = {name: client.open("GET", f"/{name}") for name in events}
        for name in reversed(events):
            events[name].set()
            assert (await client.answer(streams[name])).body == name.encode()
        (connection,) = running.connections
        assert (connection.streams, connection.handlers) == ({}, 0)


async def test_large_answers_take_turns() -> None:
    """A download that is under way doesn't hold up a small answer, and both are whole."""
    app = make_app()
    large = bytes(range(256)) * 8192

    @app.get("/large")
    async def download(request: Request) -> HTTPResponse:
        return HTTPResponse(large, content_type="application/octet-stream")

    @app.get("/small")
    async def small(request: Request) -> HTTPResponse:
        return text("small")

    async with serving(app) as running:
        client = await running.connect()
        client.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 65536, SettingCodes.INITIAL_WINDOW_SIZE: 200_000})
        downloads = [client.open("GET", "/large") for _ in range(3)]
        small_answer = await client.get("/small")
        assert (small_answer.body, client.answers[downloads[0]].has_ended) == (b"small", False)
        for stream_id in downloads:
            assert (await client.answer(stream_id)).body == large


async def test_streamed_answers() -> None:
    """Pieces come as they are sent, wait for the window, and have the length that was declared."""
    app = make_app()
    seen, sent = asyncio.Event(), 0

    @app.get("/pieces")
    async def pieces(request: Request) -> None:
        response = await request.respond(content_type="text/plain", headers={"x-kind": "stream"})
        await response.send("first,")
        if request.method == "GET":
            await seen.wait()
        await response.send("second")

    @app.get("/much")
    async def much(request: Request) -> None:
        nonlocal sent
        response = await request.respond(content_type="text/plain")
        for _ in range(200):
            await response.send(b"x" * 10_000)
            sent += 1

    @app.get("/sized/<size:int>")
    async def sized(request: Request, size: int) -> None:
        response = await request.respond(headers={"content-length": "4"})
        await response.send("x" * size)

    async with serving(app) as running:
        client = await running.connect()
        stream_id = client.open("GET", "/pieces")
        answer = client.answers[stream_id]
        await client.until(lambda: answer.body == b"first,")
        assert (answer.headers["x-kind"], answer.has_ended) == ("stream", False)
        seen.set()
        assert (await client.answer(stream_id)).body == b"first,second"
        assert (await client.get("/pieces", method="HEAD")).body == b""
        client.takes_data = False
        stream_id = client.open("GET", "/much")
        await client.until(lambda: len(client.answers[stream_id].body) == 65_535 - len("first,second"))
        assert sent < 20
        client.takes_data = True
        client.h2.increment_flow_control_window(2**20)
        client.h2.increment_flow_control_window(2**20, stream_id)
        client.flush()
        assert len((await client.answer(stream_id)).body) == 2_000_000
        assert (await client.get("/sized/4")).headers["content-length"] == "4"
        for size in (3, 5):
            assert (await client.get(f"/sized/{size}")).reset_code == ErrorCodes.INTERNAL_ERROR
        assert (await client.get("/sized/4")).status == 200  # the connection goes on


async def test_bodies() -> None:
    """Whole and streamed, small and larger than every window, with and without a length."""
    app = make_app()

    @app.post("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    @app.post("/streamed", stream=True)
    async def streamed(request: Request) -> HTTPResponse:
        size = 0
        async for piece in request.stream:
            size += len(piece)
        return text(str(size))

    async with serving(app) as running:
        client = await running.connect()
        for path in ("/whole", "/streamed"):
            for size in (1, 1000, 3_000_000):
                for more in ([], [("content-length", str(size))]):
                    stream_id = client.open("POST", path, *more, ends=False)
                    await client.upload(stream_id, b"x" * size)
                    assert (await client.answer(stream_id)).body == str(size).encode()
            stream_id = client.open("POST", path, ends=False)
            client.send(stream_id, b"", ends=True)
            assert (await client.answer(stream_id)).body == b"0"
        stream_id = client.open("POST", "/whole", ends=False)
        client.h2.send_data(stream_id, b"padded", pad_length=200)
        client.h2.send_headers(stream_id, [("x-trailer", "ignored")], end_stream=True)
        client.flush()
        assert (await client.answer(stream_id)).body == b"6"


async def test_a_reader_holds_up_its_own_upload_only() -> None:
    """A handler that doesn't read: its stream's window closes, other streams go on, and it goes on when it reads."""
    app = make_app()
    may_read = asyncio.Event()

    @app.post("/slow", stream=True)
    async def slow(request: Request) -> HTTPResponse:
        await may_read.wait()
        await request.receive_body()
        return text(str(len(request.body)))

    @app.post("/fast")
    async def fast(request: Request) -> HTTPResponse:
        return text(str(len(request.body)))

    async with serving(app) as running:
        client = await running.connect()
        slow_streams = [client.open("POST", "/slow", ends=False) for _ in range(20)]
        for stream_id in slow_streams:
            for _ in range(3):
                client.send(stream_id, b"x" * 16_384)
            client.send(stream_id, b"x" * (65_535 - 3 * 16_384))
            assert client.h2.outbound_flow_control_window >= 0
            await client.until(lambda: client.h2.outbound_flow_control_window > 70_000)
        assert {client.h2.local_flow_control_window(stream_id) for stream_id in slow_streams} <= {0, 16_384}
        stream_id = client.open("POST", "/fast", ends=False)
        await client.upload(stream_id, b"x" * 500_000)
        assert (await client.answer(stream_id)).body == b"500000"
        may_read.set()
        for stream_id in slow_streams:
            await client.upload(stream_id, b"x" * 10_000)
            assert (await client.answer(stream_id)).body == b"75535"


async def test_body_limits() -> None:
    """413 by the announced length and by the bytes, for collected and streamed bodies; the rest is not wanted."""
    app = make_app(REQUEST_MAX_SIZE=1000)

    @app.post("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text("taken")

    @app.post("/streamed", stream=True, max_body_bytes=500)
    async def streamed(request: Request) -> HTTPResponse:
        await request.receive_body()
        return text("taken")

    async with serving(app) as running:
        client = await running.connect()
        for path, limit in (("/whole", 1000), ("/streamed", 500)):
            stream_id = client.open("POST", path, ends=False)
            client.send(stream_id, b"x" * limit, ends=True)
            assert (await client.answer(stream_id)).status == 200
            announced = await client.answer(client.open("POST", path, ("content-length", str(limit + 1)), ends=False))
            assert announced.status == 413
            stream_id = client.open("POST", path, ends=False)
            client.send(stream_id, b"x" * limit)
            client.send(stream_id, b"x")
            answer = await client.answer(stream_id)
            assert answer.status == 413
            await client.until(lambda answer=answer: answer.reset_code == ErrorCodes.NO_ERROR)  # type: ignore[misc]
        stream_id = client.open("POST", "/none", ends=False)
        assert (await client.answer(stream_id)).status == 404


async def test_expect_continue() -> None:
    """100 when the body is wanted, none when it is refused; another expectation is 417."""
    app = make_app(REQUEST_MAX_SIZE=10)

    @app.post("/whole")
    async def whole(request: Request) -> HTTPResponse:
        return text("taken")

    @app.post("/streamed", stream=True)
    async def streamed(request: Request) -> HTTPResponse:
        if request.args.get("refuse"):
            return text("no", status=403)
        await request.receive_body()
        return text("taken")

    expects = ("expect", "100-continue")
    async with serving(app) as running:
        client = await running.connect()
        for path in ("/whole", "/streamed"):
            stream_id = client.open("POST", path, expects, ends=False)
            await client.until(lambda stream_id=stream_id: client.answers[stream_id].informational == [100])  # type: ignore[misc]
            client.send(stream_id, b"x", ends=True)
            assert (await client.answer(stream_id)).body == b"taken"
            refused = await client.answer(client.open("POST", path, expects, ("content-length", "11"), ends=False))
            assert (refused.status, refused.informational) == (413, [])
        refused = await client.answer(client.open("POST", "/streamed?refuse=1", expects, ends=False))
        assert (refused.status, refused.informational) == (403, [])
        assert (await client.get("/whole", ("expect", "magic"), method="POST")).status == 417


async def test_a_client_that_leaves() -> None:
    """A reset cancels the handler of its stream, a closed connection those of all; readers and senders are told."""
    app = make_app()
    heard: list[str] = []
    started = asyncio.Event()
    ended = asyncio.Event()

    @app.post("/<kind>", stream=True)
    async def handler(request: Request, kind: str) -> None:
        try:
            if kind == "sends":
                response = await request.respond()
                started.set()
                while True:
                    await response.send(b"x" * 50_000)
            started.set()
            if kind == "reads":
                await request.receive_body()
            await asyncio.Event().wait()
        except RequestCancelled:
            heard.append(kind)
            ended.set()
            raise

    async with serving(app) as running:
        client = await running.connect()
        client.takes_data = False
        for kind in ("reads", "sends", "waits"):
            started.clear()
            ended.clear()
            stream_id = client.open("POST", f"/{kind}", ends=False)
            await started.wait()
            client.h2.reset_stream(stream_id)
            client.flush()
            async with asyncio.timeout(5):
                await ended.wait()
        started.clear()
        ended.clear()
        client.open("POST", "/waits", ends=False)
        await started.wait()
        await client.close()
        async with asyncio.timeout(5):
            await ended.wait()
    assert heard == ["reads", "sends", "waits", "waits"]


async def test_a_handler_that_finishes_for_nobody() -> None:
    """`on_disconnect="finish"` holds here too."""
    app = make_app()
    started, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.get("/", on_disconnect="finish")
    async def handler(request: Request) -> HTTPResponse:
        started.set()
        await may_end.wait()
        ended.set()
        return text("done")

    async with serving(app) as running:
        client = await running.connect()
        stream_id = client.open()
        await started.wait()
        client.h2.reset_stream(stream_id)
        client.h2.ping(b"12345678")
        client.flush()
        await asyncio.sleep(0.02)
        may_end.set()
        await ended.wait()


async def test_an_unread_upload_ends_with_its_answer() -> None:
    """An answer before the body's end: the client is told to stop sending, without an error."""
    app = make_app()

    @app.post("/", stream=True)
    async def handler(request: Request) -> HTTPResponse:
        return text("enough")

    async with serving(app) as running:
        client = await running.connect()
        stream_id = client.open("POST", ends=False)
        answer = client.answers[stream_id]
        await client.until(lambda: answer.reset_code is not None)
        assert (answer.status, answer.body, answer.reset_code) == (200, b"enough", ErrorCodes.NO_ERROR)


async def test_an_end_that_comes_later() -> None:
    """`eof` after all was sent: an empty frame that ends the stream; who sends to a stream that is over hears so."""
    app = make_app()
    may_end = asyncio.Event()
    heard: list[str] = []

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond()
        await response.send(b"all")
        await may_end.wait()
        await response.eof()

    @app.get("/late", on_disconnect="finish")
    async def late(request: Request) -> None:
        response = await request.respond()
        await response.send(b"x")
        await may_end.wait()
        try:
            await response.send(b"too late")
        except RequestCancelled:
            heard.append("gone")
            raise

    async with serving(app) as running:
        client = await running.connect()
        stream_id, left = client.open(), client.open("GET", "/late")
        await client.until(lambda: client.answers[stream_id].body == b"all" and client.answers[left].body == b"x")
        client.h2.reset_stream(left)
        client.h2.ping(b"12345678")
        client.flush()
        (connection,) = running.connections
        await eventually(lambda: connection.streams[left].outflow.is_done)
        may_end.set()
        assert (await client.answer(stream_id)).body == b"all"
        await eventually(lambda: not connection.streams)
    assert heard == ["gone"]


async def test_a_transport_that_fills_up() -> None:
    """A client that reads in fits and starts gets all of it; meanwhile nothing is read from it."""
    app = make_app()
    large = bytes(range(256)) * 40_000

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return HTTPResponse(large)

    async with serving(app) as running:
        client = await running.connect()
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
        client.h2.increment_flow_control_window(2**30)
        client.flush()
        await client.until(lambda: client.h2.local_settings.initial_window_size == 2**30)
        client.pause()
        stream_id = client.open()
        (connection,) = running.connections
        await eventually(lambda: connection._paused)
        assert not connection.transport.is_reading()
        client.go_on()
        assert (await client.answer(stream_id)).body == large
        assert connection.transport.is_reading()


async def test_small_windows() -> None:
    """A stream whose window is closed waits for it alone; new settings open the windows of all."""
    app = make_app()

    @app.get("/<size:int>")
    async def handler(request: Request, size: int) -> HTTPResponse:
        return HTTPResponse(b"x" * size)

    async with serving(app) as running:
        client = await running.connect()
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
        client.flush()
        await client.until(lambda: client.h2.local_settings.initial_window_size == 100)
        stream_id, waiting = client.open("GET", "/1000"), client.open("GET", "/1000")
        await client.until(lambda: len(client.answers[stream_id].body) >= 100 and len(client.answers[waiting].body) >= 100)
        assert (await client.get("/50")).body == b"x" * 50
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5000})
        client.flush()
        for each in (stream_id, waiting):
            assert len((await client.answer(each)).body) == 1000
