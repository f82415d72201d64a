"""An application that runs inside a test: its whole life, the real server, and connections in memory or over a socket."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from fairlead.app import App
from fairlead.request import Request
from fairlead.server import Server
from fairlead.testing.transport import connect

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)

DRAIN_S = 5.0
"""How long handlers that still run at the end of a test may take."""


class AppServer:
    """Runs an app in the running loop: `async with AppServer(app) as server`, then `server.connect(…)`.

    Start and stop are those of a worker: routes composed, `before_server_start`, the server, `after_server_start`; then
    `before_server_stop`, drain, tasks cancelled, `after_server_stop`. With `live` it listens on a free port of 127.0.0.1.
    """

    def __init__(self, app: App[Any, Any], *, live: bool = False) -> None:
        self.app = app
        self.last_request: Request[Any, Any] | None = None
        """The request that was answered last, as the handler saw it."""
        self._live = live
        self._socket: socket.socket | None = None
        self._server: Server | None = None
        self._observer: Any = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of a live server. Raises RuntimeError for one in memory."""
        if self._socket is None:
            raise RuntimeError("this server is in memory: it has no address")
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def __aenter__(self) -> AppServer:
        if self._server is not None:
            raise RuntimeError("this server runs already")
        dispatcher = self.app.finalise()
        self._observer = dispatcher.observer
        try:
            await self.app.startup()
            if self._live:
                self._socket = socket.create_server(("127.0.0.1", 0))
            limits = dataclasses.replace(self.app.config.limits(), websocket_drain_jitter_s=0.0)
            sockets = [self._socket] if self._socket is not None else []
            self._server = Server(dispatcher, sockets, limits=limits, observer=self._observe)
            await self._server.start()
            await self.app.started()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        try:
            await self.app.stopping()
        finally:
            await self._stop()

    async def _stop(self) -> None:
        server, self._server = self._server, None
        try:
            if server is not None:
                await server.drain(asyncio.get_running_loop().time() + DRAIN_S)
        finally:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
            await self.app.shutdown()
            self.app.dispatcher.observer = self._observer

    async def connect(self, make_protocol: Callable[[], ProtocolT], *, secure: bool = False) -> tuple[asyncio.Transport, ProtocolT]:
        """A new connection for the protocol. `secure` (in memory only) lets the server believe that it is TLS."""
        if self._server is None or self._server.shared is None:
            raise RuntimeError(f"{self.app.name!r} does not run: use the client in a `with` block")
        if self._socket is not None:
            return await asyncio.get_running_loop().create_connection(make_protocol, *self.address)
        protocol = make_protocol()
        near, _ = connect(protocol, self._server.protocol())
        if secure:
            near.pretend_tls()
        return near, protocol

    def _observe(self, request: Request[Any, Any], status: int, *rest: Any) -> None:
        self.last_request = request
        if self._observer is not None:
            self._observer(request, status, *rest)
