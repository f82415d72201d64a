"""What every line of a request carries: its id, and its place in a trace.

Read when a line is written, from the context variable that `dispatch` sets. So a handler, a dependency, a task that
either started and a third-party library's logger all get the same id, and nothing is copied in requests that log
nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from fairlead.http.trace_context import TraceContext
from fairlead.request import current_request
from fairlead.telemetry.tracing import current_trace

__all__ = ["RequestContext", "request_fields", "trace_fields"]


def request_fields() -> dict[str, str]:
    """`request_id` inside a request, `trace_id` inside a trace, `span_id` inside a span of this process."""
    request = current_request.get()
    fields = {} if request is None else {"request_id": request.id}
    trace = current_trace()
    return fields if trace is None else fields | _ids(trace)


def trace_fields(request: Any) -> dict[str, str]:
    """`trace_id` and `span_id` of the request itself, for its access line."""
    trace: TraceContext | None = request.trace
    return {} if trace is None else _ids(trace)


def _ids(trace: TraceContext) -> dict[str, str]:
    if trace.is_remote:
        return {"trace_id": trace.trace_id}
    return {"trace_id": trace.trace_id, "span_id": trace.span_id}


class RequestContext(logging.Filter):
    """Puts `request_id`, `trace_id` and `span_id` ("" when unknown) on each record, for formats of a configuration of one's own:
    `"filters": {"request": {"()": "fairlead.telemetry.context.RequestContext"}}`, then `%(request_id)s`."""

    def filter(self, record: logging.LogRecord) -> bool:
        fields = request_fields()
        for name in ("request_id", "trace_id", "span_id"):
            setattr(record, name, fields.get(name, ""))
        return True
