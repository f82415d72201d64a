"""Tracing in a process: begins the spans of requests and messages, and knows where in a trace the running code is.

How it works. The dispatcher calls `begin` for each request that brings a `traceparent`, and for a drawn share of the others; only
those that will be sampled get a span (`sampling`). What any other code sees as the current span comes from `Ambient`: the request's
own span, or, for a request that is not sampled, its caller's place in the trace, marked as unsampled, so that whatever it calls
makes no span either and still passes the trace on. That is worked out once, when first asked for, and kept with the request.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from time import time_ns
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, TracerProvider

from fairlead.http.trace_context import TraceContext
from fairlead.request import Request, current_request
from fairlead.telemetry.otel.ambient import Ambient
from fairlead.telemetry.otel.finished_request import FinishedRequest
from fairlead.telemetry.otel.http_attributes import opening_attributes
from fairlead.telemetry.otel.sampling import DrawnIds, Sampling, draw_gap, draw_place
from fairlead.telemetry.otel.server_span import TracedRequest
from fairlead.telemetry.tracing import Operation, spans

__all__ = ["OtelEngine"]

logger = logging.getLogger("fairlead.telemetry")

Note = Callable[[Any, int, float, TraceContext], None]
"""`(request, status, duration_s, place)`."""

_OUTSIDE = Context()
_KINDS = {"send": SpanKind.PRODUCER, "process": SpanKind.CONSUMER}


class OtelEngine:
    """One per process. `fairlead.telemetry.tracing.begin` and `dispatcher.tracer` take it."""

    def __init__(self, provider: TracerProvider, sampling: Sampling, ids: DrawnIds, processor: SpanProcessor, note: Note) -> None:
        """`ids` are the provider's; `processor` is the one that it has; `note` is told of each traced request."""
        self.share = sampling.share
        self.note = note
        self._sampling = sampling
        self._ids = ids
        self._tracer = provider.get_tracer("fairlead")
        self._processor = processor
        self.opens_at_once = not sampling.is_known
        """Whether each span is the SDK's from its begin: where a sampler, a processor or a limit of one's own shall see it."""
        self.ambient = Ambient(self._resolve)
        """Attach it where the server is started: everything that is started there sees it."""

    # Requests

    def gap(self) -> int:
        """How many requests pass until the next that is sampled for no caller's sake."""
        return draw_gap(self.share)

    def begin(self, request: Request[Any, Any]) -> None:
        """Begin the request's span, if it is to be sampled. A failure costs the span and nothing else."""
        try:
            self._begin(request)
        except Exception:
            logger.exception("a request's span could not be begun")

    def _begin(self, request: Request[Any, Any]) -> None:
        parent = request.trace
        if not self._sampling.wants(parent):
            return
        if parent is None and request.head.has_trace and random.random() >= self.share:  # the header was no valid one
            return
        place, opened = draw_place(self.share, parent), None
        if self.opens_at_once:
            opened = span, context = self.open_span(request, place, time_ns())
            if not span.is_recording():
                request.span = Untraced(context)
                return
        request.trace = place
        request.span = spans[request] = TracedRequest(request, place, self, opened)

    def open_span(self, request: Request[Any, Any], place: TraceContext, started_ns: int) -> tuple[Span, Context]:
        """The request's span, for whoever wants one, and the context in which it is the current one."""
        context = self._callers_context(request)
        self._ids.place = place
        try:
            attributes = opening_attributes(request)
            span = self._tracer.start_span("HTTP", context, SpanKind.SERVER, attributes, start_time=started_ns)
        finally:
            self._ids.place = None
        return span, trace.set_span_in_context(span, context)

    def parent_of(self, request: Request[Any, Any]) -> SpanContext | None:
        """The caller's span; None without one. PERF: the propagators take ten times what the one field that there is takes."""
        block = request.head.block
        if self._sampling.is_known and block and b"tracestate" not in block.lower():
            return _remote(request.trace).get_span_context() if request.trace is not None else None
        parent = trace.get_current_span(self._callers_context(request)).get_span_context()
        return parent if parent.is_valid else None

    def hand_over(self, finished: FinishedRequest) -> None:
        """To the processor, as if it were a span: its exporter makes one of it."""
        self._processor.on_end(finished)  # type: ignore[arg-type]

    def _callers_context(self, request: Request[Any, Any]) -> Context:
        """What the request brings along. PERF: a look for the words is a tenth of asking the propagators."""
        block = request.head.block
        if self._sampling.is_known and block and not request.head.has_trace and b"baggage" not in block.lower():
            return _OUTSIDE
        return propagate.extract(request, _OUTSIDE, _FIELDS)

    def _resolve(self) -> Context:
        request = current_request.get()
        if request is None:
            return _OUTSIDE
        if request.span is None:
            request.span = self._untraced(request)
        context: Context = request.span.context  # type: ignore[attr-defined]  # both kinds that are set here have one
        return context

    def _untraced(self, request: Request[Any, Any]) -> Untraced:
        if request.trace is None:
            request.trace = TraceContext(f"{random.getrandbits(128):032x}", f"{random.getrandbits(64):016x}", is_sampled=False)
        context = self._callers_context(request)
        if not trace.get_current_span(context).get_span_context().is_valid:
            context = trace.set_span_in_context(_remote(request.trace), context)
        return Untraced(context)

    # Whatever else

    def current_trace(self, request: Request[Any, Any] | None, *, for_sending: bool) -> TraceContext | None:
        """The innermost span; without one, the request's place. For sending, a request without a trace gets one."""
        context = otel_context.get_current()
        if context is not self.ambient:
            found = trace.get_current_span(context).get_span_context()
            if found.is_valid:
                return _place(found)
        if request is None:
            return None
        if for_sending and request.trace is None:
            self._resolve()
        return request.trace

    @contextmanager
    def message_span(self, operation: Operation, destination: str, parent: TraceContext, messages: int) -> Iterator[str]:
        """A producer's or consumer's span as the current one."""
        context = None if not parent.is_remote else trace.set_span_in_context(_remote(parent), _OUTSIDE)
        attributes: dict[str, str | int] = {
            "messaging.operation.type": operation,
            "messaging.destination.name": destination,
            "messaging.batch.message_count": messages,
        }
        name = f"{operation} {destination}"
        with self._tracer.start_as_current_span(name, context, _KINDS[operation], attributes) as span:
            yield _place(span.get_span_context()).traceparent

    def unobserved(self) -> AbstractContextManager[None]:
        """No client spans inside."""
        return suppress_instrumentation()


class Untraced:
    """What code inside a request without a span sees; it watches nothing."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def record(self, exc: BaseException) -> None:
        """There is nobody to tell."""

    def watch_messages(self, stats: Any) -> Any:
        """The counters themselves."""
        return stats

    def watch_stream(self, sink: Any) -> Any:
        """The sink itself."""
        return sink


class _Fields(Getter[Request[Any, Any]]):
    """Gives a propagator the request's header fields; a `traceparent` that came twice is none (W3C Trace Context §3.2)."""

    def get(self, carrier: Request[Any, Any], key: str) -> list[str] | None:
        values = list(carrier.headers.getall(key, ()))
        return None if not values or (key == "traceparent" and len(values) > 1) else values

    def keys(self, carrier: Request[Any, Any]) -> list[str]:
        return list(carrier.headers.keys())


_FIELDS = _Fields()


def _remote(place: TraceContext) -> Span:
    flags = TraceFlags(TraceFlags.SAMPLED if place.is_sampled else TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=True, trace_flags=flags))


def _place(context: SpanContext) -> TraceContext:
    is_sampled = context.trace_flags.sampled
    trace_id, span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
    return TraceContext(trace_id, span_id, is_sampled, is_remote=context.is_remote or not is_sampled)
