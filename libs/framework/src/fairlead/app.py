"""The application: what was registered, its configuration, its context, and the step that makes it ready to serve.

    app = App("hello")

    @app.get("/")
    async def hello(request):
        return text("Hello")

`finalise` turns the records of the application and its blueprints into a router and a dispatcher, once. The server never sees
this class: it is given the dispatcher.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from types import SimpleNamespace
from typing import Any, Generic, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

from fairlead.blueprint import Blueprint, BlueprintGroup, Placement
from fairlead.composition import compose
from fairlead.config import Config
from fairlead.dispatch import Dispatcher
from fairlead.errors import URLBuildError
from fairlead.extension import route_middleware
from fairlead.health import Health
from fairlead.lifecycle import Lifecycle
from fairlead.registrar import MiddlewareRecord, Registrar, RouteRecord, hosts_of
from fairlead.routing import Route, Router
from fairlead.routing.pattern import Parameter
from fairlead.tasks import TaskRegistry, TaskSource
from fairlead.types import Middleware

ConfigT = TypeVar("ConfigT", bound=Config)
CtxT = TypeVar("CtxT")
R = TypeVar("R")
P = ParamSpec("P")

logger = logging.getLogger("fairlead.app")


class App(Registrar, Generic[ConfigT, CtxT]):
    """An application. `App[Config, Ctx]` tells type checkers what `config` and `ctx` are."""

    config: ConfigT
    ctx: CtxT

    def __init__(
        self,
        name: str,
        config: ConfigT | Mapping[str, Any] | None = None,
        ctx: CtxT | None = None,
        *,
        strict_slashes: bool = False,
    ) -> None:
        super().__init__(name, strict_slashes=strict_slashes)
        self.config = config if isinstance(config, Config) else Config(config)  # type: ignore[assignment]
        self.ctx = ctx if ctx is not None else SimpleNamespace()  # type: ignore[assignment]
        self.router = Router()
        self.health = Health()
        self.lifecycle = Lifecycle()
        self.tasks = TaskRegistry()
        self.blueprints: dict[str, Blueprint] = {}
        self._placements: list[Placement] = []
        self._dispatcher: Dispatcher | None = None

    def __repr__(self) -> str:
        return f"App(name={self.name!r})"

    @property
    def debug(self) -> bool:
        """Whether error pages show what went wrong inside."""
        return bool(self.config.DEBUG)

    # Blueprints

    def blueprint(
        self,
        blueprint: Blueprint | BlueprintGroup | list[Blueprint | BlueprintGroup] | tuple[Blueprint | BlueprintGroup, ...],
        *,
        url_prefix: str | None = None,
        version: int | float | str | None = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
        name_prefix: str | None = None,
    ) -> None:
        """Add a blueprint, a group, or several. Raises ValueError for a second blueprint of one name."""
        self._check_open()
        members = list(blueprint) if isinstance(blueprint, (list, tuple)) else [blueprint]
        group = BlueprintGroup(
            members,
            url_prefix=url_prefix,
            version=version,
            strict_slashes=strict_slashes,
            version_prefix=version_prefix,
            name_prefix=name_prefix,
        )
        for placement in group.placements():
            if self.blueprints.get(placement.name, placement.blueprint) is not placement.blueprint:
                raise ValueError(f"there are two blueprints of the name {placement.name!r}")
            self.blueprints[placement.name] = placement.blueprint
            self._placements.append(placement)

    # Ready to serve

    @property
    def dispatcher(self) -> Dispatcher:
        """What the server serves. Raises RuntimeError before `finalise`."""
        if self._dispatcher is None:
            raise RuntimeError(f"{self.name!r} is not finalised")
        return self._dispatcher

    def finalise(self) -> Dispatcher:
        """Build router, middleware and dispatcher from what was registered; after this nothing can be added.

        Safe to call again. Raises TypeError, ValueError or `RouteExists` for registrations that contradict each other.
        """
        if self._dispatcher is not None:
            return self._dispatcher
        config = self.config
        dispatcher = Dispatcher(
            self, self.router, self.error_handlers, debug=config.DEBUG, error_format=config.FALLBACK_ERROR_FORMAT
        )
        for record in self.route_records:
            self._add(record, None, dispatcher)
        for placement in self._placements:
            dispatcher.add_blueprint_errors(placement.blueprint, placement.blueprint.error_handlers)
            for record in placement.blueprint.route_records:
                self._add(record, placement, dispatcher)
        seen: set[int] = set()
        for registrar in (self, *(placement.blueprint for placement in self._placements)):
            if id(registrar) not in seen:
                seen.add(id(registrar))
                for event, listener, priority in registrar.listener_records:
                    self.lifecycle.add(event, listener, priority)
            registrar._final = True
        compose(dispatcher.missing, *self._middleware(None), dispatcher.fail, max_body_bytes=config.REQUEST_MAX_SIZE)
        self.router.finalise()
        self._dispatcher = dispatcher
        return dispatcher

    def _add(self, record: RouteRecord, placement: Placement | None, dispatcher: Dispatcher) -> None:
        blueprint = placement.blueprint if placement is not None else None
        path = _path_of(record, placement)
        strict = next(
            given
            for given in (record.strict_slashes, placement.strict_slashes if placement else None, self.strict_slashes, False)
            if given is not None
        )
        hosts = record.hosts
        if not hosts and blueprint is not None and blueprint.host:
            hosts = hosts_of(blueprint.host)
        route = Route(
            ".".join([self.name, *([placement.name] if placement else []), record.name]),
            path,
            self.router.parse(path),
            record.methods,
            record.handler,
            strict=strict,
            stream=record.stream,
            hosts=hosts,
            is_websocket=record.is_websocket,
            error_format=record.error_format,
            blueprint=blueprint,
            ctx=record.ctx,
            options=_websocket_options(self.config, record.options) if record.is_websocket else record.options,
        )
        route.max_body_bytes = record.max_body_bytes
        before, after = self._middleware(blueprint, record.handler) if record.apply else ([], [])
        compose(route, before, after, dispatcher.fail, max_body_bytes=self.config.REQUEST_MAX_SIZE)
        self.router.add(route)

    def _middleware(self, blueprint: Blueprint | None, handler: Any = None) -> tuple[list[Middleware], list[Middleware]]:
        """Request middleware in order of registration, the application's first, the handler's own last; response middleware in
        reverse (Sanic's order)."""
        owners: list[Registrar] = [self, *([blueprint] if blueprint is not None else [])]
        before = [record for owner in owners for record in owner.request_middleware] + route_middleware(handler, "request")
        after = [record for owner in owners for record in owner.response_middleware] + route_middleware(handler, "response")
        return _by_priority(before), _by_priority(after)[::-1]

    # Lifecycle, called by the worker and by the test client

    async def startup(self) -> None:
        """Run the `before_server_start` listeners, then start the tasks that were added while the application was built."""
        self.tasks.open()
        await self.lifecycle.run("before_server_start", self)
        self.tasks.start(self)

    async def started(self) -> None:
        """Run the `after_server_start` listeners."""
        await self.lifecycle.run("after_server_start", self)

    async def stopping(self) -> None:
        """Run the `before_server_stop` listeners."""
        await self.lifecycle.run("before_server_stop", self)

    async def shutdown(self, timeout_s: float = 5.0) -> None:
        """Cancel the background tasks and wait for them, then run the `after_server_stop` listeners."""
        await self.tasks.shutdown(timeout_s)
        await self.lifecycle.run("after_server_stop", self)

    # Tasks and threads

    def add_task(self, task: TaskSource, *, name: str | None = None) -> asyncio.Task[Any] | None:
        """Run a coroutine, or a function that takes the app, in the background; before the start it waits for the loop.

        Raises ValueError when a task of that name is running.
        """
        return self.tasks.add(task, name, self)

    def get_task(self, name: str) -> asyncio.Task[Any] | None:
        """The task of a name."""
        return self.tasks.get(name)

    async def cancel_task(self, name: str, msg: str | None = None) -> None:
        """Cancel a task and wait for its end."""
        await self.tasks.cancel(name, msg)

    def purge_tasks(self) -> None:
        """Forget tasks that are over."""
        self.tasks.purge()

    async def run_blocking(self, function: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
        """Call a function that blocks in a thread, with this request's context, and wait for its result (mission P1)."""
        call = partial(copy_context().run, partial(function, *arguments, **named))
        return await asyncio.get_running_loop().run_in_executor(None, call)

    # URLs

    def url_for(self, view_name: str, **values: Any) -> str:
        """The URL of a route: path parameters by name, other values become the query.

        `_external`, `_scheme`, `_server`, `_anchor` as in Sanic. Raises `URLBuildError` (500).
        """
        self.finalise()
        route = self.router.routes_by_name.get(view_name) or self.router.routes_by_name.get(f"{self.name}.{view_name}")
        if route is None:
            raise URLBuildError(f"there is no route named {view_name!r}")
        anchor, scheme = values.pop("_anchor", ""), values.pop("_scheme", "") or self.config.URL_SCHEME
        server, external = values.pop("_server", "") or self.config.SERVER_NAME, values.pop("_external", False)
        values.pop("_method", None)
        path = _build_path(route, values)
        if values:
            path += "?" + urlencode(values, doseq=True)
        if anchor:
            path += "#" + quote(anchor)
        if not external:
            return path
        if not server:
            raise URLBuildError("an external URL needs _server or SERVER_NAME")
        return f"{scheme}://{server}{path}" if "://" not in server else server + path

    # Serving

    @property
    def test_client(self) -> Any:
        """A client that calls this application in memory: `request, response = app.test_client.get("/")`."""
        from fairlead.testing import SanicStyleClient

        return SanicStyleClient(self)

    def run(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        """Serve in this process until SIGINT or SIGTERM, then exit. For several workers use `fairlead serve module:app`."""
        from fairlead.workers import serve

        raise SystemExit(serve(self, host=host, port=port, **options))


def _websocket_options(config: Config, own: dict[str, Any]) -> dict[str, Any]:
    """The WEBSOCKET_ configuration, changed by what the route says of itself."""
    return {
        "subprotocols": own["subprotocols"],
        "compression": own.get("compression", config.WEBSOCKET_COMPRESSION),
        "origins": tuple(own.get("origins", config.WEBSOCKET_ORIGINS)),
        "max_size": own.get("max_size", config.WEBSOCKET_MAX_SIZE),
        "max_queue": own.get("max_queue", config.WEBSOCKET_MAX_QUEUE),
        "ping_interval_s": own.get("ping_interval", config.WEBSOCKET_PING_INTERVAL) or None,
        "ping_timeout_s": own.get("ping_timeout", config.WEBSOCKET_PING_TIMEOUT) or None,
        "close_timeout_s": config.WEBSOCKET_TIMEOUT,
    }


def _by_priority(records: list[MiddlewareRecord]) -> list[Middleware]:
    return [record.function for record in sorted(records, key=lambda record: -record.priority)]


def _path_of(record: RouteRecord, placement: Placement | None) -> str:
    path = record.uri if record.uri.startswith("/") or not record.uri else f"/{record.uri}"
    version, version_prefix = record.version, record.version_prefix
    if placement is not None:
        path = placement.prefix.rstrip("/") + path
        version = version if version is not None else placement.version
        version_prefix = version_prefix if version_prefix is not None else placement.version_prefix
    if version is not None:
        path = f"{'/v' if version_prefix is None else version_prefix}{str(version).removeprefix('v')}{path}"
    return path if path.startswith("/") else f"/{path}"


def _build_path(route: Route, values: dict[str, Any]) -> str:
    segments: list[str] = []
    for segment in route.segments:
        if not isinstance(segment, Parameter):
            segments.append(segment.decode())
            continue
        if segment.name not in values:
            raise URLBuildError(f"the route {route.name!r} needs the parameter {segment.name!r}")
        text = str(values.pop(segment.name))
        try:
            segment.type.convert(text)
        except ValueError:
            raise URLBuildError(f"{text!r} is no {segment.type.label} for the parameter {segment.name!r}") from None
        segments.append(quote(text, safe="/" if segment.type.label == "path" else ""))
    return "/" + "/".join(segments)
