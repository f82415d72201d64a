"""Whole answers as bytes: a response to its request, and a refusal of what never became one.

The usual response is put together by the connection itself (`HttpConnection.respond`); these are all the others.
"""

from __future__ import annotations

from typing import Any

from fairlead.errors import FairleadException
from fairlead.http.media import PROBLEM_JSON
from fairlead.http.problem import encode_problem, problem_of
from fairlead.http.status import has_no_body
from fairlead.http.wire import encode_head
from fairlead.request import Request
from fairlead.response import HTTPResponse


def encode_answer(request: Request[Any, Any], response: HTTPResponse, *, keep_alive: bool, extra: bytes) -> bytes:
    """Head and body; `extra` are ready-made lines. Raises ValueError for fields that can't be sent."""
    status, body, headers = response.status, response.body, response.set_headers
    length = len(body)
    head_only = request.raw_method == b"HEAD"
    if head_only and not body and headers is not None and headers.get("content-length", "").isdecimal():
        length = int(headers["content-length"])
    head = encode_head(
        status,
        response.content_type,
        headers,
        length,
        keep_alive=keep_alive,
        extra=extra,
        http_1_0=request.head.version == "1.0",
    )
    return head if head_only or has_no_body(status) else head + body


def encode_refusal(exc: FairleadException) -> bytes:
    """Problem details (RFC 9457) for a message that is no request; the connection closes after it."""
    response = HTTPResponse(encode_problem(problem_of(exc)), exc.status_code, exc.headers, PROBLEM_JSON)
    return (
        encode_head(response.status, response.content_type, response.set_headers, len(response.body), keep_alive=False)
        + response.body
    )
