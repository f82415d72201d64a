"""A peer that asks for more than it reads, and one that asks for much at once: bounded memory, and everybody has a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from fairlead import App, Request, raw, text
from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.server.connection import REQUESTS_PER_TURN
from fairlead.server.link import State
from tests.framework.server.scripted import Scripted

LARGE = 100_000
GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def time() -> Iterator[None]:
    """Lets a test move the coarse clock."""
    before = CLOCK.now
    yield
    CLOCK.now = before


def make_app(asked: list[str]) -> App:
    """`/small`, `/large`, `/wait` with a turn of the loop in between, `/flood` that streams without end."""
    app = App("pressure")

    @app.get("/<kind>")
    async def index(request: Request, kind: str) -> object:
        asked.append(kind)
        if kind == "wait":
            await asyncio.sleep(0)
        return text("small") if kind == "small" else raw(b"x" * LARGE)

    @app.post("/large")
    async def upload(request: Request) -> object:
        asked.append("upload")
        return raw(b"x" * LARGE)

    @app.get("/flood")
    async def flood(request: Request) -> None:
        stream = await request.respond()
        while True:
            asked.append("piece")
            await stream.send(b"x" * 10_000)

    return app


@pytest.mark.parametrize(
    "request_bytes",
    [GET % b"/large", GET % b"/wait", b"POST /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"],
    ids=["at once", "waiting", "with a body"],
)
@pytest.mark.parametrize("together", [True, False])
async def test_answers_that_nobody_reads_hold_up_the_requests(request_bytes: bytes, together: bool) -> None:
    """A client that pipelines and does not read gets no further answer computed before it has read; then it gets them all."""
    asked: list[str] = []
    scripted = Scripted(make_app(asked))
    scripted.transport.peer_reads = False
    for data in [request_bytes * 9] if together else [request_bytes] * 9:
        await scripted.send(data)
    for _ in range(9):
        await scripted.turn()
    assert (len(asked), scripted.connection.state) == (1, State.HELD)
    assert len(scripted.transport.unread) < 2 * LARGE
    await scripted.happen(scripted.transport.read_all)
    await scripted.turn()
    assert len(asked) == 2
    scripted.transport.peer_reads = True
    await scripted.happen(scripted.transport.read_all)
    await scripted.until(lambda: len(asked) == 9)
    await scripted.until(lambda: scripted.connection.state is State.IDLE)
    assert scripted.taken.count(b"HTTP/1.1 200 OK") == 9
    scripted.close()


async def test_part_of_a_head_is_kept_while_the_peer_does_not_read() -> None:
    """What had come of the next request when writing had to pause is not lost."""
    asked: list[str] = []
    scripted = Scripted(make_app(asked))
    scripted.transport.peer_reads = False
    await scripted.send(GET % b"/large" + b"GET /small HT")
    assert scripted.connection.state is State.HELD
    await scripted.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    scripted.transport.peer_reads = True
    await scripted.happen(scripted.transport.read_all)
    assert asked == ["large", "small"]
    assert scripted.taken.endswith(b"small")
    scripted.close()


async def test_transport_may_pause_later_than_it_was_written_to() -> None:
    """uvloop tells of a full buffer at the end of its turn: an idle connection takes up nothing from then on."""
    asked: list[str] = []
    scripted = Scripted(make_app(asked))
    await scripted.send(b"GET /sma")
    await scripted.happen(scripted.connection.pause_writing)
    await scripted.send(b"ll HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (asked, scripted.connection.state) == ([], State.HELD)
    await scripted.happen(scripted.connection.resume_writing)
    assert asked == ["small"]
    scripted.close()


async def test_what_is_held_is_bounded() -> None:
    """While requests are held back, only max_pipelined_bytes more are read."""
    scripted = Scripted(make_app([]), Limits(max_pipelined_bytes=1000))
    scripted.transport.peer_reads = False
    await scripted.send(GET % b"/large")
    for _ in range(100):
        await scripted.send(GET % b"/small")
    assert not scripted.transport.is_reading()
    assert len(scripted.connection._buffer) < 1100
    scripted.transport.peer_reads = True
    await scripted.happen(scripted.transport.read_all)
    await scripted.until(lambda: scripted.taken.count(b"HTTP/1.1 200 OK") == 101)
    assert scripted.transport.is_reading()
    scripted.close()


async def test_others_have_their_turn() -> None:
    """Of a packet with many requests only so many are answered in a row; the order stays."""
    app = App("turns")
    asked: list[str] = []
    app.add_route(lambda request, n: asked.append(n) or text(n), "/<n>", name="count")
    scripted = Scripted(app)
    number = 3 * REQUESTS_PER_TURN + 1
    await scripted.send(b"".join(GET % b"/%d" % n for n in range(number)))
    while len(asked) < number:
        asked_before = len(asked)
        await asyncio.sleep(0)
        assert len(asked) - asked_before <= REQUESTS_PER_TURN
    assert asked == [str(n) for n in range(number)]
    await scripted.turn()
    assert scripted.connection.state is State.IDLE
    scripted.close()


async def test_client_that_leaves_while_its_requests_are_held() -> None:
    """What was held back for a client that is gone is not taken up."""
    asked: list[str] = []
    scripted = Scripted(make_app(asked))
    await scripted.send(GET % b"/small" * (REQUESTS_PER_TURN * 9))
    await scripted.happen(scripted.transport.leave)
    await scripted.until(lambda: scripted.connection.lost)
    before = len(asked)
    for _ in range(5):
        await scripted.turn()
    assert len(asked) == before < REQUESTS_PER_TURN * 9
    scripted.close()


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize("last", [0, 1199])
async def test_slow_reader_is_served_and_one_that_stands_still_is_cut(last: int) -> None:
    """The write time-out is not the time for everything: RESPONSE_MIN_RATE (here 240) bytes a second are enough, fewer are not."""
    scripted = Scripted(make_app([]), Limits(write_timeout_s=5))
    scripted.transport.peer_reads = False
    await scripted.send(GET % b"/large")
    for _ in range(4):
        CLOCK.now += 5
        await scripted.happen(scripted.transport.read_some, 1200)
        await scripted.happen(scripted.connection.expire)
        assert not scripted.transport.is_lost
    CLOCK.now += 5
    await scripted.happen(scripted.transport.read_some, last)
    await scripted.happen(scripted.connection.expire)
    assert scripted.transport.cut
    scripted.close()


@pytest.mark.usefixtures("time")
async def test_last_answer_is_waited_for_as_long_as_it_is_read() -> None:
    """A connection that is closing gives a slow reader its time, and ends with one that reads nothing (no lost descriptor)."""
    app = App("last")
    app.add_route(lambda request: raw(b"x" * 50_000), "/", name="index")
    scripted = Scripted(app, Limits(write_timeout_s=5))
    scripted.transport.peer_reads = False
    await scripted.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert (scripted.connection.state, scripted.transport.is_closing()) == (State.CLOSING, True)
    CLOCK.now += 5
    await scripted.happen(scripted.transport.read_some, 10_000)
    await scripted.happen(scripted.connection.expire)
    assert not scripted.transport.is_lost
    assert scripted.connection.deadline == CLOCK.now + 5
    CLOCK.now += 5
    await scripted.happen(scripted.connection.expire)
    assert scripted.transport.cut
    scripted.close()


async def test_two_senders_of_one_stream_are_both_woken() -> None:
    """Two tasks that send on one stream and both have to wait are both woken when the peer reads on."""
    app = App("two")
    ended: list[str] = []

    @app.get("/")
    async def index(request: Request) -> None:
        stream = await request.respond()

        async def send(name: str) -> None:
            await stream.send(b"x" * LARGE)
            ended.append(name)

        await asyncio.gather(send("first"), send("second"))

    scripted = Scripted(app)
    scripted.transport.peer_reads = False
    await scripted.send(GET % b"/")
    await scripted.until(lambda: len(scripted.connection._waiters) == 2)
    scripted.transport.peer_reads = True
    await scripted.happen(scripted.transport.read_all)
    await scripted.until(lambda: len(ended) == 2)
    await scripted.until(lambda: scripted.connection.state is State.IDLE)
    scripted.close()


@pytest.mark.parametrize("reads", [False, True])
async def test_sender_that_is_cancelled_while_it_waits(reads: bool) -> None:
    """A sender that waits for its peer is cancelled where it waits, also when the peer reads on in the same turn."""
    app = App("cancelled")
    seen: list[type[BaseException]] = []

    @app.get("/")
    async def index(request: Request) -> None:
        stream = await request.respond()
        try:
            await stream.send(b"x" * LARGE)
        except BaseException as error:
            seen.append(type(error))
            raise

    scripted = Scripted(app)
    scripted.transport.peer_reads = False
    await scripted.send(GET % b"/")
    [task] = scripted.shared.runner.in_flight
    scripted.loop.call_soon(task.cancel)
    if reads:
        scripted.loop.call_soon(scripted.transport.read_all)
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    assert (seen, scripted.connection._waiters, scripted.transport.cut) == ([asyncio.CancelledError], [], True)
    scripted.close()


async def test_stream_gives_the_others_a_turn() -> None:
    """A stream whose peer reads as fast as it is written lets the loop turn every so often."""
    asked: list[str] = []
    scripted = Scripted(make_app(asked))
    await scripted.send(GET % b"/flood")
    turns = [len(asked)]
    for _ in range(3):
        await scripted.turn()
        turns.append(len(asked))
    assert turns[0] < turns[-1] < 1000
    await scripted.happen(scripted.transport.leave)
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()
