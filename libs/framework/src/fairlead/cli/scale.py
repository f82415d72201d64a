"""`fairlead scale N`: more or fewer workers, while the service runs. Returns when it has that many."""

from __future__ import annotations

import argparse

from fairlead.cli.management import add_socket, command
from fairlead.cli.serve import worker_count

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("workers", type=worker_count, help="how many there are to be")
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when there are that many, 1 with the cause when not."""
    return command(arguments, f"/scale?workers={arguments.workers}")
