"""Literal bytes: what is answered, and what is refused (mission S; findings, section HTTP/1.1)."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Callable

import pytest

from fairlead import App, HTTPResponse, Request, raw, text
from tests.framework.server.smuggling_cases import SMUGGLING
from tests.framework.server.wire_cases import CASES as PLAIN_CASES
from tests.framework.server.wire_cases import Case

CASES = PLAIN_CASES + SMUGGLING
MAX_BODY = 1000
USUAL = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def make_app() -> App:
    """`GET /`, and `POST /echo` that gives the body back. What a case hides is at `/hidden`, which there is, too."""
    app = App("wire", {"REQUEST_MAX_SIZE": MAX_BODY})

    @app.get("/")
    async def index(request: Request) -> object:
        return text("ok")

    @app.get("/hidden")
    async def hidden(request: Request) -> object:
        return text("hidden")

    @app.post("/echo")
    async def echo(request: Request) -> object:
        return raw(request.body)

    return app


def final_answers(received: bytes) -> list[int]:
    """The statuses of the responses; 100 is none."""
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]
    return [status for status in statuses if status != 100]


def first_status(received: bytes) -> int:
    """The status of the first response, 0 for none."""
    return next(iter(final_answers(received)), 0)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_literal_request(serve, case: Case) -> None:
    """A literal request gets one of the accepted answers, and a refused one ends the connection."""
    running = await serve(make_app())
    received = await running.exchange(case.data)
    assert first_status(received) in case.accepted, (case.source, received[:400])
    assert len(final_answers(received)) <= case.answers, (case.source, received)
    if received and first_status(received) not in (200, 404, 405):
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in received


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
async def test_literal_request_on_a_connection_that_remembers(serve, case: Case) -> None:
    """What a connection remembers of the request before changes no verdict on the next one."""
    running = await serve(make_app())
    received = await running.exchange(USUAL + USUAL + case.data)
    assert final_answers(received)[:2] == [200, 200]
    assert next(iter(final_answers(received)[2:]), 0) in case.accepted, (case.source, received[:400])


async def test_same_head_again_is_a_request_of_its_own(serve) -> None:
    """Equal heads, one after the other or with others between them, however they are cut: each has its own body and its answer."""
    messages = [
        (USUAL, b"ok"),
        (b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", b"hidden"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-More: 1\r\n\r\n", b"ok"),
        (b"\r\n" + USUAL, b"ok"),
        (b"GET http://a/hidden HTTP/1.1\r\nHost: a\r\n\r\n", b"hidden"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none", b"one"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo", b"two"),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsix\r\n0\r\n\r\n", b"six"),
    ]
    running = await serve(make_app())
    for seed in range(40):
        chance = random.Random(seed)
        chosen = [chosen for chosen in chance.choices(messages, k=6) for _ in range(chance.choice((1, 1, 2, 3)))]
        data = b"".join(message for message, _ in chosen)
        cuts = sorted(chance.sample(range(1, len(data)), chance.choice((0, 1, 5, 20))))
        peer = await running.connect()
        for start, end in itertools.pairwise([0, *cuts, len(data)]):
            await peer.send(data[start:end])
            await asyncio.sleep(0)
        assert [(await peer.response())[2] for _ in chosen] == [body for _, body in chosen], seed


@pytest.mark.parametrize("case", [case for case in CASES if len(case.data) < 400], ids=lambda case: case.name)
async def test_byte_by_byte(serve, case: Case) -> None:
    """The answer doesn't depend on how TCP cuts the bytes."""
    running = await serve(make_app())
    peer = await running.connect()
    for position in range(len(case.data)):
        peer.writer.write(case.data[position : position + 1])
        if position % 16 == 0:
            await peer.writer.drain()
    peer.writer.write_eof()
    assert first_status(await peer.rest()) in case.accepted


async def test_pipelined_requests_are_answered_in_order(serve) -> None:
    """Requests that arrive together are answered in order, also when a body stands between them (RFC 9112 §9.3.2)."""
    running = await serve(make_app())
    received = await running.exchange(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"ok", b"one", b"two", b"ok"]


async def test_smuggled_prefix_is_not_a_request(serve) -> None:
    """What follows a refused message is never taken for a request."""
    running = await serve(make_app())
    received = await running.exchange(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert received.count(b"HTTP/1.1 ") == 1
    assert first_status(received) == 400


async def test_remembered_head_is_judged_again_for_another_version(serve) -> None:
    """A header block that was fine for HTTP/1.1 means something else under HTTP/1.0: the connection closes."""
    running = await serve(make_app())
    received = await running.exchange(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert received.count(b"HTTP/1.1 200") == 2
    assert b"connection: close" in received


async def test_authority_of_the_target_is_the_host(serve) -> None:
    """An absolute target's authority counts, not Host; the next request on the connection has its own (RFC 9112 §3.2.2)."""
    app = App("absolute")

    @app.get("/x")
    async def index(request: Request) -> object:
        return text(f"{request.url} {request.path} {request.headers['host']}\n")

    running = await serve(app)
    received = await running.exchange(
        b"GET /x HTTP/1.1\r\nHost: own\r\n\r\n"
        b"GET http://Other:81/x?y HTTP/1.1\r\nHost: own\r\n\r\n"
        b"GET /x HTTP/1.1\r\nHost: own\r\n\r\n"
    )
    own = b"http://own/x /x own\n"
    assert [body.partition(b"\r\n\r\n")[2] for body in received.split(b"HTTP/1.1 200 OK\r\n")[1:]] == [
        own,
        b"http://Other:81/x?y /x Other:81\n",
        own,
    ]


async def test_limit_of_a_head_holds_for_repeated_fields(serve) -> None:
    """A long target is refused as well when the fields are those of the request before."""
    app = make_app()
    app.config.REQUEST_MAX_HEADER_SIZE = 200
    running = await serve(app)
    received = await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /" + b"x" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"414"]


@pytest.mark.parametrize("status", [100, 103, 199, 1000])
async def test_status_that_is_no_answer(serve, status: int) -> None:
    """An application that answers with an informational status, or none at all, gets a 500: its client would wait for ever."""
    app = App("statuses")
    app.add_route(lambda request: text("body", status=status), "/", name="index")
    running = await serve(app)
    received = await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert first_status(received) == 500
    assert received.count(b"HTTP/1.1") == 1


async def test_head_has_no_body(serve) -> None:
    """HEAD gets GET's head and no body (RFC 9110 §9.3.2)."""
    running = await serve(make_app())
    received = await running.exchange(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-length: 2" in head
    assert body == b""


async def test_expect_continue(serve) -> None:
    """A client that waits for 100 gets it, and then its answer (RFC 9110 §10.1.1)."""
    running = await serve(make_app())
    peer = await running.connect()
    await peer.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert await peer.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await peer.send(b"hello")
    assert (await peer.response())[2] == b"hello"


async def test_expect_continue_for_nothing(serve) -> None:
    """A body that nobody wants is not asked for: the 404 comes at once, and the connection closes."""
    running = await serve(make_app())
    peer = await running.connect()
    await peer.send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    status, headers, _ = await peer.response()
    assert (status, headers["connection"]) == (404, "close")
    assert await peer.rest() == b""


def _set(name: str, value: str) -> Callable[[], HTTPResponse]:
    return lambda: text("ok", headers={name: value})


INJECTIONS: list[tuple[str, Callable[[], HTTPResponse]]] = [
    ("CR LF in a value", _set("X-A", "1\r\nX-B: 2")),
    ("LF in a value", _set("X-A", "1\nX-B: 2")),
    ("CR in a value", _set("X-A", "1\rX-B: 2")),
    ("NUL in a value", _set("X-A", "1\0")),
    ("a second head in a value", _set("X-A", "1\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")),
    ("line break beyond latin-1", _set("X-A", "1\u560d\u560aX-B: 2")),
    ("CR LF in a name", _set("X-A: 1\r\nX-B", "2")),
    ("colon in a name", _set("X-A:", "1")),
    ("space in a name", _set("X A", "1")),
    ("empty name", _set("", "1")),
    ("CR LF in the content type", lambda: text("ok", content_type="text/plain\r\nX-B: 2")),
]


@pytest.mark.parametrize("make", [make for _, make in INJECTIONS], ids=[name for name, _ in INJECTIONS])
@pytest.mark.parametrize("streamed", [False, True])
async def test_response_that_breaks_out_of_its_lines(serve, make: Callable[[], HTTPResponse], streamed: bool) -> None:
    """Response splitting (CWE-113): a field that would end its line is a 500, and nothing of it is sent."""
    app = App("injection")

    @app.get("/")
    async def index(request: Request) -> HTTPResponse | None:
        if not streamed:
            return make()
        await (await request.respond(make())).send("ok")
        return None

    running = await serve(app)
    received = await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert final_answers(received) == [500]
    assert b"X-B" not in received


async def test_framing_is_not_the_applications(serve) -> None:
    """Transfer-Encoding, Connection and a wrong Content-Length of the application's own don't reach the wire."""
    app = App("framing")
    fields = {"Transfer-Encoding": "chunked", "Connection": "upgrade", "Content-Length": "500", "X-A": "1"}
    app.add_route(lambda request: text("ok", headers=fields), "/", name="index")
    running = await serve(app)
    head, _, body = (await running.exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).partition(b"\r\n\r\n")
    assert body == b"ok"
    assert b"content-length: 2\r\n" in head + b"\r\n"
    assert b"x-a: 1" in head.lower()
    for name in (b"transfer-encoding", b"connection", b"content-length: 500"):
        assert name not in head.lower()


def test_size_of_the_table() -> None:
    """Each case has a name of its own and a source, and there are many."""
    assert len({case.name for case in CASES}) == len(CASES) >= 200
    assert all(case.source for case in CASES)
