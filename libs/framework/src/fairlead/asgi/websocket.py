"""A websocket of an ASGI server, in the hands of the framework's own `Websocket`.

ASGI hands over whole messages, `Websocket` speaks frames. Instead of a second implementation of everything that a handler may rely
on (queue bounds, close codes, iteration, send queues), the messages are put into frames and taken out of them again: to the
`Websocket` a `MessageTransport` looks like its TCP connection, whose peer never fragments and masks with zeros. That costs about a
microsecond a message; the same `ws` behaves in the same way on every server.

What ASGI has no words for: pings (the server beneath sends its own; one that a handler sends is answered here, at once) and
compression (the server's matter as well).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any

from fairlead.asgi.exchange import HttpExchange, Shared
from fairlead.errors import FairleadException, RequestCancelled
from fairlead.http.headers import check_field
from fairlead.request import Request
from fairlead.types import Message, Receive, Scope, Send
from fairlead.websocket.frames import BINARY, PONG, TEXT, control_frame, frame
from fairlead.websocket.handshake import admit
from fairlead.websocket.websocket import Websocket

logger = logging.getLogger("fairlead.asgi")

HIGH_WATER_BYTES = 65536
"""So much may wait for the server's `send` before the handler has to."""

CLOSE = 0x88
PING = 0x89
MASKED = 0x80
NO_MASK = bytes(4)

POLICY_VIOLATION = 1008
NO_STATUS = 1005
ABNORMAL = 1006
MAX_REASON_BYTES = 123


class WebsocketExchange(HttpExchange):
    """The `Exchange` of a handshake. A refusal keeps its status where the server has the extension `websocket.http.response`."""

    _message = "websocket.http.response"
    _transport: MessageTransport | None = None

    def __init__(self, shared: Shared, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(shared, scope, receive, send)
        self._has_denial = self._message in (scope.get("extensions") or {})

    @property
    def upgraded(self) -> bool:  # type: ignore[override]
        """Whether the request became a websocket."""
        return self._transport is not None

    async def open(self, request: Request[Any, Any], application: Any) -> bool:
        """Wait for the handshake. False when the client has left meanwhile."""
        self._request = request
        message = await self._receive()
        return bool(message["type"] == "websocket.connect")

    def listen(self) -> None:
        """Before the upgrade the client has nothing to say; after it the transport hears it."""
        if self._transport is None:
            self._limit_time()

    def put(self, message: Message) -> None:
        """A refusal, which without the extension is a bare 403."""
        if self._has_denial:
            super().put(message)
        elif not self._pending:
            super().put({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def upgrade(self, request: Request[Any, Any], options: dict[str, Any]) -> Websocket:
        """Accept the handshake. Raises the refusal (403), with nothing sent."""
        accepted = admit(request, origins=options["origins"], subprotocols=options["subprotocols"])
        fields = list(options.get("headers", ()))
        if self._limits.request_id_header:
            fields.append(("x-request-id", request.id))
        for name, value in fields:
            check_field(name, value)
        if self._timer is not None:
            self._timer.cancel()
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
        try:
            await self._send({"type": "websocket.accept", "subprotocol": accepted.subprotocol, "headers": encoded})
        except OSError as exc:
            self.lose()
            raise RequestCancelled("the client is gone") from exc
        transport, stats = MessageTransport(self._receive, self._send), self._shared.websocket_stats
        ws = Websocket(
            transport,
            request,
            accepted,
            max_size=options["max_size"],
            max_queue=options["max_queue"],
            ping_interval_s=None,
            close_timeout_s=options["close_timeout_s"],
            stats=stats if request.span is None else request.span.watch_messages(stats),
        )
        transport.start(ws)
        self._transport = transport
        return ws

    def cancelled(self, request: Request[Any, Any]) -> FairleadException | None:
        """Why the handler was cancelled, as an answer; None when there is nobody to answer."""
        if self.upgraded:
            return None
        return super().cancelled(request)

    def abort(self) -> None:
        """End without a closing handshake."""
        if self._transport is not None:
            self._transport.abort()

    async def finish(self) -> None:
        """Send a refusal, or see the websocket's tasks to their end."""
        if self._transport is None:
            await super().finish()
        else:
            await self._transport.ended()


class MessageTransport(asyncio.Transport):
    """What a `Websocket` takes for its connection. `start` it, later await `ended`."""

    def __init__(self, receive: Receive, send: Send) -> None:
        super().__init__()
        self._receive = receive
        self._send = send
        self._ws: Websocket
        self._outgoing: deque[tuple[Message, int]] = deque()
        self._size = 0
        self._has_work = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._is_paused = False  # the websocket was told to pause
        self._is_closing = False
        self._is_lost = False
        self._reader: asyncio.Task[None]
        self._writer: asyncio.Task[None]
        self._timer: asyncio.TimerHandle | None = None

    def start(self, ws: Websocket) -> None:
        """Begin to read and to write."""
        self._ws = ws
        self._reader, self._writer = asyncio.create_task(self._read()), asyncio.create_task(self._write())

    async def ended(self) -> None:
        """Wait until both directions are done."""
        await asyncio.gather(self._reader, self._writer, return_exceptions=True)

    # What the websocket calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take whole frames and send what is in them."""
        for first, payload in _frames(bytes(data)):
            if first == TEXT:
                self._put({"type": "websocket.send", "text": payload.decode()}, len(payload))
            elif first == BINARY:
                self._put({"type": "websocket.send", "bytes": payload}, len(payload))
            elif first == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else NO_STATUS
                self._put({"type": "websocket.close", "code": code, "reason": payload[2:].decode()}, 0)
                self._timer = asyncio.get_running_loop().call_later(self._ws.close_timeout_s, self.abort)
            elif first == PING:
                pong = control_frame(PONG, payload)
                asyncio.get_running_loop().call_soon(self._ws.data_received, _masked(pong))

    def _put(self, message: Message, size: int) -> None:
        if self._is_closing:
            return
        self._outgoing.append((message, size))
        self._size += size
        self._has_work.set()
        if self._size > HIGH_WATER_BYTES and not self._is_paused:
            self._is_paused = True
            self._ws.pause_writing()

    def is_closing(self) -> bool:
        """Whether nothing more is taken."""
        return self._is_closing

    def can_write_eof(self) -> bool:
        """No: ASGI has no half-closed websockets."""
        return False

    def close(self) -> None:
        """Send what was written, then end."""
        self._is_closing = True
        self._has_work.set()

    def abort(self) -> None:
        """End now."""
        self._outgoing.clear()
        self._lose()

    def pause_reading(self) -> None:
        """Take no message for now: the server stops reading when its own queue is full."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Take messages again."""
        self._may_read.set()

    # The two directions

    async def _read(self) -> None:
        while True:
            await self._may_read.wait()
            try:
                message = await self._receive()
            except Exception as exc:
                logger.warning("the ASGI server's receive failed: the client counts as gone", exc_info=exc)
                message = {"type": "websocket.disconnect", "code": ABNORMAL}
            if message["type"] != "websocket.receive":
                self._hear_end(message)
                return
            text = message.get("text")
            whole = frame(TEXT, text.encode()) if text is not None else frame(BINARY, message["bytes"])
            self._ws.data_received(_masked(whole))

    def _hear_end(self, message: Message) -> None:
        """The peer has closed, or is gone. Its close frame is answered as ever, and the answer finds nobody."""
        code = message.get("code") or NO_STATUS
        reason = (message.get("reason") or "").encode()[:MAX_REASON_BYTES]
        self._outgoing.clear()
        if code == NO_STATUS:
            self._ws.data_received(_masked(bytes((CLOSE, 0))))
        elif 1000 <= code < 5000 and code not in (1004, ABNORMAL, 1015):
            payload = code.to_bytes(2, "big") + reason.decode(errors="ignore").encode()
            self._ws.data_received(_masked(bytes((CLOSE, len(payload))) + payload))
        self._lose()

    async def _write(self) -> None:
        while not self._is_lost:
            await self._has_work.wait()
            self._has_work.clear()
            while self._outgoing and not self._is_lost:
                message, size = self._outgoing.popleft()
                is_last = message["type"] == "websocket.close"
                if is_last:
                    self._reader.cancel()  # granian takes no close while somebody waits in `receive`
                try:
                    await self._send(message)
                except (OSError, RuntimeError):  # gone, and the reader has not been told yet
                    self.abort()
                    return
                self._size -= size
                if is_last:
                    self._lose()
            if self._is_closing:
                self._lose()
            elif self._is_paused:
                self._is_paused = False
                self._ws.resume_writing()

    def _lose(self) -> None:
        """Nothing more comes or goes. What the websocket has queued for its handler is still given out."""
        self._is_closing = True
        if self._is_lost:
            return
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
        current = asyncio.current_task()
        for task in (self._reader, self._writer):
            if task is not current:
                task.cancel()
        asyncio.get_running_loop().call_soon(self._ws.connection_lost, None)


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The first byte and the payload of each frame; a `Websocket` writes whole ones only, unmasked."""
    at = 0
    while at < len(data):
        length, start = data[at + 1], at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif length == 127:
            length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        yield data[at], data[start : start + length]
        at = start + length


def _masked(whole: bytes) -> bytes:
    """A frame as a client sends it: the mask of four zeros changes nothing (RFC 6455 §5.3)."""
    header = {126: 4, 127: 10}.get(whole[1], 2)
    return bytes((whole[0], whole[1] | MASKED)) + whole[2:header] + NO_MASK + whole[header:]
