"""Problem details (RFC 9457)."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from fairlead.errors import FairleadException, Forbidden, NotFound
from fairlead.http.problem import encode_problem, problem_of


@pytest.mark.parametrize(
    ("exception", "request_id", "expected"),
    [
        (NotFound(), None, {"title": "Not Found", "status": 404}),
        (NotFound("No such page"), "r-1", {"title": "Not Found", "status": 404, "detail": "No such page", "request_id": "r-1"}),
        (FairleadException("?", 799), None, {"title": "Error", "status": 799, "detail": "?"}),
        (Forbidden("no", extra={"why": "secret"}), None, {"title": "Forbidden", "status": 403, "detail": "no"}),
        (Forbidden("no", context={"a": 1, "status": 200}), None, {"title": "Forbidden", "status": 403, "detail": "no", "a": 1}),
    ],
)
def test_members(exception: FairleadException, request_id: str | None, expected: dict[str, Any]) -> None:
    """Title and status always, the message where it says more, the public context beside them and never in their place."""
    assert problem_of(exception, request_id) == {"type": "about:blank", **expected}


def test_values_that_json_does_not_know() -> None:
    """What JSON doesn't know becomes text: an error must not become a second error."""
    assert json.loads(encode_problem({"day": date(2026, 1, 2), "what": object})) == {
        "day": "2026-01-02",
        "what": "<class 'object'>",
    }
