"""What every line of a request carries: its id, and its caller's trace.

Read when a line is written, from the context variable that `dispatch` sets. So a handler, a dependency, a task that
either started and a third-party library's logger all get the same id, and nothing is copied in requests that log
nothing.
"""

from __future__ import annotations

import logging

from fairlead.request import current_request
from fairlead.telemetry.tracing import trace_of

__all__ = ["RequestContext", "request_fields"]


def request_fields() -> dict[str, str]:
    """`request_id`, and `trace_id` when the caller sent a valid `traceparent`; empty outside of requests."""
    request = current_request.get()
    if request is None:
        return {}
    trace = trace_of(request)
    if trace is None:
        return {"request_id": request.id}
    return {"request_id": request.id, "trace_id": trace.trace_id}


class RequestContext(logging.Filter):
    """Puts `request_id` and `trace_id` ("" when unknown) on each record, for formats of a configuration of one's own:
    `"filters": {"request": {"()": "fairlead.telemetry.context.RequestContext"}}`, then `%(request_id)s`."""

    def filter(self, record: logging.LogRecord) -> bool:
        fields = request_fields()
        record.request_id = fields.get("request_id", "")
        record.trace_id = fields.get("trace_id", "")
        return True
