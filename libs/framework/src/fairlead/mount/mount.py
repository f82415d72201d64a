"""The two routes of a mounted application and its life."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from fairlead.assembly import websocket_options
from fairlead.mount.http import HttpConversation
from fairlead.mount.lifespan import Lifespan
from fairlead.mount.scope import http_scope, websocket_scope
from fairlead.mount.websocket import WebsocketConversation
from fairlead.records import HTTP_METHODS
from fairlead.request import Request
from fairlead.types import ASGIApplication
from fairlead.websocket.handshake import is_upgrade

if TYPE_CHECKING:
    from fairlead.app import App

STOP_S = 2.0
"""How long what goes on after its response may take to end when the server stops."""


class Mount:
    """An ASGI application below `prefix`; `attach` registers it. `App.mount` makes one."""

    def __init__(self, prefix: str, application: ASGIApplication, *, origins: Iterable[str] | None = None) -> None:
        if not prefix.startswith("/") or "<" in prefix:
            raise ValueError(f"{prefix!r} is no path to mount at: it begins with / and has no parameters")
        self.prefix = prefix.rstrip("/")
        self.application = application
        self._lifespan = Lifespan(application)
        self._origins = {} if origins is None else {"origins": tuple(origins)}
        self._running: set[asyncio.Task[None]] = set()

    def attach(self, app: App[Any, Any], *, name: str | None, host: Any, max_body_bytes: int | None) -> None:
        """Add the routes and the listeners."""
        name = name or self.prefix.strip("/").replace("/", "_") or "root"
        for uri, route_name in ((f"{self.prefix}/<path:path>", name), (self.prefix or "/", f"{name}_root")):
            app.add_route(
                self._handle,
                uri,
                HTTP_METHODS,
                host,
                strict_slashes=False,
                name=route_name,
                stream=True,
                max_body_bytes=max_body_bytes,
            )
        app.listener("before_server_start")(self._start)
        app.listener("after_server_stop")(self._stop)

    async def _handle(self, request: Request[Any, Any], path: str = "") -> None:
        if request.method == "GET" and is_upgrade(request.headers):
            options = websocket_options(request.app.config, {"subprotocols": (), **self._origins})
            scope = websocket_scope(request, self.prefix, self._lifespan.state)
            await WebsocketConversation(request, options, self._run).run(self.application, scope)
        else:
            scope = http_scope(request, self.prefix, self._lifespan.state)
            await HttpConversation(request, self._run).run(self.application, scope)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that the stop waits for."""
        task = asyncio.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _start(self, app: App[Any, Any]) -> None:
        await self._lifespan.start()

    async def _stop(self, app: App[Any, Any]) -> None:
        """What an application does after its response, or for a client that has left, may come to its end."""
        await self._wait()
        for task in self._running:
            task.cancel()
        await self._wait()
        await self._lifespan.stop()

    async def _wait(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_S)
