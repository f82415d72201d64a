"""One websocket of a mounted application: the handshake is its decision, what follows is a `Websocket` like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from fairlead.errors import FairleadException, Forbidden, RequestCancelled, ServerError, WebsocketClosed
from fairlead.mount.http import ResponseWriter, StartTask
from fairlead.request import Request
from fairlead.types import ASGIApplication, Message, Scope
from fairlead.websocket.conversation import serve
from fairlead.websocket.websocket import Websocket

DENIAL = "websocket.http.response"


class WebsocketConversation:
    """Runs the application for one handshake and the websocket that comes of it."""

    def __init__(self, request: Request[Any, Any], options: dict[str, Any], start: StartTask) -> None:
        self._request = request
        self._start = start
        self._options = options
        self._denial = ResponseWriter(request, DENIAL)
        self._is_decided = asyncio.Event()
        self._has_connected = False
        self._ws: Websocket | None = None
        self._refusal: FairleadException | RequestCancelled | None = None

    async def run(self, application: ASGIApplication, scope: Scope) -> None:
        """Returns when the websocket is gone, or refused by a response of the application. Raises other refusals."""
        task = self._start(self._call(application, scope))
        task.add_done_callback(lambda task: self._is_decided.set())
        try:
            await self._is_decided.wait()
            if self._ws is not None:
                await serve(self._request, self._accepted(), lambda request, ws: task)
                return
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if self._refusal is not None:
            raise self._refusal
        task.result()
        if not self._denial.is_complete:
            raise ServerError("A mounted application ended without answering the handshake")

    async def _accepted(self) -> Websocket:
        assert self._ws is not None
        return self._ws

    async def _call(self, application: ASGIApplication, scope: Scope) -> None:
        with suppress(_Refused):
            await application(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        await self._is_decided.wait()
        if self._ws is None:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        try:
            message = await self._ws.recv()
        except WebsocketClosed as exc:
            return {"type": "websocket.disconnect", "code": exc.code, "reason": exc.reason}
        return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}

    async def _send(self, message: Message) -> None:
        kind, ws = message["type"], self._ws
        if kind == "websocket.send" and ws is not None:
            text = message.get("text")
            try:
                await ws.send(text if text is not None else message["bytes"])
            except WebsocketClosed as exc:
                raise OSError("the websocket is closed") from exc
        elif kind == "websocket.close" and ws is not None:
            ws.close_soon(message.get("code") or 1000, message.get("reason") or "")
        elif kind == "websocket.accept" and ws is None:
            await self._accept(message)
        elif kind == "websocket.close":
            self._refuse(Forbidden("The websocket was refused"))
        elif kind.startswith(DENIAL) and ws is None:
            await self._deny(message)
        else:
            raise RuntimeError(f"a mounted application sent {kind!r} out of turn")

    async def _accept(self, message: Message) -> None:
        chosen = message.get("subprotocol")
        options = {
            **self._options,
            "subprotocols": (chosen,) if chosen else (),
            "headers": [(name, value) for name, value in _decoded(message.get("headers", ())) if name not in _OF_THE_HANDSHAKE],
        }
        try:
            self._ws = await self._request.exchange.upgrade(self._request, options)
        except (FairleadException, RequestCancelled) as exc:
            self._refuse(exc)
            raise _Refused("the handshake was refused, or the client is gone") from exc
        self._is_decided.set()

    def _refuse(self, refusal: FairleadException | RequestCancelled) -> None:
        self._refusal = refusal
        self._is_decided.set()

    async def _deny(self, message: Message) -> None:
        try:
            await self._denial.take(message)
        except RequestCancelled as exc:
            self._refuse(exc)
            raise _Refused("the client is gone") from exc


_OF_THE_HANDSHAKE = frozenset(
    ("connection", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol", "upgrade")
)
"""Fields that are the server's to send."""


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")


class _Refused(OSError):
    """Tells the application that there will be no websocket."""
