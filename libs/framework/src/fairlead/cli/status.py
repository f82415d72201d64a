"""`fairlead status`: a line for each worker of a running service."""

from __future__ import annotations

import argparse

import msgspec

from fairlead.cli.management import add_socket, ask, socket_of
from fairlead.management.fleet import FleetStatus

__all__ = ["add_arguments", "run"]

COLUMNS = ("worker", "state", "pid", "restarts", "uptime", "in flight", "connections", "lag")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_socket(parser)
    parser.add_argument("--json", action="store_true", help="print everything that is known, for programs")


def run(arguments: argparse.Namespace) -> int:
    """0 when the service is ready, 1 when it is not."""
    code, text = ask(socket_of(arguments), "GET", "/readyz?verbose", timeout_s=5)
    if arguments.json:
        print(text.strip())
    else:
        status = msgspec.json.decode(text, type=FleetStatus)
        reason = msgspec.json.decode(text)["reason"]
        print(f"{status.name}: {'ready' if code == 200 else reason}")
        print("\n".join(_table(status)))
    return 0 if code == 200 else 1


def _table(status: FleetStatus) -> list[str]:
    rows: list[tuple[object, ...]] = [COLUMNS]
    for worker in status.workers:
        pid, uptime = worker.pid or "-", f"{worker.uptime_s:.0f} s"
        lag = f"{worker.lag_s * 1000:.0f} ms"
        rows.append((worker.worker, worker.state, pid, worker.restarts, uptime, worker.in_flight, worker.connections, lag))
    widths = [max(len(str(row[column])) for row in rows) for column in range(len(COLUMNS))]
    return ["  ".join(f"{cell!s:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
