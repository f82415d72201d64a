"""A request inside a span that somebody else has begun: the instrumentation of the ASGI server, or a middleware around us.

No span is made for it here. What is known here alone, the route and the request's id, is put into theirs; code inside the request
sees theirs as the current one, as it would without us.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from fairlead.http.trace_context import TraceContext
from fairlead.telemetry.otel.http_attributes import name_of

__all__ = ["JoinedSpan", "join"]


def join(request: Any) -> JoinedSpan | None:
    """The span that is the current one as `request` arrives; None when there is none."""
    context = otel_context.get_current()
    span = trace.get_current_span(context)
    place = span.get_span_context()
    if not place.is_valid:
        return None
    trace_id, span_id = trace.format_trace_id(place.trace_id), trace.format_span_id(place.span_id)
    request.trace = TraceContext(trace_id, span_id, place.trace_flags.sampled, is_remote=place.is_remote)
    request.span = joined = JoinedSpan(span, context)
    return joined


class JoinedSpan:
    """The `span` of such a request."""

    def __init__(self, span: trace.Span, context: otel_context.Context) -> None:
        self._span = span
        self.context = context

    def record(self, exc: BaseException) -> None:
        """Handling raised `exc`, which they don't hear of: it has become a response."""
        self._span.record_exception(exc)

    def watch_messages(self, stats: Any) -> Any:
        """The counters themselves: messages are theirs to note."""
        return stats

    def watch_stream(self, sink: Any) -> Any:
        """The sink itself."""
        return sink

    def finish(self, request: Any) -> None:
        """The request has been handled; the span's end is theirs."""
        if self._span.is_recording():
            self._span.set_attribute("fairlead.request_id", request.id)
            if request.uri_template:
                self._span.update_name(name_of(request))
                self._span.set_attribute("http.route", request.uri_template)
