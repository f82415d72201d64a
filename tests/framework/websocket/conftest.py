"""A websocket on a transport in memory: what the peer sends is given as bytes, what the server sends is recorded."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fairlead.errors import WebsocketClosed
from fairlead.http.head import Head
from fairlead.request import ConnectionInfo, Request
from fairlead.websocket import Accepted, Websocket, WebsocketStats
from fairlead.websocket.frames import apply_mask

MASK = b"\x11\x22\x33\x44"
TEXT, BINARY, CONT, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
FIN = 0x80


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0, masked: bool = True) -> bytes:
    """A frame as a client sends it; `bits` are the reserved ones (0x40, 0x20, 0x10)."""
    first, flag, size = opcode | bits | (FIN if fin else 0), 0x80 if masked else 0, len(payload)
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    return head + (MASK + apply_mask(payload, MASK) if masked else payload)


def text(message: str) -> bytes:
    """A whole text message."""
    return client_frame(TEXT, message.encode())


def close(code: int | None = 1000, reason: str = "") -> bytes:
    """A close frame; without a code an empty one."""
    return client_frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def server_frames(data: bytes) -> list[tuple[int, bytes]]:
    """First byte and payload of each frame that a server has written, which must be whole and unmasked."""
    frames = []
    while data:
        assert data[1] < 0x80, "a server does not mask"
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        assert len(data) >= start + size, "half a frame was written"
        frames.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return frames


class MemoryTransport(asyncio.Transport):
    """Records what is written and done; `connection_lost` follows a close in the loop's next turn, as with a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.ws: Websocket
        self.writes: list[bytes] = []
        self.is_reading_paused = False
        self.has_eof = False
        self.is_aborted = False
        self._is_closing = False
        self.can_eof = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.has_eof, "written after the end"
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return self.can_eof

    def write_eof(self) -> None:
        self.has_eof = True

    def pause_reading(self) -> None:
        assert not self.is_reading_paused
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        assert self.is_reading_paused
        self.is_reading_paused = False

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self.ws.connection_lost, None)

    def abort(self) -> None:
        self.is_aborted = True
        self.close()


class Exchange:
    """A request's way back, of which only the addresses are asked here."""

    def __init__(self, *, secure: bool = False) -> None:
        self.info = ConnectionInfo(("192.0.2.1", 50000), ("192.0.2.2", 443), secure)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a websocket has no use for {name}")


class Wire:
    """The peer's end. `ws` is under test; the methods play the network."""

    def __init__(self, **options: Any) -> None:
        self.transport = MemoryTransport()
        self.stats = WebsocketStats()
        accepted = options.pop("accepted", Accepted(accept=""))
        request: Request[Any, Any] = Request(None, Exchange(), b"GET", b"/", Head(), b"")
        self.ws = Websocket(self.transport, request, accepted, stats=self.stats, **options)
        self.transport.ws = self.ws

    def feed(self, *data: bytes) -> None:
        """The bytes arrive, each argument in a read of its own."""
        for piece in data:
            self.ws.data_received(piece)

    @property
    def sent(self) -> list[tuple[int, bytes]]:
        """All frames that the server has sent so far."""
        return server_frames(b"".join(self.transport.writes))

    @property
    def sent_close(self) -> tuple[int, str] | None:
        """Code and reason of the server's close frame, which must be its last frame."""
        closes = [payload for first, payload in self.sent if first == CLOSE | FIN]
        if not closes:
            return None
        assert len(closes) == 1
        assert self.sent[-1][0] == CLOSE | FIN
        return int.from_bytes(closes[0][:2], "big"), closes[0][2:].decode()

    async def received(self) -> list[Any]:
        """What the handler gets: all messages, and at the end (code, reason)."""
        messages: list[Any] = []
        while True:
            try:
                messages.append(await self.ws.recv())
            except WebsocketClosed as error:
                return [*messages, (error.code, error.reason)]

    def hang_up(self) -> None:
        """The TCP connection breaks."""
        self.transport.close()


async def turns(count: int = 3) -> None:
    """Let the loop turn, so that what was scheduled happens."""
    for _ in range(count):
        await asyncio.sleep(0)


async def refused(awaitable: Awaitable[Any]) -> tuple[int, str]:
    """Code and reason of the `WebsocketClosed` that must be raised."""
    with pytest.raises(WebsocketClosed) as caught:
        await awaitable
    return caught.value.code, caught.value.reason


@pytest.fixture
def wire() -> Callable[..., Wire]:
    """Makes a websocket with the given options, inside a running test."""
    return Wire
