"""From records to something that can be served: what `App.finalise` does, once.

Every route is placed (blueprint, groups, version, slashes, hosts), given its middleware, and composed into one callable; listeners,
signals and error handlers are collected from the application and its blueprints.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, get_type_hints
from uuid import UUID

from fairlead.blueprint import Blueprint, Placement
from fairlead.composition import compose
from fairlead.config import Config
from fairlead.dispatch import Dispatcher
from fairlead.extension import route_middleware
from fairlead.records import MiddlewareRecord, RouteRecord
from fairlead.registrar import Registrar, hosts_of
from fairlead.routing import Route
from fairlead.routing.pattern import Segment
from fairlead.signals import Event
from fairlead.types import Middleware

if TYPE_CHECKING:
    from fairlead.app import App


class Assembly:
    """The work of one `finalise`. `build` may be called once."""

    def __init__(self, app: App[Any, Any], placements: list[Placement]) -> None:
        self._app = app
        self._placements = placements
        self._config: Config = app.config
        self._dispatcher = Dispatcher(app, app.router, app.error_handler, app.request_class)

    def build(self) -> Dispatcher:
        """Raises TypeError, ValueError or `RouteExists` for registrations that contradict each other."""
        app, dispatcher = self._app, self._dispatcher
        self._collect()
        app.injector.prepare()
        self._add_signals()
        for record in app.route_records:
            self._add_route(record, None)
        for placement in self._placements:
            for record in placement.blueprint.route_records:
                self._add_route(record, placement)
        before, after = self._middleware(None)
        compose(
            dispatcher.missing,
            before,
            after,
            dispatcher.fail,
            max_body_bytes=self._config.limits().upload_limit,
            signals=dispatcher.signals,
        )
        app.router.finalise()
        return dispatcher

    def _collect(self) -> None:
        """Listeners, signals, dependencies and error handlers, each blueprint's once, however often it is placed."""
        blueprints = list({id(placement.blueprint): placement.blueprint for placement in self._placements}.values())
        for registrar in (self._app, *blueprints):
            blueprint = registrar if isinstance(registrar, Blueprint) else None
            for event, listener, priority in registrar.listener_records:
                self._app.lifecycle.add(event, listener, priority)
            for record in registrar.signal_records:
                self._app.signals.add(record, blueprint)
            for dependency in registrar.dependency_records:
                self._app.injector.add(dependency)
            if blueprint is not None:
                self._dispatcher.add_blueprint_errors(blueprint, blueprint.error_handlers)
            registrar._final = True
        for placement in self._placements:
            if placement.blueprint.error_handlers and placement.prefix.strip("/"):
                prefix = self._app.router.parse(prefix_of(placement))
                self._dispatcher.add_blueprint_prefix(placement.blueprint, prefix, hosts_of(placement.blueprint.host))

    def _add_signals(self) -> None:
        """The built-in events that somebody listens to find their way into dispatcher, tasks and server."""
        app, signals = self._app, self._app.signals
        report = app._report if signals.emitter(Event.SERVER_EXCEPTION_REPORT) is not None else None
        app.tasks.on_failure = report
        if report is not None or signals.has_namespace("http", "websocket"):
            from fairlead.request_signals import RequestSignals  # an application that listens to none doesn't load this

            self._dispatcher.signals = RequestSignals(signals, report)
        taps = {
            name: _tell(app, event, argument) if signals.emitter(event) is not None else None for name, event, argument in _TAPPED
        }
        if any(taps.values()):
            from fairlead.taps import Taps

            self._dispatcher.taps = Taps(**taps)

    def _add_route(self, record: RouteRecord, placement: Placement | None) -> None:
        app = self._app
        blueprint = placement.blueprint if placement is not None else None
        path = path_of(record, placement)
        strict = next(
            given
            for given in (record.strict_slashes, placement.strict_slashes if placement else None, app.strict_slashes, False)
            if given is not None
        )
        route = Route(
            name_of(app, record, placement),
            path,
            app.router.parse(path),
            record.methods,
            record.handler,
            strict=strict,
            stream=record.stream,
            hosts=hosts_of_record(record, placement),
            is_websocket=record.is_websocket,
            error_format=record.error_format,
            blueprint=blueprint,
            ctx=record.ctx,
            options=websocket_options(self._config, record.options) if record.is_websocket else record.options,
        )
        route.max_body_bytes = record.max_body_bytes
        route.body_timeout_s = record.body_timeout_s
        route.response_timeout_s = record.response_timeout_s
        route.on_disconnect = record.on_disconnect
        named = self._named(route.name)
        before, after = self._middleware(blueprint, record.view, record.handler, named=named, inherited=record.apply)
        route.before = tuple(before)
        compose(
            route,
            before,
            after,
            self._dispatcher.fail,
            max_body_bytes=self._config.limits().upload_limit,
            injector=app.injector,
            signals=self._dispatcher.signals,
        )
        app.router.add(route)

    def _named(self, route_name: str) -> dict[str, list[MiddlewareRecord]]:
        """The middleware that was registered for this very route."""
        found: dict[str, list[MiddlewareRecord]] = {"request": [], "response": []}
        for names, attach_to, record in self._app.named_middleware:
            if route_name.removeprefix(f"{self._app.name}.") in names:
                found[attach_to].append(record)
        return found

    def _middleware(
        self,
        blueprint: Blueprint | None,
        *handlers: Any,
        named: dict[str, list[MiddlewareRecord]] | None = None,
        inherited: bool = True,
    ) -> tuple[list[Middleware], list[Middleware]]:
        """Request middleware in order of registration, the application's first, the handler's own last; response middleware in
        reverse (Sanic's order). A websocket with `apply=False` inherits none; what was put on its handler stays, guards above all.
        """
        owners: list[Registrar] = [self._app, *([blueprint] if blueprint is not None else [])] if inherited else []
        before = [record for owner in owners for record in owner.request_middleware]
        after = [record for owner in owners for record in owner.response_middleware]
        if named is not None and inherited:
            before += named["request"]
            after += named["response"]
        for handler in handlers:
            before += route_middleware(handler, "request")
            after += route_middleware(handler, "response")
        return _by_priority(before), _by_priority(after)[::-1]


@dataclass(frozen=True, slots=True)
class PlannedRoute:
    """What a record will be when the application is finalised, as far as URLs are concerned."""

    segments: list[Segment]
    hosts: frozenset[str]
    methods: frozenset[str]


def places_of(app: App[Any, Any], placements: list[Placement]) -> dict[str, PlannedRoute]:
    """Every route's place by its full name, before the application is finalised."""
    recorded: list[tuple[Placement | None, RouteRecord]] = [(None, record) for record in app.route_records]
    recorded += [(placement, record) for placement in placements for record in placement.blueprint.route_records]
    return {
        name_of(app, record, placement): PlannedRoute(
            app.router.parse(path_of(record, placement)), hosts_of_record(record, placement), record.methods
        )
        for placement, record in reversed(recorded)
    }


def name_of(app: App[Any, Any], record: RouteRecord, placement: Placement | None) -> str:
    """`app.route`, or `app.blueprint.route`."""
    return ".".join([app.name, *([placement.name] if placement else []), record.name])


def hosts_of_record(record: RouteRecord, placement: Placement | None) -> frozenset[str]:
    """The route's own hosts, or its blueprint's."""
    return record.hosts or hosts_of(placement.blueprint.host if placement is not None else None)


_INFERRED = {int: "int", float: "float", str: "str", UUID: "uuid", date: "ymd"}
_UNTYPED = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")


def _typed_by_handler(path: str, handler: Any) -> str:
    """The path with a type for each parameter that has none, from the handler's annotations: as in Sanic, a wrong value is 404."""
    if _UNTYPED.search(path) is None:
        return path
    try:
        hints = get_type_hints(inspect.unwrap(handler))
    except (NameError, TypeError):
        return path

    def typed(found: re.Match[str]) -> str:
        label = _INFERRED.get(hints.get(found[1], str))
        return found[0] if label in (None, "str") else f"<{found[1]}:{label}>"

    return _UNTYPED.sub(typed, path)


_TAPPED = (
    ("begin", Event.HTTP_LIFECYCLE_BEGIN, "conn_info"),
    ("complete", Event.HTTP_LIFECYCLE_COMPLETE, "conn_info"),
    ("send", Event.HTTP_LIFECYCLE_SEND, "data"),
)


def _tell(app: App[Any, Any], event: Event, argument: str) -> Any:
    """A function for the server, which waits for nobody: sends the event in the background."""
    return lambda value: app.tasks.spawn(app.signals.dispatch(event, {argument: value}), f"signal {event}")


def websocket_options(config: Config, own: dict[str, Any]) -> dict[str, Any]:
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
        "frame_timeout_s": config.WEBSOCKET_FRAME_TIMEOUT,
        "max_pings": config.WEBSOCKET_MAX_PINGS,
    }


def _by_priority(records: list[MiddlewareRecord]) -> list[Middleware]:
    return [record.function for record in sorted(records, key=lambda record: -record.priority)]


def prefix_of(placement: Placement) -> str:
    """What the paths of a placed blueprint begin with."""
    record = RouteRecord(handler=_no_handler, uri="", methods=frozenset(), name="")
    return path_of(record, placement).rstrip("/")


def _no_handler() -> None:
    """Stands where a record needs a handler."""


def path_of(record: RouteRecord, placement: Placement | None) -> str:
    """The whole path of a record at its place: prefixes and version included."""
    path = record.uri if record.uri.startswith("/") or not record.uri else f"/{record.uri}"
    version, version_prefix = record.version, record.version_prefix
    if placement is not None:
        path = placement.prefix.rstrip("/") + path
        version = version if version is not None else placement.version
        version_prefix = version_prefix if version_prefix is not None else placement.version_prefix
    if version is not None:
        path = f"{'/v' if version_prefix is None else version_prefix}{str(version).removeprefix('v')}{path}"
    return _typed_by_handler(path if path.startswith("/") else f"/{path}", record.handler)
