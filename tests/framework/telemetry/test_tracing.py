"""fairlead.telemetry.tracing: the caller's trace, strictly read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairlead.request import Request
from fairlead.telemetry.tracing import TraceContext, current_traceparent, parse_traceparent

from .conftest import MakeRequest

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{PARENT}-01"


def test_a_valid_traceparent() -> None:
    """The example of the specification."""
    assert parse_traceparent(HEADER) == TraceContext(TRACE, PARENT, is_sampled=True)
    assert parse_traceparent(HEADER[:-2] + "02") == TraceContext(TRACE, PARENT, is_sampled=False)


def test_a_later_version_may_say_more() -> None:
    """Versions above 00 are read as far as they are known (§4.4), and passed on as 00."""
    context = parse_traceparent(f"cc-{TRACE}-{PARENT}-01-what-the-future-brings")
    assert context is not None
    assert context.traceparent == HEADER


@pytest.mark.parametrize(
    "header",
    [
        "",
        HEADER + "-more",
        HEADER.upper(),
        HEADER + "\n",
        " " + HEADER,
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0",
        f"00-{TRACE}-{PARENT}",
        f"0-{TRACE}-{PARENT}-01",
        f"01-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
    ],
)
def test_invalid_headers_are_ignored(header: str) -> None:
    """Anything that the specification forbids is as good as nothing."""
    assert parse_traceparent(header) is None


def test_the_context_of_a_request(make_request: MakeRequest) -> None:
    """It is the one valid header's; none without one."""
    assert make_request(headers={"Traceparent": HEADER}).trace == TraceContext(TRACE, PARENT, is_sampled=True)
    assert make_request().trace is None


def test_two_headers_are_none(make_request: MakeRequest) -> None:
    """A header that came twice is invalid."""
    assert make_request(headers={"traceparent": HEADER, "Traceparent": HEADER}).trace is None


def test_what_to_send_along(make_request: MakeRequest, handling: Callable[[Request[Any, Any]], None]) -> None:
    """Work that a request starts carries its trace; outside of one there is none."""
    assert current_traceparent() == ""
    handling(make_request(headers={"traceparent": HEADER}))
    assert current_traceparent() == HEADER
    handling(make_request())
    assert current_traceparent() == ""
