"""Spans as the trees that they are: which trace went where, and what took how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fairlead.testing.otlp import ReceivedSpan
from tests.observe.table import duration

WIDTH = 80
BAR_WIDTH = 14
TIME_WIDTH = 8


class Step(NamedTuple):
    """One span of a trace, at its place in the tree."""

    depth: int
    is_last: bool
    """Whether no sibling follows."""
    span: ReceivedSpan

    @property
    def service(self) -> str:
        """Who sent it."""
        return str(self.span.resource.get("service.name", "?"))

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.span.end_ns - self.span.start_ns) / 1e9


class Trace(NamedTuple):
    """All spans of one trace that have come so far, from the root on, children after their parent, by when they began."""

    steps: tuple[Step, ...]

    @property
    def id(self) -> str:
        """The trace's id."""
        return self.steps[0].span.trace_id

    @property
    def root(self) -> Step:
        """The first span; its parent is none, or somebody's who sends nothing here."""
        return self.steps[0]

    @property
    def start_ns(self) -> int:
        """When it began, as Unix time."""
        return min(step.span.start_ns for step in self.steps)

    @property
    def end_ns(self) -> int:
        """When the last of it ended."""
        return max(step.span.end_ns for step in self.steps)

    @property
    def services(self) -> list[str]:
        """Where it has been, in that order."""
        return list(dict.fromkeys(step.service for step in self.steps))


def traces_of(spans: Iterable[ReceivedSpan]) -> list[Trace]:
    """The traces, the newest first."""
    by_trace: dict[str, list[ReceivedSpan]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    found = [trace for group in by_trace.values() if (trace := _trace(group)).steps]
    return sorted(found, key=lambda trace: trace.start_ns, reverse=True)


def _trace(spans: list[ReceivedSpan]) -> Trace:
    spans.sort(key=lambda span: span.start_ns)
    known = {span.span_id for span in spans}
    children: dict[str, list[ReceivedSpan]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    return Trace(tuple(_below("", 0, children)))


def _below(parent: str, depth: int, children: dict[str, list[ReceivedSpan]]) -> Iterator[Step]:
    below = children.pop(parent, [])  # popped: spans that name each other as parents end somewhere
    for span in below:
        yield Step(depth, span is below[-1], span)
        yield from _below(span.span_id, depth + 1, children)


def most_telling(traces: Sequence[Trace]) -> Trace | None:
    """The one to show when there is room for one: that went through most services, then with most spans, then the newest."""
    return max(traces, key=lambda trace: (len(trace.services), len(trace.steps), trace.start_ns), default=None)


def tree(trace: Trace, *, width: int = WIDTH, max_lines: int = 1_000) -> str:
    """A line for each span: name, service, duration, and when in the trace it ran, as a bar."""
    whole_ns = max(trace.end_ns - trace.start_ns, 1)
    service_width = max(len(step.service) for step in trace.steps)
    name_width = width - service_width - TIME_WIDTH - BAR_WIDTH - 5
    lines = []
    open_at: list[bool] = []
    """For each depth above, whether siblings follow."""
    for step in trace.steps[:max_lines]:
        del open_at[step.depth :]
        branch = "".join("│ " if is_open else "  " for is_open in open_at[1:]) + (
            "" if step.depth == 0 else "└ " if step.is_last else "├ "
        )
        open_at.append(not step.is_last)
        name = branch + step.span.name
        name = name if len(name) <= name_width else name[: name_width - 1] + "…"
        bar = _bar(step.span.start_ns - trace.start_ns, step.span.end_ns - trace.start_ns, whole_ns)
        lines.append(
            f"{name:<{name_width}}  {step.service:<{service_width}} {duration(step.seconds):>{TIME_WIDTH}}  {bar}".rstrip()
        )
    if len(trace.steps) > max_lines:
        lines.append(f"… and {len(trace.steps) - max_lines} more")
    return "\n".join(lines)


def _bar(begin_ns: int, end_ns: int, whole_ns: int) -> str:
    first = min(begin_ns * BAR_WIDTH // whole_ns, BAR_WIDTH - 1)
    last = max(-(-end_ns * BAR_WIDTH // whole_ns), first + 1)
    return " " * first + "━" * (last - first)
