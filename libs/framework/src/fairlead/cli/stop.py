"""`fairlead stop`: as SIGTERM to the supervisor. Returns when the service has ended."""

from __future__ import annotations

import argparse
import time

from fairlead.cli.management import Unreachable, add_socket, ask, command, socket_of

__all__ = ["add_arguments", "run"]

LOOK_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when it has ended."""
    status, path = command(arguments, "/stop"), socket_of(arguments)
    while status == 0:
        time.sleep(LOOK_S)
        try:
            ask(path, "GET", "/livez", timeout_s=5)
        except Unreachable:
            break
    return status
