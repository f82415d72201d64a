"""Metrics over OTLP: the numbers of /metrics in OpenTelemetry's words, and an exporter that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Histogram, MetricExportResult, Sum
from opentelemetry.sdk.resources import Resource

from fairlead.errors import ConfigurationError
from fairlead.telemetry.otel.push import MetricsPush, metrics_of
from fairlead.telemetry.otel.sdk import OpenTelemetry
from fairlead.telemetry.snapshot import family


def test_names_kinds_and_labels() -> None:
    """Names and labels are those of the conventions where there are some; a family without series is left out."""
    labels = ["http_request_method", "http_route", "http_response_status_code"]
    snapshot = {
        "http_server_request_duration_seconds": family(
            "histogram", "", [(("GET", "/a", "200"), [0.5, 1, 2])], labels=labels, bounds=[0.1]
        ),
        "http_server_response_body_size_bytes": family("summary", "", [(("GET", "/a", "200"), [10, 3])], labels=labels),
        "outbox_published_total": family("counter", "", [(("s",), 7)], labels=["stream"]),
        "outbox_pending_rows": family("gauge", "", [((), 2)]),
        "nothing_total": family("counter", "", []),
    }
    duration, size, published, pending = metrics_of(snapshot, started_ns=5)
    assert (duration.name, duration.unit, size.name) == ("http.server.request.duration", "s", "http.server.response.body.size")
    assert isinstance(duration.data, Histogram)
    (point,) = duration.data.data_points
    assert point.attributes == {"http.request.method": "GET", "http.route": "/a", "http.response.status_code": "200"}
    assert (point.count, point.sum, point.bucket_counts, point.explicit_bounds) == (3, 0.5, [1, 2], [0.1])
    assert isinstance(size.data, Histogram)
    assert (size.data.data_points[0].count, size.data.data_points[0].sum) == (3, 10)
    assert published.name == "outbox_published"
    assert isinstance(published.data, Sum)
    assert (published.data.is_monotonic, published.data.data_points[0].start_time_unix_nano) == (True, 5)
    assert isinstance(pending.data, Gauge)


class Exporter:
    """Fails the first time."""

    def __init__(self) -> None:
        self.pushed: list[Any] = []
        self.is_shut = False

    def export(self, data: Any) -> MetricExportResult:
        """Keep what comes."""
        self.pushed.append(data)
        if len(self.pushed) == 1:
            raise ConnectionError("no collector")
        return MetricExportResult.SUCCESS

    def shutdown(self) -> None:
        """The end."""
        self.is_shut = True


async def test_a_failure_is_logged_and_the_end_is_pushed(caplog: pytest.LogCaptureFixture) -> None:
    """A collector that is away costs a warning; the last numbers are handed over at the end."""
    exporter: Any = Exporter()
    push = MetricsPush(exporter, Resource.create({}), {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"})
    push.begin()
    await push.push()
    assert [record.message for record in caplog.records] == ["metrics could not be pushed"]
    await push.end()
    assert (len(exporter.pushed), exporter.is_shut) == (2, True)


async def test_an_exporter_that_is_not_installed() -> None:
    """One clear line, before the service starts (K7)."""
    wrong = {"OTEL_METRICS_EXPORTER": "carrier_pigeon"}
    with pytest.raises(ConfigurationError, match="carrier_pigeon"):
        OpenTelemetry("shop", environ=wrong).begin(lambda *_: None)
    grpc = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(ConfigurationError, match="otlp_proto_grpc"):
        OpenTelemetry("shop", environ=grpc).begin(lambda *_: None)


async def test_numbers_are_pushed_every_so_often() -> None:
    """Once in each interval, without anybody asking; a push that was never begun has its end all the same."""
    loop, third = asyncio.get_running_loop(), asyncio.Event()

    class Counting(Exporter):
        def export(self, data: Any) -> MetricExportResult:
            if len(self.pushed) == 2:
                loop.call_soon_threadsafe(third.set)
            self.pushed.append(data)
            return MetricExportResult.SUCCESS

    often: Any = Counting()
    push = MetricsPush(often, Resource.create({}), {"OTEL_METRIC_EXPORT_INTERVAL": "1"})
    push.begin()
    await third.wait()
    await push.end()
    never: Any = Counting()
    await MetricsPush(never, Resource.create({}), {}).end()
    assert (often.is_shut, never.is_shut, len(never.pushed)) == (True, True, 1)
