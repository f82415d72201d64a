"""Composition: one callable for each route, and nothing in it that the route doesn't use."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from fairlead import App, Body, HTTPResponse, Request, text
from fairlead.composition import compose
from fairlead.errors import Forbidden, ServerError, WebsocketClosed
from fairlead.routing import Route
from fairlead.testing import AsyncTestClient
from fairlead.uploads import Spool

LIMIT = {"max_body_bytes": 1000}


def route_of(handler: Any, **options: Any) -> Route:
    """A route without parameters."""
    return Route("name", "/", [b""], ["GET"], handler, **options)


async def fail(request: Request, exc: Exception) -> HTTPResponse:
    """What an error becomes."""
    return text(repr(exc), status=500)


def test_plain_handler_is_called_itself() -> None:
    """Without middleware, limit, stream or injection the callable *is* the handler, async or not."""

    async def asynchronous(request: Request) -> None: ...

    def plain(request: Request) -> None: ...

    for handler, is_async in ((asynchronous, True), (plain, False)):
        route = route_of(handler)
        compose(route, [], [], fail, **LIMIT)
        assert (route.call, route.is_async, route.after) == (handler, is_async, None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("chunked", [False, True])
async def test_limit_of_a_route(stream: bool, size: int, chunked: bool) -> None:
    """`max_body_bytes` holds for whole bodies, streams, and streams whose body came whole with its head."""
    app = App("limit")

    @app.post("/", stream=stream, max_body_bytes=5)
    async def upload(request: Request) -> object:
        await request.receive_body()
        return text(str(len(request.body)))

    async def body() -> Any:
        yield b"x" * size

    async with AsyncTestClient(app) as client:
        response = await client.post("/", content=body() if chunked else b"x" * size)
    assert (response.status_code, response.text[:1]) == ((200, "5") if size == 5 else (413, "{"))


async def test_limit_of_nothing() -> None:
    """A limit of 0 takes no body at all, however it comes; it is not the absence of a limit."""
    app = App("nothing")

    @app.post("/", max_body_bytes=0)
    async def bare(request: Request) -> object:
        return text("ok")

    async def body() -> Any:
        yield b"x"

    async with AsyncTestClient(app) as client:
        assert (await client.post("/")).status_code == 200
        assert (await client.post("/", content=b"x")).status_code == 413
        assert (await client.post("/", content=body())).status_code == 413


async def test_body_that_came_whole_is_a_stream_too() -> None:
    """A streaming route reads its body in the same way however it came, once."""
    app = App("stream")

    @app.post("/", stream=True)
    async def upload(request: Request) -> object:
        assert request.stream is not None
        pieces = [piece async for piece in request.stream]
        return text(f"{pieces} {request.body!r}")

    async with AsyncTestClient(app) as client:
        assert (await client.post("/", content=b"abc")).text == "[b'abc'] b''"
        assert (await client.post("/")).text == "[] b''"


async def test_middleware_around_what_is_no_ordinary_answer() -> None:
    """Response middleware sees a stream once, before its head is sent, and a websocket not at all; a stream that fails is cut."""
    app = App("around")
    seen: list[str] = []

    @app.on_response
    def note(request: Request, response: Any) -> None:
        seen.append(type(response).__name__)
        response.headers["x-seen"] = "1"

    @app.get("/stream")
    async def stream(request: Request) -> None:
        response = await request.respond()
        await response.send("piece")

    @app.get("/late")
    async def late(request: Request) -> None:
        await request.respond()
        raise ValueError("before the head is sent")

    @app.websocket("/ws")
    async def feed(request: Request, ws: Any) -> None:
        await ws.send("hello")
        raise WebsocketClosed

    async with AsyncTestClient(app) as client:
        response = await client.get("/stream")
        assert (response.text, response.headers["x-seen"]) == ("piece", "1")
        assert (await client.get("/late")).status_code == 500
        async with client.websocket("/ws") as ws:
            assert await ws.recv() == "hello"
    assert seen == ["ResponseStream", "ResponseStream", "HTTPResponse"]


async def test_request_middleware_that_answers_or_fails() -> None:
    """An answer before the handler skips it, an exception becomes a response; response middleware sees both."""
    app = App("before")
    called: list[str] = []

    @app.on_request
    def guard(request: Request) -> Any:
        if "answer" in request.args:
            return "answered"
        if "fail" in request.args:
            raise Forbidden("no")
        return None

    @app.on_response
    def mark(request: Request, response: HTTPResponse) -> None:
        response.headers["x-status"] = str(response.status)

    @app.get("/")
    async def index(request: Request) -> str:
        called.append("handler")
        return "handled"

    async with AsyncTestClient(app) as client:
        for query, status, body in (("", 200, "handled"), ("?answer=1", 200, "answered"), ("?fail=1", 403, "no")):
            response = await client.get(f"/{query}")
            assert (response.status_code, response.headers["x-status"]) == (status, str(status))
            assert body in response.text
    assert called == ["handler"]


async def test_request_middleware_alone() -> None:
    """Without response middleware an answer goes out as it is."""
    app = App("alone")
    app.on_request(lambda request: None)
    app.get("/")(lambda request: text("ok"))
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "ok"


async def test_response_middleware_may_replace() -> None:
    """What response middleware returns is the response from there on, whatever it is; errors it raises are answered."""
    app = App("replace")
    app.on_response(lambda request, response: {"was": response.status} if response.status == 404 else None)

    @app.on_response
    async def refuse(request: Request, response: Any) -> None:
        if request.args.get("raise"):
            raise RuntimeError("on purpose")

    async with AsyncTestClient(app) as client:
        assert (await client.get("/none")).json() == {"was": 404}
        assert (await client.get("/none?raise=1")).status_code == 500


def test_a_generator_is_no_handler() -> None:
    """Nobody would send its pieces: the start says so, with the route's name and what to do instead."""

    async def pieces(request: Request) -> Any:
        yield "piece"

    def plain(request: Request) -> Any:
        yield "piece"

    for handler in (pieces, plain):
        with pytest.raises(TypeError, match=r"name is a generator.*await request\.respond"):
            compose(route_of(handler), [], [], fail, max_body_bytes=1)


async def test_a_stream_is_not_replaced() -> None:
    """What a middleware returns in its place is passed over, and those after it still see the stream itself."""
    app: App[Any, Any] = App("stream")
    app.on_response(lambda request, response: response.headers.update({"seen": "yes"}))
    app.on_response(lambda request, response: text("another"))

    @app.get("/")
    async def handler(request: Request) -> None:
        await (await request.respond()).send("streamed")

    async with AsyncTestClient(app) as client:
        response = await client.get("/")
    assert (response.text, response.headers["seen"]) == ("streamed", "yes")


async def test_an_error_before_the_head_of_a_stream_passes_response_middleware() -> None:
    """Nothing is sent yet: the error is answered like any other, and what was kept of the stream can't send any more."""
    app: App[Any, Any] = App("stream")
    kept: list[Any] = []
    seen: list[Any] = []

    @app.on_response
    async def count(request: Request, response: Any) -> HTTPResponse | None:
        seen.append(response.status)
        response.headers["seen"] = "yes"
        return text("replaced", 502) if response.status == 500 else None

    @app.get("/")
    async def handler(request: Request) -> None:
        kept.append(await request.respond(status=201, headers={"of": "the stream"}))
        raise RuntimeError("on purpose")

    async with AsyncTestClient(app) as client:
        response = await client.get("/")
    assert (response.status_code, response.text, "of" in response.headers) == (502, "replaced", False)
    assert seen == [201, 500]
    with pytest.raises(ServerError, match="ended before"):
        await kept[0].send("too late")


async def test_an_error_after_the_head_of_a_stream_cuts_it() -> None:
    """There is nothing left that middleware could change."""
    app: App[Any, Any] = App("stream")
    seen: list[int] = []
    app.on_response(lambda request, response: seen.append(response.status))

    @app.get("/")
    async def handler(request: Request) -> None:
        await (await request.respond()).send("begun")
        raise RuntimeError("on purpose")

    async with AsyncTestClient(app) as client:
        with pytest.raises(httpx.ReadError):
            await client.get("/")
    assert seen == [200]


def test_body_that_is_streamed_and_asked_for() -> None:
    """A route that streams its body can't have it given whole as well: the start says so, with the route's name."""
    app = App("both")

    @app.post("/", stream=True, name="upload")
    async def upload(request: Request, body: Body[dict[str, int]]) -> None: ...

    with pytest.raises(TypeError, match=r"both\.upload streams its body"):
        app.finalise()


async def test_files_of_a_form_end_with_their_request() -> None:
    """What a form's files were kept in is let go of when the handler is through, however it ends."""
    app = App("files")
    spools: list[Spool | None] = []

    @app.post("/<kind>", stream=True)
    async def upload(request: Request, kind: str) -> HTTPResponse:
        if kind != "unread":
            await request.receive_form()
        spools.append(request.spool)
        if kind == "fails":
            raise Forbidden("no")
        return text("taken")

    files = {"file": ("a.txt", b"x" * 10)}
    async with AsyncTestClient(app) as client:
        statuses = [(await client.post(f"/{kind}", files=files)).status_code for kind in ("read", "fails", "unread")]
    assert statuses == [200, 403, 200]
    *closed, none = spools
    assert none is None
    for spool in closed:
        assert spool is not None
        with pytest.raises(ValueError, match="is gone with its request"):
            spool.read(0, 1)
