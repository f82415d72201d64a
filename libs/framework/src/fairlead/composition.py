"""Composition: what was registered for a route becomes one callable, once, before the first request.

A feature that a route doesn't use costs it nothing: without middleware, injection or a streamed body, `route.call` *is* the
handler. With middleware it is one coroutine that runs them around the handler, and that also turns the handler's exceptions into
responses, because response middleware sees those too.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from fairlead.errors import PayloadTooLarge
from fairlead.injection import Injector, Opening
from fairlead.injection.opening import Around, Opened
from fairlead.request import Request
from fairlead.response import HOW_TO_STREAM, HTTPResponse, respond_with
from fairlead.routing import Route
from fairlead.streaming import RequestStream
from fairlead.types import Middleware

if TYPE_CHECKING:
    from fairlead.request_signals import RequestSignals

Fail = Callable[[Request[Any, Any], Exception], Awaitable[HTTPResponse]]


async def result_of(value: Any) -> Any:
    """The value, awaited if it must be."""
    return await value if inspect.isawaitable(value) else value


def compose(
    route: Route,
    before: Sequence[Middleware],
    after: Sequence[Middleware],
    fail: Fail,
    *,
    max_body_bytes: int,
    injector: Injector | None = None,
    signals: RequestSignals | None = None,
) -> None:
    """Set `route.call`, `route.is_async` and `route.after`.

    Raises TypeError for a handler that doesn't fit its path, and for a generator.
    """
    if inspect.isasyncgenfunction(route.handler) or inspect.isgeneratorfunction(route.handler):
        raise TypeError(f"{route.name} is a generator, whose pieces nobody sends: {HOW_TO_STREAM}")
    given = 2 if route.is_websocket else 1
    binding = (injector or Injector()).bind(route.handler, route.parameter_names, given, opens=route.is_websocket)
    call, is_async = binding.call, binding.is_async
    if route.stream and "body" in binding.places:
        raise TypeError(f"{route.name} streams its body: it reads it by itself, or asks for Body[…] without stream=True")
    route.reads_form = "form" in binding.places
    route.stream = route.stream or route.reads_form
    if route.stream:
        limit = max_body_bytes if route.max_body_bytes is None else route.max_body_bytes
        call, is_async = _with_limit(_with_stream(call, limit), limit), True  # outside: the body may have come whole
    elif route.max_body_bytes is not None:
        call = _with_limit(call, route.max_body_bytes)
    if route.is_websocket:
        call, is_async = _with_upgrade(call, route.options, None if signals is None else signals.around_websocket), True
    if signals is not None:
        call, is_async = signals.around_handler(call, is_async)
        before, after = signals.around_middleware(before, "request"), signals.around_middleware(after, "response")
    if after:
        route.after = run_after(after)
    if before or after:
        call, is_async = _with_middleware(call, before, route.after, fail), True
    if route.stream:
        call = _with_spool(call)  # around middleware, which may have read the form, and may refuse what is in it
    route.call, route.is_async = call, is_async


def _with_stream(call: Callable[..., Any], limit: int) -> Callable[..., Any]:
    async def with_stream(request: Request[Any, Any], *values: Any) -> Any:
        if request.stream is None:  # the whole body came with the head
            request.stream = RequestStream(limit=limit, complete=request.body)
            request.body = b""
        return await result_of(call(request, *values))

    return with_stream


def _with_spool(call: Callable[..., Any]) -> Callable[..., Any]:
    async def with_spool(request: Request[Any, Any], *values: Any) -> Any:
        try:
            return await call(request, *values)
        finally:
            spool = request.spool
            if spool is not None:  # in a thread: letting go of a long file takes its time
                await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, spool.close))

    return with_spool


def _with_upgrade(call: Callable[..., Any], options: dict[str, Any], around: Around | None) -> Callable[..., Any]:
    from fairlead.websocket import serve  # an application without websockets doesn't load them

    if isinstance(call, Opened):  # PERF: nobody stands around the handler, so no coroutine waits there either
        handler = call.handler if around is None else around(call.handler)
        return lambda request, *values: serve(request, request.exchange.upgrade(request, options), handler, values)

    async def upgraded(request: Request[Any, Any], *values: Any) -> None:
        opening = Opening(serve, options, around)
        try:
            await call(request, opening, *values)
        except BaseException as exc:
            if exc is not opening.failure:  # that was logged, and the websocket closed because of it
                raise

    return upgraded


def _with_limit(call: Callable[..., Any], limit: int) -> Callable[..., Any]:
    def with_limit(request: Request[Any, Any], *values: Any) -> Any:
        if len(request.body) > limit:
            raise PayloadTooLarge(f"The body passes {limit} bytes")
        return call(request, *values)

    return with_limit


def run_after(middleware: Sequence[Middleware]) -> Callable[..., Awaitable[Any]]:
    """One coroutine function that runs response middleware in order."""

    async def after(request: Request[Any, Any], response: Any) -> Any:
        for function in middleware:
            replacement = await result_of(function(request, response))
            if replacement is not None and not request.responded:  # a stream can be changed, and no longer replaced
                response = respond_with(replacement)
        return response

    return after


def _with_middleware(
    call: Callable[..., Any], before: Sequence[Middleware], after: Callable[..., Awaitable[Any]] | None, fail: Fail
) -> Callable[..., Any]:
    async def with_middleware(request: Request[Any, Any], *values: Any) -> Any:
        try:
            for function in before:
                answer = await result_of(function(request))
                if answer is not None:
                    break
            else:
                answer = call(request, *(request.path_values(values) if values else ()))
                if inspect.isawaitable(answer):  # PERF: here and not in `result_of`, whose frame a websocket would keep
                    answer = await answer
            if request.responded or is_upgraded(request):
                return None  # the head is gone: response middleware ran when it was sent
            response = respond_with(answer)
        except Exception as exc:
            if is_upgraded(request) or not request.take_back():
                raise
            response = await fail(request, exc)
        return response if after is None else await after(request, response)

    return with_middleware


def is_upgraded(request: Request[Any, Any]) -> bool:
    """Whether the request became a websocket."""
    return bool(getattr(request.exchange, "upgraded", False))
