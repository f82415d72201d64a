"""Ready-made status lines and the statuses that carry no body."""

from __future__ import annotations

from fairlead.errors import status_phrase

STATUS_LINES: dict[int, bytes] = {status: f"HTTP/1.1 {status} {status_phrase(status)}\r\n".encode() for status in range(100, 600)}
"""Status → the first line of an HTTP/1.1 response, line end included."""


def has_no_body(status: int) -> bool:
    """Whether a response of this status ends with its head, and has no Content-Length of its own (RFC 9112 §6.3)."""
    return status < 200 or status == 204 or status == 304
