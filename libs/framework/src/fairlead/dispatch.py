"""Dispatch: a request goes in, its response is written. Exceptions become responses here and nowhere else.

A *driver* is a generator that handles one request after another: it is sent a `Request`, runs the route's callable, writes the
response and yields `DONE`. What it yields in between is what the handler awaits; whoever drives it (`server/runner.py`) then gives
it an asyncio task of its own. So a request whose handler never waits costs no task and no coroutine but the handler's.

The driver's frame, the handler's, and what the handler calls: that is the whole stack of a request.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import types
from collections.abc import Callable, Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from fairlead.composition import result_of
from fairlead.error_handler import ErrorHandler, find_handler
from fairlead.errors import FairleadException, RequestCancelled, ServiceUnavailable, WebsocketClosed
from fairlead.request import DONE, Request, current_request
from fairlead.response import HTTPResponse, JSONResponse, respond_with
from fairlead.routing import Route, Router
from fairlead.routing.pattern import Segment, begins_with
from fairlead.types import ErrorHandler as Handler
from fairlead.types import Observer

if TYPE_CHECKING:
    from fairlead.request_signals import RequestSignals
    from fairlead.taps import Taps

logger = logging.getLogger("fairlead.dispatch")


class Tracer(Protocol):
    """Begins the spans of requests; see `fairlead.telemetry`."""

    def gap(self) -> int:
        """How many requests pass until the next that `begin` is called for, drawn anew each time; -1 for no end of them.

        It is called for those with a `traceparent`, too.
        """

    def begin(self, request: Request[Any, Any]) -> None:
        """A request that may be traced is about to be handled, in its own context."""


_enter = current_request.set

_ANSWERED_TWICE = "the handler returned a response after request.respond(): it is not sent"

ErrorHandlers = dict[type[BaseException], Handler]
Prefix = list[Segment]


class Dispatcher:
    """Routes, error handlers and the observer of one application, ready to serve. Made by `App.finalise`."""

    def __init__(self, app: Any, router: Router, errors: ErrorHandler, request_class: type[Request[Any, Any]] = Request) -> None:
        self.app = app
        self.observer: Observer | None = None
        self.tracer: Tracer | None = None
        self._router = router
        self._find = self.find  # PERF: a bound method for all drivers; one that waits, as a websocket does, keeps its own for long
        self._errors = errors
        self.request_class = request_class
        self._blueprint_errors: dict[Any, ErrorHandlers] = {}
        self._prefixes: list[tuple[Prefix, frozenset[str], Any]] = []
        self.signals: RequestSignals | None = None
        """The built-in events of requests; None when nobody listens to any."""
        self.taps: Taps | None = None
        """Who wants to know of connections and of what is written to them."""
        self.missing = Route("", "", [], (), _raise, options={})
        self.missing.parameter_names = ("exc",)

    def add_blueprint_errors(self, blueprint: Any, errors: ErrorHandlers) -> None:
        """Error handlers that hold for the routes of one blueprint."""
        self._blueprint_errors[blueprint] = errors

    def add_blueprint_prefix(self, blueprint: Any, prefix: Prefix, hosts: frozenset[str]) -> None:
        """Paths below this prefix belong to the blueprint, also where it has no route: its handlers see their 404s."""
        self._prefixes.append((prefix, hosts, blueprint))
        self._prefixes.sort(key=lambda entry: -len(entry[0]))

    def _blueprint_of(self, request: Request[Any, Any]) -> Any:
        """The blueprint of the request's route; where there is none, the one with the longest prefix of its path."""
        if request.route is not None:
            return request.route.blueprint
        segments = request.target.partition(b"?")[0].split(b"/")[1:]
        for prefix, hosts, blueprint in self._prefixes:
            if begins_with(segments, prefix) and (not hosts or {request.host.lower(), request.server_name.lower()} & hosts):
                return blueprint
        return None

    def find(self, request: Request[Any, Any]) -> Route:
        """The route of a request; `missing`, which raises the 404 or 405, when there is none.

        It raises what a parameter type of the application's own raised as well, so that this is a 500 like any other.
        """
        try:
            route = self._router.find(request)
        except Exception as exc:
            request.route_parameters = (exc,)
            return self.missing
        request.route = route
        return route

    def driver(self) -> Generator[Any, Request[Any, Any], None]:
        """A new driver; send it None once, then requests."""
        driver: Generator[Any, Request[Any, Any], None] = self._drive()
        return driver

    @types.coroutine
    def _drive(self) -> Generator[Any, Any, None]:
        fixed, find = self._lookup()
        observe, enter = self.observer, _enter
        tracer = self.tracer
        gap = tracer.gap() if tracer is not None else -1
        started = 0.0
        while True:
            request = yield DONE
            enter(request)
            if observe is not None:
                started = perf_counter()
                if tracer is not None:  # PERF: to count down takes 380 instructions, to draw a number for each request 590
                    if gap == 0:
                        gap = tracer.gap()
                        tracer.begin(request)
                    else:
                        gap -= 1
                        if request.head.has_trace:
                            tracer.begin(request)
            try:
                routes = fixed.get(request.raw_method)
                route = routes.get(request.target) if routes is not None else None
                if route is None:
                    route = find(request)
                    values = request.route_parameters
                else:
                    request.route = route
                    values = None
                answer = route.call(request) if values is None else route.call(request, *values)
                if route.is_async:
                    answer = yield from answer
                kind = answer.__class__
                if request._response is not None or (kind is not HTTPResponse and kind is not JSONResponse):
                    answer = yield from self._conclude(request, answer)
                if answer is not None:
                    request.exchange.respond(request, answer)
            except (asyncio.CancelledError, RequestCancelled):
                answer = yield from self._answer_cancellation(request)
            except Exception as exc:
                answer = yield from self._answer_exception(request, exc)
            except BaseExceptionGroup as group:  # what a task group makes of a client that has left
                if group.split((asyncio.CancelledError, RequestCancelled))[1] is not None:
                    raise
                answer = yield from self._answer_cancellation(request)
            if observe is not None:
                try:
                    if answer is not None:
                        observe(request, answer.status, len(answer.body), started, perf_counter())
                    else:
                        self._observe(observe, request, started)
                except Exception:
                    logger.exception("the observer of responses failed")  # what counts requests must not cost one

    def _lookup(self) -> tuple[dict[bytes, dict[bytes, Route]], Callable[[Request[Any, Any]], Route]]:
        """The exact paths and the search for others; with events at the entrance every request goes there instead."""
        if self.signals is None or not self.signals.has_entrance:
            return self._router.fixed, self._find
        entrance = self.signals.entrance(self.find, self.missing, self._conclude)

        def enter(request: Request[Any, Any]) -> Route:
            request.route = request.route_parameters = None
            return entrance

        return {}, enter

    async def _conclude(self, request: Request[Any, Any], answer: Any) -> HTTPResponse | None:
        """What to write for an answer that is no plain response; None when it was written already."""
        if inspect.isawaitable(answer):
            answer = await answer
        stream = request._response
        if stream is not None:
            if answer is not None and answer is not stream:
                logger.error(_ANSWERED_TWICE, extra={"method": request.method, "path": request.path})
            await stream.eof()
            return None
        if getattr(request.exchange, "upgraded", False):
            return None
        return respond_with(answer)

    def _observe(self, observe: Observer, request: Request[Any, Any], started_s: float) -> None:
        """Report what was no plain response."""
        stream, ended_s = request._response, perf_counter()
        if stream is not None and stream.ended:
            observe(request, stream.status, stream.bytes_sent, started_s, ended_s)
        elif stream is not None and stream.head_sent:
            observe(request, stream.status, stream.bytes_sent, started_s, ended_s, "error" if stream.failed else "client")
        elif getattr(request.exchange, "upgraded", False):
            observe(request, 101, 0, started_s, ended_s)
        else:
            observe(request, 499, 0, started_s, ended_s)  # the client left; the code is nginx's

    # Errors

    async def _answer_exception(self, request: Request[Any, Any], exc: Exception) -> HTTPResponse | None:
        stream = request._response
        if getattr(request.exchange, "upgraded", False) or not request.take_back():
            if self.signals is not None:
                await self.signals.failed(request, exc)
            self._log(request, exc)
            if stream is None or not stream.ended:
                if stream is not None:
                    stream.failed = True
                request.exchange.abort()  # the client must not take the part for the whole
            return None
        try:
            response = await self.fail(request, exc)
            if self.signals is not None:
                await self.signals.responding(request, response)
            request.exchange.respond(request, response)
        except Exception as second:  # a response that can't be sent, a context that can't be encoded
            self._log(request, second)
            response = HTTPResponse(b"", 500)
            request.exchange.respond(request, response)
        return response

    async def _answer_cancellation(self, request: Request[Any, Any]) -> HTTPResponse | None:
        reason = request.exchange.cancelled(request)
        if reason is None:
            return None
        return await self._answer_exception(request, reason)

    async def fail(self, request: Request[Any, Any], exc: Exception) -> HTTPResponse:
        """The response for an exception: by the blueprint's handler, the application's, or the default one."""
        if self.signals is not None:
            await self.signals.failed(request, exc)
        handler = self._handler_for(request, type(exc))
        if handler is not None:
            try:
                answer = await result_of(handler(request, exc))
                if answer is not None:
                    return respond_with(answer)
            except Exception as second:
                self._log(request, exc)
                exc = second
        self._log(request, exc)
        try:
            return respond_with(await result_of(self._errors.default(request, exc)))
        except Exception as second:
            self._log(request, second)
            response: HTTPResponse = ErrorHandler().default(request, second)
            return response

    def _handler_for(self, request: Request[Any, Any], kind: type[BaseException]) -> Handler | None:
        own = self._blueprint_errors.get(self._blueprint_of(request))
        return (find_handler(own, kind) if own else None) or find_handler(self._errors.handlers, kind)

    def _log(self, request: Request[Any, Any], exc: Exception) -> None:
        extra = {"method": request.method, "path": request.path}
        if request.span is not None:
            request.span.record(exc)
        if isinstance(exc, ServiceUnavailable):  # an outage meets every request: a line each, no traceback
            cause = exc.__cause__ or exc.__context__
            logger.warning("answered 503: %s", exc.message, extra={**extra, "cause": repr(cause) if cause is not None else ""})
            return
        if isinstance(exc, WebsocketClosed) or (isinstance(exc, FairleadException) and exc.quiet):
            return
        if isinstance(exc, FairleadException) and exc.extra:
            extra["detail"] = str(exc.extra)
        logger.error("exception while handling a request", exc_info=exc, extra=extra)


def _raise(request: Request[Any, Any], exc: Exception) -> None:
    raise exc
