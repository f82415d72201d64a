"""Spans as trees (issue 6)."""

from __future__ import annotations

from fairlead.testing.otlp import ReceivedSpan
from tests.observe.traces import most_telling, traces_of, tree


def span(
    name: str, id: str, parent: str = "", *, trace: str = "a", service: str = "catalog", ms: tuple[int, int] = (0, 1)
) -> ReceivedSpan:
    return ReceivedSpan(name, trace, id, parent, 1, ms[0] * 1_000_000, ms[1] * 1_000_000, {}, {"service.name": service})


def test_children_stand_below_their_parent() -> None:
    """By when they began, however they came; with service, duration, and a bar for when they ran."""
    spans = [
        span("process", "4", "3", service="feed", ms=(6, 10)),
        span("SELECT", "2", "1", ms=(1, 2)),
        span("send", "3", "1", ms=(4, 5)),
        span("PATCH", "1", ms=(0, 5)),
    ]
    (trace,) = traces_of(spans)
    assert tree(trace, width=57).splitlines() == [
        "PATCH                    catalog     5 ms  ━━━━━━━",
        "├ SELECT                 catalog     1 ms   ━━",
        "└ send                   catalog     1 ms       ━━",
        "  └ process              feed        4 ms          ━━━━━━",
    ]
    assert trace.services == ["catalog", "feed"]


def test_siblings_are_joined_by_a_line() -> None:
    """Past the children of the one above."""
    spans = [span("a", "1"), span("b", "2", "1"), span("c", "3", "2"), span("d", "4", "1", ms=(1, 2))]
    (trace,) = traces_of(spans)
    assert [line[:5].rstrip() for line in tree(trace).splitlines()] == ["a", "├ b", "│ └ c", "└ d"]


def test_what_does_not_fit_is_cut() -> None:
    """No line is longer than the terminal, and none is left out without a word."""
    (trace,) = traces_of([span("x" * 200, "1"), span("y", "2", "1"), span("z", "3", "1")])
    lines = tree(trace, max_lines=2).splitlines()
    assert lines[0].startswith("x" * 40)
    assert "…" in lines[0]
    assert max(map(len, lines)) <= 80
    assert lines[2] == "… and 1 more"


def test_a_parent_that_is_not_here_makes_a_root() -> None:
    """The caller sends its spans to somebody else, or they have not come yet; a circle shows nothing and ends."""
    (trace,) = traces_of([span("here", "1", "elsewhere")])
    assert trace.root.span.name == "here"
    (trace,) = traces_of([span("root", "1"), span("a", "2", "3"), span("b", "3", "2")])
    assert [step.span.name for step in trace.steps] == ["root"]
    assert traces_of([span("a", "2", "3"), span("b", "3", "2")]) == []


def test_the_most_telling_one() -> None:
    """That went through most services; of several alike the newest; None of none."""
    spans = [
        span("far", "1", trace="far"),
        span("far", "2", "1", trace="far", service="feed"),
        span("long", "1", trace="long", ms=(9, 99)),
        span("late", "1", trace="late", ms=(50, 51)),
    ]
    newest_first = traces_of(spans)
    assert [trace.id for trace in newest_first] == ["late", "long", "far"]
    telling = [most_telling(some) for some in (newest_first, newest_first[:2], [])]
    assert [trace.id if trace else None for trace in telling] == ["far", "late", None]
