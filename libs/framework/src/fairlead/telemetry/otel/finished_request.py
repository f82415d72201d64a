"""A sampled request that never needed a span, and the span that is made of it when its batch is due.

There are two ways to the collector. `complete` makes the library's `ReadableSpan`, for any exporter. For OTLP over HTTP, `write`
makes the bytes at once, out of the same attributes: what many requests have in common (method, route, status, address of the
server) is kept as one block of bytes, so that what is left of a request are its ids, its times and a handful of texts.

PERF: a traced request takes 127,000 instructions from its begin to its bytes (callgrind); with the library's spans and encoder it
took 518,000, with its spans and `wire` alone 246,000.
"""

from __future__ import annotations

from time import time_ns
from types import SimpleNamespace
from typing import Any, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from fairlead.http.trace_context import TraceContext
from fairlead.request import Request
from fairlead.telemetry.otel import wire
from fairlead.telemetry.otel.http_attributes import common_attributes, name_of, opening_attributes, outcome_of, own_attributes

__all__ = ["ERROR", "FinishedRequest", "Parents", "span_context"]

MAX_BLOCKS = 1_000

UNSET, ERROR = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("fairlead")

_blocks: dict[tuple[Any, ...], bytes] = {}


class Parents(Protocol):
    """Who knows callers."""

    def parent_of(self, request: Any) -> SpanContext | None:
        """The caller's span."""


class FinishedRequest:
    """What is kept of a request until its span is made: not its body, and not what the application put there."""

    __slots__ = ("_ended_ns", "_parents", "_place", "_request", "_started_ns", "_status", "context")

    def __init__(self, request: Any, place: TraceContext, parents: Parents, status: int, started_ns: int) -> None:
        exchange: Any = SimpleNamespace(info=request.exchange.info)
        kept: Any = Request(request.app, exchange, request.raw_method, request.target, request.head, b"")
        kept.route, kept.id = request.route, request.id
        self._request = kept
        self._place = place
        self._parents = parents
        self._status = status
        self._started_ns = started_ns
        self._ended_ns = time_ns()
        self.context = _ANY_SAMPLED
        """What a processor wants to see: that it is sampled."""

    def complete(self, resource: Resource) -> ReadableSpan:
        """The span, for any exporter."""
        request, parent = self._request, self._parents.parent_of(self._request)
        return ReadableSpan(
            name_of(request),
            span_context(self._place, parent),
            parent,
            resource,
            opening_attributes(request) | outcome_of(request, self._status),
            kind=SpanKind.SERVER,
            status=_status(self._status),
            start_time=self._started_ns,
            end_time=self._ended_ns,
            instrumentation_scope=_SCOPE,
        )

    def write(self) -> bytes:
        """The same span as OTLP's bytes (`wire`)."""
        request, route, status, info = self._request, self._request.route, self._status, self._request.exchange.info
        config = request.app.config
        if config.get("FORWARDED_SECRET") or config.get("REAL_IP_HEADER") or config.get("PROXIES_COUNT"):
            client, agent = request.client_ip, request.headers.get("user-agent")
            whence: Any = (request.host, request.scheme, request.forwarded.get("port"))
        else:  # PERF: a request that nobody forwarded says it all in two fields
            fields = {name.lower(): value for name, value in reversed(request.head.fields())}
            client, agent = info.client_ip, fields.get(b"user-agent", b"").decode("latin-1")
            whence = (fields.get(b"host"), info.ssl)
        key = (route, request.raw_method, status, request.head.version, whence)
        block = _blocks.get(key)
        if block is None:
            if len(_blocks) >= MAX_BLOCKS:  # clients choose the Host
                _blocks.clear()
            block = _blocks[key] = self._common_block()
        parent, own = self._parents.parent_of(request), own_attributes(request.target, request.id, client, agent)
        start = wire.start_of(span_context(self._place, parent), parent, self._started_ns, self._ended_ns)
        return b"".join((start, block, *(wire.text(key, value) for key, value in own.items())))

    def _common_block(self) -> bytes:
        request = self._request
        title = wire.title(name_of(request), SpanKind.SERVER.value)
        attributes = common_attributes(request) | outcome_of(request, self._status)
        return title + wire.status(_status(self._status)) + b"".join(wire.attributes(attributes))


def _status(status: int) -> Status:
    return ERROR if status >= 500 else UNSET


def span_context(place: TraceContext, parent: SpanContext | None = None) -> SpanContext:
    """The place of a span of this process; the state that the caller's vendors have in the trace goes on."""
    state = parent.trace_state if parent is not None else None
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=False, trace_flags=_SAMPLED, trace_state=state)


_ANY_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=_SAMPLED)
