"""Fairlead with everything on: metrics, watchdog, and an access log of JSON lines to /dev/null."""

from __future__ import annotations

from benchmarks.servers import fairlead

TITLE = "Fairlead, JSON access log"
PACKAGES = fairlead.PACKAGES
WORKLOADS = fairlead.WORKLOADS


def serve(port: int) -> None:
    """Run until SIGTERM."""
    fairlead.build().run("127.0.0.1", port, single_process=True, access_log=True, log_format="json", management_port=0)
