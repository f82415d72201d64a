"""The client's end of a websocket, on the client half of the `websockets` library.

It is the transport's protocol itself: pings and close frames are answered as they arrive, also while the test does
something else, so no task is needed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import httpx
import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from fairlead.errors import WebsocketClosed
from fairlead.websocket.frames import TEXT, Encoding, encode_message
from fairlead.websocket.websocket import NORMAL_CODES

Message: TypeAlias = str | bytes
HeaderItems: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


class HandshakeRefused(Exception):
    """The server has answered the handshake with something else than 101; `response` is that answer."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(f"handshake refused: {response.status_code} {response.reason_phrase}")
        self.response = response


class WebsocketClient(asyncio.Protocol):
    """A websocket of a test client: `send`, `recv`, `close`, iteration; see `AsyncTestClient.websocket`."""

    def __init__(
        self,
        url: str,
        *,
        subprotocols: Sequence[str] = (),
        headers: HeaderItems = (),
        origin: str | None = None,
        compression: str | None = None,
        max_size: int | None = None,
    ) -> None:
        self._protocol = ClientProtocol(
            parse_uri(url),
            origin=None if origin is None else Origin(origin),
            extensions=[ClientPerMessageDeflateFactory()] if compression == "deflate" else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            max_size=max_size,
        )
        self._headers = dict(headers).items() if isinstance(headers, Mapping) else list(headers)
        self._transport: asyncio.Transport | None = None
        self._messages: deque[Message] = deque()
        self._pongs: list[asyncio.Future[None]] = []
        self._parts: list[bytes] = []
        self._is_text = False
        self._changed = asyncio.Event()
        self._is_lost = False
        self.response: httpx.Response | None = None
        """The server's answer to the handshake."""

    # --- for the test ---

    @property
    def subprotocol(self) -> str | None:
        """What the server has chosen of the offers."""
        return self._protocol.subprotocol

    @property
    def compression(self) -> str | None:
        """The server's `Sec-WebSocket-Extensions`, None when it has declined."""
        return self.response.headers.get("sec-websocket-extensions") if self.response is not None else None

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame; 1006 when the connection ended without one; None while open."""
        closed = self._protocol.close_rcvd
        if closed is not None:
            return int(closed.code)
        return 1006 if self._is_lost else None

    @property
    def close_reason(self) -> str | None:
        """The reason in the server's close frame."""
        closed = self._protocol.close_rcvd
        return closed.reason if closed is not None else "" if self._is_lost else None

    async def send(self, data: Any, encoding: Encoding | None = None) -> None:
        """Send a message: str as text, bytes as binary, dict and list as JSON. Raises `WebsocketClosed`."""
        if self._protocol.state is not State.OPEN:
            raise self._closed()
        first, payload = encode_message(data, encoding)
        if first == TEXT:
            self._protocol.send_text(payload)
        else:
            self._protocol.send_binary(payload)
        self._flush()

    async def recv(self, timeout: float | None = None) -> Message:
        """The next message. Raises TimeoutError, and `WebsocketClosed` with the server's code and reason."""
        async with asyncio.timeout(timeout):
            while not self._messages:
                if self.close_code is not None:
                    raise self._closed()
                await self._change()
        return self._messages.popleft()

    async def recv_json(self, timeout: float | None = None) -> Any:
        """The next message, decoded."""
        return msgspec.json.decode(await self.recv(timeout))

    def __aiter__(self) -> WebsocketClient:
        return self

    async def __anext__(self) -> Message:
        """The next message; ends on a normal close."""
        try:
            return await self.recv()
        except WebsocketClosed as error:
            if error.code in NORMAL_CODES:
                raise StopAsyncIteration from None
            raise

    async def ping(self, data: bytes = b"") -> None:
        """Send a ping and wait for a pong. Raises `WebsocketClosed`."""
        if self._protocol.state is not State.OPEN:
            raise self._closed()
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._protocol.send_ping(data)
        self._flush()
        await pong

    def pause_reading(self) -> None:
        """Read nothing more from the connection, as a client whose network stalls."""
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        assert self._transport is not None
        self._transport.resume_reading()

    async def write(self, data: bytes) -> None:
        """Send bytes that need not be a frame."""
        if self._transport is not None:
            self._transport.write(data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close and wait until the connection is gone."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        while not self._is_lost:
            await self._change()

    def abort(self) -> None:
        """Break the connection, without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    # --- the handshake ---

    async def open(self) -> None:
        """Wait for the server's answer. Raises `HandshakeRefused`."""
        while self.response is None and not self._is_lost:
            await self._change()
        if self.response is None:
            raise HandshakeRefused(httpx.Response(502, text="the server has closed the connection"))
        if self.response.status_code != 101:
            raise HandshakeRefused(self.response)
        if isinstance(self._protocol.handshake_exc, InvalidHandshake):
            raise self._protocol.handshake_exc

    # --- for the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        for name, value in self._headers:
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._take()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.receive_eof()
        self._is_lost = True
        self._take()
        for pong in self._pongs:
            if not pong.done():
                pong.set_exception(self._closed())

    def _take(self) -> None:
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                headers = list(event.headers.raw_items())
                self.response = httpx.Response(event.status_code, headers=headers, content=bytes(event.body or b""))
            else:
                assert isinstance(event, Frame)  # a client receives no requests
                self._take_frame(event)
        self._changed.set()

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            for pong in self._pongs:
                if not pong.done():
                    pong.set_result(None)
            self._pongs.clear()
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._parts.append(bytes(frame.data))
            if frame.fin:
                whole = b"".join(self._parts)
                self._parts.clear()
                self._messages.append(whole.decode() if self._is_text else whole)

    def _flush(self) -> None:
        assert self._transport is not None  # nothing is sent before it is connected
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _closed(self) -> WebsocketClosed:
        return WebsocketClosed(self.close_code or 1006, self.close_reason or "")
