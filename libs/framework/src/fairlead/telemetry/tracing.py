"""Which trace the running code belongs to, whether or not OpenTelemetry is there.

Without it, a request belongs to the trace that its caller named (`http/trace_context.py`), and that is passed on: into log
lines, outbox rows and messages. When the standard `OTEL_` variables ask for traces, `begin` puts an `Engine` here
(`telemetry/otel/`), and then there are spans. This module imports nothing of OpenTelemetry, so what uses it costs nothing.

    traceparent = current_traceparent()                 # goes along with a message
    with message_span("process", stream, traceparent):  # and is taken up where that arrives
        …
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

from fairlead.http.trace_context import TraceContext, parse_traceparent
from fairlead.request import Request, current_request

__all__ = [
    "Engine",
    "ServerSpan",
    "TraceContext",
    "begin",
    "current_trace",
    "current_traceparent",
    "end",
    "message_span",
    "parse_traceparent",
    "spans",
    "unobserved",
]

Operation = Literal["process", "send"]


class ServerSpan(Protocol):
    """The span of a sampled request."""

    def finish(self, status: int, body_bytes: int, duration_s: float) -> None:
        """The response is done."""


class Engine(Protocol):
    """What makes spans, while tracing is on."""

    def current_trace(self, request: Request[Any, Any] | None, *, for_sending: bool) -> TraceContext | None:
        """The innermost span of the running code; the request's trace when it has none. `for_sending` makes one up."""

    def message_span(
        self, operation: Operation, destination: str, parent: TraceContext, messages: int
    ) -> AbstractContextManager[str]:
        """A span around handing a message over, or taking it up."""

    def unobserved(self) -> AbstractContextManager[None]:
        """No client spans inside."""


spans: dict[Request[Any, Any], ServerSpan] = {}
"""The spans of the requests that are being handled: nearly always empty, which is how a finished request is known to have none."""

_engine: Engine | None = None


def begin(engine: Engine) -> None:
    """From here on `engine` knows. Called once in a process, before it serves."""
    global _engine
    _engine = engine


def end() -> None:
    """Tracing is over: what `begin` did is undone."""
    global _engine
    _engine = None
    spans.clear()


def current_trace() -> TraceContext | None:
    """The place in a trace that the running code is at; None when there is no trace."""
    request = current_request.get()
    if _engine is not None:
        return _engine.current_trace(request, for_sending=False)
    return request.trace if request is not None else None


def current_traceparent() -> str:
    """What to send along with work that the running code starts (a message, an outbox row); "" outside of a trace."""
    request = current_request.get()
    if _engine is not None:
        trace = _engine.current_trace(request, for_sending=True)
    else:
        trace = request.trace if request is not None else None
    return trace.traceparent if trace is not None else ""


def message_span(
    operation: Operation, destination: str, traceparent: str = "", *, messages: int = 1
) -> AbstractContextManager[str]:
    """A span around sending a message to `destination`, or processing one from there, as a child of `traceparent`, or of the
    running code's span when that is "". `messages` is how many it goes out as.

    Gives the traceparent to send on. Nothing happens, and `traceparent` is what is given, when tracing is off or the message's
    trace is not sampled.
    """
    parent = parse_traceparent(traceparent) if traceparent else current_trace()
    if _engine is None or parent is None or not parent.is_sampled:
        return nullcontext(traceparent)
    return _engine.message_span(operation, destination, parent, messages)


def unobserved() -> AbstractContextManager[None]:
    """No client spans for what is done inside: for loops that poll all day in nobody's name."""
    return _engine.unobserved() if _engine is not None else nullcontext()
