"""A streamed response on the wire: chunked, counted, or until the end, and never half of it taken for the whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, Request
from fairlead.http.limits import Limits
from fairlead.server.link import State
from fairlead.server.sink import SENDS_PER_TURN
from tests.framework.server.scripted import Scripted


async def exchange(data: bytes, *, limits: Limits | None = None, **options: Any) -> Scripted:
    """Send a request to an application that streams "one" and "two" with the given status and headers."""
    app = App("sink")

    async def stream(request: Request) -> None:
        response = await request.respond(**options)
        await response.send("one")
        await response.send(b"two")

    app.add_route(stream, "/", ["GET", "HEAD"])
    scripted = Scripted(app, limits)
    await scripted.send(data)
    scripted.close()
    return scripted


def framing(scripted: Scripted) -> tuple[list[bytes], bytes]:
    """What the head says of framing and connection, and everything behind the head."""
    head, _, body = scripted.taken.partition(b"\r\n\r\n")
    wanted = (b"content-length", b"transfer-encoding", b"connection")
    return [line for line in head.split(b"\r\n") if line.startswith(wanted)], body


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
LENGTH = {"content-length": "6"}


@pytest.mark.parametrize(
    ("data", "options", "fields", "body", "state"),
    [
        (GET + b"\r\n", {}, [b"transfer-encoding: chunked"], b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", State.IDLE),
        (GET + b"\r\n", {"headers": LENGTH}, [b"content-length: 6"], b"onetwo", State.IDLE),
        (
            GET + b"Connection: close\r\n\r\n",
            {},
            [b"transfer-encoding: chunked", b"connection: close"],
            b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
            State.CLOSING,
        ),
        (b"GET / HTTP/1.0\r\n\r\n", {}, [b"connection: close"], b"onetwo", State.CLOSING),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", {}, [b"connection: close"], b"onetwo", State.CLOSING),
        (
            b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            {"headers": LENGTH},
            [b"content-length: 6", b"connection: keep-alive"],
            b"onetwo",
            State.IDLE,
        ),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", {}, [b"transfer-encoding: chunked"], b"", State.IDLE),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", {"headers": LENGTH}, [b"content-length: 6"], b"", State.IDLE),
        (GET + b"\r\n", {"status": 204}, [], b"", State.IDLE),
        (GET + b"\r\n", {"status": 304, "headers": LENGTH}, [], b"", State.IDLE),
    ],
)
async def test_framing(data: bytes, options: dict[str, Any], fields: list[bytes], body: bytes, state: State) -> None:
    """Chunks for HTTP/1.1, a counted length where one was set, until the end for HTTP/1.0; no body where none may be."""
    scripted = await exchange(data, **options)
    assert framing(scripted) == (fields, body)
    assert scripted.connection.state is state


@pytest.mark.parametrize("length", ["5", "7"])
async def test_body_that_does_not_fit_its_length(length: str) -> None:
    """More or less than was announced cuts the connection: what follows would be read as another answer."""
    scripted = await exchange(GET + b"\r\n", headers={"content-length": length})
    assert scripted.transport.cut
    assert not framing(scripted)[1].endswith(b"two") or length == "7"


@pytest.mark.parametrize("length", ["six", "-6", "+6", "6,6"])
async def test_length_that_is_none(length: str) -> None:
    """A Content-Length that is no number is an error of the application while nothing is sent."""
    scripted = await exchange(GET + b"\r\n", headers={"content-length": length})
    assert scripted.taken.startswith(b"HTTP/1.1 500 ")
    assert scripted.connection.state is State.IDLE


@pytest.mark.parametrize("shown", [True, False])
async def test_request_id(shown: bool) -> None:
    """A stream carries the request's id as other answers do, unless that is switched off."""
    scripted = await exchange(GET + b"X-Request-ID: r-1\r\n\r\n", limits=Limits(request_id_header=shown))
    assert (b"\r\nx-request-id: r-1\r\n" in scripted.taken) is shown


async def test_many_pieces_give_the_others_a_turn() -> None:
    """A handler that sends without end, to a peer that reads as fast, lets the loop turn every so often."""
    app = App("turns")
    sent: list[int] = []

    @app.get("/")
    async def stream(request: Request) -> None:
        response = await request.respond()
        while True:
            sent.append(1)
            await response.send(b"x")

    scripted = Scripted(app)
    await scripted.send(GET + b"\r\n")
    for _ in range(3):
        before = len(sent)
        await asyncio.sleep(0)
        assert 0 < len(sent) - before <= 2 * SENDS_PER_TURN
    await scripted.happen(scripted.transport.leave)
    await scripted.until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()
