"""What was asked for: records that `App` and `Blueprint` keep until the application is finalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, get_args

from fairlead.error_pages import FORMATS
from fairlead.types import Handler, Middleware, OnDisconnect

HTTP_METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE")


class View:
    """What `HTTPMethodView.as_view()` gives: the handlers of a class by method. Callable: it can be decorated as a whole."""

    def __init__(self, view_class: type, handlers: Mapping[str, Handler]) -> None:
        self.__name__ = view_class.__name__
        self.__doc__ = view_class.__doc__
        self.__module__ = view_class.__module__
        self.view_class = view_class
        self.methods = tuple(handlers)
        self.handlers = handlers

    def __call__(self, request: Any, *values: Any, **named: Any) -> Any:
        """Call the handler for the request's method."""
        method = request.method if request.method in self.handlers else "GET"
        return self.handlers[method](request, *values, **named)


@dataclass(slots=True, kw_only=True)
class RouteRecord:
    """One call of `route`."""

    handler: Handler
    uri: str
    methods: frozenset[str]
    name: str
    hosts: frozenset[str] = frozenset()
    strict_slashes: bool | None = None
    stream: bool = False
    version: int | float | str | None = None
    version_prefix: str | None = None
    error_format: str | None = None
    is_websocket: bool = False
    apply: bool = True
    max_body_bytes: int | None = None
    body_timeout_s: float | None = None
    response_timeout_s: float | None = None
    on_disconnect: OnDisconnect = "cancel"
    ctx: SimpleNamespace = field(default_factory=SimpleNamespace)
    options: dict[str, Any] = field(default_factory=dict)
    view: View | None = None
    """The class-based view that the handler is a method of."""

    def __post_init__(self) -> None:
        if self.error_format is not None and self.error_format not in FORMATS:
            raise ValueError(f"error_format {self.error_format!r} of {self.uri} is none of {', '.join(FORMATS)}")
        if self.on_disconnect not in get_args(OnDisconnect):
            raise ValueError(f"on_disconnect {self.on_disconnect!r} of {self.uri} is none of {', '.join(get_args(OnDisconnect))}")


@dataclass(slots=True)
class MiddlewareRecord:
    """One call of `middleware`; a higher priority runs earlier on requests and later on responses."""

    function: Middleware
    priority: int = 0
