"""An ASGI server that does exactly what a test says: messages in, messages out."""

from __future__ import annotations

import asyncio
from typing import Any

from fairlead.types import ASGIApplication

Message = dict[str, Any]


def http_scope(path: str = "/", **changes: Any) -> dict[str, Any]:
    """The scope of `GET path`, changed as said; None removes a member."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example")],
        "client": ("192.0.2.1", 50000),
        "server": ("127.0.0.1", 80),
    }
    scope.update(changes)
    return {name: value for name, value in scope.items() if value is not None}


def websocket_scope(path: str = "/", **changes: Any) -> dict[str, Any]:
    """The scope of a handshake from a server that has the denial extension."""
    extensions = {"websocket.http.response": {}}
    return http_scope(path, **{"type": "websocket", "method": None, "scheme": "ws", "extensions": extensions, **changes})


class Call:
    """One call of an application: `await call.send(…)` what it receives, `await call.next()` what it sends."""

    def __init__(self, app: ASGIApplication, scope: dict[str, Any]) -> None:
        self.sent: list[Message] = []
        """Everything that the application has sent."""
        self.send_error: Exception | None = None
        """Raised by `send`, as servers do when the client is gone."""
        self.may_send = asyncio.Event()
        self.may_send.set()
        self._incoming: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        message = await self._incoming.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def _send(self, message: Message) -> None:
        await self.may_send.wait()
        if self.send_error is not None:
            raise self.send_error
        self.sent.append(dict(message))
        self._outgoing.put_nowait(message)

    def give(self, *messages: Message | Exception) -> None:
        """What `receive` returns, or raises, next."""
        for message in messages:
            self._incoming.put_nowait(message)

    async def next(self) -> Message:
        """The next message of the application. Raises what the application raised when it ended instead."""
        getter = asyncio.ensure_future(self._outgoing.get())
        await asyncio.wait([getter, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not getter.done():
            getter.cancel()
            await self.task
            raise AssertionError("the application has ended")
        return getter.result()

    async def ended(self) -> list[Message]:
        """Wait for the application's end; all that it sent."""
        await self.task
        return self.sent


def body(data: bytes, more: bool = False) -> Message:
    """A piece of a request's body."""
    return {"type": "http.request", "body": data, "more_body": more}


DISCONNECT: Message = {"type": "http.disconnect"}
CONNECT: Message = {"type": "websocket.connect"}
