"""Decorators that stand between the framework and a handler, and what they call handlers with.

Such a decorator can't know, when a module is imported, what an application will provide. So it calls what it has decorated by
`call_handler`, which looks the plan up in the application of the request, and it says so by an attribute, by which `finalise`
finds the inner handler and its mistakes before anything is served.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fairlead.injection.injector import read_all
from fairlead.injection.marks import Place
from fairlead.injection.opening import Opening
from fairlead.injection.signature import Parameter
from fairlead.injection.sources import reader_of
from fairlead.request import Request

Before = Callable[[Request[Any, Any]], Awaitable[Mapping[str, Any] | None]]


async def call_handler(request: Request[Any, Any], handler: Callable[..., Any], *leading: Any, **named: Any) -> Any:
    """Call a handler with everything that its annotations ask for; `named` is what the caller has for it already.

    For decorators and class-based views. `leading` is what stands between the request and the named parameters: a websocket, a
    response, an exception.
    """
    opens = bool(leading) and isinstance(leading[0], Opening)
    binding = request.app.injector.binding_of(handler, tuple(named), 1 + len(leading), opens=opens)
    answer = binding.call(request, *leading, *named.values())
    return await answer if inspect.isawaitable(answer) else answer


def run_first(handler: Callable[..., Any], before: Before, gives: tuple[str, ...] = ()) -> Callable[..., Awaitable[Any]]:
    """The handler behind `before`, which runs ahead of dependencies and validation and may raise the refusal.

    What it returns is given to the parameters of those names, which `gives` lists.
    """

    async def guarded(request: Request[Any, Any], *leading: Any, **named: Any) -> Any:
        return await call_handler(request, handler, *leading, **{**named, **(await before(request) or {})})

    return _around(guarded, handler, gives)


def inject(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Decorator: give dependencies and marked values to what is no handler: middleware, an exception handler."""

    async def injected(request: Request[Any, Any], *leading: Any) -> Any:
        return await call_handler(request, function, *leading)

    return _around(injected, function, ())


def validate(
    json: Any = None,
    form: Any = None,
    query: Any = None,
    *,
    body_argument: str = "body",
    query_argument: str = "query",
) -> Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]:
    """Decorator: validate the JSON body or the form, and the query, and give them to the handler as `body` and `query`.

    The same as parameters annotated `Body[T]`, `Form[T]` and `Query[T]`, under the name that Sanic Extensions documents.
    Raises TypeError when both a JSON body and a form are asked for.
    """
    if json is not None and form is not None:
        raise TypeError("a request has a JSON body or a form, not both")
    asked: list[tuple[str, Any, Place]] = [
        (body_argument, json, "body"),
        (body_argument, form, "form"),
        (query_argument, query, "query"),
    ]
    parameters = tuple(Parameter(name, kind, place) for name, kind, place in asked if kind is not None)
    readers = tuple((parameter.name, reader_of(parameter)) for parameter in parameters)

    def decorate(handler: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        async def validated(request: Request[Any, Any], *leading: Any, **named: Any) -> Any:
            if form is not None:
                await request.receive_form()
            return await call_handler(request, handler, *leading, **named, **read_all(request, readers))

        around = _around(validated, handler, tuple(name for name, _ in readers))
        around.__dict__.update(__fairlead_parameters__=parameters)
        return around

    return decorate


def _around(
    wrapper: Callable[..., Awaitable[Any]], handler: Callable[..., Any], gives: tuple[str, ...]
) -> Callable[..., Awaitable[Any]]:
    functools.update_wrapper(wrapper, handler)
    del wrapper.__wrapped__  # type: ignore[attr-defined]  # its own signature is what is called
    wrapper.__dict__.update(__fairlead_handler__=handler, __fairlead_gives__=gives, __fairlead_owner__=id(wrapper))
    return wrapper
