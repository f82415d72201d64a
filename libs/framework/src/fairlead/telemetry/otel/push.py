"""The metrics of this process over OTLP: the numbers that `/metrics` shows, handed to the SDK's exporter every so often.

Rejected: the SDK's instruments. They would count everything a second time, at 8 µs a measurement; here a push reads what is
counted anyway. Names and labels are OpenTelemetry's own where it has some.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from fairlead.telemetry.instruments import registry
from fairlead.telemetry.snapshot import Family, Snapshot

__all__ = ["MetricsPush", "metrics_of"]

logger = logging.getLogger("fairlead.telemetry")

INTERVAL_MS = 60_000

_NAMES = {
    "http_server_request_duration_seconds": ("http.server.request.duration", "s"),
    "http_server_response_body_size_bytes": ("http.server.response.body.size", "By"),
    "http_server_request_body_size_bytes": ("http.server.request.body.size", "By"),
}
_LABELS = {
    "http_request_method": "http.request.method",
    "http_route": "http.route",
    "http_response_status_code": "http.response.status_code",
}


class MetricsPush:
    """Pushes as often as `OTEL_METRIC_EXPORT_INTERVAL` says (milliseconds), and once more at the end."""

    def __init__(self, exporter: MetricExporter, resource: Resource, environ: Mapping[str, str]) -> None:
        self._exporter = exporter
        self._resource = resource
        self._interval_s = float(environ.get("OTEL_METRIC_EXPORT_INTERVAL") or INTERVAL_MS) / 1e3
        self._started_ns = time.time_ns()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Push from now on, beside everything else in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="metrics push")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self.push()

    async def push(self) -> None:
        """Read the numbers here, hand them over in a thread. A failure is logged: the next push has it all again."""
        try:
            scope = ScopeMetrics(InstrumentationScope("fairlead"), list(metrics_of(registry.snapshot(), self._started_ns)), "")
            data = MetricsData([ResourceMetrics(self._resource, [scope], "")])
            await asyncio.to_thread(self._exporter.export, data)
        except Exception:
            logger.warning("metrics could not be pushed", exc_info=True)

    async def end(self) -> None:
        """The last numbers, then nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.push()
        await asyncio.to_thread(self._exporter.shutdown)


def metrics_of(snapshot: Snapshot, started_ns: int) -> Iterable[Metric]:
    """A snapshot in OpenTelemetry's words; counts are cumulative since `started_ns`."""
    now_ns = time.time_ns()
    for name, family in snapshot.items():
        if not family["series"]:
            continue
        title, unit = _NAMES.get(name, (name.removesuffix("_total"), ""))
        yield Metric(title, family["help"], unit, _data(family, started_ns, now_ns))


def _data(family: Family, started_ns: int, now_ns: int) -> Any:
    points: list[Any] = []
    for values, value in family["series"]:
        labels = dict(zip(family["labels"], values, strict=True))
        attributes = {_LABELS.get(label, label): text for label, text in labels.items()}
        if isinstance(value, list):
            points.append(_distribution(family, attributes, value, started_ns, now_ns))
        else:
            points.append(NumberDataPoint(attributes, started_ns, now_ns, value))
    cumulative = AggregationTemporality.CUMULATIVE
    if family["kind"] in ("histogram", "summary"):
        return Histogram(points, cumulative)
    return Gauge(points) if family["kind"] == "gauge" else Sum(points, cumulative, is_monotonic=True)


def _distribution(
    family: Family, attributes: dict[str, str], value: list[float], started_ns: int, now_ns: int
) -> HistogramDataPoint:
    """A histogram's point; a summary's is one bucket without bounds."""
    total, counts = value[0], [int(count) for count in value[1:]]
    bounds = family["bounds"] if family["kind"] == "histogram" else []
    extremes: Any = None  # not kept: OTLP leaves them out then
    return HistogramDataPoint(
        attributes, started_ns, now_ns, sum(counts), total, counts, bounds, min=extremes, max=extremes, exemplars=[]
    )
