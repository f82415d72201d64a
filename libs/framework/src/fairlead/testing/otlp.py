"""An OTLP receiver for tests and for `make observe`: keeps what is sent to it over HTTP, and nothing else.

    with OtlpReceiver() as receiver:
        environ = receiver.environ()        # for the process that shall be observed
        …
        receiver.spans                      # what has come so far

It takes protobuf over HTTP (OTLP/HTTP, `/v1/traces`, `/v1/metrics` and `/v1/logs`), bounded, in a thread of its own. Needs
`fairlead[tracing]`.
"""

from __future__ import annotations

import gzip
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["OtlpReceiver", "ReceivedLog", "ReceivedMetric", "ReceivedSpan"]

MAX_KEPT = 20_000
MAX_BODY_BYTES = 64 * 1024 * 1024


class ReceivedSpan(NamedTuple):
    """One span, and who sent it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


class ReceivedMetric(NamedTuple):
    """One point of a metric; `value` is a histogram's count."""

    name: str
    value: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


class ReceivedLog(NamedTuple):
    """One record of a log; ids are "" outside of a trace."""

    logger: str
    severity: str
    body: str
    trace_id: str
    span_id: str
    time_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]


class OtlpReceiver:
    """Listens on 127.0.0.1; port 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self.spans: deque[ReceivedSpan] = deque(maxlen=MAX_KEPT)
        self.metrics: deque[ReceivedMetric] = deque(maxlen=MAX_KEPT)
        self.logs: deque[ReceivedLog] = deque(maxlen=MAX_KEPT)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="otlp", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def environ(self) -> dict[str, str]:
        """The standard variables that send a process's traces and metrics here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}"}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        takers = {"/v1/traces": self._take_traces, "/v1/metrics": self._take_metrics, "/v1/logs": self._take_logs}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("content-length", 0))
                take = takers.get(self.path)
                if take is None or size > MAX_BODY_BYTES:
                    self.close_connection = True
                    self._answer(404 if take is None else 413)
                    return
                body = self.rfile.read(size)
                take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                self._answer(200)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:
                """Silent: what it has received is what it has to say."""

        return Handler

    def _take_traces(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        ReceivedSpan(
                            span.name,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.kind,
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            _plain(span.attributes),
                            resource,
                        )
                    )

    def _take_metrics(self, body: bytes) -> None:
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_metrics:
                for metric in scope.metrics:
                    for point in getattr(metric, metric.WhichOneof("data") or "gauge").data_points:
                        value = point.count if hasattr(point, "count") else point.as_int or point.as_double
                        self.metrics.append(ReceivedMetric(metric.name, value, _plain(point.attributes), resource))

    def _take_logs(self, body: bytes) -> None:
        for group in ExportLogsServiceRequest.FromString(body).resource_logs:
            resource = _plain(group.resource.attributes)
            for scope in group.scope_logs:
                for one in scope.log_records:
                    ids, what = (one.trace_id.hex(), one.span_id.hex()), _plain(one.attributes)
                    text = one.body.string_value
                    self.logs.append(
                        ReceivedLog(scope.scope.name, one.severity_text, text, *ids, one.time_unix_nano, what, resource)
                    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in attributes}
