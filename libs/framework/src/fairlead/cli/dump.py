"""`fairlead dump`: what the threads and tasks of a running worker are doing, right now."""

from __future__ import annotations

import argparse

from fairlead.cli.management import add_socket, command

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--worker", type=int, default=0, help="which one (default: 0)")
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 with the dump on stdout; 1 with the cause when the worker does not answer."""
    return command(arguments, f"/dump?worker={arguments.worker}")
