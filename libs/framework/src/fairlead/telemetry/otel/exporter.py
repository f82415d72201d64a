"""What the batch processor exports to: spans pass, and finished requests become some on the way.

`Completing` stands before any exporter. The library's own for OTLP over HTTP gets `Writing` instead, which sends the bytes that
`wire` and `FinishedRequest.write` make; connection, retries, headers and compression stay the library's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from fairlead.telemetry.otel import wire
from fairlead.telemetry.otel.finished_request import FinishedRequest
from fairlead.telemetry.snapshot import Snapshot, family

__all__ = ["Completing", "Writing", "completing"]

MAX_BYTES = 64 * 1024 * 1024
"""The library's own limit of a batch."""

Finished = ReadableSpan | FinishedRequest


def completing(exporter: SpanExporter, resource: Resource) -> Completing:
    """The fast way where it is known, else the library's: for another exporter, a version of it that is built otherwise, or one
    that shall measure itself."""
    is_known = type(exporter).__module__ == "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    measures = os.environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "").strip().lower() == "true"
    if is_known and not measures and hasattr(getattr(exporter, "_client", None), "export"):
        return Writing(exporter, resource)
    return Completing(exporter, resource)


class Completing(SpanExporter):
    """Makes the library's spans of finished requests; a `Collector` for the registry."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource
        self.dropped = 0
        """Spans of batches that the collector did not take."""

    def export(self, spans: Sequence[Finished]) -> SpanExportResult:
        """Called in the processor's thread, with a batch."""
        result = SpanExportResult.FAILURE
        try:
            result = self._send(spans)
        finally:
            self.dropped += len(spans) if result is not SpanExportResult.SUCCESS else 0
        return result

    def collect(self) -> Snapshot:
        """What was lost."""
        help = "Spans of batches that the collector did not take."
        return {"fairlead_spans_dropped_total": family("counter", help, [((), self.dropped)])}

    def _send(self, spans: Sequence[Finished]) -> SpanExportResult:
        return self._exporter.export([self._complete(one) for one in spans])

    def _complete(self, one: Finished) -> ReadableSpan:
        return one.complete(self._resource) if isinstance(one, FinishedRequest) else one

    def shutdown(self) -> None:
        """Pass it on."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass it on."""
        return self._exporter.force_flush(timeout_millis)


class Writing(Completing):
    """Sends bytes; what it does not know how to write, the library encodes."""

    def _send(self, spans: Sequence[Finished]) -> SpanExportResult:
        data = self._encode(spans)
        if len(data) > MAX_BYTES:  # what becomes of such a batch is the library's to decide
            return super()._send(spans)
        sent = self._exporter._client.export(data)  # type: ignore[attr-defined]
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE

    def _encode(self, spans: Sequence[Finished]) -> bytes:
        written: list[bytes] = []
        others: list[ReadableSpan] = []
        first: FinishedRequest | None = None
        for one in spans:
            if isinstance(one, FinishedRequest):
                written.append(one.write())
                first = first or one
            else:
                others.append(one)
        data = wire.encode(others) if others else b""
        return data + wire.group(first.complete(self._resource), written) if first is not None else data
