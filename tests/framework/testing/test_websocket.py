"""The client's end of a websocket, against a server whose bytes are written here."""

from __future__ import annotations

import asyncio
import re
import struct

import pytest
from websockets.exceptions import InvalidHandshake

from fairlead.errors import WebsocketClosed
from fairlead.testing import HandshakeRefused, WebsocketClient
from fairlead.testing.transport import connect
from fairlead.websocket.handshake import accept_value


class ScriptedServer(asyncio.Protocol):
    """Accepts any handshake, unless `answer` says something else; then the test writes its bytes."""

    def __init__(self, answer: bytes | None = None) -> None:
        self.received = bytearray()
        self.transport: asyncio.Transport
        self._answer = answer
        self._has_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self._has_answered and b"\r\n\r\n" in self.received:
            self._has_answered = True
            self.transport.write(self._answer if self._answer is not None else self._accept())
            self.received.clear()

    def _accept(self) -> bytes:
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", self.received)
        assert key is not None
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_value(key[1].decode())}\r\n\r\n"
        ).encode()


def join(answer: bytes | None = None) -> tuple[WebsocketClient, ScriptedServer]:
    """A client and its server."""
    client, server = WebsocketClient("ws://testserver/feed"), ScriptedServer(answer)
    connect(client, server)
    return client, server


def frame(first: int, payload: bytes = b"") -> bytes:
    """A server's frame."""
    return bytes((first, len(payload))) + payload


async def test_fragments_are_joined() -> None:
    """Text and binary fragments become whole messages, over a ping that is answered while nobody looks."""
    client, server = join()
    await client.open()
    server.transport.write(frame(0x01, b"\xc3") + frame(0x89, b"?") + frame(0x80, b"\xbc") + frame(0x02, b"a") + frame(0x80, b"b"))
    assert await client.recv() == "ü"
    assert await client.recv() == b"ab"
    assert server.received[:2] == b"\x8a\x81"
    client.abort()


async def test_close_frames() -> None:
    """Code and reason of the server's close are known; nothing can be sent any more; what came before can be read."""
    client, server = join()
    await client.open()
    assert (client.close_code, client.close_reason) == (None, None)
    server.transport.write(frame(0x81, b"last") + frame(0x88, struct.pack("!H", 4000) + b"why"))
    server.transport.close()
    await client.wait_closed()
    assert (client.close_code, client.close_reason) == (4000, "why")
    assert await client.recv() == "last"
    for late in (client.recv(), client.send("x"), client.ping(), anext(client)):
        with pytest.raises(WebsocketClosed) as caught:
            await late
        assert caught.value.code == 4000
    await client.close()


async def test_ping_of_a_connection_that_breaks() -> None:
    """Who waits for a pong learns of the end."""
    client, server = join()
    await client.open()
    ping = asyncio.create_task(client.ping())
    await asyncio.sleep(0)
    server.transport.abort()
    with pytest.raises(WebsocketClosed) as caught:
        await ping
    assert caught.value.code == 1006


async def test_refusal_keeps_its_body() -> None:
    """The response of a refused handshake is there as a whole."""
    client, _ = join(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno")
    with pytest.raises(HandshakeRefused, match="403 Forbidden") as caught:
        await client.open()
    assert caught.value.response.text == "no"
    client.abort()


async def test_server_that_hangs_up() -> None:
    """A server that ends the connection instead of answering is a refusal too."""
    client, server = join(b"")
    server.transport.close()
    with pytest.raises(HandshakeRefused) as caught:
        await client.open()
    assert caught.value.response.status_code == 502


async def test_wrong_accept_value() -> None:
    """A 101 that does not prove that the server has read the handshake fails the test that gets it."""
    client, _ = join(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
    )
    with pytest.raises(InvalidHandshake):
        await client.open()
    client.abort()


async def test_before_it_is_connected() -> None:
    """Without a connection, raw bytes and an abort go nowhere."""
    client = WebsocketClient("ws://testserver/feed")
    await client.write(b"x")
    client.abort()
    assert client.compression is None


async def test_pings_that_nobody_waits_for_any_more() -> None:
    """A ping that was given up disturbs neither the pong of the next one nor the end of the connection."""
    client, server = join()
    await client.open()

    async def give_up() -> None:
        ping = asyncio.create_task(client.ping(b"early"))
        await asyncio.sleep(0)
        ping.cancel()
        await asyncio.wait([ping])

    await give_up()
    ping = asyncio.create_task(client.ping(b"late"))
    await asyncio.sleep(0)
    server.transport.write(frame(0x8A, b"late"))
    await ping
    await give_up()
    server.transport.abort()
    await client.wait_closed()
    assert client.close_code == 1006


async def test_stalled_client() -> None:
    """What arrives while the client reads nothing is there when it reads on."""
    client, server = join()
    await client.open()
    client.pause_reading()
    server.transport.write(frame(0x81, b"later"))
    with pytest.raises(TimeoutError):
        await client.recv(timeout=0.01)
    client.resume_reading()
    assert await client.recv() == "later"
    client.abort()
