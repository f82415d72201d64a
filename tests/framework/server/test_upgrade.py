"""From HTTP to a websocket: refused with a real status, or handed over with every byte that came behind the handshake."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, Request
from fairlead.http.limits import Limits
from fairlead.server.link import State
from fairlead.websocket import WebsocketStats
from tests.framework.server.scripted import Scripted, until

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Request-ID: r-1\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
HELLO = b"\x81\x85\0\0\0\0hello"  # a text frame, masked with zeros
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


def make_app(guard: asyncio.Event | None = None, **config: Any) -> App:
    """An echo at `/ws`, behind a guard that waits."""
    app = App("upgrade", config)

    @app.websocket("/ws")
    async def echo(request: Request, ws: Any) -> None:
        async for message in ws:
            await ws.send(message)

    if guard is not None:

        @app.on_request
        async def wait(request: Request) -> None:
            await guard.wait()

    return app


async def test_frames_behind_the_handshake() -> None:
    """Frames that came in one packet with the handshake are the session's."""
    scripted = Scripted(make_app())
    await scripted.send(HANDSHAKE + b"\r\n" + HELLO)
    await until(lambda: scripted.taken.endswith(b"\x81\x05hello"))
    assert scripted.taken.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nx-request-id: r-1\r\n" in scripted.taken
    assert scripted.connection.state is State.UPGRADED
    await scripted.send(CLOSE)
    await until(lambda: scripted.transport.ended)
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()


async def test_frames_that_came_while_a_guard_waited() -> None:
    """More frames than are read ahead come while a guard decides: all are the session's, and reading goes on."""
    guard = asyncio.Event()
    scripted = Scripted(make_app(guard), Limits(max_pipelined_bytes=5, request_id_header=False))
    await scripted.send(HANDSHAKE + b"\r\n")
    await scripted.send(HELLO)
    await scripted.send(HELLO)
    assert not scripted.transport.is_reading()
    guard.set()
    await scripted.until(lambda: scripted.taken.endswith(b"\x81\x05hello\x81\x05hello"))
    assert b"x-request-id" not in scripted.taken
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()


async def test_client_that_left_while_a_guard_waited() -> None:
    """A guard that swallows its cancellation opens no websocket to nobody."""
    app, seen = App("swallow"), []

    @app.on_request
    async def guard(request: Request) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")

    @app.websocket("/ws")
    async def feed(request: Request, ws: Any) -> None:
        seen.append("opened")

    scripted = Scripted(app)
    await scripted.send(HANDSHAKE + b"\r\n")
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    assert (seen, scripted.taken, scripted.connection.session) == (["cancelled"], b"", None)
    scripted.close()


async def test_peer_that_does_not_read_its_handshake() -> None:
    """A session learns at once that its peer is not reading, so that its sends wait; and that it reads on."""
    guard = asyncio.Event()
    scripted = Scripted(make_app(guard))
    await scripted.send(HANDSHAKE + b"\r\n")
    await scripted.happen(scripted.connection.pause_writing)
    guard.set()
    await until(lambda: scripted.connection.session)
    outbox = scripted.connection.session.outbox
    assert outbox.is_paused
    await scripted.happen(scripted.connection.resume_writing)
    assert not outbox.is_paused
    await scripted.happen(scripted.connection.pause_writing)
    assert outbox.is_paused
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()


async def test_end_of_the_peers_side_is_the_sessions_matter() -> None:
    """A websocket's peer that ends its side is answered by the session, and the connection ends."""
    scripted = Scripted(make_app())
    await scripted.send(HANDSHAKE + b"\r\n")
    await scripted.send(b"")
    await until(lambda: scripted.transport.is_lost)
    await until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()


@pytest.mark.parametrize("keep_alive", [True, False])
async def test_refusals_before_101(keep_alive: bool) -> None:
    """What can be refused is refused with its status; websockets need no keep-alive, and none begins during a drain."""
    scripted = Scripted(make_app(KEEP_ALIVE=keep_alive))
    await scripted.send(HANDSHAKE.replace(b"13", b"12") + b"\r\n")
    assert scripted.taken.startswith(b"HTTP/1.1 400 ")
    scripted = Scripted(make_app(KEEP_ALIVE=keep_alive))
    scripted.shared.draining = True
    await scripted.send(HANDSHAKE + b"\r\n")
    assert scripted.taken.startswith(b"HTTP/1.1 503 ")
    assert scripted.connection.state is State.CLOSING
    scripted = Scripted(make_app(KEEP_ALIVE=keep_alive))
    await scripted.send(HANDSHAKE + b"\r\n")
    assert scripted.taken.startswith(b"HTTP/1.1 101 ")
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)


async def test_websockets_of_a_server_count_together() -> None:
    """The second websocket counts in the statistics that the first has made."""
    scripted = Scripted(make_app())
    scripted.shared.websocket_stats = stats = WebsocketStats()
    await scripted.send(HANDSHAKE + b"\r\n")
    assert (scripted.shared.websocket_stats is stats, stats.open) == (True, 1)
    await scripted.happen(scripted.transport.leave)
    await until(lambda: not scripted.shared.runner.in_flight)
    scripted.close()
