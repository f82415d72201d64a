"""Websockets over a real socket, on both loops, with the `websockets` library's own client and with bare bytes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus

from fairlead import App, HTTPResponse, Request, text
from fairlead.testing import AppServer
from fairlead.websocket import Websocket, WebsocketClosed

from .conftest import CLOSE, FIN, PONG, TEXT, client_frame, close, server_frames
from .conftest import text as text_frame

pytestmark = pytest.mark.event_loop("uvloop", "asyncio")

HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: testserver\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@pytest.fixture
def app() -> App[Any, Any]:
    """An echo, a ticker that never stops by itself, and a plain page."""
    app: App[Any, Any] = App("live")
    app.ctx.ends = asyncio.Queue()

    @app.websocket("/echo", subprotocols=["echo"], compression="deflate")
    async def echo(request: Request[Any, Any], ws: Websocket) -> None:
        async for message in ws:
            await ws.send(message)

    @app.websocket("/ticker")
    async def ticker(request: Request[Any, Any], ws: Websocket) -> None:
        try:
            while True:
                await ws.send("tick" * 100)
        except WebsocketClosed as error:
            app.ctx.ends.put_nowait((error.code, error.reason))
            raise
        finally:
            app.ctx.ends.put_nowait("finally")

    @app.get("/page")
    async def page(request: Request[Any, Any]) -> HTTPResponse:
        return text("here")

    return app


@pytest.fixture
async def server(app: App[Any, Any]) -> AsyncIterator[AppServer]:
    """The app on a free port."""
    async with AppServer(app, live=True) as server:
        yield server


def url(server: AppServer, path: str) -> str:
    """The address of a websocket."""
    host, port = server.address
    return f"ws://{host}:{port}{path}"


class RawClient:
    """A socket that sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def head(self) -> bytes:
        """The response's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> list[tuple[int, bytes]]:
        """All frames until the server ends the connection."""
        return server_frames(await self.reader.read())


@contextlib.asynccontextmanager
async def raw_client(server: AppServer) -> AsyncIterator[RawClient]:
    """A bare TCP connection."""
    reader, writer = await asyncio.open_connection(*server.address)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_echo_with_the_library(server: AppServer) -> None:
    """W13: the library's client and the server understand each other: text, bytes, long, fragmented, compressed, pings."""
    async with connect(url(server, "/echo"), subprotocols=["echo"], max_size=None) as client:  # type: ignore[list-item]
        assert client.subprotocol == "echo"
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        for message in ("short", b"\x00\xff", "long " * 20000, "", b"x" * 300_000):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["in ", "three ", "fragments"])
        assert await client.recv() == "in three fragments"
        assert await (await client.ping()) >= 0
    assert client.close_code == 1000


async def test_many_in_flight(server: AppServer) -> None:
    """Messages that are sent without waiting come back whole and in order, uncompressed too."""
    async with connect(url(server, "/echo"), compression=None) as client:

        async def send() -> None:
            for number in range(5000):
                await client.send(str(number))

        sending = asyncio.create_task(send())
        for number in range(5000):
            assert await client.recv() == str(number)
        await sending


async def test_head_and_first_frames_in_one_packet(server: AppServer) -> None:
    """Frames that follow the handshake's head at once are not lost, and the answer to the handshake comes first."""
    async with raw_client(server) as client:
        client.writer.write(HANDSHAKE + text_frame("early") + text_frame("ha")[:3])
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert await client.reader.readexactly(7) == b"\x81\x05early"
        client.writer.write(text_frame("ha")[3:])
        assert await client.reader.readexactly(4) == b"\x81\x02ha"


async def test_failure_reaches_the_peer_that_is_still_sending(server: AppServer) -> None:
    """RFC 6455 §7.1.7: a peer that breaks a rule while it sends much gets the close frame, not a reset connection."""
    async with raw_client(server) as client:
        client.writer.write(HANDSHAKE)
        await client.head()
        client.writer.write(client_frame(TEXT, b"\xff") + client_frame(TEXT, b"x" * 60000) * 20)
        frames = await client.rest()
        assert [(first, payload[:2]) for first, payload in frames] == [(CLOSE | FIN, b"\x03\xef")]


async def test_refused_before_101(server: AppServer) -> None:
    """W7: a foreign origin is 403, an unknown path 404, with a real response."""
    for path, origin, status in (("/echo", "https://evil.example", 403), ("/nowhere", None, 404)):
        with pytest.raises(InvalidStatus) as caught:
            await connect(url(server, path), origin=origin)  # type: ignore[arg-type]
        assert caught.value.response.status_code == status


async def test_plain_request_to_a_websocket(server: AppServer) -> None:
    """A browser that opens the address gets 426, and the connection stays good for the next request."""
    async with raw_client(server) as client:
        client.writer.write(b"GET /echo HTTP/1.1\r\nHost: testserver\r\n\r\n")
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 426 ")
        assert b"\r\nupgrade: websocket\r\n" in head.lower()


async def test_endless_sender_and_other_requests(app: App[Any, Any], server: AppServer, caplog: pytest.LogCaptureFixture) -> None:
    """T5: an endless sender starves nobody; when the tab closes, send raises with the code, `finally` runs, no error is logged."""
    async with connect(url(server, "/ticker"), max_queue=None) as ticker:  # reads on, as browsers do
        for _ in range(3):
            assert await ticker.recv() == "tick" * 100
            async with raw_client(server) as client:
                client.writer.write(b"GET /page HTTP/1.1\r\nHost: testserver\r\nConnection: close\r\n\r\n")
                assert (await client.reader.read()).endswith(b"here")
        await ticker.close(4001, "tab closed")
    assert await app.ctx.ends.get() == (4001, "tab closed")
    assert await app.ctx.ends.get() == "finally"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_peer_that_never_reads(app: App[Any, Any], server: AppServer) -> None:
    """W10: a peer that reads nothing holds up its own sender only, and costs no more than the buffers; then it breaks."""
    async with raw_client(server) as client:
        client.writer.write(HANDSHAKE.replace(b"/echo", b"/ticker"))
        await client.head()
        async with connect(url(server, "/echo")) as other:
            for number in range(50):
                await other.send(str(number))
                assert await other.recv() == str(number)
        client.writer.transport.abort()
    assert (await app.ctx.ends.get())[0] == 1006
    assert await app.ctx.ends.get() == "finally"


async def test_ping_flood(server: AppServer) -> None:
    """Of thousands of pings the first hundred are answered, while others are served; then the connection fails with 1008."""
    async with raw_client(server) as client:
        client.writer.write(HANDSHAKE)
        await client.head()
        client.writer.write(b"".join(client_frame(0x9, b"%d" % number) for number in range(5000)) + close(1000))
        async with connect(url(server, "/echo")) as other:
            await other.send("meanwhile")
            assert await other.recv() == "meanwhile"
        frames = await client.rest()
        assert frames[:-1] == [(PONG | FIN, b"%d" % number) for number in range(100)]
        assert frames[-1][1][:2] == (1008).to_bytes(2, "big")


async def test_forgotten_handler_ends_after_its_client(app: App[Any, Any]) -> None:
    """A handler that waits for something else than its websocket is ended WEBSOCKET_TIMEOUT after the client has left."""
    ended: asyncio.Queue[str] = asyncio.Queue()

    @app.websocket("/forgotten")
    async def forgotten(request: Request[Any, Any], ws: Websocket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.put_nowait("finally")

    app.config.WEBSOCKET_TIMEOUT = 0.05
    async with AppServer(app, live=True) as server:
        async with connect(url(server, "/forgotten")):
            pass
        assert await ended.get() == "finally"
        async with raw_client(server) as client:  # the server goes on
            client.writer.write(b"GET /page HTTP/1.1\r\nHost: testserver\r\nConnection: close\r\n\r\n")
            assert (await client.reader.read()).endswith(b"here")


async def test_drain_closes_with_1012(app: App[Any, Any]) -> None:
    """W12, K2: when the server stops, open websockets are closed with 1012, and their handlers end quietly."""
    async with AppServer(app, live=True) as server:
        client = await connect(url(server, "/echo"))
        await client.send("alive")
        assert await client.recv() == "alive"
    with pytest.raises(ConnectionClosed) as caught:
        await client.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1012
    assert not isinstance(caught.value, ConnectionClosedOK)
