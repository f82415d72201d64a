"""Problem details (RFC 9457): the machine-readable form of an error."""

from __future__ import annotations

from typing import Any

import msgspec

from fairlead.errors import FairleadException, status_phrase


def problem_of(exception: FairleadException, request_id: str | None = None) -> dict[str, Any]:
    """The members of a problem document: type, title, status, detail, the request's id, and the error's public context."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": status_phrase(exception.status_code) or "Error",
        "status": exception.status_code,
    }
    if exception.message and exception.message != problem["title"]:
        problem["detail"] = exception.message
    if request_id:
        problem["request_id"] = request_id
    for name, value in exception.context.items():
        problem.setdefault(name, value)
    return problem


def encode_problem(problem: dict[str, Any]) -> bytes:
    """A problem document as JSON; values that JSON doesn't know become text rather than a second error."""
    return msgspec.json.encode(problem, enc_hook=str)
