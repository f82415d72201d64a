"""The span of one sampled request, by OpenTelemetry's stable conventions for HTTP.

It begins before the route is known and ends when the response is written; a websocket's or a stream's lasts as long as that does.
What is said at the beginning is what a sampler may look at. Messages of websockets and pieces of streams become events of the
span: the first eight in each direction, then those whose number is a power of two, so that a connection of a day has forty.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span
from opentelemetry.trace.status import Status, StatusCode

from fairlead.http.trace_context import TraceContext
from fairlead.telemetry.masking import mask_tokens
from fairlead.telemetry.metrics import METHODS, OTHER

__all__ = ["TracedRequest", "opening_attributes"]

MAX_TEXT = 1_024
EVENTS_IN_FULL = 8

Finished = Callable[[Any, int, float, TraceContext], None]


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


class TracedRequest:
    """The span of a request, and the OpenTelemetry context that code inside it sees."""

    def __init__(self, request: Any, span: Span, context: Context, trace: TraceContext, finished: Finished) -> None:
        self.context = context
        self._request = request
        self._span = span
        self._trace = trace
        self._finished = finished
        self._error = ""

    def record(self, exc: BaseException) -> None:
        """Handling raised `exc`: an event of the span, and its error when the answer is 5xx."""
        self._error = f"{type(exc).__module__}.{type(exc).__qualname__}".removeprefix("builtins.")
        self._span.record_exception(exc)

    def watch_messages(self, stats: Any) -> MessageCounts:
        """Counters that pass everything on to `stats`, and note messages in the span."""
        return MessageCounts(stats, self._note)

    def watch_stream(self, sink: Any) -> PieceSink:
        """A sink that passes everything on, and notes the pieces in the span."""
        return PieceSink(sink, self._note)

    def _note(self, direction: str, number: int, size: int) -> None:
        if number <= EVENTS_IN_FULL or number & (number - 1) == 0:
            self._span.add_event("message", {"direction": direction, "number": number, "size": size})

    def finish(self, status: int, body_bytes: int, duration_s: float) -> None:
        """The response is written: say what came of it, and end the span."""
        request, span = self._request, self._span
        route = request.uri_template
        method = request.method if request.raw_method in METHODS else "HTTP"
        span.update_name(f"{method} {route}" if route else method)
        outcome: dict[str, str | int] = {"http.response.status_code": status}
        if route:
            outcome["http.route"] = route
        if status >= 500:
            outcome["error.type"] = self._error or str(status)
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(outcome)
        span.end()
        self._finished(request, status, duration_s, self._trace)


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
