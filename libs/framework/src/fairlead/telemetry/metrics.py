"""Rate, errors and duration of each route; and the front door of the metrics: every public name of them can be had
here.

Instruments of one's own are made by `registry` (`instruments`); a worker sends `registry.snapshot()`; the supervisor
keeps an `Aggregate` of them (`snapshot`) and answers `/metrics` with `render(aggregate.merged(), negotiate(accept))`
(`exposition`).

For requests there is one list of numbers per (route, method, status): a count for each bucket of the duration, then
the sum of the durations and of the bytes sent. Counting a request is one dictionary look-up and three additions;
names, labels and cumulative buckets are made when somebody reads.

Labels follow OpenTelemetry's semantic conventions. The route is its template (`/products/<id:uuid>`), never a path; a
request that no route took is `_unmatched`, and a method that is not registered is `_OTHER`, so a client can't invent
series.

PERF: `observe` costs 0.23 µs (benchmarks/pieces.py). Route, method and status as one tuple are faster to look up than
nested dictionaries, a list of numbers is faster to change than slots of an object, and the raw method is a slot of the
request, whereas its text is decoded on demand.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from fairlead.telemetry.exposition import OPENMETRICS, PROMETHEUS, negotiate, render
from fairlead.telemetry.instruments import (
    DURATION_BOUNDS_S,
    OTHER,
    Collector,
    Counter,
    Gauge,
    Histogram,
    Registry,
    registry,
)
from fairlead.telemetry.snapshot import Aggregate, Snapshot, family, merge

__all__ = [
    "DURATION_BOUNDS_S",
    "OPENMETRICS",
    "OTHER",
    "PROMETHEUS",
    "Aggregate",
    "Collector",
    "Counter",
    "Gauge",
    "Histogram",
    "Registry",
    "RequestMetrics",
    "Snapshot",
    "merge",
    "negotiate",
    "registry",
    "render",
    "route_template",
]

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"QUERY"})
"""Registered methods that get a label of their own (RFC 9110 §9, RFC 5789, and QUERY)."""

UNMATCHED = "_unmatched"
LABELS = ["http_request_method", "http_route", "http_response_status_code"]

_BUCKETS = len(DURATION_BOUNDS_S) + 1
_DURATION = _BUCKETS
_BYTES = _BUCKETS + 1


def route_template(request: Any) -> str:
    """The template of the route that took the request, or `_unmatched`."""
    return request.uri_template or UNMATCHED


class RequestMetrics:
    """Counts requests. One per worker, called on the loop's thread; a `Collector` for the registry."""

    def __init__(self, max_series: int = 5_000) -> None:
        self._max_series = max_series
        self._by_request: dict[tuple[Any, bytes, int], list[float]] = {}
        self._by_labels: dict[tuple[str, str, str], list[float]] = {}

    def observe(self, request: Any, status: int, body_bytes: int, duration_s: float) -> None:
        """Count one finished request: the observer's contract of the server."""
        try:
            series = self._by_request[request.route, request.raw_method, status]
        except KeyError:
            series = self._series(request, status)
        series[bisect_left(DURATION_BOUNDS_S, duration_s)] += 1
        series[_DURATION] += duration_s
        series[_BYTES] += body_bytes

    def _series(self, request: Any, status: int) -> list[float]:
        raw_method = request.raw_method
        method = raw_method.decode() if raw_method in METHODS else OTHER
        labels = (method, route_template(request), str(status))
        if labels not in self._by_labels and len(self._by_labels) >= self._max_series:
            labels = (OTHER, OTHER, OTHER)
        series = self._by_labels.setdefault(labels, [0] * (_BUCKETS + 2))
        if method is not OTHER and len(self._by_request) < self._max_series:
            self._by_request[request.route, raw_method, status] = series
        return series

    @property
    def total(self) -> int:
        """How many requests were counted."""
        return int(sum(sum(row[:_BUCKETS]) for row in self._by_labels.values()))

    def collect(self) -> Snapshot:
        """Both families: the histogram of durations, and the bytes of the bodies sent."""
        rows = list(self._by_labels.items())
        return {
            "http_server_request_duration_seconds": family(
                "histogram",
                "Duration of HTTP requests, from dispatch to the response's hand-over to the socket.",
                [(labels, [row[_DURATION], *row[:_BUCKETS]]) for labels, row in rows],
                labels=LABELS,
                bounds=DURATION_BOUNDS_S,
            ),
            "http_server_response_body_size_bytes": family(
                "summary",
                "Size of the bodies sent.",
                [(labels, [row[_BYTES], sum(row[:_BUCKETS])]) for labels, row in rows],
                labels=LABELS,
            ),
        }
