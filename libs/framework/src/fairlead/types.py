"""Aliases that more than one room uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from typing import Any, Literal, Protocol, TypeAlias

Handler: TypeAlias = Callable[..., Any]
"""What is registered for a route: `(request, **path_parameters)`, plain or async."""

Listener: TypeAlias = Callable[..., Coroutine[Any, Any, Any] | None]
"""`(app)` or `(app, loop)`, plain or async."""

ErrorHandler: TypeAlias = Callable[[Any, Any], Any]
"""`(request, exception) -> response`, plain or async."""

Middleware: TypeAlias = Callable[..., Any]
"""`(request)` before the handler, `(request, response)` after it, plain or async; an answer other than None replaces."""

HeaderItems: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]

OnDisconnect: TypeAlias = Literal["cancel", "finish"]
"""What becomes of a handler that waits when its client leaves."""


class Observer(Protocol):
    """Is told of each response once, when it is over."""

    def __call__(self, request: Any, status: int, body_bytes: int, started_s: float, ended_s: float, aborted: str = "", /) -> None:
        """Start and end are readings of `time.perf_counter`, one for all who want to know the time of a request.

        `body_bytes` is the length of the body, whether or not method and status let it be sent; of a streamed one what was sent.

        `aborted` says why a streamed one broke off: "client" (it left) or "error" (its handler raised).
        """


Check: TypeAlias = Callable[[], Awaitable[Any]]
"""A health check: raises when unwell."""

# ASGI 3 (asgi.readthedocs.io, specification of HTTP and websockets)

Scope: TypeAlias = MutableMapping[str, Any]
"""What is known of a connection when an application is called."""

MOUNTED = "fairlead.mounted"
"""The extension in the scopes of an application that is mounted in another of this framework."""

Message: TypeAlias = MutableMapping[str, Any]
"""An event, in either direction; its `type` says which."""

Receive: TypeAlias = Callable[[], Awaitable[Message]]

Send: TypeAlias = Callable[[Message], Awaitable[None]]

ASGIApplication: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""`(scope, receive, send)`; loose, because every framework has types of its own for the three."""
