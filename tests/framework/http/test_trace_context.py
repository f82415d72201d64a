"""W3C Trace Context: what a `traceparent` says, and which ones say nothing (T9)."""

from __future__ import annotations

import pytest

from fairlead.http.trace_context import TraceContext, caller_trace, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "is_sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"cc-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes", True),
    ],
    ids=["sampled", "not sampled", "other flags", "later version", "later version with more fields"],
)
def test_valid(value: str, is_sampled: bool) -> None:
    """Ids and the sampling flag are taken; a later version may carry more fields (§4), and is passed on as version 00."""
    context = parse_traceparent(value)
    assert context == TraceContext(TRACE, SPAN, is_sampled)
    assert context.traceparent == f"00-{TRACE}-{SPAN}-{'01' if is_sampled else '00'}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_invalid(value: str) -> None:
    """An invalid header is as good as none (§3.2.2)."""
    assert parse_traceparent(value) is None


def test_which_field_counts() -> None:
    """One field is the caller's word; none, or several that may contradict each other, are not (§3.2)."""
    value = f"00-{TRACE}-{SPAN}-01"
    assert caller_trace([value]) == TraceContext(TRACE, SPAN, True)
    assert caller_trace([]) is None
    assert caller_trace([value, value]) is None
