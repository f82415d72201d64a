"""Sanic's habit: `request, response = app.test_client.get("/")`."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from fairlead.app import App
from fairlead.errors import WebsocketClosed
from fairlead.request import Request
from fairlead.testing.client import SyncWebsocket, TestClient
from fairlead.testing.websocket import WebsocketClient


class SanicResponse:
    """An httpx response under the names that Sanic's testing page uses: `status`, `body`, `json` (a property) …"""

    def __init__(self, response: httpx.Response) -> None:
        self.raw = response
        """The httpx response; attributes that are not here are looked up there."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def __repr__(self) -> str:
        return f"<SanicResponse [{self.raw.status_code}]>"

    @property
    def status(self) -> int:
        """The status code."""
        return self.raw.status_code

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return self.raw.reason_phrase

    @property
    def body(self) -> bytes:
        """The whole body."""
        return self.raw.content

    @property
    def content_type(self) -> str | None:
        """The Content-Type field."""
        value: str | None = self.raw.headers.get("content-type")
        return value

    @property
    def json(self) -> Any:
        """The body, decoded. Raises ValueError for other bodies."""
        return self.raw.json()


class WebsocketRecord:
    """What was said over a websocket."""

    def __init__(self) -> None:
        self.opened = True
        self.client_sent: list[Any] = []
        self.client_received: list[Any] = []

    @property
    def server_sent(self) -> list[Any]:
        """The same as `client_received`."""
        return self.client_received

    @property
    def server_received(self) -> list[Any]:
        """The same as `client_sent`."""
        return self.client_sent

    async def talk(self, ws: SyncWebsocket, mimic: Callable[[Any], Awaitable[Any]]) -> None:
        """Let `mimic` have the websocket, and note what it sends and receives."""
        with contextlib.suppress(WebsocketClosed):
            await mimic(_Noting(ws.client, self))


class _Noting:
    def __init__(self, ws: WebsocketClient, record: WebsocketRecord) -> None:
        self._ws = ws
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)

    async def send(self, data: Any) -> None:
        self._record.client_sent.append(data)
        await self._ws.send(data)

    async def recv(self) -> Any:
        message = await self._ws.recv()
        self._record.client_received.append(message)
        return message


class SanicStyleClient:
    """Each call starts the app, sends one request and stops the app.

    Returns the request as the handler saw it (None when none was dispatched) and the response. Redirects are followed, as
    in Sanic's client; `allow_redirects=False` does not.
    """

    def __init__(self, app: App[Any, Any]) -> None:
        self.app = app

    def request(
        self, method: str, uri: str, *, allow_redirects: bool = True, **options: Any
    ) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """Send a request; further options are those of `httpx.Client.request`."""
        with TestClient(self.app, follow_redirects=allow_redirects) as client:
            response = client.request(method, uri, **options)
            return client.server.last_request, SanicResponse(response)

    def websocket(
        self, uri: str, *, mimic: Callable[[Any], Awaitable[Any]] | None = None, **options: Any
    ) -> tuple[Request[Any, Any] | None, WebsocketRecord]:
        """Open a websocket, let `mimic(ws)` talk over it, and close it. Options are those of `TestClient.websocket`.

        Raises `HandshakeRefused` when it is not opened, and what `mimic` raises; a close by the server just ends it.
        """
        record = WebsocketRecord()
        with TestClient(self.app) as client, client.websocket(uri, **options) as ws:
            if mimic is not None:
                client.run(record.talk(ws, mimic))
            return client.server.last_request, record

    def get(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """GET."""
        return self.request("GET", uri, **options)

    def post(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """POST."""
        return self.request("POST", uri, **options)

    def put(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """PUT."""
        return self.request("PUT", uri, **options)

    def patch(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """PATCH."""
        return self.request("PATCH", uri, **options)

    def delete(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """DELETE."""
        return self.request("DELETE", uri, **options)

    def head(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """HEAD."""
        return self.request("HEAD", uri, **options)

    def options(self, uri: str, **options: Any) -> tuple[Request[Any, Any] | None, SanicResponse]:
        """OPTIONS."""
        return self.request("OPTIONS", uri, **options)
