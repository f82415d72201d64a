"""Any order of events: whatever a client, its network, the clock and the handlers do, and however the bytes are cut.

A run sends a few requests over one connection in memory. Between the pieces handlers are released, the client stops and starts
to read, the loop turns. At most one thing ends the run early: the client ends its side or leaves, a deadline passes, the server
drains. Then the law must hold: the client has got the whole answers to the first so-and-so-many requests, in order; if that is
not all of them, the connection is closed; and nobody is left waiting.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead import App, HTTPResponse, Request, empty, raw, text
from fairlead.errors import ServerError
from fairlead.http.clock import CLOCK
from fairlead.http.limits import Limits
from fairlead.server.link import State
from tests.framework.server.scripted import Scripted, cut

LARGE = 150_000
LIMITS = Limits(max_body_bytes=1000, max_pipelined_bytes=300)
MAX_TURNS = 400
MAX_UNREAD = 65536 + LARGE + 1000  # the high-water mark and one whole answer

gates: list[asyncio.Future[None]] = []


async def wait() -> None:
    """Until the run releases it."""
    gate = asyncio.get_running_loop().create_future()
    gates.append(gate)
    await gate


def release(position: int) -> None:
    """Let one handler go on."""
    waiting = [gate for gate in gates if not gate.done()]
    if waiting:
        waiting[position].set_result(None)


def make_app() -> App:
    """Every kind of handler; each answers with what it was asked for."""
    app = App("orders")

    @app.get("/get/<n>")
    async def get(request: Request, n: str) -> HTTPResponse:
        return text(f"get {n}")

    @app.get("/wait/<n>")
    async def waits(request: Request, n: str) -> HTTPResponse:
        await wait()
        return text(f"wait {n}")

    @app.get("/finish/<n>", on_disconnect="finish")
    async def finishes(request: Request, n: str) -> HTTPResponse:
        await wait()
        return text(f"finish {n}")

    @app.get("/large/<n>")
    def large(request: Request, n: str) -> HTTPResponse:
        return raw(b"l" * LARGE)

    @app.get("/late-large/<n>")
    async def late_large(request: Request, n: str) -> HTTPResponse:
        await wait()
        return raw(b"l" * LARGE)

    @app.get("/stream/<n>")
    async def stream(request: Request, n: str) -> None:
        response = await request.respond()
        for piece in ("stream", " ", n):
            await response.send(piece)
            if piece == " ":
                await wait()

    @app.get("/flood/<n>")
    async def flood(request: Request, n: str) -> None:
        response = await request.respond(headers={"content-length": str(LARGE)})
        for _ in range(LARGE // 50_000):
            await response.send(b"f" * 50_000)

    @app.get("/empty/<n>")
    async def nothing(request: Request, n: str) -> HTTPResponse:
        return empty()

    @app.get("/error/<n>")
    async def error(request: Request, n: str) -> None:
        raise ServerError("on purpose", quiet=True)

    @app.post("/echo/<n>")
    async def echo(request: Request, n: str) -> HTTPResponse:
        return raw(request.body)

    @app.post("/later/<n>")
    async def later(request: Request, n: str) -> HTTPResponse:
        await wait()
        return raw(request.body)

    @app.post("/upload/<n>", stream=True)
    async def upload(request: Request, n: str) -> HTTPResponse:
        await request.receive_body()
        return raw(request.body)

    @app.post("/mirror/<n>", stream=True)
    async def mirror(request: Request, n: str) -> None:
        assert request.stream is not None
        response = await request.respond()
        await response.send("mirror ")
        async for piece in request.stream:
            await response.send(piece)

    @app.post("/unread/<n>", stream=True)
    async def unread(request: Request, n: str) -> HTTPResponse:
        return text("no", status=403)

    @app.post("/late/<n>", stream=True)
    async def late(request: Request, n: str) -> HTTPResponse:
        await wait()
        return text("no", status=403)

    return app


APP = make_app()
APP.finalise()


@dataclass(frozen=True)
class Call:
    """One request: its bytes, and what must come back. `last` ends the connection: what follows it is not heard."""

    method: str
    data: bytes
    status: int
    body: bytes | None
    last: bool = False
    may_be_last: bool = False

    def __repr__(self) -> str:
        return f"<{self.data.split(b' HTTP')[0].decode()}{' last' * self.last}>"


def _get(path: str, status: int, body: bytes | None, *, method: str = "GET", fields: str = "", last: bool = False) -> Call:
    return Call(method, f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode(), status, body, last)


def _post(
    path: str, body: bytes, framing: str, status: int = 200, *, answer: bytes | None = None, may_be_last: bool = False
) -> Call:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n"
    if framing == "chunked":
        half = len(body) // 2
        chunks = [chunk for chunk in (body[:half], body[half:]) if chunk]
        wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX-Sum: 1\r\n\r\n"
        fields = "Transfer-Encoding: chunked\r\n"
    else:
        wire, fields = body, f"Content-Length: {len(body)}\r\n"
    if framing == "expect":
        fields += "Expect: 100-continue\r\n"
    if status == 200 and answer is None:
        answer = body
    return Call("POST", f"{head}{fields}\r\n".encode() + wire, status, answer, False, may_be_last)


@st.composite
def conversations(draw: st.DrawFn) -> list[Call]:
    """A few requests, of few kinds: it is the repetitions that reach the limits."""
    kinds = draw(st.lists(st.sampled_from(sorted(_KINDS)), min_size=1, max_size=3))
    sent = []
    for n in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(kinds))
        body = draw(st.binary(max_size=900)) if kind.startswith("post") else b""
        framing = draw(st.sampled_from(["length", "chunked", "expect"])) if body else "length"
        sent.append(_KINDS[kind](n, body, framing))
    return sent


_KINDS: dict[str, Callable[[int, bytes, str], Call]] = {
    "get": lambda n, body, framing: _get(f"/get/{n}", 200, f"get {n}".encode()),
    "head": lambda n, body, framing: _get(f"/get/{n}", 200, b"", method="HEAD"),
    "wait": lambda n, body, framing: _get(f"/wait/{n}", 200, f"wait {n}".encode()),
    "finish": lambda n, body, framing: _get(f"/finish/{n}", 200, f"finish {n}".encode()),
    "large": lambda n, body, framing: _get(f"/large/{n}", 200, b"l" * LARGE),
    "late large": lambda n, body, framing: _get(f"/late-large/{n}", 200, b"l" * LARGE),
    "flood": lambda n, body, framing: _get(f"/flood/{n}", 200, b"f" * LARGE),
    "stream": lambda n, body, framing: _get(f"/stream/{n}", 200, f"stream {n}".encode()),
    "head stream": lambda n, body, framing: _get(f"/stream/{n}", 200, b"", method="HEAD"),
    "empty": lambda n, body, framing: _get(f"/empty/{n}", 204, b""),
    "error": lambda n, body, framing: _get(f"/error/{n}", 500, None),
    "missing": lambda n, body, framing: _get(f"/missing/{n}", 404, None),
    "post echo": lambda n, body, framing: _post(f"/echo/{n}", body, framing),
    "post later": lambda n, body, framing: _post(f"/later/{n}", body, framing),
    "post upload": lambda n, body, framing: _post(f"/upload/{n}", body, framing),
    "post mirror": lambda n, body, framing: _post(f"/mirror/{n}", body, framing, answer=b"mirror " + body),
    "post unread": lambda n, body, framing: _post(f"/unread/{n}", body, framing, 403, may_be_last=True),
    "post late": lambda n, body, framing: _post(f"/late/{n}", body, framing, 403, may_be_last=True),
    "post missing": lambda n, body, framing: _post(f"/missing/{n}", body, framing, 404, may_be_last=True),
    "close": lambda n, body, framing: _get(f"/get/{n}", 200, f"get {n}".encode(), fields="Connection: close\r\n", last=True),
    "wait close": lambda n, body, framing: _get(f"/wait/{n}", 200, None, fields="Connection: close\r\n", last=True),
    "stream close": lambda n, body, framing: _get(f"/stream/{n}", 200, None, fields="Connection: close\r\n", last=True),
    "old": lambda n, body, framing: Call("GET", b"GET /get/1 HTTP/1.0\r\n\r\n", 200, b"get 1", last=True),
    "bad": lambda n, body, framing: Call("GET", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, None, last=True),
    "bad chunk": lambda n, body, framing: Call("POST", _CHUNKED % b"echo" + b"x\r\n", 400, None, last=True),
    "bad upload": lambda n, body, framing: Call("POST", _CHUNKED % b"upload" + b"1\r\naX", 400, None, last=True),
    "too long": lambda n, body, framing: Call(
        "POST", _CHUNKED % b"upload" + b"7d0\r\n%b\r\n0\r\n\r\n" % (b"x" * 2000), 413, None, last=True
    ),
}
_CHUNKED = b"POST /%b/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

STEPS = st.one_of(
    st.tuples(st.just("feed"), st.integers(1, 5)),
    st.tuples(st.just("turn"), st.just(0)),
    st.tuples(st.just("release"), st.sampled_from([0, -1])),
    st.tuples(st.just("stop reading"), st.just(0)),
    st.tuples(st.just("read"), st.integers(1, 100_000)),
    st.tuples(st.just("read all"), st.just(0)),
)
ENDS = st.one_of(st.none(), st.tuples(st.sampled_from(["eof", "leave", "expire", "drain"]), st.integers(0, 30)))


class Run:
    """One run: what was sent, what happened, what came back."""

    def __init__(self, sent: list[Call], seed: int) -> None:
        self.sent = sent
        self.scripted = Scripted(APP, LIMITS)
        self.pieces = cut(b"".join(call.data for call in sent), seed)
        self.ended_early = ""
        self.written_before_drain = 0
        self.problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.problems.append(context))

    def step(self, action: str, value: int) -> None:
        """Something happens."""
        transport = self.scripted.transport
        match action:
            case "feed":
                for piece in self.pieces[:value]:
                    self.scripted.arrive(piece)
                del self.pieces[:value]
            case "release":
                release(value)
            case "stop reading":
                transport.peer_reads = False
            case "read":
                transport.read_some(value)
            case "read all":
                transport.peer_reads = True
                transport.read_all()
            case _:
                self.end(action)
        assert len(transport.unread) < MAX_UNREAD

    def end(self, action: str) -> None:
        """What ends the run early."""
        self.ended_early = action
        connection, transport = self.scripted.connection, self.scripted.transport
        if transport.is_lost:
            return
        if action == "eof":
            self.pieces.clear()
            self.scripted.arrive(b"")
        elif action == "leave":
            self.pieces.clear()
            transport.leave()
        elif action == "expire":
            CLOCK.now += 1000
            if connection.deadline <= CLOCK.now or connection.write_deadline <= CLOCK.now:
                connection.expire()
        else:
            self.written_before_drain = len(transport.taken + transport.unread)
            self.scripted.shared.draining = True
            connection.drain()

    async def finish(self) -> None:
        """The client sends and reads everything, all handlers are released, and the loop turns until nothing moves."""
        await self.scripted.happen(self.step, "read all", 0)
        for piece in self.pieces:
            await self.scripted.send(piece)
        for _ in range(MAX_TURNS):
            await self.scripted.turn()
            for gate in gates:
                if not gate.done():
                    gate.set_result(None)
        gates.clear()
        self.scripted.close()

    def check(self) -> None:
        """The law."""
        scripted, transport = self.scripted, self.scripted.transport
        assert self.problems == []
        assert not scripted.shared.runner.in_flight
        rest, answered, closed = scripted.taken, 0, False
        for call in self.sent:
            found = read_answer(rest, call)
            if found is None:
                break
            status, fields, body, rest = found
            answered += 1
            closed = fields.get("connection") == "close" or call.last
            if self.ended_early in ("expire", "drain") and status in (408, 503):
                assert closed
            else:
                assert status == call.status, (call, scripted.taken[:300])
                assert call.body is None or body == call.body, call
            if closed:
                assert call.last or call.may_be_last or self.ended_early in ("expire", "drain"), call
                break
        complete = answered == len(self.sent) or closed
        if rest and not (transport.cut or self.ended_early == "eof"):
            assert read_answer(rest, self.sent[0]) is None or self.ended_early == "expire", rest[:300]
            assert self.ended_early == "expire", rest[:300]  # a 408 to what is no whole request yet
        assert complete or self.ended_early, (answered, scripted.connection.state, scripted.taken[-300:])
        answers_to_the_drain = self.ended_early == "drain" and len(scripted.taken) > self.written_before_drain
        if not complete or closed or answers_to_the_drain:
            assert transport.ended or transport.cut, scripted.connection.state
        elif not self.ended_early:
            assert scripted.connection.state is State.IDLE


def read_answer(data: bytes, call: Call) -> tuple[int, dict[str, str], bytes, bytes] | None:
    """Status, fields, body and the rest, strictly; None when the data is no whole answer."""
    while data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
        assert b"Expect" in call.data, "nobody asked for a 100"
        data = data[25:]
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        return None
    line, *lines = head.decode("latin-1").split("\r\n")
    matched = re.fullmatch(r"HTTP/1\.1 ([2-5][0-9]{2}) [A-Za-z ]+", line)
    assert matched, line
    fields = dict(field.split(": ", 1) for field in lines)
    assert len(fields) == len(lines), head
    status = int(matched[1])
    if call.method == "HEAD" or status == 204:
        return status, fields, b"", rest
    if fields.get("transfer-encoding") == "chunked":
        assert "content-length" not in fields
        body = b"".join(chunks := list(_chunks(rest)))
        if not chunks or chunks[-1] != b"":
            return None
        return status, fields, body, rest[sum(len(b"%x" % len(chunk)) + len(chunk) + 4 for chunk in chunks) :]
    length = int(fields["content-length"])
    return (status, fields, rest[:length], rest[length:]) if len(rest) >= length else None


def _chunks(data: bytes) -> Iterator[bytes]:
    """The chunks of a body, the empty last one included if it is there."""
    while True:
        size, found, data = data.partition(b"\r\n")
        if not found:
            return
        length = int(size, 16)
        chunk, ending, data = data[:length], data[length : length + 2], data[length + 2 :]
        if ending != b"\r\n":
            return
        yield chunk
        if not length:
            return


async def run(sent: list[Call], seed: int, steps: list[tuple[str, int]], end: tuple[str, int] | None) -> None:
    """One run, from the first byte to the law."""
    before = CLOCK.now
    scenario = Run(sent, seed)
    try:
        for action, value in steps if end is None else [*steps[: end[1]], end, *steps[end[1] :]]:
            if action == "turn":
                await scenario.scripted.turn()
            else:
                scenario.scripted.loop.call_soon(scenario.step, action, value)  # in one turn with what comes next
        await scenario.scripted.turn()
        await scenario.finish()
        scenario.check()
    finally:
        CLOCK.now = before


@pytest.mark.deadline(120)
@settings(max_examples=4000, deadline=None)
@given(conversations(), st.integers(0, 2**16), st.lists(STEPS, max_size=30), ENDS)
def test_any_order_of_events(sent: list[Call], seed: int, steps: list[tuple[str, int]], end: tuple[str, int] | None) -> None:
    """Each request is answered once, whole and in order, or the connection is closed."""
    asyncio.run(run(sent, seed, steps, end))
