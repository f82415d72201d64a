"""Fairlead with all of its telemetry: metrics, an access log of JSON lines to /dev/null, one request in a hundred traced."""

from __future__ import annotations

from benchmarks.observed import trace_one_in_a_hundred
from benchmarks.servers import fairlead, fairlead_logged

TITLE = "Fairlead, everything on"
PACKAGES = (*fairlead.PACKAGES, "opentelemetry-sdk")
WORKLOADS = fairlead.WORKLOADS


def serve(port: int) -> None:
    """Run until SIGTERM."""
    trace_one_in_a_hundred()
    fairlead_logged.serve(port)
