"""fairlead.telemetry.otel.exporter: which way a batch takes, and that every kind of span arrives on it."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from fairlead.telemetry.otel import exporter as exporter_module
from fairlead.telemetry.otel.exporter import Completing, Writing, completing
from fairlead.testing.otlp import OtlpReceiver

from .test_finished_request import _finished

RESOURCE = Resource({"service.name": "shop"})
OTHER = ReadableSpan("inside", SpanContext(1, 2, is_remote=False), resource=RESOURCE, start_time=1, end_time=2)


def test_which_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's OTLP over HTTP is written to; anything else, also built upon it, keeps the library's encoder."""

    class Own(OTLPSpanExporter):
        """Somebody's own."""

    assert type(completing(OTLPSpanExporter(), RESOURCE)) is Writing
    assert type(completing(Own(), RESOURCE)) is Completing
    assert type(completing(InMemorySpanExporter(), RESOURCE)) is Completing
    unknown = OTLPSpanExporter()
    del unknown._client
    assert type(completing(unknown, RESOURCE)) is Completing
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    assert type(completing(OTLPSpanExporter(), RESOURCE)) is Completing


@pytest.mark.parametrize("limit", [exporter_module.MAX_BYTES, 0])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_batch_arrives(limit: int, compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished requests and spans in one request to the collector, compressed as asked; also when it is left to the library."""
    monkeypatch.setattr(exporter_module, "MAX_BYTES", limit)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    with OtlpReceiver() as receiver:
        exporter = completing(OTLPSpanExporter(f"http://127.0.0.1:{receiver.port}/v1/traces"), RESOURCE)
        finished: Any = [_finished(), OTHER, _finished(status=503)]
        assert exporter.export(finished) is SpanExportResult.SUCCESS
        assert exporter.export([OTHER]) is SpanExportResult.SUCCESS
        assert exporter.export(finished[:1]) is SpanExportResult.SUCCESS
        exporter.shutdown()
    names = ["GET /products/<id:int>"] * 3 + ["inside"] * 2
    assert sorted(span.name for span in receiver.spans) == names
    assert {span.resource["service.name"] for span in receiver.spans} == {"shop"}


def test_a_collector_that_refuses() -> None:
    """The processor is told that the batch failed, and what was in it is counted as lost."""
    with OtlpReceiver() as receiver:
        exporter = completing(OTLPSpanExporter(f"http://127.0.0.1:{receiver.port}/nowhere"), RESOURCE)
        assert exporter.export([OTHER]) is SpanExportResult.FAILURE
        exporter.shutdown()
    assert exporter.collect()["fairlead_spans_dropped_total"]["series"] == [([], 1)]
    assert completing(InMemorySpanExporter(), RESOURCE).collect()["fairlead_spans_dropped_total"]["series"] == [([], 0)]
