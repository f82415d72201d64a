"""Rate, errors and duration of each route; and the front door of the metrics: every public name of them can be had
here.

Instruments of one's own are made by `registry` (`instruments`); a worker sends `registry.snapshot()`; the supervisor
keeps an `Aggregate` of them (`snapshot`) and answers `/metrics` with `render(aggregate.merged(), negotiate(accept))`
(`exposition`).

For requests there is one `Row` of numbers per (route, method, status): a count for each bucket of the duration, and the sums of
the durations, of the bytes sent and of the bytes received. Counting a request is one look-up and three additions; names, labels
and cumulative buckets are made when somebody reads. The access log looks the same three up, so when both are on it counts into
the row as well (`access_log`).

Labels follow OpenTelemetry's semantic conventions. The route is its template (`/products/<id:uuid>`), never a path; a
request that no route took is `_unmatched`, and a method that is not registered is `_OTHER`, so a client can't invent
series.

An answer that broke off counts as what its head said, and once more in `fairlead_http_responses_aborted_total`, with the reason.

PERF: in instructions of Python 3.11 (callgrind), a look-up in three dictionaries, one in the other, takes 800, and one with route,
method and status as a tuple 1,160; three additions to slots take 1,000, to items of a list 1,250. The raw method is a slot of the
request, whereas its text is decoded on demand. Rejected: to collect durations and sizes and add them up 32 at a time, 1,080.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from typing import Any, Generic, TypeVar

from fairlead.http.status import has_no_body
from fairlead.http.trace_context import TraceContext
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
from fairlead.telemetry.snapshot import Aggregate, Exemplar, Family, Snapshot, family, merge
from fairlead.telemetry.tracing import spans

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
    "has_body",
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

FIRST_BOUND_S = DURATION_BOUNDS_S[0]

T = TypeVar("T")


class Row:
    """The numbers of one (route, method, status)."""

    __slots__ = ("bytes_received", "bytes_sent", "duration_s", "quick", "slower")

    def __init__(self) -> None:
        self.quick = 0
        """How many requests there were in the first bucket of the duration."""
        self.slower = [0] * len(DURATION_BOUNDS_S)
        """And in each of the others."""
        self.duration_s = 0.0
        self.bytes_sent = 0
        self.bytes_received = 0

    def count_slow(self, duration_s: float) -> None:
        """Count a request that took longer than the first bucket is wide."""
        self.slower[bisect_left(DURATION_BOUNDS_S, duration_s) - 1] += 1

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.quick + sum(self.slower)


class Outcomes(Generic[T]):
    """What is kept for each (route, method, status): `found[route][method][status]`, and KeyError for nothing."""

    def __init__(self, limit: int) -> None:
        self.found: dict[Any, dict[bytes, dict[int, T]]] = {}
        self._room = limit

    def get(self, request: Any, status: int) -> T | None:
        """What is kept for such an outcome."""
        return self.found.get(request.route, {}).get(request.raw_method, {}).get(status)

    def keep(self, request: Any, status: int, value: T) -> None:
        """Keep it, unless the limit is reached."""
        if self._room > 0:
            self._room -= 1
            self.found.setdefault(request.route, {}).setdefault(request.raw_method, {})[status] = value


def route_template(request: Any) -> str:
    """The template of the route that took the request, or `_unmatched`."""
    return request.uri_template or UNMATCHED


def has_body(request: Any, status: int) -> bool:
    """Whether the body of an answer is sent (RFC 9110 §6.4.1)."""
    return request.raw_method != b"HEAD" and not has_no_body(status)


class RequestMetrics:
    """Counts requests. One per worker, called on the loop's thread; a `Collector` for the registry."""

    def __init__(self, max_series: int = 5_000) -> None:
        self._max_series = max_series
        self._by_request: Outcomes[Row] = Outcomes(max_series)
        self._bodyless: Outcomes[Row] = Outcomes(max_series)
        self._by_labels: dict[tuple[str, str, str], Row] = {}
        self._aborted: dict[tuple[str, str, str], int] = {}
        self._found = self._by_request.found
        self._exemplars: dict[tuple[tuple[str, str, str], int], Exemplar] = {}

    def observe(self, request: Any, status: int, body_bytes: int, started_s: float, ended_s: float, aborted: str = "", /) -> None:
        """Count one finished request, and finish its span, if it has one: the observer's contract of the server."""
        try:
            row = self._found[request.route][request.raw_method][status]
        except KeyError:
            row = self.row(request, status)
            body_bytes = body_bytes if has_body(request, status) else 0
        duration_s = ended_s - started_s
        if duration_s <= FIRST_BOUND_S:
            row.quick += 1
        else:
            row.count_slow(duration_s)
        row.duration_s += duration_s
        row.bytes_sent += body_bytes
        head = request.head
        if head.length or head.chunked:
            row.bytes_received += head.length or len(request.body)
        if spans and (span := spans.pop(request, None)) is not None:
            span.finish(status, body_bytes, duration_s)
        if aborted:
            self.count_aborted(request, aborted)

    def row(self, request: Any, status: int) -> Row:
        """Where to count such a request. Those of answers without a body are kept apart: `observe` is to ask whether there is one
        only where it finds none."""
        kept = self._by_request if has_body(request, status) else self._bodyless
        row = kept.get(request, status)
        if row is None:
            row = self._by_labels.setdefault(self._labels(request, status), Row())
            if request.raw_method in METHODS:
                kept.keep(request, status, row)
        return row

    def _labels(self, request: Any, status: int) -> tuple[str, str, str]:
        method = request.raw_method.decode() if request.raw_method in METHODS else OTHER
        labels = (method, route_template(request), str(status))
        if labels not in self._by_labels and len(self._by_labels) >= self._max_series:
            labels = (OTHER, OTHER, OTHER)
        return labels

    def count_aborted(self, request: Any, reason: str) -> None:
        """Count an answer that broke off after its head: "client" or "error"."""
        method, route, _ = self._labels(request, 0)
        self._aborted[method, route, reason] = self._aborted.get((method, route, reason), 0) + 1

    def add_exemplar(self, request: Any, status: int, duration_s: float, trace: TraceContext) -> None:
        """Remember a traced request as the example of its bucket, in place of the last one."""
        key = (self._labels(request, status), bisect_left(DURATION_BOUNDS_S, duration_s))
        self._exemplars[key] = [trace.trace_id, trace.span_id, round(duration_s, 6), round(time.time(), 3)]

    @property
    def total(self) -> int:
        """How many requests were counted."""
        return sum(row.requests for row in self._by_labels.values())

    def collect(self) -> Snapshot:
        """The families: the histogram of durations, and the bytes of the bodies sent and received."""
        rows = list(self._by_labels.items())
        durations = family(
            "histogram",
            "Duration of HTTP requests, from dispatch to the response's hand-over to the socket.",
            [(labels, [row.duration_s, row.quick, *row.slower]) for labels, row in rows],
            labels=LABELS,
            bounds=DURATION_BOUNDS_S,
        )
        if self._exemplars:
            durations["exemplars"] = [(list(labels), bucket, one) for (labels, bucket), one in list(self._exemplars.items())]
        return {
            "http_server_request_duration_seconds": durations,
            "fairlead_http_responses_aborted_total": family(
                "counter", "Answers that broke off after their head.", self._aborted.items(), labels=[*LABELS[:2], "reason"]
            ),
            "http_server_response_body_size_bytes": _sizes("Size of the bodies sent.", rows, "bytes_sent"),
            "http_server_request_body_size_bytes": _sizes("Size of the bodies received.", rows, "bytes_received"),
        }


def _sizes(text: str, rows: list[tuple[tuple[str, str, str], Row]], name: str) -> Family:
    return family("summary", text, [(labels, [getattr(row, name), row.requests]) for labels, row in rows], labels=LABELS)
