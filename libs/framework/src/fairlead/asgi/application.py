"""From ASGI calls to dispatch.

The server has made a task for the call already, so the dispatcher's driver is stepped right in it: no further task. Only when a
handler waits for something does a listener start beside it, which hears of the client's leaving; most requests have none.
"""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Generator
from typing import Any

from fairlead.app import App
from fairlead.asgi.exchange import HttpExchange, Shared
from fairlead.asgi.lifespan import run_lifespan
from fairlead.asgi.scope import request_of
from fairlead.asgi.telemetry import AsgiTelemetry
from fairlead.asgi.websocket import WebsocketExchange
from fairlead.dispatch import Dispatcher
from fairlead.errors import FairleadException
from fairlead.request import DONE, Request, current_request
from fairlead.types import MOUNTED, Receive, Scope, Send

logger = logging.getLogger("fairlead.asgi")

MAX_IDLE_DRIVERS = 256
"""Drivers that are kept for later requests; a burst may need more for its time."""

Driver = Generator[Any, Any, None]


class AsgiApplication:
    """`await application(scope, receive, send)`. Made once per `App`; an event loop may be another for each call."""

    def __init__(self, app: App[Any, Any]) -> None:
        self.app = app
        self.shared = Shared(app.config.limits())
        self.telemetry: AsgiTelemetry | None = None
        """None without lifespan, and below another application."""
        self._dispatcher: Dispatcher | None = None
        self._idle_drivers: list[Driver] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        dispatcher = self._dispatcher or self._prepare()
        if kind == "http":
            await self._serve(dispatcher, HttpExchange(self.shared, scope, receive, send), scope)
        elif kind == "websocket":
            await self._serve(dispatcher, WebsocketExchange(self.shared, scope, receive, send), scope)
        else:
            raise ValueError(f"the ASGI scope {kind!r} is not known here")

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._dispatcher, self._idle_drivers = None, []  # made anew, with the telemetry that begins now
        if MOUNTED not in scope.get("extensions", ()):
            self.telemetry = AsgiTelemetry(self.app, self.shared)
        try:
            await run_lifespan(self.app, self.shared, self.telemetry, receive, send)
        finally:
            self.telemetry = None
            self._idle_drivers = []

    async def _serve(self, dispatcher: Dispatcher, exchange: HttpExchange, scope: Scope) -> None:
        token = current_request.set(None)  # of the caller, when this application is mounted in another
        try:
            request = request_of(dispatcher, exchange, scope)
            if not await exchange.open(request, dispatcher):
                return
            driver: Driver = self._idle_drivers.pop() if self._idle_drivers else _started(dispatcher.driver())
            exchange.task = asyncio.current_task()
            telemetry = self.telemetry
            entered = telemetry.enter(request) if telemetry is not None else None
            try:
                await _drive(driver, request, exchange)
            finally:
                exchange.stop()
                if telemetry is not None and entered is not None:
                    telemetry.leave(request, entered)
            if len(self._idle_drivers) < MAX_IDLE_DRIVERS:
                self._idle_drivers.append(driver)
        except FairleadException as exc:
            exchange.refuse(exc)
        finally:
            current_request.reset(token)
        await exchange.finish()

    def _prepare(self) -> Dispatcher:
        dispatcher = self._dispatcher = self.app.finalise()
        lifecycle = self.app.lifecycle
        if not self.app.tasks.is_open and (lifecycle.listeners("before_server_start") or lifecycle.listeners("after_server_start")):
            logger.warning("the ASGI server has no lifespan, or has switched it off: listeners and tasks don't run")
        return dispatcher


def _started(driver: Driver) -> Driver:
    driver.send(None)
    return driver


@types.coroutine
def _drive(driver: Driver, request: Request[Any, Any], exchange: HttpExchange) -> Generator[Any, Any, None]:
    """Run one request; what its handler waits for is what the task waits for."""
    waits_for = driver.send(request)
    if waits_for is DONE:
        return
    exchange.listen()
    while waits_for is not DONE:
        try:
            value = yield waits_for
        except BaseException as exc:
            waits_for = driver.throw(exchange.reason_of(exc))
        else:
            waits_for = driver.send(value)
