"""The span of one sampled request, by OpenTelemetry's stable conventions for HTTP.

How it works. A span of the SDK is made when somebody inside the request wants one: a client's instrumentation, code that asks
for the current span, an exception, a message of a websocket. Most requests have none of these; for them only the place in the
trace, the start and the end are noted, and the exporter's thread makes the span out of it when its batch is due
(`FinishedRequest`, `Completing`).

PERF: a span that is made within the request takes 240 µs of it: one request in a hundred finds nothing of the SDK in the CPU's
caches, so 1 % of the requests cost all others 2.4 µs each. What is left inside is 5 µs.

A websocket's or a stream's span lasts as long as that does. Messages and pieces become events of the span: the first eight in
each direction, then those whose number is a power of two, so that a connection of a day has forty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time_ns
from types import SimpleNamespace
from typing import Any, Protocol

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from fairlead.http.trace_context import TraceContext
from fairlead.request import Request
from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import METHODS, OTHER

__all__ = ["Completing", "FinishedRequest", "Makers", "TracedRequest", "opening_attributes"]

MAX_TEXT = 1_024
EVENTS_IN_FULL = 8

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("fairlead")


class Makers(Protocol):
    """What a traced request needs of the engine."""

    def open_span(self, request: Any, place: TraceContext, started_ns: int) -> tuple[Span, Context]:
        """A span of the SDK at a place that is known already, and the context in which it is the current one."""

    def parent_of(self, request: Any) -> SpanContext | None:
        """The caller's span."""

    def hand_over(self, finished: FinishedRequest) -> None:
        """A request is finished that never needed a span."""

    def note(self, request: Any, status: int, duration_s: float, place: TraceContext) -> None:
        """A traced request is finished."""


def opening_attributes(request: Any) -> dict[str, Any]:
    """What is known when a request arrives. The query is shown with whatever looks like a credential masked.

    PERF: an attribute costs 5 µs from here to the collector, so there are no more than these.
    """
    method, scheme = request.raw_method, request.scheme
    path, _, query = request.target.decode("latin-1").partition("?")
    attributes: dict[str, Any] = {
        "http.request.method": method.decode() if method in METHODS else OTHER,
        "url.path": path[:MAX_TEXT],
        "url.scheme": "http" if scheme == "ws" else "https" if scheme == "wss" else scheme,
        "network.protocol.version": request.version,
        "fairlead.request_id": request.id,
    }
    if method not in METHODS:
        attributes["http.request.method_original"] = method.decode("latin-1")[:32]
    if query:
        attributes["url.query"] = mask_tokens(query[:MAX_TEXT])
    if request.host:
        attributes["server.address"], attributes["server.port"] = request.server_name, request.server_port
    if client := request.client_ip:
        attributes["client.address"] = client
    if agent := request.headers.get("user-agent"):
        attributes["user_agent.original"] = agent[:MAX_TEXT]
    return attributes


def _name(request: Any) -> str:
    method = request.method if request.raw_method in METHODS else "HTTP"
    route = request.uri_template
    return f"{method} {route}" if route else method


def _outcome(request: Any, status: int, error: str) -> dict[str, str | int]:
    outcome: dict[str, str | int] = {"http.response.status_code": status}
    if route := request.uri_template:
        outcome["http.route"] = route
    if status >= 500:
        outcome["error.type"] = error or str(status)
    return outcome


class TracedRequest:
    """A sampled request, from its begin to its end."""

    __slots__ = ("_context", "_error", "_is_over", "_makers", "_place", "_request", "_span", "_started_ns")

    def __init__(self, request: Any, place: TraceContext, makers: Makers) -> None:
        self._request = request
        self._place = place
        self._makers = makers
        self._started_ns = time_ns()
        self._span: Span | None = None
        self._context = Context()
        self._error = ""
        self._is_over = False

    @property
    def context(self) -> Context:
        """The OpenTelemetry context that code inside the request sees, and what it has started after the request."""
        self._open()
        return self._context

    def _open(self) -> Span:
        """The span, made now if there was none; of a request that is over, only its place."""
        if self._span is None:
            if self._is_over:
                self._span = NonRecordingSpan(_span_context(self._place))
                self._context = set_span_in_context(self._span, Context())
            else:
                self._span, self._context = self._makers.open_span(self._request, self._place, self._started_ns)
        return self._span

    def record(self, exc: BaseException) -> None:
        """Handling raised `exc`: an event of the span, and its error when the answer is 5xx."""
        self._error = f"{type(exc).__module__}.{type(exc).__qualname__}".removeprefix("builtins.")
        self._open().record_exception(exc)

    def watch_messages(self, stats: Any) -> MessageCounts:
        """Counters that pass everything on to `stats`, and note messages in the span."""
        return MessageCounts(stats, self._note)

    def watch_stream(self, sink: Any) -> PieceSink:
        """A sink that passes everything on, and notes the pieces in the span."""
        return PieceSink(sink, self._note)

    def _note(self, direction: str, number: int, size: int) -> None:
        if number <= EVENTS_IN_FULL or number & (number - 1) == 0:
            self._open().add_event("message", {"direction": direction, "number": number, "size": size})

    def finish(self, status: int, body_bytes: int, duration_s: float) -> None:
        """The response is written: say what came of it, and end the span."""
        request, span, self._is_over = self._request, self._span, True
        if span is None:
            self._makers.hand_over(FinishedRequest(request, self._place, self._makers, status, self._started_ns))
        else:
            span.update_name(_name(request))
            span.set_attributes(_outcome(request, status, self._error))
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            span.end()
        self._makers.note(request, status, duration_s, self._place)


class FinishedRequest:
    """What is kept of a request until its span is made: not its body, and not what the application put there."""

    __slots__ = ("_ended_ns", "_makers", "_place", "_request", "_started_ns", "_status", "context")

    def __init__(self, request: Any, place: TraceContext, makers: Makers, status: int, started_ns: int) -> None:
        exchange: Any = SimpleNamespace(info=request.exchange.info)
        kept: Any = Request(request.app, exchange, request.raw_method, request.target, request.head, b"")
        kept.route, kept.id = request.route, request.id
        self._request = kept
        self._place = place
        self._makers = makers
        self._status = status
        self._started_ns = started_ns
        self._ended_ns = time_ns()
        self.context = _ANY_SAMPLED
        """What a processor wants to see: that it is sampled."""

    def complete(self, resource: Resource) -> ReadableSpan:
        """The span, for the exporter."""
        request, place = self._request, self._place
        return ReadableSpan(
            _name(request),
            _span_context(place),
            self._makers.parent_of(request),
            resource,
            opening_attributes(request) | _outcome(request, self._status, ""),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if self._status >= 500 else StatusCode.UNSET),
            start_time=self._started_ns,
            end_time=self._ended_ns,
            instrumentation_scope=_SCOPE,
        )


def _span_context(place: TraceContext) -> SpanContext:
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=False, trace_flags=_SAMPLED)


_ANY_SAMPLED = SpanContext(1, 1, is_remote=False, trace_flags=_SAMPLED)


class Completing(SpanExporter):
    """An exporter behind which requests become spans; spans pass as they are."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource

    def export(self, spans: Sequence[ReadableSpan | FinishedRequest]) -> SpanExportResult:
        """Called in the processor's thread, with a batch."""
        complete = [one.complete(self._resource) if isinstance(one, FinishedRequest) else one for one in spans]
        return self._exporter.export(complete)

    def shutdown(self) -> None:
        """Pass it on."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass it on."""
        return self._exporter.force_flush(timeout_millis)


class MessageCounts:
    """Stands in for a websocket's counters. A message is noted when its bytes are counted, which is done last."""

    __slots__ = ("_note", "_received", "_sent", "_stats")

    def __init__(self, stats: Any, note: Callable[[str, int, int], None]) -> None:
        for name, value in (("_stats", stats), ("_note", note), ("_sent", 0), ("_received", 0)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stats, name)

    def __setattr__(self, name: str, value: Any) -> None:
        stats = self._stats
        if name in ("bytes_sent", "bytes_received"):
            direction = name.removeprefix("bytes_")
            number = getattr(self, f"_{direction}") + 1
            object.__setattr__(self, f"_{direction}", number)
            self._note(direction, number, value - getattr(stats, name))
        setattr(stats, name, value)


class PieceSink:
    """Stands in for a streamed response's sink."""

    __slots__ = ("_note", "_number", "_sink")

    def __init__(self, sink: Any, note: Callable[[str, int, int], None]) -> None:
        self._sink = sink
        self._note = note
        self._number = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def write_chunk(self, data: bytes) -> None:
        """Pass a piece on."""
        self._number += 1
        self._note("sent", self._number, len(data))
        self._sink.write_chunk(data)
