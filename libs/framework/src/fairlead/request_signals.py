"""The built-in events on a request's way, put around it when the application is finalised, where somebody listens to them.

Order, for one request: `http.lifecycle.read_head`, `.read_body` (a body that came whole; a streamed one piece by piece as the
handler reads it), `.request`, `.handle`, `http.routing.before`, `.after`, then for each middleware `http.middleware.before` and
`.after`, around the handler `http.handler.before` and `.after`, for an error `server.exception.report` and
`http.lifecycle.exception`, and `http.lifecycle.response` before the response is sent (a streamed one: when it has ended).

An application in which nobody listens has no `RequestSignals`. One with listeners pays for the events that are listened to:
- those before the handler's route is known make the dispatcher call the `entrance` instead of the route;
- those around middleware and handlers wrap these functions;
- the response's is sent by the entrance, and by the dispatcher for error responses.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fairlead.request import Request
from fairlead.routing import Route
from fairlead.signals import Emitter, Event, Signals
from fairlead.streaming import RequestStream
from fairlead.types import Middleware

logger = logging.getLogger("fairlead.signals")

AnyRequest = Request[Any, Any]
Conclude = Callable[[AnyRequest, Any], Awaitable[Any]]
Report = Callable[[BaseException], None]

_AT_ENTRANCE = (
    Event.HTTP_LIFECYCLE_READ_HEAD,
    Event.HTTP_LIFECYCLE_READ_BODY,
    Event.HTTP_LIFECYCLE_REQUEST,
    Event.HTTP_LIFECYCLE_HANDLE,
    Event.HTTP_ROUTING_BEFORE,
    Event.HTTP_ROUTING_AFTER,
    Event.HTTP_LIFECYCLE_RESPONSE,
)


async def _silence(**context: Any) -> None:
    """Nobody listens."""


class RequestSignals:
    """The events of one application's requests. `report` sends `server.exception.report` in the background."""

    def __init__(self, signals: Signals, report: Report | None) -> None:
        self._emitter = signals.emitter
        self._report = report
        self._exception = signals.emitter(Event.HTTP_LIFECYCLE_EXCEPTION)
        self._response = signals.emitter(Event.HTTP_LIFECYCLE_RESPONSE)
        self.has_entrance = any(signals.emitter(event) is not None for event in _AT_ENTRANCE)

    def _emit(self, event: Event) -> Emitter:
        return self._emitter(event) or _silence

    # Before the route is known

    def entrance(self, find: Callable[[AnyRequest], Route], missing: Route, conclude: Conclude) -> Route:
        """A route that stands for all routes: finds the one that is meant, and calls it between its events."""
        read_head, read_body = self._emit(Event.HTTP_LIFECYCLE_READ_HEAD), self._emitter(Event.HTTP_LIFECYCLE_READ_BODY)
        begin, handle = self._emit(Event.HTTP_LIFECYCLE_REQUEST), self._emit(Event.HTTP_LIFECYCLE_HANDLE)
        before, after = self._emit(Event.HTTP_ROUTING_BEFORE), self._emit(Event.HTTP_ROUTING_AFTER)

        async def enter(request: AnyRequest) -> Any:
            await read_head(head=_head_bytes(request))
            if read_body is not None and request.stream is not None:
                request.stream = _HeardStream(request.stream, read_body)
            elif read_body is not None and request.body:
                await read_body(body=request.body)
            await begin(request=request)
            await handle(request=request)
            await before(request=request)
            route = find(request)
            if route is not missing:
                await after(request=request, route=route, kwargs=request.match_info, handler=route.handler)
            answer = route.call(request, *(request.route_parameters or ()))
            response = await conclude(request, await answer if route.is_async else answer)
            if response is not None or request.responded:
                await self.responding(request, response or request._response)
            return response

        return Route("", "", [], (), enter)

    # Around middleware and handlers

    def around_middleware(self, functions: Sequence[Middleware], attach_to: str) -> list[Middleware]:
        """The same functions, each between its events."""
        condition = {"attach_to": attach_to}
        before = self._emitter(Event.HTTP_MIDDLEWARE_BEFORE, condition)
        after = self._emitter(Event.HTTP_MIDDLEWARE_AFTER, condition)
        if before is None and after is None:
            return list(functions)
        return [_between(function, before or _silence, after or _silence) for function in functions]

    def around_handler(self, call: Callable[..., Any], is_async: bool) -> tuple[Callable[..., Any], bool]:
        """A route's callable between `http.handler.before` and `.after`, and whether it is async."""
        if self._emitter(Event.HTTP_HANDLER_BEFORE) is None and self._emitter(Event.HTTP_HANDLER_AFTER) is None:
            return call, is_async
        before, after = self._emit(Event.HTTP_HANDLER_BEFORE), self._emit(Event.HTTP_HANDLER_AFTER)

        async def heard(request: AnyRequest, *values: Any) -> Any:
            await before(request=request)
            answer = call(request, *values)
            if inspect.isawaitable(answer):
                answer = await answer
            await after(request=request)
            return answer

        return heard, True

    def around_websocket(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A websocket handler between `websocket.handler.before` and `.after` or `.exception`."""
        events = (Event.WEBSOCKET_HANDLER_BEFORE, Event.WEBSOCKET_HANDLER_AFTER, Event.WEBSOCKET_HANDLER_EXCEPTION)
        if all(self._emitter(event) is None for event in events):
            return call
        before, after, failed = map(self._emit, events)

        async def heard(request: AnyRequest, ws: Any, *values: Any, **named: Any) -> None:
            await before(request=request, websocket=ws)
            try:
                result = call(request, ws, *values, **named)
                if inspect.isawaitable(result):
                    await result
            except Exception as exc:
                await failed(request=request, websocket=ws, exception=exc)
                raise
            await after(request=request, websocket=ws)

        return heard

    # At the end

    async def responding(self, request: AnyRequest, response: Any) -> None:
        """The response is about to be sent; a streamed one has been."""
        if self._response is not None:
            await self._response(request=request, response=response)

    async def failed(self, request: AnyRequest, exc: Exception) -> None:
        """An exception is about to become a response. A handler of the signal that fails itself is logged."""
        if self._report is not None:
            self._report(exc)
        if self._exception is not None:
            try:
                await self._exception(request=request, exception=exc)
            except Exception:
                logger.exception("signal handler failed", extra={"event": str(Event.HTTP_LIFECYCLE_EXCEPTION)})


def _between(function: Middleware, before: Emitter, after: Emitter) -> Middleware:
    async def heard(request: AnyRequest, response: Any = None) -> Any:
        await before(request=request, response=response)
        answer = function(request) if response is None else function(request, response)
        if inspect.isawaitable(answer):
            answer = await answer
        await after(request=request, response=response if answer is None else answer)
        return answer

    return heard


def _head_bytes(request: AnyRequest) -> bytes:
    """The head as it came; put together again where the protocol sends it in another form."""
    line = b"%b %b HTTP/%b" % (request.raw_method, request.target, request.head.version.encode())
    return line + (request.head.block or b"".join(b"\r\n%b: %b" % field for field in request.head.fields()))


class _HeardStream(RequestStream):
    """A request's body whose pieces are told of as they are read."""

    __slots__ = ("_emit", "_source")

    def __init__(self, source: RequestStream, emit: Emitter) -> None:
        super().__init__(limit=0)
        self._source = source
        self._emit = emit

    @property
    def ended(self) -> bool:
        """Whether the whole body has arrived."""
        return self._source.ended

    async def read(self) -> bytes | None:
        """The next piece, None at the end."""
        chunk = await self._source.read()
        if chunk is not None:
            await self._emit(body=chunk)
        return chunk
