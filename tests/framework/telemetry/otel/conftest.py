"""Tracing as a worker begins it, with spans that stay in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fairlead import App
from fairlead.telemetry import tracing
from fairlead.telemetry.metrics import RequestMetrics
from fairlead.telemetry.observer import compose
from fairlead.telemetry.otel.engine import OtelEngine
from fairlead.telemetry.otel.exporter import Completing
from fairlead.telemetry.otel.sampling import DrawnIds, sampling_from


class Traces:
    """An engine, and the spans that it has finished."""

    def __init__(self, **environ: str) -> None:
        ids, self._memory = DrawnIds(), InMemorySpanExporter()
        self.provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
        processor = SimpleSpanProcessor(Completing(self._memory, self.provider.resource))
        self.provider.add_span_processor(processor)
        self.metrics = RequestMetrics()
        self.engine = OtelEngine(self.provider, sampling_from(environ), ids, processor, self.metrics.add_exemplar)

    def watch(self, app: App[Any, Any]) -> App[Any, Any]:
        """Trace the requests of an app that is about to be served."""
        dispatcher = app.finalise()
        dispatcher.tracer, dispatcher.observer = self.engine, compose(self.metrics)
        return app

    @property
    def finished(self) -> list[ReadableSpan]:
        """Every span that has ended, in that order."""
        return list(self._memory.get_finished_spans())


@pytest.fixture
async def trace() -> AsyncIterator[Callable[..., Traces]]:
    """`trace(OTEL_TRACES_SAMPLER="always_on")` begins tracing in the test's task; it ends with the test."""
    begun: list[tuple[Traces, Any]] = []

    def begin(**environ: str) -> Traces:
        traces = Traces(**environ)
        tracing.begin(traces.engine)
        begun.append((traces, otel_context.attach(traces.engine.ambient)))
        return traces

    yield begin
    tracing.end()
    for traces, token in begun:
        otel_context.detach(token)
        traces.provider.shutdown()
