"""What a service says when it is up (mission T2): for people a small table, for machines one structured line."""

from __future__ import annotations

import logging
import platform
import sys
from collections.abc import Iterator

import fairlead
from fairlead.telemetry.logging import LogStream
from fairlead.workers.cgroup import WorkerCount
from fairlead.workers.messages import Changed

__all__ = ["announce"]

logger = logging.getLogger("fairlead.workers")

_LOUD, _BOLD, _FAINT, _PLAIN = "\x1b[1;37;41m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def announce(stream: LogStream, greeting: Changed, *, mode: str, workers: WorkerCount, address: str, management: str) -> None:
    """Show the banner: in the logs when they are JSON, else on stdout."""
    facts = {
        "mode": mode,
        "workers": f"{workers.count} ({workers.reason})",
        "serving": f"http://{address}",
        "management": f"http://{management}",
        "versions": f"fairlead {fairlead.__version__}, Python {platform.python_version()}, {greeting.loop}",
    }
    if stream.format == "json":
        logger.info("service is ready", extra={"app": greeting.name, "debug": greeting.debug, **facts})
    else:
        stream.flush()
        sys.stdout.write("\n".join(_lines(greeting, facts, colours=sys.stdout.isatty())) + "\n")
        sys.stdout.flush()
    if greeting.debug:
        logger.warning("debug mode is on: error pages show code and values, so never where strangers can reach it")


def _lines(greeting: Changed, facts: dict[str, str], *, colours: bool) -> Iterator[str]:
    bold, faint, plain, loud = (_BOLD, _FAINT, _PLAIN, _LOUD) if colours else ("", "", "", "")
    yield ""
    yield f"  {bold}{greeting.name}{plain} is ready" + (f"  {loud} DEBUG MODE {plain}" if greeting.debug else "")
    for name, value in facts.items():
        yield f"  {faint}{name:<11}{plain} {value}"
    yield ""
