"""Extensions: objects that change what happens around handlers, of an application, a blueprint, a group, or one route.

    limit = RateLimit("shop", 100, window_s=60)
    limit.install(app)          # every route; a blueprint or a group takes it as well

    @app.post("/login")
    @RateLimit("login", 5, window_s=60)  # this route
    async def login(request): ...

How this works. An extension is made of request and response middleware. `install` registers them where it is told to; used
as a decorator it notes them on the handler, and `App.finalise` reads the note when it composes the route: so a route without
extensions costs nothing, and a decorator may stand above or below the one that registers the route. Because middleware runs
before a websocket's upgrade, whatever an extension refuses there has its real HTTP status.

`order` says who comes first on the way in and last on the way out, so that the order of the calls doesn't matter: cross-origin
rules, compression, rate limits, sessions, CSRF.

Rejected: a decorator that wraps the handler (a websocket's runs after 101, and each wrapper is a frame and a call), a registry
of extensions by name (an object says what it is).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

from fairlead.records import MiddlewareRecord
from fairlead.types import Middleware

if TYPE_CHECKING:
    from fairlead.request import Request

__all__ = ["Extension", "Installable", "provided", "route_middleware"]

H = TypeVar("H", bound=Callable[..., Any])
T = TypeVar("T")

_NOTE = "__fairlead_middleware__"
_EXEMPT = "__fairlead_exempt__"
_Note = tuple[tuple[str, MiddlewareRecord], ...]


class Installable(Protocol):
    """What an extension can be installed on: an `App`, a `Blueprint`, a `BlueprintGroup`."""

    def on_request(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Register request middleware."""

    def on_response(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Register response middleware."""


class Extension:
    """What `RateLimit`, `Sessions` and their kind have in common."""

    order: int = 0
    """Priority among middleware: a higher one runs earlier on requests and later on responses."""

    def middleware(self) -> tuple[Middleware | None, Middleware | None]:
        """Request middleware and response middleware, None for what it doesn't need. Subclasses say which."""
        raise NotImplementedError

    def install(self, target: Installable) -> Self:
        """Let every route of an application, a blueprint or a group have this; returns the extension."""
        before, after = self.middleware()
        if before is not None:
            target.on_request(before, priority=self.order)
        if after is not None:
            target.on_response(after, priority=self.order)
        return self

    def __call__(self, handler: H) -> H:
        """Decorator: let one route have this. Raises TypeError for a handler that can carry no note, such as a bound method."""
        noted = cast(_Note, _read(handler, _NOTE))
        for kind, function in zip(("request", "response"), self.middleware(), strict=True):
            if function is not None:
                noted = (*noted, (kind, MiddlewareRecord(function, self.order)))
        _write(handler, _NOTE, noted)
        return handler

    @classmethod
    def exempt(cls, handler: H) -> H:
        """Decorator: leave one route out of every extension of this class that is installed around it."""
        _write(handler, _EXEMPT, {*_read(handler, _EXEMPT), cls})
        return handler

    def spares(self, request: Request[Any, Any]) -> bool:
        """Whether the request's route is exempt. Subclasses that allow it ask this first."""
        return request.route is not None and self.spares_handler(request.route.handler)

    def spares_handler(self, handler: Any) -> bool:
        """The same for a handler, before there is a request."""
        return type(self) in _read(handler, _EXEMPT)


def route_middleware(handler: Any, attach_to: str) -> list[MiddlewareRecord]:
    """What decorators have noted on a handler; `attach_to` is "request" or "response"."""
    return [record for kind, record in _read(handler, _NOTE) if kind == attach_to]


def provided(given: T | Callable[[Any], T], request: Request[Any, Any]) -> T:
    """An extension's backend: itself, or what a function of the app gives.

    The function is for modules that are imported before there is an app: `RateLimit(…, backend=lambda app: app.ctx.limits)`.
    """
    source: Any = given
    return cast("T", source(request.app) if callable(source) else source)


def _read(handler: Any, name: str) -> Collection[Any]:
    """A note, also one on the function that `functools.partial` was given."""
    while isinstance(handler, functools.partial) and not hasattr(handler, name):
        handler = handler.func
    noted: Collection[Any] = getattr(handler, name, ())
    return noted


def _write(handler: Any, name: str, value: object) -> None:
    try:
        setattr(handler, name, value)
    except AttributeError:
        raise TypeError(f"{handler!r} can't be decorated: decorate a function, or install the extension on a blueprint") from None
