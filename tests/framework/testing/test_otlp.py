"""fairlead.testing.otlp: a receiver that keeps what a process sends of itself."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fairlead.testing import otlp
from fairlead.testing.otlp import OtlpReceiver, ReceivedMetric, ReceivedSpan


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """One that listens for the length of a test."""
    with OtlpReceiver() as receiver:
        yield receiver


def post(receiver: OtlpReceiver, path: str, body: bytes, **headers: str) -> int:
    """The answer's status."""
    connection = HTTPConnection("127.0.0.1", receiver.port, timeout=10)
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("is_packed", [False, True])
def test_spans(receiver: OtlpReceiver, is_packed: bool) -> None:
    """Each span is kept with its attributes and who sent it, whether the body came compressed or not."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "shop"
    span = group.scope_spans.add().spans.add(
        name="GET /", trace_id=b"\x01" * 16, span_id=b"\x02" * 8, kind=2, start_time_unix_nano=5, end_time_unix_nano=9
    )
    span.attributes.add(key="status").value.int_value = 200
    span.attributes.add(key="empty")
    body = request.SerializeToString()
    if is_packed:
        assert post(receiver, "/v1/traces", gzip.compress(body), content_encoding="gzip") == 200
    else:
        assert post(receiver, "/v1/traces", body) == 200
    attributes, resource = {"status": 200, "empty": ""}, {"service.name": "shop"}
    assert list(receiver.spans) == [ReceivedSpan("GET /", "01" * 16, "02" * 8, "", 2, 5, 9, attributes, resource)]


def test_metrics(receiver: OtlpReceiver) -> None:
    """Each point is kept: a number's value, a histogram's count."""
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    scope.metrics.add(name="whole").sum.data_points.add(as_int=7)
    scope.metrics.add(name="part").gauge.data_points.add(as_double=0.5)
    scope.metrics.add(name="spread").histogram.data_points.add(count=3, sum=1.5)
    scope.metrics.add(name="nothing")
    assert post(receiver, "/v1/metrics", request.SerializeToString()) == 200
    expected = [("whole", 7), ("part", 0.5), ("spread", 3)]
    assert list(receiver.metrics) == [ReceivedMetric(name, value, {}, {}) for name, value in expected]


def test_what_is_refused(receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other paths, and bodies that no exporter sends."""
    monkeypatch.setattr(otlp, "MAX_BODY_BYTES", 10)
    assert post(receiver, "/v1/profiles", b"") == 404
    assert post(receiver, "/v1/traces", b"x" * 11) == 413
    assert (list(receiver.spans), list(receiver.metrics)) == ([], [])


def test_where_to_send(receiver: OtlpReceiver) -> None:
    """The standard variable names the port that it has got."""
    assert receiver.environ() == {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}"}
