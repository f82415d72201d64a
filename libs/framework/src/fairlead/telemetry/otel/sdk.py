"""The OpenTelemetry SDK from the standard variables, and nothing but them.

| variable | |
|---|---|
| `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_TRACES_ENDPOINT`, `…_METRICS_…`, `…_LOGS_…` | where to; any of these, or the next, turns it on |
| `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER` | `otlp`, `console`, `none`, or any that is installed |
| `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_traceidratio`, `0.01` … |
| `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the service's name is the application's otherwise |
| `OTEL_PROPAGATORS`, `OTEL_BSP_…`, `OTEL_BLRP_…`, `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_SDK_DISABLED` … | as everywhere |

Begun in a worker that runs already, so nothing is ever forked with it, and every worker has a `service.instance.id` of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
import uuid
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from fairlead.errors import ConfigurationError
from fairlead.telemetry import tracing
from fairlead.telemetry.otel import wants
from fairlead.telemetry.otel.engine import Note, OtelEngine
from fairlead.telemetry.otel.exporter import Completing, completing
from fairlead.telemetry.otel.push import MetricsPush
from fairlead.telemetry.otel.sampling import DrawnIds, sampling_from

if TYPE_CHECKING:
    from fairlead.telemetry.logging import LogStream
    from fairlead.telemetry.otel.logs import LogExport

__all__ = ["OpenTelemetry"]

logger = logging.getLogger("fairlead.telemetry")

CLIENTS = {"asyncpg": "AsyncPGInstrumentor", "httpx": "HTTPXClientInstrumentor", "redis": "RedisInstrumentor"}
"""The libraries whose calls become client spans, and the class that sees to it."""

LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
)
"""The SDK's limits on what a span may hold; with one of them it makes every span itself."""

Signal = Literal["traces", "metrics", "logs"]


class OpenProvider(TracerProvider):
    """The process's provider; a processor that the service adds sees the spans of requests from their begin."""

    engine: OtelEngine | None = None

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """As the SDK's."""
        super().add_span_processor(span_processor)
        if self.engine is not None:
            self.engine.opens_at_once = True


class OpenTelemetry:
    """What the variables ask for, in this process. `begin` before the application starts, `end` after it has stopped."""

    def __init__(self, service: str, *, version: str = "", environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._resource = _resource(service, version)
        self._provider: OpenProvider | None = None
        self._instrumentors: list[Any] = []
        self._push: MetricsPush | None = None
        self.logs: LogExport | None = None
        """None unless logs are wanted."""
        self.engine: OtelEngine | None = None
        """None unless traces are wanted."""
        self.spans: Completing | None = None
        """Where their spans go; None likewise."""

    def begin(self, note: Note, stream: LogStream | None = None) -> None:
        """Make providers and exporters, and instrument the clients that are loaded. `note` is told of each traced request;
        `stream` is the one whose events are the process's logs, None where somebody else has configured them.

        Call it in the task that starts the application and its server: they inherit the context that is set here. Raises
        `ConfigurationError` for an exporter that is not installed.
        """
        if wants("metrics", self._environ):
            self._push = MetricsPush(_exporter("metrics", self._environ), self._resource, self._environ)
            self._push.begin()
        if wants("traces", self._environ):
            self._begin_traces(note)
        if wants("logs", self._environ):
            from fairlead.telemetry.otel.logs import LogExport

            self.logs = LogExport(_exporter("logs", self._environ), self._resource, self._environ)
            self.logs.begin(stream)

    def _begin_traces(self, note: Note) -> None:
        ids = DrawnIds()
        self._provider = provider = OpenProvider(resource=self._resource, id_generator=ids)
        self.spans = completing(_exporter("traces", self._environ), self._resource)
        processor = BatchSpanProcessor(self.spans)
        provider.add_span_processor(processor)
        trace.set_tracer_provider(provider)
        self.engine = provider.engine = OtelEngine(provider, sampling_from(self._environ), ids, processor, note)
        self.engine.opens_at_once |= any(self._environ.get(name, "").strip() for name in LIMITS)
        tracing.begin(self.engine)
        otel_context.attach(self.engine.ambient)
        os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
        for library, name in CLIENTS.items():
            if library in sys.modules:
                module = importlib.import_module(f"opentelemetry.instrumentation.{library}")
                instrumentor = getattr(module, name)()
                instrumentor.instrument(tracer_provider=provider)
                self._instrumentors.append(instrumentor)

    async def end(self, timeout_s: float) -> None:
        """Hand over what is left, and stop; at most `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                if self._push is not None:
                    await self._push.end()
                if self._provider is not None:
                    await asyncio.to_thread(self._provider.shutdown)
                if self.logs is not None:
                    await asyncio.to_thread(self.logs.shutdown)
        except TimeoutError:
            logger.warning("traces, metrics or logs could not be handed over in time")
        tracing.end()
        for instrumentor in self._instrumentors:
            instrumentor.uninstrument()


def _resource(service: str, version: str) -> Resource:
    """Who this is. What the environment says wins, except that each worker must be an instance of its own."""
    given = OTELResourceDetector().detect().attributes
    instance = given.get("service.instance.id")
    own_instance = f"{instance!s}/{os.getpid()}" if instance else str(uuid.uuid4())
    known: dict[str, str | int] = {"service.name": service, "service.version": version, "process.pid": os.getpid()}
    missing = {name: value for name, value in known.items() if value != "" and name not in given}
    return Resource.create({**missing, "service.instance.id": own_instance})


def _exporter(signal: Signal, environ: Mapping[str, str]) -> Any:
    """The exporter that the environment names; OTLP over HTTP otherwise."""
    name = environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() or "otlp"
    if name == "otlp":
        names = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((environ[one] for one in names if environ.get(one)), "http/protobuf").strip().lower()
        name = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}.get(protocol, protocol)
    found = list(entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    if not found:
        raise ConfigurationError(f"OTEL_{signal.upper()}_EXPORTER: there is no exporter {name!r} installed")
    return found[0].load()()
