"""Which requests are traced: the decision of the standard samplers, taken before OpenTelemetry is asked for anything.

`OTEL_TRACES_SAMPLER` names one of six, and for those the decision needs no span, no context and no attribute. The SDK samples
again when a span is made: it is given the place that was drawn here (`DrawnIds`), so it comes to the same end. A sampler that
is none of the six is asked for every request.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import log, log1p
from typing import NamedTuple

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from fairlead.http.trace_context import TraceContext

__all__ = ["DrawnIds", "Sampling", "draw_gap", "draw_place", "sampling_from"]

_RATIO_BITS = 64
"""The SDK compares the lower half of the trace id with the ratio (`TraceIdRatioBased`)."""


class Sampling(NamedTuple):
    """What is known of the sampler."""

    share: float
    """Of the requests that come without a trace."""
    follows_parent: bool
    """A caller's decision is ours."""
    is_known: bool
    """False: only the sampler itself can tell."""

    def wants(self, parent: TraceContext | None) -> bool:
        """Whether a request of this parent may be sampled. Without a parent the share has been drawn before."""
        if parent is None or not self.is_known:
            return True
        if self.follows_parent:
            return parent.is_sampled
        limit: int = round(self.share * 2**_RATIO_BITS)
        return int(parent.trace_id[16:], 16) < limit


_SAMPLERS = {
    "always_on": (1.0, False),
    "always_off": (0.0, False),
    "traceidratio": (None, False),
    "parentbased_always_on": (1.0, True),
    "parentbased_always_off": (0.0, True),
    "parentbased_traceidratio": (None, True),
}


def sampling_from(environ: Mapping[str, str]) -> Sampling:
    """As the SDK reads `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`: a ratio that is none counts as 1."""
    name = environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").strip().lower() or "parentbased_always_on"
    propagators = {part.strip() for part in environ.get("OTEL_PROPAGATORS", "tracecontext").split(",")}
    if name not in _SAMPLERS or not {"tracecontext"} <= propagators <= {"tracecontext", "baggage", ""}:
        return Sampling(1.0, follows_parent=False, is_known=False)
    share, follows_parent = _SAMPLERS[name]
    if share is None:
        try:
            share = min(max(float(environ.get("OTEL_TRACES_SAMPLER_ARG", "")), 0.0), 1.0)
        except ValueError:
            share = 1.0
    return Sampling(share, follows_parent, is_known=True)


def draw_gap(share: float) -> int:
    """How many requests pass until the next that is sampled, when each is with this probability; -1 when none ever is.

    The distribution is the geometric one, so whoever counts down from it samples as if there had been a throw for each request.
    """
    if share >= 1.0:
        return 0
    return int(log(1.0 - random.random()) / log1p(-share)) if share > 0.0 else -1


def draw_place(share: float, parent: TraceContext | None) -> TraceContext:
    """The place of a new span: in its parent's trace, or in one whose id a sampler of this ratio takes."""
    if parent is not None:
        trace_id = parent.trace_id
    else:
        lower = random.getrandbits(64) if share >= 1.0 else int(random.random() * share * 2**_RATIO_BITS)
        trace_id = f"{random.getrandbits(64) or 1:016x}{lower:016x}"
    return TraceContext(trace_id, f"{random.getrandbits(64) or 1:016x}", is_sampled=True, is_remote=False)


class DrawnIds(RandomIdGenerator):
    """Gives the SDK the ids of a place that was drawn before, and random ones to everybody else."""

    def __init__(self) -> None:
        self.place: TraceContext | None = None
        """Where the next span shall be; one of a caller's trace has that trace's id anyway."""

    def generate_trace_id(self) -> int:
        """That of the place."""
        return int(self.place.trace_id, 16) if self.place is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """That of the place."""
        return int(self.place.span_id, 16) if self.place is not None else super().generate_span_id()
