"""Fairlead with metrics, and one request in a hundred traced."""

from __future__ import annotations

from benchmarks.observed import trace_one_in_a_hundred
from benchmarks.servers import fairlead

TITLE = "Fairlead, metrics, traces 1 %"
PACKAGES = (*fairlead.PACKAGES, "opentelemetry-sdk")
WORKLOADS = fairlead.WORKLOADS


def serve(port: int) -> None:
    """Run until SIGTERM."""
    trace_one_in_a_hundred()
    fairlead.serve(port)
