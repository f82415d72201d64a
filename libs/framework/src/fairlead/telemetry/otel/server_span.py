"""The span of one sampled request, by OpenTelemetry's stable conventions for HTTP.

How it works. A span of the SDK is made when somebody inside the request wants one: a client's instrumentation, code that asks
for the current span, an exception, a message of a websocket. Most requests have none of these; for them only the place in the
trace, the start and the end are noted, and the exporter's thread makes the span out of it when its batch is due
(`finished_request`).

PERF: a span that is made within the request takes 240 µs of it: one request in a hundred finds nothing of the SDK in the CPU's
caches, so 1 % of the requests cost all others 2.4 µs each. What is left inside is 5 µs.

A websocket's or a stream's span lasts as long as that does. Messages and pieces become events of the span: the first eight in
each direction, then those whose number is a power of two, so that a connection of a day has forty.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Any, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, set_span_in_context

from fairlead.http.trace_context import TraceContext
from fairlead.telemetry.otel.finished_request import ERROR, FinishedRequest, Parents, span_context
from fairlead.telemetry.otel.http_attributes import name_of, outcome_of

__all__ = ["Makers", "TracedRequest"]

EVENTS_IN_FULL = 8

_NOWHERE = Context()


class Makers(Parents, Protocol):
    """What a traced request needs of the engine."""

    def open_span(self, request: Any, place: TraceContext, started_ns: int) -> tuple[Span, Context]:
        """A span of the SDK at a place that is known already, and the context in which it is the current one."""

    def hand_over(self, finished: FinishedRequest) -> None:
        """A request is finished that never needed a span."""

    def note(self, request: Any, status: int, duration_s: float, place: TraceContext) -> None:
        """A traced request is finished."""


class TracedRequest:
    """A sampled request, from its begin to its end."""

    __slots__ = ("_context", "_error", "_is_over", "_makers", "_place", "_request", "_span", "_started_ns")

    def __init__(self, request: Any, place: TraceContext, makers: Makers, opened: tuple[Span, Context] | None = None) -> None:
        """`opened` is what `open_span` gave, when somebody wants to see the span begin."""
        self._request = request
        self._place = place
        self._makers = makers
        self._started_ns = time_ns()
        self._span: Span | None
        self._span, self._context = opened or (None, _NOWHERE)
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
                self._span = NonRecordingSpan(span_context(self._place))
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
            span.update_name(name_of(request))
            span.set_attributes(outcome_of(request, status, self._error))
            if status >= 500:
                span.set_status(ERROR)
            span.end()
        self._makers.note(request, status, duration_s, self._place)


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
