"""fairlead.telemetry.otel.sdk: the standard variables turn traces and metrics on, and the end hands the last ones over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.util._once import Once

from fairlead import App, text
from fairlead.telemetry import tracing
from fairlead.telemetry.instruments import registry
from fairlead.telemetry.metrics import RequestMetrics
from fairlead.telemetry.observer import compose
from fairlead.telemetry.otel.sdk import OpenTelemetry
from fairlead.testing import AsyncTestClient
from fairlead.testing.otlp import OtlpReceiver

LEVEL = registry.gauge("tests_sdk_level", "A number to be pushed.")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    """A collector, named in the environment, and a process that has no tracer yet."""
    with OtlpReceiver() as receiver:
        for name, value in receiver.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
        yield receiver


async def _serve_one(notes: list[Any], processor: SpanProcessor | None = None) -> None:
    """As a worker does: begin, serve, end."""
    send = httpx.AsyncHTTPTransport.handle_async_request
    telemetry = OpenTelemetry("shop", version="1.2")
    telemetry.begin(lambda *note: notes.append(note))
    if processor is not None:
        trace.get_tracer_provider().add_span_processor(processor)  # type: ignore[attr-defined]
    assert httpx.AsyncHTTPTransport.handle_async_request is not send
    app: App[Any, Any] = App("observed")
    app.add_route(lambda request: text("seen"), "/", name="one")
    dispatcher = app.finalise()
    dispatcher.tracer, dispatcher.observer = telemetry.engine, compose(RequestMetrics())
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).text == "seen"
    await telemetry.end(10)
    assert httpx.AsyncHTTPTransport.handle_async_request is send


async def test_from_the_variables_to_the_collector(receiver: OtlpReceiver) -> None:
    """K10: with an endpoint alone, spans and metrics arrive under the application's name; the clients are as before at the end."""
    LEVEL.set(3)
    notes: list[Any] = []
    await asyncio.create_task(_serve_one(notes))  # the context that is set there ends with it
    (span,) = [span for span in receiver.spans if span.name == "GET /"]
    assert (span.resource["service.name"], span.resource["service.version"]) == ("shop", "1.2")
    assert [(note[1], note[3].trace_id) for note in notes] == [(200, span.trace_id)]
    assert {one.value for one in receiver.metrics if one.name == "tests_sdk_level"} == {3}
    assert tracing.current_traceparent() == ""


async def test_a_processor_of_the_services_own(receiver: OtlpReceiver) -> None:
    """It sees the spans of requests from their begin to their end, as it would of any application's; the collector has them too."""
    seen: list[tuple[str, str]] = []

    class Seeing(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            span.set_attribute("tenant", "acme")
            seen.append(("begin", span.attributes["url.path"]))

        def on_end(self, span: ReadableSpan) -> None:
            seen.append(("end", span.name))

    await asyncio.create_task(_serve_one([], Seeing()))
    assert seen == [("begin", "/"), ("end", "GET /")]
    (span,) = receiver.spans
    assert span.attributes["tenant"] == "acme"


async def test_limits_of_spans_hold(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """`OTEL_SPAN_ATTRIBUTE_…` cuts what a request says of itself as well."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    await asyncio.create_task(_serve_one([]))
    (span,) = receiver.spans
    assert span.attributes["server.address"] == "tes"


@pytest.mark.parametrize(("off", "on"), [("TRACES", "metrics"), ("METRICS", "spans")])
async def test_one_signal_alone(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, off: str, on: str) -> None:
    """`none` turns one of them off, and leaves the other as it is."""
    monkeypatch.setenv(f"OTEL_{off}_EXPORTER", "none")
    monkeypatch.setattr("fairlead.telemetry.otel.sdk.CLIENTS", {"a_library_that_is_not_loaded": "Nobody"})

    async def begin_and_end() -> None:
        telemetry = OpenTelemetry("shop")
        telemetry.begin(lambda *note: None)
        assert (telemetry.engine is None) == (off == "TRACES")
        if off == "METRICS":
            with trace.get_tracer("own").start_as_current_span("by hand"):
                pass
        await telemetry.end(10)

    LEVEL.set(4)
    await asyncio.create_task(begin_and_end())
    assert [name for name in ("metrics", "spans") if getattr(receiver, name)] == [on]


async def test_the_end_waits_no_longer_than_it_may(receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be handed over in time costs a warning, and not the stop of the worker (K2)."""

    async def begin_and_end() -> None:
        telemetry = OpenTelemetry("shop")
        telemetry.begin(lambda *note: None)
        await telemetry.end(0)
        trace.get_tracer_provider().shutdown()  # type: ignore[attr-defined]
        assert telemetry.logs is not None
        telemetry.logs.shutdown()  # a worker would be gone now, and its threads with it

    await asyncio.create_task(begin_and_end())
    assert "traces, metrics or logs could not be handed over in time" in [record.message for record in caplog.records]
