"""What `App` and `Blueprint` have in common: decorators that write down what was asked for.

Nothing happens at registration but a record in a list. `App.finalise` reads the records of the application and of all its
blueprints once, and builds router, middleware and handlers from them. So the order of imports doesn't matter, and a blueprint
needs no application to be written.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

from fairlead.injection import Dependency, Scope
from fairlead.records import HTTP_METHODS, MiddlewareRecord, RouteRecord, View
from fairlead.signals import Event, SignalRecord, check_event
from fairlead.static import StaticFiles
from fairlead.types import ErrorHandler, Handler, Listener, Middleware, OnDisconnect

F = TypeVar("F", bound=Callable[..., Any])


class Registrar:
    """The records of an application or a blueprint."""

    def __init__(self, name: str, *, strict_slashes: bool | None = None) -> None:
        if not name.isascii() or not name.replace("-", "_").replace(".", "_").isidentifier():
            raise ValueError(f"the name {name!r} may hold letters, digits, '-' and '_' only, and begin with a letter")
        self.name = name
        self.strict_slashes = strict_slashes
        self.route_records: list[RouteRecord] = []
        self.request_middleware: list[MiddlewareRecord] = []
        self.response_middleware: list[MiddlewareRecord] = []
        self.error_handlers: dict[type[BaseException], ErrorHandler] = {}
        self.listener_records: list[tuple[str, Listener, int]] = []
        self.signal_records: list[SignalRecord] = []
        self.dependency_records: list[Dependency] = []
        self._final = False

    def _check_open(self) -> None:
        if self._final:
            raise RuntimeError(f"{self.name!r} is serving already: register before it starts")

    # Routes

    def add_route(
        self,
        handler: Handler,
        uri: str,
        methods: Iterable[str] | None = None,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        version: int | float | str | None = None,
        name: str | None = None,
        stream: bool = False,
        version_prefix: str | None = None,
        error_format: str | None = None,
        *,
        ignore_body: bool = False,
        unquote: bool = True,
        max_body_bytes: int | None = None,
        body_timeout_s: float | None = None,
        response_timeout_s: float | None = None,
        on_disconnect: OnDisconnect = "cancel",
        **ctx: Any,
    ) -> Handler:
        """Register a handler for a path. Keywords that begin with `ctx_` are kept in `route.ctx`.

        `max_body_bytes`, `body_timeout_s` and `response_timeout_s` take the place of the application's limits. When the client
        leaves, a handler that waits is cancelled with `RequestCancelled`; `on_disconnect="finish"` lets it finish.
        `ignore_body` and `unquote` are there for Sanic's sake and change nothing: a body is read, within its limit, and path
        parameters arrive decoded.

        Raises TypeError for keywords that mean nothing and ValueError for methods that don't exist.
        """
        self._check_open()
        if isinstance(handler, View):  # a route for each of its methods
            first, wanted = len(self.route_records), None if methods is None else {method.upper() for method in methods}
            for method, own in handler.handlers.items():
                if wanted is not None and method not in wanted:
                    continue
                self.add_route(
                    own,
                    uri,
                    (method,),
                    host,
                    strict_slashes,
                    version,
                    name or handler.__name__,
                    stream,
                    version_prefix,
                    error_format,
                    max_body_bytes=max_body_bytes,
                    body_timeout_s=body_timeout_s,
                    response_timeout_s=response_timeout_s,
                    on_disconnect=on_disconnect,
                    **ctx,
                )
            for record in self.route_records[first:]:
                record.view = handler
            return handler
        names = frozenset(method.upper() for method in (methods or getattr(handler, "methods", None) or ("GET",)))
        if not names <= frozenset((*HTTP_METHODS, "TRACE", "CONNECT")):
            raise ValueError(f"unknown methods for {uri}: {', '.join(sorted(names - frozenset(HTTP_METHODS)))}")
        self.route_records.append(
            RouteRecord(
                handler=handler,
                uri=uri,
                methods=names,
                name=name or _name_of(handler),
                hosts=hosts_of(host),
                strict_slashes=strict_slashes,
                stream=stream or bool(getattr(handler, "is_stream", False)),
                version=version,
                version_prefix=version_prefix,
                error_format=error_format,
                max_body_bytes=max_body_bytes,
                body_timeout_s=body_timeout_s,
                response_timeout_s=response_timeout_s,
                on_disconnect=on_disconnect,
                ctx=_context(ctx),
            )
        )
        return handler

    def route(self, uri: str, methods: Iterable[str] | None = None, **options: Any) -> Callable[[F], F]:
        """Decorator of `add_route`: `@app.route("/items", methods=["GET", "POST"])`."""

        def register(handler: F) -> F:
            self.add_route(handler, uri, methods, **options)
            return handler

        return register

    def get(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle GET, and HEAD by the same handler."""
        return self.route(uri, ("GET",), **options)

    def post(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle POST."""
        return self.route(uri, ("POST",), **options)

    def put(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle PUT."""
        return self.route(uri, ("PUT",), **options)

    def patch(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle PATCH."""
        return self.route(uri, ("PATCH",), **options)

    def delete(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle DELETE."""
        return self.route(uri, ("DELETE",), **options)

    def head(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle HEAD by a handler of its own."""
        return self.route(uri, ("HEAD",), **options)

    def options(self, uri: str, **options: Any) -> Callable[[F], F]:
        """Decorator: handle OPTIONS."""
        return self.route(uri, ("OPTIONS",), **options)

    # Websockets (mission W1)

    def add_websocket_route(
        self,
        handler: Handler,
        uri: str,
        host: str | Iterable[str] | None = None,
        strict_slashes: bool | None = None,
        subprotocols: Iterable[str] | None = None,
        name: str | None = None,
        apply: bool = True,
        version: int | float | str | None = None,
        version_prefix: str | None = None,
        error_format: str | None = None,
        **options: Any,
    ) -> Handler:
        """Register a websocket handler `(request, ws, **path_parameters)`.

        Further options: `compression`, `origins`, `max_size`, `max_queue`, `ping_interval`, `ping_timeout` change the
        WEBSOCKET_ configuration for this route. Raises TypeError for others.
        """
        self._check_open()
        unknown = options.keys() - {"compression", "origins", "max_size", "max_queue", "ping_interval", "ping_timeout"}
        if unknown:
            raise TypeError(f"a websocket route has no option {', '.join(sorted(unknown))}")
        self.route_records.append(
            RouteRecord(
                handler=handler,
                uri=uri,
                methods=frozenset(("GET",)),
                name=name or _name_of(handler),
                hosts=hosts_of(host),
                strict_slashes=strict_slashes,
                version=version,
                version_prefix=version_prefix,
                error_format=error_format,
                is_websocket=True,
                apply=apply,
                options={"subprotocols": tuple(subprotocols or ()), **options},
            )
        )
        return handler

    def websocket(self, uri: str, host: str | Iterable[str] | None = None, **options: Any) -> Callable[[F], F]:
        """Decorator of `add_websocket_route`."""

        def register(handler: F) -> F:
            self.add_websocket_route(handler, uri, host, **options)
            return handler

        return register

    # Static files

    def static(
        self,
        uri: str,
        file_or_directory: str | os.PathLike[str],
        *,
        name: str = "static",
        index: str | Sequence[str] | None = None,
        strict_slashes: bool | None = None,
        host: str | Iterable[str] | None = None,
        resource_type: str | None = None,
        **options: Any,
    ) -> None:
        """Serve one file, or everything inside a folder, for GET and HEAD.

        `index` names the files that stand for a folder; further options are those of `StaticFiles`: `directory_view`,
        `content_type`, `max_age`, `use_modified_since`, `use_content_range`, `stream_large_files` (True, or from how many bytes
        on), `follow_external_symlink_files`, `follow_external_symlink_dirs`. Raises ValueError when there is no such file or
        folder, or when it is not of the `resource_type` ("file" or "dir").
        """
        names = (index,) if isinstance(index, str) else tuple(index or ())
        handler = StaticFiles(location=file_or_directory, index=names, **options)
        if resource_type not in (None, "dir" if handler.is_folder else "file"):
            raise ValueError(f"{str(file_or_directory)!r} is not of the type {resource_type!r}")
        options = {"host": host, "strict_slashes": strict_slashes}
        if handler.is_folder:
            self.add_route(handler, f"{uri.rstrip('/')}/<path:path>", ("GET", "HEAD"), name=name, **options)
            if names or handler.directory_view:
                root = functools.partial(handler, path="")
                self.add_route(root, f"{uri.rstrip('/')}/", ("GET", "HEAD"), name=f"{name}_index", **options)
        else:
            self.add_route(handler, uri, ("GET", "HEAD"), name=name, **options)

    # Middleware

    def register_middleware(self, middleware: Middleware, attach_to: str = "request", *, priority: int = 0) -> Middleware:
        """Add middleware: `(request)` before the handler, or `(request, response)` after it."""
        self._check_open()
        if attach_to not in ("request", "response"):
            raise ValueError(f"middleware attaches to 'request' or 'response', not to {attach_to!r}")
        records = self.request_middleware if attach_to == "request" else self.response_middleware
        records.append(MiddlewareRecord(middleware, priority))
        return middleware

    def middleware(self, middleware_or_request: Any = "request", attach_to: str = "request", *, priority: int = 0) -> Any:
        """Decorator: `@app.middleware`, `@app.middleware("response")`."""
        if callable(middleware_or_request):
            return self.register_middleware(middleware_or_request, attach_to, priority=priority)
        return functools.partial(self.register_middleware, attach_to=middleware_or_request, priority=priority)

    def on_request(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Decorator: run before the handler; an answer other than None is the response."""
        if middleware is None:
            return functools.partial(self.on_request, priority=priority)
        return self.register_middleware(middleware, "request", priority=priority)

    def on_response(self, middleware: Any = None, *, priority: int = 0) -> Any:
        """Decorator: run after the handler; an answer other than None replaces the response."""
        if middleware is None:
            return functools.partial(self.on_response, priority=priority)
        return self.register_middleware(middleware, "response", priority=priority)

    # Dependencies

    def add_dependency(self, kind: Any, constructor: Callable[..., Any] | None = None, *, scope: Scope = "request") -> None:
        """Provide values of the type `kind` to whoever asks for one by annotation; see `fairlead.injection.providers`.

        Without a constructor the class itself is called. Raises ValueError for an unknown scope, TypeError for what is no class.
        """
        self._check_open()
        self.dependency_records.append(Dependency(kind, constructor, scope))

    def dependency(self, value: Any, *, kind: Any = None) -> None:
        """Provide this very object, under its own type or under `kind`."""
        self.add_dependency(type(value) if kind is None else kind, lambda: value, scope="singleton")

    # Exceptions

    def exception(self, *exceptions: type[BaseException] | Iterable[type[BaseException]]) -> Callable[[F], F]:
        """Decorator: `(request, exception)` gives the response for these exceptions and their subclasses."""
        kinds = [kind for given in exceptions for kind in ([given] if isinstance(given, type) else given)]

        def register(handler: F) -> F:
            self._check_open()
            for kind in kinds:
                self.error_handlers[kind] = handler
            return handler

        return register

    def all_exceptions(self, handler: F) -> F:
        """Decorator: `exception` for every exception."""
        return self.exception(Exception)(handler)

    # Signals

    def add_signal(
        self,
        handler: Callable[..., Any] | None,
        event: str,
        condition: Mapping[str, Any] | None = None,
        exclusive: bool = True,
        *,
        priority: int = 0,
    ) -> Callable[..., Any]:
        """Run a handler, plain or async, whenever an event is dispatched (see `fairlead.signals`).

        Without a handler the event merely becomes one that can be waited for. Raises `InvalidSignal`.
        """
        self._check_open()
        check_event(event)
        handler = handler or _ignore
        self.signal_records.append(SignalRecord(handler, str(event), condition, exclusive, priority))
        return handler

    def signal(
        self, event: str, *, condition: Mapping[str, Any] | None = None, exclusive: bool = True, priority: int = 0
    ) -> Callable[[F], F]:
        """Decorator of `add_signal`: `@app.signal("order.state.<state>")`."""

        def register(handler: F) -> F:
            self.add_signal(handler, event, condition, exclusive, priority=priority)
            return handler

        return register

    def catch_exception(self, handler: F) -> F:
        """Decorator: `(app, exception)` is told of every exception, in requests and tasks; it doesn't change the answer."""
        self.add_signal(lambda exception: handler(self, exception), Event.SERVER_EXCEPTION_REPORT)
        return handler

    report_exception = catch_exception

    # Listeners

    def register_listener(self, listener: Listener, event: str, *, priority: int = 0) -> Listener:
        """Add a listener for one of the events of `fairlead.lifecycle`."""
        self._check_open()
        self.listener_records.append((event, listener, priority))
        return listener

    def listener(self, listener_or_event: Any, event_or_none: str | None = None, *, priority: int = 0) -> Any:
        """Decorator: `@app.listener("before_server_start")`."""
        if callable(listener_or_event):
            return self.register_listener(listener_or_event, event_or_none or "", priority=priority)
        return functools.partial(self.register_listener, event=listener_or_event, priority=priority)

    def _listen(self, event: str, listener: Any, priority: int) -> Any:
        if listener is None:
            return functools.partial(self.register_listener, event=event, priority=priority)
        return self.register_listener(listener, event, priority=priority)

    def main_process_start(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: once, before anything else, where one process does everything; elsewhere a warning says so."""
        return self._listen("main_process_start", listener, priority)

    def main_process_stop(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: once, after everything else, in the process that serves alone."""
        return self._listen("main_process_stop", listener, priority)

    def main_process_ready(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: once, when the process that serves alone is ready."""
        return self._listen("main_process_ready", listener, priority)

    def reload_process_start(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: accepted for the sake of Sanic applications, and never run: what watches files imports no service."""
        return self._listen("reload_process_start", listener, priority)

    def reload_process_stop(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: accepted for the sake of Sanic applications, and never run: what watches files imports no service."""
        return self._listen("reload_process_stop", listener, priority)

    def before_reload_trigger(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: accepted for the sake of Sanic applications, and never run: what watches files imports no service."""
        return self._listen("before_reload_trigger", listener, priority)

    def after_reload_trigger(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: accepted for the sake of Sanic applications, and never run: what watches files imports no service."""
        return self._listen("after_reload_trigger", listener, priority)

    def before_server_start(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: in each worker, before it listens."""
        return self._listen("before_server_start", listener, priority)

    def after_server_start(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: in each worker, as soon as it listens."""
        return self._listen("after_server_start", listener, priority)

    def before_server_stop(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: in each worker, when its drain begins."""
        return self._listen("before_server_stop", listener, priority)

    def after_server_stop(self, listener: Any = None, *, priority: int = 0) -> Any:
        """Decorator: in each worker, when its requests have ended."""
        return self._listen("after_server_stop", listener, priority)


def _ignore() -> None:
    """The handler of an event that is only waited for."""


def _name_of(handler: Handler) -> str:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return getattr(handler, "__name__", None) or type(handler).__name__


def hosts_of(host: str | Iterable[str] | None) -> frozenset[str]:
    """The hosts that a route or a blueprint was given, as the router compares them."""
    if host is None:
        return frozenset()
    return frozenset(name.lower() for name in ([host] if isinstance(host, str) else host))


def _context(keywords: dict[str, Any]) -> SimpleNamespace:
    unknown = [name for name in keywords if not name.startswith("ctx_")]
    if unknown:
        raise TypeError(f"a route has no option {', '.join(unknown)}")
    return SimpleNamespace(**{name.removeprefix("ctx_"): value for name, value in keywords.items()})
