"""The server: its counters, the sweep that never stops, the accept queue, TLS, websockets at the end."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import fairlead.server.server as module
from fairlead import App, Request, text
from fairlead.server import Server
from fairlead.server.server import _accept_all
from fairlead.server.tls import CertificateFiles, Certificates
from tests.framework.server.authority import Authority
from tests.framework.server.conftest import Peer, listening_socket

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def make_app() -> App:
    """`GET /` shows the scheme, `/ws` is a websocket that waits."""
    app = App("server")

    @app.get("/")
    async def index(request: Request) -> object:
        return text(request.scheme)

    @app.websocket("/ws")
    async def feed(request: Request, ws: Any) -> None:
        await ws.recv()

    return app


async def test_before_the_start() -> None:
    """A server that has not started counts nothing, and is not draining."""
    server = Server(make_app().finalise(), [])
    assert (server.open_connections, server.in_flight, server.draining) == (0, 0, False)
    assert (server.refused, server.websocket_stats) == ({}, None)


async def test_counters(serve) -> None:
    """Connections, requests under way, messages that were refused by status, and the websockets' own."""
    running = await serve(make_app())
    assert running.server.websocket_stats is None
    for data in (b"junk\r\n\r\n", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b"GET /\r\n\r\n"):
        await running.exchange(data)
    assert running.server.refused == {400: 2, 505: 1}
    peer = await running.connect()
    await peer.send(HANDSHAKE)
    assert (await peer.head()).startswith(b"HTTP/1.1 101 ")
    assert (running.server.open_connections, running.server.in_flight) == (1, 1)
    assert running.server.websocket_stats is not None
    assert not running.server.draining


async def test_observer_is_handed_on() -> None:
    """The observer that a server is given is told of its responses."""
    seen: list[int] = []
    listening = listening_socket()
    server = Server(make_app().finalise(), [listening], observer=lambda request, status, size, *rest: seen.append(status))
    await server.start()
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    writer.write(GET % b"/" + GET % b"/none")
    await reader.readuntil(b"404 Not Found")
    writer.close()
    await server.drain(0)
    listening.close()
    assert seen == [200, 404]


class Broken:
    """A websocket session with a defect."""

    def sweep(self, now: float) -> None:
        """Fail."""
        raise RuntimeError("on purpose")

    def connection_lost(self, exc: Exception | None) -> None:
        """Fine."""


async def test_sweep_outlives_a_connection_that_fails(serve, caplog: pytest.LogCaptureFixture) -> None:
    """When ending one connection raises, that one is cut, the others are still ended, and the next sweep comes."""
    running = await serve(make_app())
    peers = [await running.connect() for _ in range(3)]
    for peer in peers:
        await peer.send(GET % b"/")
        await peer.response()
    for connection in running.connections():
        connection.deadline = 0.0
    next(iter(running.connections())).session = Broken()
    timer = running.server._sweep_handle
    running.server.sweep()
    assert [await peer.rest() for peer in peers] == [b""] * 3
    assert "it is cut" in caplog.text
    assert running.server._sweep_handle is not timer
    assert not running.server._sweep_handle.cancelled()


async def test_websockets_are_swept_and_told_of_the_end(serve) -> None:
    """A sweep gives each websocket its turn (pings); a drain closes them with 1012, and refuses new ones with 503."""
    running = await serve(make_app())
    peer = await running.connect()
    await peer.send(HANDSHAKE)
    await peer.head()
    running.server.sweep()
    idle = await running.connect()
    await idle.send(GET % b"/")
    await idle.response()
    draining = asyncio.ensure_future(running.server.drain(asyncio.get_running_loop().time() + 20))
    await asyncio.sleep(0)
    await idle.send(HANDSHAKE)
    assert (await idle.response())[:1] == (503,)
    assert (await peer.reader.readexactly(4))[2:] == (1012).to_bytes(2, "big")
    peer.close()
    assert await draining == 0


class Listening:
    """A listening socket that is in trouble."""

    def __init__(self, *outcomes: Exception | socket.socket) -> None:
        self._outcomes = iter(outcomes)

    def accept(self) -> tuple[socket.socket, None]:
        """What the kernel says next."""
        outcome = next(self._outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome, None


def test_accept_queue_is_emptied_past_those_who_gave_up(caplog: pytest.LogCaptureFixture) -> None:
    """A connection that was aborted in the queue hides none behind it; another error ends the emptying, and is logged."""
    waiting, other = socket.socketpair()
    with waiting, other:
        queue = Listening(ConnectionAbortedError(), waiting, BlockingIOError(), other)
        assert list(_accept_all(queue)) == [waiting]  # type: ignore[arg-type]
        assert not waiting.getblocking()
        assert caplog.records == []
        assert list(_accept_all(Listening(OSError(errno.EMFILE, "too many open files")))) == []  # type: ignore[arg-type]
    assert "could not be emptied" in caplog.text


async def test_stop_accepting_twice(serve) -> None:
    """The second time there is nothing left to do; the sockets may be closed by then."""
    running = await serve(make_app())
    await running.server.stop_accepting()
    await running.server.stop_accepting()
    assert await running.server.drain(0) == 0


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[Server, tuple[str, int], ssl.SSLContext]]:
    """A server that speaks TLS, its address, and what a client needs."""
    authority = Authority()
    authority.issue(tmp_path, "localhost")
    listening = listening_socket()
    server = Server(make_app().finalise(), [listening], tls=Certificates([CertificateFiles.in_directory(tmp_path)]))
    await server.start()
    yield server, listening.getsockname(), authority.client()
    if not server.draining:
        await server.drain(0)
    listening.close()


@pytest.mark.event_loop("uvloop", "asyncio")
async def test_tls(secure: tuple[Server, tuple[str, int], ssl.SSLContext]) -> None:
    """Over TLS the scheme is https; a refused request is answered and the connection closed, though TLS knows no half-close."""
    _, address, context = secure
    peer = Peer(*await asyncio.open_connection(*address, ssl=context, server_hostname="localhost"))
    await peer.send(GET % b"/")
    assert (await peer.response())[2] == b"https"
    await peer.send(b"junk\r\n\r\n")
    assert (await peer.rest()).startswith(b"HTTP/1.1 400 ")
    peer.close()


@pytest.mark.event_loop("uvloop", "asyncio")
async def test_handshakes_in_the_accept_queue(
    secure: tuple[Server, tuple[str, int], ssl.SSLContext], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the end begins, one that completes is served, one that fails is noted, and one that never begins holds up nobody."""
    server, address, context = secure
    caplog.set_level(logging.INFO, "fairlead.server")
    monkeypatch.setattr(module, "IDLE_GRACE_S", 0.5)
    silent, wrong, good = (socket.create_connection(address) for _ in range(3))  # the loop has no turn to accept them
    wrong.sendall(GET % b"/")
    good.setblocking(False)
    draining = asyncio.ensure_future(server.drain(asyncio.get_running_loop().time() + 20))
    peer = Peer(*await asyncio.open_connection(sock=good, ssl=context, server_hostname="localhost"))
    await peer.send(GET % b"/")
    assert (await peer.response())[1]["connection"] == "close"
    assert await draining == 0
    assert "from the accept queue was gone" in caplog.text
    for client in (silent, wrong):
        client.close()
    peer.close()
