"""A client that comes back: for services that follow another one, and for tests (W13).

    async with connect("ws://feed:8003/ws/rooms/harbour", headers=sign) as room:
        await room.send({"text": "hello"})
        async for message in room:
            ...

It stands on the client of the `websockets` library. What it adds: JSON both ways; a lost connection is opened anew, after a delay
that doubles and is scattered, or after the one that the server has asked for; and it resumes: the id of the last message goes along
as `?after=…`, so that the iteration goes on where it stopped.

Not every end is worth another attempt. A refusal with a 4xx (but 408, 425 and 429), a policy violation (1008), a protocol error and
codes of the application's own (4000 to 4999) are told to the caller; 1000 ends the iteration.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_connection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fairlead.backoff import Backoff
from fairlead.errors import WebsocketClosed
from fairlead.websocket.frames import TEXT, Encoding, encode_message

__all__ = ["ReconnectingClient", "connect"]

WORTH_ANOTHER_TRY: Final = frozenset((1001, 1005, 1006, 1011, 1012, 1013, 1014))
LATER: Final = frozenset((408, 425, 429))
FIRST_DELAY_S: Final = 0.25
LONGEST_DELAY_S: Final = 8.0
_HINT: Final = re.compile(r"retry in (\d{1,6}) ms").search

Headers = Mapping[str, str] | Callable[[], Mapping[str, str]]


def _id_of(message: Any) -> str | None:
    position = message.get("id") if isinstance(message, dict) else None
    return position if isinstance(position, str) else None


class ReconnectingClient:
    """Made by `connect`; an async context manager and an async iterator. One task may read and others send."""

    def __init__(
        self,
        url: str,
        *,
        headers: Headers | None = None,
        resume: str | None = "after",
        id_of: Callable[[Any], str | None] = _id_of,
        first_delay_s: float = FIRST_DELAY_S,
        longest_delay_s: float = LONGEST_DELAY_S,
        **options: Any,
    ) -> None:
        self.last_id: str | None = None
        """The id of the last message that had one; set it before entering to begin behind it."""
        self.connections = 0
        """How often it has connected."""
        self._url = url
        self._headers = headers
        self._resume = resume
        self._id_of = id_of
        self._longest_delay_s = longest_delay_s
        self._backoff = Backoff(first_delay_s, longest_delay_s)
        self._options = options
        self._ws: ClientConnection | None = None
        self._opening = asyncio.Lock()

    async def recv(self) -> Any:
        """The next message: JSON decoded, bytes as they are; waits through lost connections.

        Raises `WebsocketClosed` at an end that is not worth another attempt, `websockets.InvalidStatus` for a refusal.
        """
        while True:
            ws = await self._open()
            try:
                data = await ws.recv()
            except ConnectionClosed as closed:
                await self._lost(ws, closed)
                continue
            self._backoff.reset()
            message = msgspec.json.decode(data) if isinstance(data, str) else data
            self.last_id = self._id_of(message) or self.last_id
            return message

    async def send(self, data: Any, encoding: Encoding | None = None) -> None:
        """Send a message, as `Websocket.send` takes it; text that is a `str` goes as it is. Once it is on its way it may be lost
        with the connection: what must not be lost carries an id of its own and is sent again by the caller.
        """
        first, payload = encode_message(data, encoding)
        while True:
            ws = await self._open()
            try:
                await ws.send(payload, text=first == TEXT)
                return
            except ConnectionClosed as closed:
                await self._lost(ws, closed)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.recv()
        except WebsocketClosed as closed:
            if closed.code == 1000:
                raise StopAsyncIteration from None
            raise

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ws, self._ws = self._ws, None
        if ws is not None:
            await ws.close()

    async def _open(self) -> ClientConnection:
        """The connection, opened if there is none."""
        if self._ws is None:
            async with self._opening:
                while self._ws is None:
                    try:
                        self._ws = await self._connect()
                    except InvalidStatus as refused:
                        if refused.response.status_code < 500 and refused.response.status_code not in LATER:
                            raise
                        await self._wait()
                    except (OSError, TimeoutError):
                        await self._wait()
        return self._ws

    async def _connect(self) -> ClientConnection:
        url = self._url
        if self._resume is not None and self.last_id is not None:
            url += f"{'&' if '?' in url else '?'}{self._resume}={quote(self.last_id, safe='')}"
        headers = self._headers() if callable(self._headers) else self._headers
        ws = await open_connection(url, additional_headers=headers, **self._options)
        self.connections += 1
        return ws

    async def _lost(self, ws: ClientConnection, closed: ConnectionClosed) -> None:
        """Wait before the next attempt, or raise."""
        code = ws.close_code or 1006
        if code not in WORTH_ANOTHER_TRY:
            raise WebsocketClosed(code, ws.close_reason or "") from closed
        async with self._opening:
            if self._ws is ws:
                self._ws = None
                hint = _HINT(ws.close_reason or "")
                await self._wait(int(hint[1]) / 1000 if hint else None)

    async def _wait(self, delay_s: float | None = None) -> None:
        own_s = self._backoff.next_s()
        await asyncio.sleep(own_s if delay_s is None else min(delay_s, self._longest_delay_s))


def connect(url: str, **options: Any) -> ReconnectingClient:
    """A client for `url`. `headers` may be a function, so that a token is fresh at each attempt; `resume` names the query parameter
    for the last id (None: don't); `id_of` finds the id of a message. Further options are those of `websockets.connect`.
    """
    return ReconnectingClient(url, **options)
