"""Server-sent events: framing, the life of a stream, slow and dead readers, the drain (W14)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import msgspec
import pytest

from fairlead import App, Request, sse
from fairlead.channels import Fanout, Publication, StreamPosition
from fairlead.channels.stream import BEGINNING
from fairlead.errors import RequestCancelled
from fairlead.event_stream import Event, EventStream, encode_event
from fairlead.testing import AsyncTestClient

Body = Callable[[EventStream], Coroutine[Any, Any, None]]


def app_of(body: Body, **options: Any) -> App[Any, Any]:
    """An app with one stream at "/"; `app.ctx.ends` tells how each handler ended."""
    app: App[Any, Any] = App("events")
    app.ctx.ends = asyncio.Queue()

    @app.get("/")
    async def events(request: Request[Any, Any]) -> None:
        try:
            async with request.sse(**options) as stream:
                await body(stream)
        except BaseException as error:
            app.ctx.ends.put_nowait(type(error))
            raise
        app.ctx.ends.put_nowait(None)

    return app


async def wait(stream: EventStream) -> None:
    await stream.wait_closed()


# Framing


@pytest.mark.parametrize(
    ("event", "encoded"),
    [
        (Event("hello"), b"data: hello\n\n"),
        (Event(""), b"data: \n\n"),
        (Event("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (Event({"price": 5}, "change", "7-0"), b'event: change\nid: 7-0\ndata: {"price":5}\n\n'),
        (Event("grüß".encode(), retry_s=1.5), "retry: 1500\ndata: grüß\n\n".encode()),
    ],
)
def test_framing(event: Event, encoded: bytes) -> None:
    """Text of any lines, JSON, UTF-8; a line feed in the data is a further data line and nothing else."""
    assert encode_event(event.data, event=event.event, id=event.id, retry_s=event.retry_s) == encoded


@pytest.mark.parametrize("name", ["event", "id"])
@pytest.mark.parametrize("value", ["a\ndata: forged", "a\rb", "a\r\n\r\nb"])
def test_what_would_break_out_of_its_line_is_refused(name: str, value: str) -> None:
    """Nothing that an application puts into an id or a name can make a second event."""
    with pytest.raises(ValueError, match="one line"):
        encode_event("", **{name: value})


def test_an_id_with_nul_is_refused() -> None:
    """Browsers would drop it, and resume from the one before."""
    with pytest.raises(ValueError, match="NUL"):
        encode_event("", id="a\0")


# The life of a stream


async def test_a_stream() -> None:
    """Head at once, events in order, the body's end when the block ends; proxies are told not to keep or collect it."""

    async def two(stream: EventStream) -> None:
        await stream.send("one", id="1")
        await stream.send({"n": 2}, event="add", id="2")

    async with AsyncTestClient(app_of(two, retry_s=2)) as client, client.sse("/") as reader:
        headers = reader.response.headers
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert [(event.event, event.data, event.id) async for event in reader] == [("message", "one", "1"), ("add", '{"n":2}', "2")]
        assert (reader.parser.retry_ms, reader.last_event_id) == (2000, "2")
        with pytest.raises(EOFError):
            await reader.next()


async def test_the_last_event_id() -> None:
    """What the client has seen last is there to go on from; None when it comes for the first time."""

    async def echo(stream: EventStream) -> None:
        await stream.send([stream.last_event_id])

    async with AsyncTestClient(app_of(echo)) as client:
        for sent, seen in (("7-1", "7-1"), (None, None), ("", None)):
            async with client.sse("/", last_event_id=sent) as reader:
                assert await reader.next_json() == [seen]


async def test_heartbeats() -> None:
    """A quiet stream says something now and then, which is no event."""
    told = asyncio.Event()

    async def quiet(stream: EventStream) -> None:
        await told.wait()
        await stream.send("now")

    async with AsyncTestClient(app_of(quiet, heartbeat_s=0.001)) as client, client.sse("/") as reader:
        pieces = reader.response.aiter_raw()
        received = b""
        while received.count(b":\n\n") < 3:
            received += await anext(pieces)
        told.set()
        while b"data: now\n\n" not in received:
            received += await anext(pieces)
        assert received.replace(b":\n\n", b"") == b"data: now\n\n"


async def test_the_drain_ends_the_block_and_tells_the_peer() -> None:
    """K2: what was sent arrives, then when to come back; `finally` runs, nothing waits for the deadline or is an error."""

    async def one(stream: EventStream) -> None:
        await stream.send("before")
        await stream.wait_closed()

    app = app_of(one)
    async with AsyncTestClient(app) as client:
        async with client.sse("/") as reader:
            assert (await reader.next()).data == "before"
            stopping = asyncio.create_task(client.server.__aexit__())
            assert [event async for event in reader] == []
            assert "the server restarts" in reader.parser.comments
            assert 500 <= (reader.parser.retry_ms or 0) <= 3000
            assert await app.ctx.ends.get() is None
            await stopping
        await client.server.__aenter__()


@pytest.mark.parametrize(("method", "farewell"), [("GET", b"the server restarts"), ("HEAD", b"")])
async def test_a_stream_that_begins_in_the_drain_ends_at_once(method: str, farewell: bytes) -> None:
    """A request that came over a connection in use is answered, and sent elsewhere; it ends once, also where it has two reasons."""
    asked, go_on = asyncio.Event(), asyncio.Event()
    ends: asyncio.Queue[BaseException | None] = asyncio.Queue()
    app: App[Any, Any] = App("late")

    @app.get("/")
    async def late(request: Request[Any, Any]) -> None:
        asked.set()
        await go_on.wait()
        try:
            async with request.sse() as stream:
                await stream.wait_closed()
        except BaseException as error:
            ends.put_nowait(error)
            raise
        ends.put_nowait(None)

    async with AsyncTestClient(app) as client:
        answer = asyncio.create_task(client.request(method, "/"))
        await asked.wait()
        stopping = asyncio.create_task(client.server.__aexit__())
        for _ in range(10):
            await asyncio.sleep(0)
        go_on.set()
        response = await answer
        assert response.status_code == 200
        assert farewell in response.content
        assert await ends.get() is None
        await stopping
        await client.server.__aenter__()


async def test_a_client_that_leaves_ends_the_handler() -> None:
    """As with every streamed response, by a cancellation that says who is gone."""
    app = app_of(wait)
    async with AsyncTestClient(app) as client:
        async with client.sse("/"):
            pass
        assert await app.ctx.ends.get() is RequestCancelled


async def test_an_error_of_the_handler_cuts_the_stream() -> None:
    """The client must not take the part for the whole."""

    async def broken(stream: EventStream) -> None:
        await stream.send("part")
        raise RuntimeError("broken")

    async with AsyncTestClient(app_of(broken)) as client, client.sse("/") as reader:
        with pytest.raises(httpx.ReadError):
            async for _ in reader:
                pass


async def test_head_has_no_stream() -> None:
    """HEAD is answered by the GET handler, whose block ends at once."""
    app = app_of(wait)
    async with AsyncTestClient(app) as client:
        answer = await client.head("/")
        assert answer.headers["content-type"] == "text/event-stream"
        assert await app.ctx.ends.get() is None


async def test_a_cancellation_of_the_handlers_own_is_not_swallowed() -> None:
    """Only the end of the stream ends the block quietly."""

    async def cancelled(stream: EventStream) -> None:
        task = asyncio.current_task()
        assert task is not None
        stream._drain()
        task.cancel("by somebody else")
        await stream.wait_closed()

    app = app_of(cancelled)
    async with AsyncTestClient(app) as client:
        with pytest.raises(httpx.ReadError):
            await client.get("/")
        assert await app.ctx.ends.get() is asyncio.CancelledError


# Slow readers


async def test_send_waits_for_a_slow_reader() -> None:
    """The handler is held up, and not the memory."""
    sent = 0

    async def much(stream: EventStream) -> None:
        nonlocal sent
        while sent < 1000:
            await stream.send("x" * 1024)
            sent += 1

    async with AsyncTestClient(app_of(much, max_waiting=4)) as client, client.sse("/") as reader:
        before = -1
        while before != sent:
            before = sent
            for _ in range(20):
                await asyncio.sleep(0)
        assert sent < 1000
        assert len([event async for event in reader]) == 1000


async def test_a_reader_that_never_reads_is_cut() -> None:
    """W10, W14: a fan-out waits for nobody; past the bound the connection ends, and the client resumes elsewhere."""
    fanout = Fanout(gap_notice="gap")
    fanout.history.restart(BEGINNING)
    app: App[Any, Any] = App("feed")
    joined, gone = asyncio.Event(), asyncio.Event()

    @app.get("/")
    async def feed(request: Request[Any, Any]) -> None:
        async with request.sse(max_waiting=16) as stream:
            try:
                with fanout.subscribe(stream, after=BEGINNING):
                    joined.set()
                    await stream.wait_closed()
            finally:
                gone.set()

    async with AsyncTestClient(app) as client, client.sse("/") as reader:
        count = 0
        await joined.wait()
        while len(fanout) == 1:
            count += 1
            fanout.publish(StreamPosition(count, 0), "x" * 65536)
            await asyncio.sleep(0)
        assert count < 200
        await gone.wait()
        with pytest.raises(httpx.HTTPError):
            async for _ in reader:
                pass
        async with client.sse("/") as again:
            missed = [(await again.next()).id for _ in range(count)]
        assert missed == [f"{number}-0" for number in range(1, count + 1)]


async def test_nothing_is_taken_after_the_end() -> None:
    """Neither from a fan-out nor from a task of the handler that is still there."""
    app = app_of(lambda stream: keep(stream))
    kept: list[EventStream] = []

    async def keep(stream: EventStream) -> None:
        kept.append(stream)
        stream.put_backlog([])

    async with AsyncTestClient(app) as client, client.sse("/") as reader:
        assert [event async for event in reader] == []
        assert kept[0].put(Publication("late")) is False
        await kept[0].send("late")


# From a generator


async def test_from_a_generator() -> None:
    """Events or their data, until it ends; the generator is closed at the end, also when the client leaves."""
    app: App[Any, Any] = App("generator")
    closed = asyncio.Event()

    async def ticks(count: int) -> AsyncIterator[Any]:
        try:
            for number in range(count):
                yield Event({"n": number}, id=str(number))
            yield "last"
            await asyncio.get_running_loop().create_future()
        finally:
            closed.set()

    class Three:
        def __aiter__(self) -> Three:
            self.left = 3
            return self

        async def __anext__(self) -> int:
            if self.left == 0:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    @app.get("/<count:int>")
    async def stream(request: Request[Any, Any], count: int) -> None:
        return await sse(request, ticks(count), retry_s=1)

    @app.get("/three")
    async def three(request: Request[Any, Any]) -> None:
        return await sse(request, Three())

    async with AsyncTestClient(app) as client:
        async with client.sse("/2") as reader:
            events = [await reader.next() for _ in range(3)]
            assert [(event.data, event.id) for event in events] == [('{"n":0}', "0"), ('{"n":1}', "1"), ("last", "1")]
        await closed.wait()
        async with client.sse("/three") as reader:
            assert [msgspec.json.decode(event.data) async for event in reader] == [2, 1, 0]
