"""What a process under an ASGI server tells of itself: the numbers, lines and spans that it has on our own server.

Begun at `lifespan.startup` and ended after `lifespan.shutdown`, so a server whose lifespan is off has none, and neither has an
application that is mounted in another, which counts its requests already.

- Metrics are counted always. They are read at a route that `expose_metrics` adds, or pushed by the `OTEL_` variables.
- Spans and OTLP logs by the `OTEL_` variables. Where a span is the current one as a request comes (the server's instrumentation,
  a middleware around the application), it is joined; where the SDK was set up by somebody else, ours stays out.
- The access log is written where `fairlead.telemetry.logging.configure` was called; else the logs are the server's.

Contexts are why `enter` exists: servers make a task for each request, whose context is not the one in which we were started.
"""

from __future__ import annotations

import sys
from contextvars import Token
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from fairlead.app import App
from fairlead.asgi.exchange import Shared
from fairlead.dispatch import Dispatcher
from fairlead.errors import ConfigurationError, Unauthorized
from fairlead.request import Request
from fairlead.response import HTTPResponse, raw
from fairlead.telemetry.composed import begin_opentelemetry, observer_of
from fairlead.telemetry.instruments import Collector
from fairlead.telemetry.logging import current_stream
from fairlead.telemetry.metrics import RequestMetrics, negotiate, registry, render
from fairlead.telemetry.process_metrics import ProcessMetrics
from fairlead.telemetry.server_metrics import ServerMetrics

if TYPE_CHECKING:
    from fairlead.telemetry.otel.engine import OtelEngine
    from fairlead.telemetry.otel.joined import JoinedSpan

__all__ = ["AsgiTelemetry", "expose_metrics"]

END_S = 3.0
"""For the last spans, records and numbers, when the application has stopped."""

MIN_TOKEN_LENGTH = 16


def expose_metrics(app: App[Any, Any], *, token: str, path: str = "/metrics") -> None:
    """Answer `GET path` with the metrics of this process, for whoever sends `Authorization: Bearer <token>`; 401 for others.

    For ASGI servers, which have no management port; each process counts for itself. Raises `ConfigurationError` for a token of less
    than 16 characters.
    """
    if len(token) < MIN_TOKEN_LENGTH:
        raise ConfigurationError(f"the token of the metrics has less than {MIN_TOKEN_LENGTH} characters")
    expected = f"Bearer {token}".encode()

    async def metrics(request: Request[Any, Any]) -> HTTPResponse:
        if not compare_digest(request.headers.get("authorization", "").encode("latin-1"), expected):
            raise Unauthorized("These metrics take a token", scheme="Bearer", realm="metrics")
        content_type = negotiate(request.headers.get("accept"))
        return raw(render(registry.snapshot(), content_type), headers={"cache-control": "no-store"}, content_type=content_type)

    app.add_route(metrics, path, methods=("GET",), name="fairlead_metrics")


class AsgiTelemetry:
    """`begin` before the application starts, `end` when it has stopped; `enter` and `leave` around each request."""

    def __init__(self, app: App[Any, Any], shared: Shared) -> None:
        self._app = app
        self._requests = RequestMetrics()
        self._process = ProcessMetrics()
        self._server = ServerMetrics(shared)
        self._collectors: list[Collector] = []
        self._otel: Any = None
        self._engine: OtelEngine | None = None
        self._dispatcher: Dispatcher | None = None

    def begin(self) -> None:
        """Count, and trace as the environment says. Raises `ConfigurationError` for an exporter that is not installed."""
        stream = current_stream()
        if not _is_set_up_elsewhere():
            self._otel = begin_opentelemetry(self._app.name, stream, self._requests)
        self._dispatcher = dispatcher = self._app.dispatcher
        if self._otel is not None and self._otel.engine is not None:
            self._engine = self._otel.engine
            dispatcher.tracer = _Tracer(self._engine)
        dispatcher.observer = observer_of(self._app.config, stream, self._requests, self._otel)
        self._collectors = [self._requests, self._server, self._process, *([stream] if stream is not None else [])]
        for collector in self._collectors:
            registry.add(collector)
        self._process.begin()

    async def end(self) -> None:
        """Hand over what is left; the process is as before. What did not begin has nothing to end."""
        if self._otel is not None:
            await self._otel.end(END_S)
            if self._otel.spans is not None:
                registry.remove(self._otel.spans)
            if self._otel.logs is not None:
                registry.remove(self._otel.logs)
        for collector in self._collectors:
            registry.remove(collector)
        self._process.end()
        if self._dispatcher is not None:
            self._dispatcher.observer = self._dispatcher.tracer = None

    def enter(self, request: Request[Any, Any]) -> JoinedSpan | Token[Any] | None:
        """Join the span that is around us; else let code inside the request see its own. `leave` takes what this gives."""
        if "opentelemetry.trace" not in sys.modules:
            return None
        from opentelemetry import context

        from fairlead.telemetry.otel.joined import join

        joined = join(request)
        if joined is not None or self._engine is None:
            return joined
        return context.attach(self._engine.ambient)

    def leave(self, request: Request[Any, Any], entered: JoinedSpan | Token[Any]) -> None:
        """The request has been handled."""
        if isinstance(entered, Token):
            from opentelemetry import context

            context.detach(entered)
        else:
            entered.finish(request)


class _Tracer:
    """The engine, but for requests that have joined a span."""

    def __init__(self, engine: OtelEngine) -> None:
        self.gap = engine.gap
        self._begin = engine.begin

    def begin(self, request: Request[Any, Any]) -> None:
        if request.span is None:
            self._begin(request)


def _is_set_up_elsewhere() -> bool:
    """Whether there is a tracer provider that is not ours: `opentelemetry-instrument`, or the service's own code."""
    if "opentelemetry.trace" not in sys.modules:
        return False
    from opentelemetry import trace

    return type(trace.get_tracer_provider()).__module__.startswith("opentelemetry.sdk")
